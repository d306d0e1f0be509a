"""The addresses of the service under `/geodes` (GEODES protocol notes, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

from pepsasync.sandbox.endpoints import Endpoints
from pepsasync.sandbox.geodes import search as find
from pepsasync.sandbox.geodes.availability import (
    apply_order,
    availability,
    fast_availability,
    order_files,
    quota,
    restore,
)
from pepsasync.sandbox.geodes.download import download, quicklook
from pepsasync.sandbox.geodes.replies import GeodesError, login_reply
from pepsasync.sandbox.geodes.service import Service

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.replies import Reply


def routes(archive: Archive) -> Mount:
    """Return the routes of the GEODES protocol on an archive."""
    endpoints = Endpoints(Service(archive), archive.ledger)
    route = endpoints.route
    stac, files = "/api/stac", "/{item}/files/{md5}"
    one = f"{stac}/collections/{{collection}}"
    return Mount(
        "/geodes",
        routes=[
            route(stac, "describe", find.landing),
            route(f"{stac}/conformance", "describe", find.conformance),
            route(f"{stac}/collections", "collections", find.collections, "GET", "POST"),
            route(one, "collections", find.collection),
            route(f"{one}/queryables", "collections", find.queryables),
            route(f"{one}/items", "search", find.search_by_address),
            route(f"{one}/items/{{item}}", "item", find.one_item),
            route(f"{stac}/search", "search", find.search, "POST"),
            route(f"{stac}/search", "search", find.search_by_address),
            route(f"{stac}/items", "search", find.search, "POST"),
            route(f"{stac}/search/paginate", "search", find.paginate),
            route(f"/api/quicklook{files}", "quicklook", quicklook),
            route(f"/api/download{files}", "download", download),
            route("/availability/{identifier}", "availability", availability),
            route("/fastavailability", "availability", fast_availability, "POST"),
            route("/processing/download/get", "quota", quota),
            route("/restore", "restore", restore, "POST"),
            route("/api/v1/rs-order/user/orders/apply", "order", apply_order, "POST"),
            route("/api/v1/rs-order/user/orders/{order}/files/available", "order", order_files),
            route("/login", "login", _login),
            endpoints.nothing_else(lambda: GeodesError(404, "Not Found")),
        ],
    )


async def _login(_service: Service, request: Request) -> Reply:
    step = request.query_params.get("step", "")
    return login_reply(request, int(step) if step.isdecimal() else 0)
