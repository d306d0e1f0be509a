"""Replies as the catalogue, the zipper and Keycloak write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.peps.replies import Reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.peps.replies import Headers


class CdseError(Exception):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        body: What the JSON body says; a text becomes its `detail`.
    """

    def __init__(self, status: int, body: str | dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = {"detail": body} if isinstance(body, str) else body


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """Return a JSON reply."""
    body = json.dumps(value, separators=(",", ":")).encode()
    usual = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Reply(status, [*usual, *headers], body)


def redirect(status: int, address: str) -> Reply:
    """Return an answer that leads elsewhere."""
    return Reply(status, [("Location", address), ("Content-Length", "0")])


def root_url(request: Request) -> str:
    """Return the URL under which every part of the service stands, as the client wrote it."""
    return f"http://{request.headers.get('host', '127.0.0.1')}/cdse"
