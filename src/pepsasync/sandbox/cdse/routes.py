"""The addresses of the service under `/cdse`: catalogue, identity and downloads, whose hosts are three in reality."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from starlette.routing import Mount, Route

from pepsasync.sandbox.cdse.download import download, elsewhere, zipper
from pepsasync.sandbox.cdse.identity import configuration, keys, logout, token
from pepsasync.sandbox.cdse.replies import CdseError, json_reply
from pepsasync.sandbox.cdse.search import attributes, item, search
from pepsasync.sandbox.cdse.service import CdseOptions, Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.peps.replies import Reply

Endpoint: TypeAlias = "Callable[[Service, Request], Awaitable[Reply]]"


def routes(archive: Archive, options: CdseOptions | None = None) -> Mount:
    """Return the routes of the CDSE protocol on an archive."""
    service = Service(archive, options or CdseOptions())

    def route(path: str, kind: str, endpoint: Endpoint, method: str = "GET") -> Route:
        return Route(path, _guarded(service, kind, endpoint), methods=[method])

    realm = "/auth/realms/CDSE"
    one = "/odata/v1/Products({identifier})"
    return Mount(
        "/cdse",
        routes=[
            route("/odata/v1/Products", "search", search),
            route(one, "item", item),
            route(one + "/$value", "download", download),
            route("/zipper" + one + "/$value", "zipper", zipper),
            route("/elsewhere" + one + "/$value", "elsewhere", elsewhere),
            route("/odata/v1/Attributes({collection})", "describe", attributes),
            route(realm + "/.well-known/openid-configuration", "describe", configuration),
            route(realm + "/protocol/openid-connect/token", "token", token, "POST"),
            route(realm + "/protocol/openid-connect/logout", "logout", logout, "POST"),
            route(realm + "/protocol/openid-connect/certs", "describe", keys),
            route("/{path:path}", "other", _nothing_here),
        ],
    )


def _guarded(service: Service, kind: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Reply]]:
    """Count a request and turn its error into a reply."""

    async def guarded(request: Request) -> Reply:
        service.archive.ledger.count_request(kind)
        try:
            return await endpoint(service, request)
        except CdseError as error:
            return json_reply(error.body, error.status)

    return guarded


async def _nothing_here(_service: Service, _request: Request) -> Reply:
    raise CdseError(404, "Not Found")
