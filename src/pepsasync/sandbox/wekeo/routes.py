"""The addresses of the service under `/wekeo`: the gateway's broker and its identity service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

from pepsasync.sandbox.endpoints import Endpoints
from pepsasync.sandbox.wekeo import login
from pepsasync.sandbox.wekeo.download import elsewhere, file, order, state
from pepsasync.sandbox.wekeo.replies import WekeoError
from pepsasync.sandbox.wekeo.search import dataset, datasets, queryable, search
from pepsasync.sandbox.wekeo.service import Service

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive


def routes(archive: Archive) -> Mount:
    """Return the routes of the WEkEO protocol on an archive."""
    endpoints = Endpoints(Service(archive), archive.ledger)
    route = endpoints.route
    api = "/hda-broker/api/v1"
    return Mount(
        "/wekeo",
        routes=[
            route("/identity/gettoken", "token", login.new_get_token, "POST"),
            route("/hda-broker/gettoken", "token", login.old_get_token, "POST"),
            route("/hda-broker/refreshtoken", "token", login.refresh, "POST"),
            route(f"{api}/datasets", "describe", datasets),
            route(f"{api}/datasets/{{dataset}}", "describe", dataset),
            route(f"{api}/dataaccess/queryable/{{dataset}}", "describe", queryable),
            route(f"{api}/dataaccess/search", "search", search, "POST"),
            route(f"{api}/dataaccess/download", "order", order, "POST"),
            route(f"{api}/dataaccess/download/{{order}}", "download", file, "GET"),
            route(f"{api}/dataaccess/downloads", "state", state),
            route(f"{api}/terms", "terms", login.terms),
            route(f"{api}/termsaccepted", "terms", login.accepted),
            route(f"{api}/termsaccepted/{{term}}", "terms", login.accept, "PUT", "DELETE"),
            route("/elsewhere/{key}", "elsewhere", elsewhere),
            endpoints.nothing_else(lambda: WekeoError(404, "Not Found", "No such path")),
        ],
        name="wekeo",
    )
