"""The addresses of the service under `/resto` (PEPS protocol notes, section 1)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from starlette.routing import Mount, Router

from pepsasync.sandbox.endpoints import Endpoints
from pepsasync.sandbox.peps import collections
from pepsasync.sandbox.peps.download import check, download
from pepsasync.sandbox.peps.login import user
from pepsasync.sandbox.peps.replies import PepsError, json_reply
from pepsasync.sandbox.peps.search import item, search

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.endpoints import Endpoint
    from pepsasync.sandbox.replies import Reply

WEEKLY_LIMIT = 200
"""Products per week that `downloadinfo` announces; nothing enforces it."""
FORMAT = "pepsasync.format"
"""Key of the format that a client wants, in an ASGI scope."""


def routes(archive: Archive) -> Mount:
    """Return the routes of the PEPS protocol on an archive."""
    endpoints = Endpoints(archive, archive.ledger)
    route = endpoints.route
    one = "/collections/{collection}/{item}"
    router = Router(
        routes=[
            route("/api/collections/search", "search", _written(search)),
            route("/api/collections/describe", "describe", _written(collections.search_description, "xml")),
            route("/api/collections/{collection}/search", "search", _written(search)),
            route(
                "/api/collections/{collection}/describe", "describe", _written(collections.search_description, "xml")
            ),
            route("/api/users/connect", "connect", _connect),
            route("/api/users/checkToken", "token", _check_token),
            route("/api/users/{path:path}", "other", _forbidden),
            route("/users/{user}/downloadinfo", "downloadinfo", _download_info),
            route("/collections", "describe", _written(collections.every)),
            route("/collections/{collection}", "describe", _written(collections.one)),
            route(one + "/check/download", "check", check),
            route(one + "/download", "download", download),
            route(one, "item", _written(item)),
            endpoints.nothing_else(lambda: PepsError(404, "Not Found")),
        ]
    )
    return Mount("/resto", app=_formats(router))


def _formats(app: ASGIApp) -> ASGIApp:
    """Take a slash and the name of a format from the end of every path; without a name, `Accept` says which."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        root = f"{scope['root_path']}/"
        asked = scope["path"].removeprefix(root).removesuffix("/")
        path, dot, wanted = asked.rpartition(".")
        if not dot or wanted not in {"json", "xml", "html", "atom"}:
            accepted = dict(scope["headers"]).get(b"accept", b"")
            path, wanted = asked, "html" if accepted.startswith(b"text/html") else "json"
        await app({**scope, "path": root + path, FORMAT: wanted}, receive, send)

    return wrapped


def _written(endpoint: Endpoint[Archive], wanted: str = "json") -> Endpoint[Archive]:
    """Let an endpoint answer in one format only; the others are not found."""

    async def checked(archive: Archive, request: Request) -> Reply:
        if request.scope[FORMAT] != wanted:
            raise PepsError(404, "Not Found")
        return await endpoint(archive, request)

    return checked


async def _connect(archive: Archive, request: Request) -> Reply:
    """Give a token for a name and password."""
    return json_reply({"token": archive.accounts.token(user(archive.accounts, request, refusal=403))})


async def _check_token(archive: Archive, request: Request) -> Reply:
    """Say whether the token of `_tk` is good."""
    if "_tk" not in request.query_params:
        raise PepsError(400, "Bad Request")
    if archive.accounts.by_token(request.query_params["_tk"]) is None:
        return json_reply({"status": "error", "message": "User not connected"})
    return json_reply({"status": "success", "message": "Valid token"})


async def _download_info(archive: Archive, request: Request) -> Reply:
    """Tell the account's limits; the archive knows accounts by their e-mail address in base64."""
    email = user(archive.accounts, request, refusal=403)
    if base64.b64encode(email.encode()).decode() != request.path_params["user"]:
        raise PepsError(403, "Forbidden")
    done = len({transfer.name for transfer in archive.statistics.transfers})
    limits = {"instantLimitDownload": WEEKLY_LIMIT, "weeklyLimitDownload": WEEKLY_LIMIT}
    return json_reply({**limits, "weeklyDownloaded": done})


async def _forbidden(_archive: Archive, _request: Request) -> Reply:
    raise PepsError(403, "Forbidden")
