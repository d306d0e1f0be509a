"""Replies as the portal and REGARDS write them, and who is asking (GEODES protocol notes, sections 2 and 6)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pepsasync.sandbox.peps.replies import Reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.geodes.service import Service

PREFIX = "/geodes"
"""Where the service stands in the address of the archive."""
_LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Login</title></head><body>Log in to GEODES</body></html>\n"


class GeodesError(Exception):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        message: One of the `messages` of the body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class LoginRequired(Exception):  # noqa: N818 - a detour, not a failure
    """The request needs a key, and has none or a wrong one."""


def root_url(request: Request) -> str:
    """Return the URL of the service as the client wrote it."""
    return f"http://{request.headers.get('host', '127.0.0.1')}{PREFIX}"


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON reply."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Reply(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)


def error_reply(status: int, message: str) -> Reply:
    """Return an error in the form of REGARDS."""
    return json_reply({"messages": [message]}, status)


def login_reply(request: Request, step: int = 0) -> Reply:
    """Return the redirect to the login page, which redirects to itself, and so on without end."""
    target = f"{root_url(request)}/login?redirect={quote(request.url.path, safe='')}&step={step + 1}"
    body = _LOGIN_PAGE.encode()
    length = ("Content-Length", str(len(body)))
    return Reply(302, [("Location", target), ("Content-Type", "text/html;charset=utf-8"), length], body)


def caller(service: Service, request: Request) -> str | None:
    """Return the account of whoever asks, by key or by the token of a link; None for anybody."""
    accounts = service.archive.accounts
    key, token = request.headers.get("x-api-key"), request.query_params.get("token")
    return (accounts.by_key(key) if key else None) or (accounts.by_token(token) if token else None)


def user(service: Service, request: Request) -> str:
    """Return the account of whoever asks.

    Raises:
        LoginRequired: There is none.
    """
    email = caller(service, request)
    if email is None:
        raise LoginRequired
    return email
