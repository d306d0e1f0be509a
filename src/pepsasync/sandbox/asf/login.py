"""Earthdata Login: user tokens, the page that asks for a password, and the code that it sends on (section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from pepsasync.sandbox.asf.replies import JsonRefusal, PageRefusal, page, redirect
from pepsasync.sandbox.asf.service import CLIENT_ID
from pepsasync.sandbox.replies import json_reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.asf.service import Service
    from pepsasync.sandbox.replies import Reply

EXPIRY = "11/19/2036"
"""End of every token, month first, as the service writes it."""
EULA = {
    "status_code": 403,
    "error": "invalid_token",
    "error_description": "EULA Acceptance Failure",
    "resolution_url": f"https://urs.earthdata.nasa.gov/approve_app?client_id={CLIENT_ID}",
}


def account(service: Service, request: Request) -> str:
    """Return the account of a user name and password.

    Raises:
        JsonRefusal: 401.
    """
    email = service.archive.accounts.by_basic(request.headers.get("authorization", ""))
    if email is None:
        service.archive.ledger.count_event("refused_logins")
        words = {"error": "invalid_credentials", "error_description": "Invalid user credentials"}
        raise JsonRefusal(401, words, [("WWW-Authenticate", 'Basic realm="Please enter your Earthdata Login"')])
    return email


async def authorize(service: Service, request: Request) -> Reply:
    """Log in, and send on to ASF with a code."""
    query = request.query_params
    where = query.get("redirect_uri", "")
    if query.get("client_id") != CLIENT_ID or not where:
        raise PageRefusal(400, "Bad Request")
    if "authorization" not in request.headers:
        if query.get("app_type") == "401":
            raise PageRefusal(401, "HTTP Basic: Access denied.", headers=[("WWW-Authenticate", 'Basic realm="EDL"')])
        return page(200, "Earthdata Login", "Username Password Log in")
    email = account(service, request)
    if not service.options.asf_eula:
        return redirect(302, f"{where}?error=access_denied&error_description=EULA")
    state = {"state": query["state"]} if "state" in query else {}
    return redirect(302, f"{where}?{urlencode({'code': service.code(email), **state})}")


async def find_or_create_token(service: Service, request: Request) -> Reply:
    """Return a token of the account."""
    return _token_reply(service.token(account(service, request)))


async def tokens(service: Service, request: Request) -> Reply:
    """Return the tokens of the account."""
    return json_reply([_token(service.token(account(service, request)))])


async def revoke(service: Service, request: Request) -> Reply:
    """Make a token worthless."""
    account(service, request)
    service.revoke(request.query_params.get("token", ""))
    return json_reply({})


async def check_token(service: Service, request: Request) -> Reply:
    """Say whether a token is good for ASF."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    email = service.by_token(next(iter(form.get("token", ())), ""))
    if email is None:
        raise JsonRefusal(
            401, {"error": "invalid_token", "error_description": "The token is either malformed or does not exist"}
        )
    if not service.options.asf_eula:
        raise JsonRefusal(403, EULA)
    return json_reply({"uid": email})


def _token(token: str) -> dict[str, str]:
    return {"access_token": token, "token_type": "Bearer", "expiration_date": EXPIRY}


def _token_reply(token: str) -> Reply:
    return json_reply(_token(token))
