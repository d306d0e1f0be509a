"""Replies of every protocol: exact headers in their order, and whatever a server library would not send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.responses import Response

from pepsasync.sandbox.wire import EXTENSION, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

Headers: TypeAlias = "Sequence[tuple[str, str]]"


class Reply(Response):
    """A reply with exactly these headers, in this order and case.

    Args:
        status: HTTP status.
        headers: Headers but for those of the server (`Date`, `Server`, `Connection`).
        body: The body; dropped on HEAD.
        reason: Reason phrase, the usual one by default.
        unframed: The body ends with the connection: no length, no chunks.
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes = b"",
        *,
        reason: str | None = None,
        unframed: bool = False,
    ) -> None:
        super().__init__(body, status_code=status)
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._reason = reason
        self._unframed = unframed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        wire: Wire = scope["extensions"][EXTENSION]
        wire.head(reason=self._reason, unframed=self._unframed)
        if not self._unframed or scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        # The server library would cut the body into chunks: it goes onto the wire as it is.
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await wire.write(bytes(self.body))
        wire.close()


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A request that cannot be granted.

    Args:
        reply: What the client is told instead.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status_code)
        self.reply = reply


def wire_of(request: Request) -> Wire:
    """Return the connection of a request."""
    wire: Wire = request.scope["extensions"][EXTENSION]
    return wire


def root_url(request: Request) -> str:
    """Return the URL under which the protocol of a request stands, as the client wrote it."""
    return f"http://{request.headers.get('host', '127.0.0.1')}{request.scope['root_path']}"


def read_json(text: bytes | str) -> Any:
    """Return what a text says.

    Raises:
        ValueError: It is not JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def empty_reply(status: int, headers: Headers = ()) -> Reply:
    """Return a reply whose body is empty and says so."""
    return Reply(status, [*headers, ("Content-Length", "0")])


def content_reply(kind: str, body: bytes, status: int = 200, headers: Headers = ()) -> Reply:
    """Return a reply with a body of the media type `kind`."""
    return Reply(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers], body)


def json_reply(value: Any, status: int = 200, headers: Headers = (), *, ascii_only: bool = True) -> Reply:
    """Return a JSON reply without spaces."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode()
    return content_reply("application/json", body, status, headers)
