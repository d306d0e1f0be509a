"""Replies as the portal and REGARDS write them, and who is asking (GEODES protocol notes, sections 2 and 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pepsasync.sandbox import replies
from pepsasync.sandbox.replies import Refused, Reply, read_json, root_url

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.geodes.service import Service

_LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Login</title></head><body>Log in to GEODES</body></html>\n"


class GeodesError(Refused):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        message: One of the `messages` of the body.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(error_reply(status, message))


class LoginRequired(Refused):
    """A request that needs a key, and has none or a wrong one.

    Args:
        service: Whose option says what that leads to.
        request: The request.
    """

    def __init__(self, service: Service, request: Request) -> None:
        is_refused = service.options.geodes_bad_key == "refuse"
        super().__init__(error_reply(401, "Unauthorized") if is_refused else login_reply(request))


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON reply, in which any letter stands for itself."""
    return replies.json_reply(value, status, ascii_only=False)


def read_object(text: bytes) -> dict[str, Any]:
    """Return the object that a body holds.

    Raises:
        GeodesError: There is none.
    """
    try:
        value = read_json(text)
    except ValueError:
        raise GeodesError(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise GeodesError(400, "the body is not an object")
    return value


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
        raise LoginRequired(service, request)
    return email
