"""The addresses of the service under `/geodes` (GEODES protocol notes, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from starlette.routing import Mount, Route

from pepsasync.sandbox.geodes import search as find
from pepsasync.sandbox.geodes.availability import availability, fast_availability, quota, restore
from pepsasync.sandbox.geodes.download import download, quicklook
from pepsasync.sandbox.geodes.replies import PREFIX, GeodesError, LoginRequired, error_reply, login_reply
from pepsasync.sandbox.geodes.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.geodes.service import GeodesOptions
    from pepsasync.sandbox.peps.replies import Reply

Endpoint: TypeAlias = "Callable[[Service, Request], Awaitable[Reply]]"


def routes(archive: Archive, options: GeodesOptions) -> Mount:
    """Return the routes of the GEODES protocol on an archive."""
    service = Service(archive, options)

    def route(path: str, kind: str, endpoint: Endpoint, *methods: str) -> Route:
        return Route(path, _guarded(service, kind, endpoint), methods=methods or ("GET",))

    stac, files = "/api/stac", "/{item}/files/{md5}"
    one = f"{stac}/collections/{{collection}}"
    return Mount(
        PREFIX,
        routes=[
            route(stac, "describe", find.landing),
            route(f"{stac}/conformance", "describe", find.conformance),
            route(f"{stac}/collections", "collections", find.collections, "GET", "POST"),
            route(one, "collections", find.collection),
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
            route("/login", "login", _login),
            route("/{path:path}", "other", _nothing_here, "GET", "POST"),
        ],
    )


def _guarded(service: Service, kind: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[Reply]]:
    """Count a request and turn its error into a reply."""

    async def guarded(request: Request) -> Reply:
        service.archive.ledger.count_request(kind)
        try:
            return await endpoint(service, request)
        except GeodesError as error:
            return error_reply(error.status, error.message)
        except LoginRequired:
            if service.options.bad_key == "refuse":
                return error_reply(401, "Unauthorized")
            return login_reply(request)

    return guarded


async def _login(_service: Service, request: Request) -> Reply:
    step = request.query_params.get("step", "")
    return login_reply(request, int(step) if step.isdecimal() else 0)


async def _nothing_here(_service: Service, _request: Request) -> Reply:
    raise GeodesError(404, "Not Found")
