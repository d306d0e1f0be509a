"""Routes of the page, and who may ask: whoever knows the token, by a name of this machine."""

from __future__ import annotations

import secrets
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import anyio
import shapely
from anyio import to_thread
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pepsasync.display.serve.metrics import exposition
from pepsasync.errors import ConfigError
from pepsasync.pictures.land import land
from pepsasync.text import as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pepsasync.display.serve.board import Board

HOSTS = ["127.0.0.1", "localhost"]
"""Names under which this machine is asked. A page elsewhere whose name was made to lead here (DNS rebinding) has
another; ports do not matter, since ssh may forward them."""

EVERY = 1.0
"""Seconds between two messages of a stream."""

STEP = 0.1
"""Seconds in which a stream notices that the run is over."""

COARSE = 400
"""Steps of coastlines over the width of the map."""

HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
"""Of every answer. The address holds the token, so that it must not be told to anybody."""

TYPES = {"page.html": "text/html; charset=utf-8", "page.js": "text/javascript", "page.css": "text/css"}


def make_app(board: Board, token: str) -> ASGIApp:
    """Return the application.

    Args:
        board: What is shown.
        token: The first part of every path; for `/metrics` also in the header `Authorization: Bearer`.
    """

    async def page(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2] or "page.html"
        return Response(_file(name), media_type=TYPES[name])

    async def products(request: Request) -> Response:
        try:
            described = await to_thread.run_sync(board.described, _whole(request.query_params.get("first", "0")))
        except ConfigError:  # the journal is not there yet, or is being made anew
            described = []
        return _json(described)

    async def coast(request: Request) -> Response:
        box = _box(request.query_params.get("box", ""))
        return _json(await to_thread.run_sync(_coast, *box)) if box else PlainTextResponse("box=W,S,E,N", 400)

    async def stream(request: Request) -> Response:  # noqa: ARG001 - the shape of an endpoint
        return EventSourceResponse(_messages(board))

    async def metrics(request: Request) -> Response:
        text, content_type = exposition(board, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    routes = [
        Route("/", page),
        Route("/page.js", page),
        Route("/page.css", page),
        Route("/products", products),
        Route("/land", coast),
        Route("/events", stream),
        Route("/metrics", metrics),
    ]
    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        Middleware(_Guard, token=token),
    ]
    return Starlette(routes=routes, middleware=guards)


class _Guard:
    """Answers nobody who does not know the token, and adds the headers.

    Args:
        app: Gets the path without the token.
        token: The secret.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in message["headers"]}
                message["headers"] += [pair for pair in HEADERS.items() if pair[0] not in named]
            await send(message)

        if scope["type"] == "http":
            await self._app_for(scope)(scope, receive, send_with_headers)

    def _app_for(self, scope: Scope) -> ASGIApp:
        path = scope["path"]
        if path == "/metrics" and self._is_ours(_bearer(scope)):
            return self._app
        token, slash, rest = path.removeprefix("/").partition("/")
        if not self._is_ours(token.encode()):
            return PlainTextResponse("not found", 404)
        if not slash:
            return RedirectResponse(f"{token}/")
        scope["path"] = f"/{rest}"
        scope["raw_path"] = scope["path"].encode()
        return self._app

    def _is_ours(self, token: bytes) -> bool:
        return secrets.compare_digest(token, self._token)


def _bearer(scope: Scope) -> bytes:
    headers = dict(scope["headers"])
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    return bytes(token) if kind.lower() == b"bearer" else b""


async def _messages(board: Board) -> AsyncIterator[dict[str, str]]:
    """What a page gets as long as it is open: the view and the changed products, and at last that the run is over."""
    since = 0
    while True:
        is_over = board.is_over
        since, changed = board.changes(since)
        yield {"event": "view", "data": as_json({"view": board.view().as_dict(), "changed": changed})}
        if is_over:
            yield {"event": "over", "data": "{}"}
            return
        for _ in range(round(EVERY / STEP)):
            await anyio.sleep(STEP)
            if board.is_over:
                break


def _box(text: str) -> tuple[float, float, float, float] | None:
    """West, south, east, north in degrees; None for what is no box."""
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        return None
    is_box = -360 <= west < east <= 360 and -180 <= south < north <= 180
    return (west, south, east, north) if is_box else None


def _coast(west: float, south: float, east: float, north: float) -> list[list[tuple[float, ...]]]:
    """Outlines of the land in a box, degrees, as fine as can be seen."""
    shape = shapely.clip_by_rect(land(), west, south, east, north).simplify(max(east - west, 0.01) / COARSE)
    polygons = [one for one in shapely.get_parts(shape) if one.geom_type == "Polygon"]
    return [[(round(x, 3), round(y, 3)) for x, y in one.exterior.coords] for one in polygons]


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _json(value: object) -> Response:
    return Response(as_json(value), media_type="application/json")


@cache
def _file(name: str) -> bytes:
    return (files("pepsasync.display.serve") / name).read_bytes()
