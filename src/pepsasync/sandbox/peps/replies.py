"""Replies as the archive's PHP software writes them."""

from __future__ import annotations

import json
import math
from typing import Any

from pepsasync.sandbox.replies import Refused, Reply

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
CANNOT_DOWNLOAD = "Cannot download"
"""Reason phrase of a 420."""
MEANT_TO_RETRY = "You should retry the request"
"""Reason phrase of a 202."""


class PepsError(Refused):
    """A request that is answered by an error.

    Args:
        status: HTTP status, also the `ErrorCode` of the body.
        message: `ErrorMessage` of the body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(error_reply(status, message))


def php_json(value: Any) -> bytes:
    r"""Return JSON as PHP writes it: no spaces, ASCII only, `/` as `\/`."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON reply with the usual headers."""
    body = php_json(value)
    length = [] if len(body) > CHUNKED_FROM else [("Content-Length", str(len(body)))]
    reason = CANNOT_DOWNLOAD if status == 420 else None
    return Reply(status, [*NO_CACHE, *length, ("Content-Type", "application/json")], body, reason=reason)


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
