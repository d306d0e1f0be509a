"""The addresses of the service under `/cdse`: catalogue, identity and downloads, whose hosts are three in reality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

from pepsasync.sandbox.cdse.download import download, elsewhere, zipper
from pepsasync.sandbox.cdse.identity import configuration, keys, logout, token
from pepsasync.sandbox.cdse.nodes import nodes, quicklook, zipper_nodes
from pepsasync.sandbox.cdse.replies import CdseError
from pepsasync.sandbox.cdse.search import attributes, by_name, item, search
from pepsasync.sandbox.cdse.service import Service
from pepsasync.sandbox.cdse.traces import traces
from pepsasync.sandbox.endpoints import Endpoints

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive


def routes(archive: Archive) -> Mount:
    """Return the routes of the CDSE protocol on an archive."""
    endpoints = Endpoints(Service(archive), archive.ledger)
    route = endpoints.route
    realm = "/auth/realms/CDSE"
    one = "/odata/v1/Products({identifier})"
    return Mount(
        "/cdse",
        routes=[
            route("/odata/v1/Products", "search", search),
            route("/odata/v1/Products/OData.CSC.FilterList", "list", by_name, "POST"),
            route(one, "item", item),
            route(one + "/$value", "download", download),
            route("/zipper" + one + "/$value", "zipper", zipper),
            route("/elsewhere" + one + "/$value", "elsewhere", elsewhere),
            route(one + "/Nodes{path:path}", "nodes", nodes),
            route("/zipper" + one + "/Nodes{path:path}", "nodes", zipper_nodes),
            route("/odata/v1/Assets({identifier})/$value", "quicklook", quicklook),
            route("/odata/v1/Attributes({collection})", "describe", attributes),
            route("/api/v1/traces/name/{productname}", "traces", traces),
            route(realm + "/.well-known/openid-configuration", "describe", configuration),
            route(realm + "/protocol/openid-connect/token", "token", token, "POST"),
            route(realm + "/protocol/openid-connect/logout", "logout", logout, "POST"),
            route(realm + "/protocol/openid-connect/certs", "describe", keys),
            endpoints.nothing_else(lambda: CdseError(404, "Not Found")),
        ],
    )
