"""Replies as the archive's PHP software and its web server write them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.responses import Response

from pepsasync.sandbox.wire import EXTENSION, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

Headers: TypeAlias = "Sequence[tuple[str, str]]"

NO_CACHE = (
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Expires", "Fri, 1 Jan 2010 00:00:00 GMT"),
)
"""Headers of every JSON reply."""
CHUNKED_FROM = 8000
"""JSON longer than this many bytes leaves the web server before its length is known."""
READ_AS_SECONDS = 10_000
"""Milliseconds below which a client takes `Retry-After` for seconds (PEPS protocol notes, section 5.2)."""
MEANT_TO_RETRY = "You should retry the request"
"""Reason phrase of a 202."""


class PepsError(Exception):
    """A request that is answered by an error.

    Args:
        status: HTTP status, also the `ErrorCode` of the body.
        message: `ErrorMessage` of the body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


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


def wire_of(request: Request) -> Wire:
    """Return the connection of a request."""
    wire: Wire = request.scope["extensions"][EXTENSION]
    return wire


def php_json(value: Any) -> bytes:
    r"""Return JSON as PHP writes it: no spaces, ASCII only, `/` as `\/`."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON reply with the usual headers."""
    body = php_json(value)
    length = [] if len(body) > CHUNKED_FROM else [("Content-Length", str(len(body)))]
    return Reply(status, [*NO_CACHE, *length, ("Content-Type", "application/json")], body)


def error_reply(status: int, message: str) -> Reply:
    """Return an error in the archive's JSON form."""
    return json_reply({"ErrorMessage": message, "ErrorCode": status}, status)


def retry_reply(milliseconds: int, *, head: bool) -> Reply:
    """Return the 202 that asks to come again; both headers are in milliseconds, against the rules of HTTP.

    Real waits are minutes, so that clients tell milliseconds from seconds by their size. Below `READ_AS_SECONDS`,
    which only a fast clock or an option can make, `Retry-After` is therefore written in seconds.
    """
    in_seconds = milliseconds < READ_AS_SECONDS
    wait = str(math.ceil(milliseconds / 1000) if in_seconds else milliseconds)
    length = [] if head else [("Content-Length", "0")]
    headers = [("X-regards-retry", str(milliseconds)), ("Retry-After", wait), *length]
    kind = ("Content-Type", "text/html; charset=UTF-8")
    return Reply(202, [*headers, kind], reason=MEANT_TO_RETRY, unframed=head)


def html_reply(status: int, title: str, extra: Headers = ()) -> Reply:
    """Return a short HTML page, as the web server in front of the software would."""
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()
    headers = [("Content-Length", str(len(body))), ("Content-Type", "text/html; charset=iso-8859-1")]
    return Reply(status, [*extra, *headers], body)
