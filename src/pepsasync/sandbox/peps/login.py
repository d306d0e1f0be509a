"""Who is asking (PEPS protocol notes, sections 5.1 and 8.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.sandbox.peps.replies import PepsError

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.accounts import Accounts


def user(accounts: Accounts, request: Request, refusal: int = 401) -> str:
    """Return the e-mail address of who is logged in, by `_bearer`, which is looked at first, by Basic or by Bearer.

    Raises:
        PepsError: 401, without the `WWW-Authenticate` that a browser would need, or the other `refusal`.
    """
    authorization = request.headers.get("authorization", "")
    in_query = "_bearer" in request.query_params
    email = None if in_query else accounts.by_basic(authorization)
    if email is None:
        token = request.query_params["_bearer"] if in_query else _bearer(authorization)
        # The old clients' issuerId names another token issuer, so that a token of this one is refused.
        if token and "issuerId" not in request.query_params:
            email = accounts.by_token(token)
    if email is None:
        raise PepsError(refusal, "Unauthorized" if refusal == 401 else "Forbidden")
    return email


def _bearer(authorization: str) -> str:
    return authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
