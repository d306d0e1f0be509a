"""Who is asking (PEPS protocol notes, sections 5.1 and 8.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.sandbox.peps.replies import PepsError

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.accounts import Accounts


def user(accounts: Accounts, request: Request) -> str:
    """Return the e-mail address of who is logged in, by Basic, by Bearer or by `_bearer`.

    Raises:
        PepsError: 401, without the `WWW-Authenticate` that a browser would need.
    """
    authorization = request.headers.get("authorization", "")
    email = accounts.by_basic(authorization)
    if email is None:
        token = request.query_params.get("_bearer") or _bearer(authorization)
        # The old clients' issuerId names another token issuer, so that a token of this one is refused.
        if token and "issuerId" not in request.query_params:
            email = accounts.by_token(token)
    if email is None:
        raise PepsError(401, "Unauthorized")
    return email


def _bearer(authorization: str) -> str:
    return authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
