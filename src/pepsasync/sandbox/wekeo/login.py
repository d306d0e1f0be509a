"""Tokens and terms (sections 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl

from pepsasync.sandbox.replies import json_reply, read_json
from pepsasync.sandbox.wekeo.replies import WekeoError
from pepsasync.sandbox.wekeo.service import TERMS

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.replies import Reply
    from pepsasync.sandbox.wekeo.service import Service


def account(service: Service, request: Request) -> str:
    """Return the account of a token.

    Raises:
        WekeoError: 401 or 403.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    email = service.by_token(token) if scheme.lower() == "bearer" else None
    if email is None:
        raise WekeoError(service.options.wekeo_refusal, "Unauthorized", "The token is not valid")
    return email


async def get_token(service: Service, request: Request) -> Reply:
    """Log in, as an account of this service or of one that it trusts."""
    try:
        body: Any = _fields(await request.body())
        email, password, origin = str(body["username"]), str(body["password"]), body.get("origin")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WekeoError(400, "Bad Request", "username and password are needed") from None
    if not service.archive.accounts.knows(email, password) or origin != service.options.wekeo_origin:
        service.archive.ledger.count_event("refused_logins")
        if service.options.wekeo_error_200:
            return json_reply({"error": "invalid_grant", "error_description": "Invalid user credentials"})
        raise WekeoError(401, "Unauthorized", "Invalid user credentials")
    service.archive.ledger.count_event("tokens")
    return json_reply(service.grant(email.lower()))


def _fields(body: bytes) -> Any:
    """What a login names, as JSON or as a form: clients were seen to send either."""
    if body.lstrip().startswith(b"{"):
        return read_json(body)
    return dict(parse_qsl(body.decode("utf-8", "replace")))


async def old_get_token(service: Service, request: Request) -> Reply:
    """Log in where that was done before July 2026."""
    return await get_token(service, request)


async def new_get_token(service: Service, request: Request) -> Reply:
    """Log in where that is done since July 2026."""
    if service.options.wekeo_old_login:
        raise WekeoError(404, "Not Found", "No such path")
    return await get_token(service, request)


async def refresh(service: Service, request: Request) -> Reply:
    """Continue a session."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    email = service.continued(next(iter(form.get("refresh_token", ())), ""))
    if email is None:
        raise WekeoError(403, "Forbidden", "The refresh token is not valid")
    service.archive.ledger.count_event("refreshes")
    return json_reply(service.grant(email))


async def terms(service: Service, request: Request) -> Reply:
    """List all terms, some of them twice."""
    account(service, request)
    listed = [*TERMS.items(), next(iter(TERMS.items()))]
    return json_reply(
        {"features": [{"term_id": name, "title": title, "abstract": f"<p>{title}</p>"} for name, title in listed]}
    )


async def accepted(service: Service, request: Request) -> Reply:
    """List the terms that the account has accepted."""
    email = account(service, request)
    found = [{"term_id": name, "accepted": True} for name in sorted(service.accepted(email))]
    return json_reply({"features": found}, 200, service.quota_headers(email))


async def accept(service: Service, request: Request) -> Reply:
    """Accept terms, or take that back."""
    email, name = account(service, request), request.path_params["term"]
    if name not in TERMS:
        raise WekeoError(404, "Not Found", f"Term {name} not found")
    if request.method == "DELETE":
        service.accepted(email).discard(name)
    else:
        service.accepted(email).add(name)
    return json_reply({"term_id": name, "accepted": request.method != "DELETE"})
