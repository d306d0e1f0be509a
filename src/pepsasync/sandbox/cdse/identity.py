"""Keycloak: token grants, the end of a session, discovery and keys (CDSE protocol notes, Auth)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from anyio import to_thread

from pepsasync.sandbox.cdse import signing
from pepsasync.sandbox.cdse.replies import CdseError
from pepsasync.sandbox.cdse.sessions import SessionError
from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.replies import Reply, json_reply, root_url

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.cdse.service import Service

CLIENT = "cdse-public"
"""The only client that is registered."""
GRANTS = ("password", "refresh_token", "client_credentials")
"""Ways to a token, of which the last is for clients that have a secret: there is none here."""


async def token(service: Service, request: Request) -> Reply:
    """Answer a request for a token: by password, which opens a session, or by refresh token.

    Raises:
        CdseError: The request is incomplete, or name, password, code or refresh token are wrong.
    """
    pass_front_end(service.archive, "token")
    form = await _form(request)
    grant = form.get("grant_type")
    if grant is None:
        raise _refusal(400, "invalid_request", "Missing form parameter: grant_type")
    if grant not in GRANTS:
        raise _refusal(400, "unsupported_grant_type", "Unsupported grant_type")
    if form.get("client_id") != CLIENT:
        raise _refusal(401, "invalid_client", "Invalid client or Invalid client credentials")
    if grant == "client_credentials":
        raise _refusal(401, "unauthorized_client", "Public client not allowed to retrieve service account")
    answer = _by_password if grant == "password" else _by_refresh_token
    return await to_thread.run_sync(answer, service, form, _issuer(request))


async def logout(service: Service, request: Request) -> Reply:
    """End the session of a refresh token."""
    service.sessions.close((await _form(request)).get("refresh_token", ""))
    return Reply(204, [])


async def configuration(_service: Service, request: Request) -> Reply:
    """Say where everything is, as OpenID discovery does."""
    issuer = _issuer(request)
    base = f"{issuer}/protocol/openid-connect"
    return json_reply(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{base}/auth",
            "token_endpoint": f"{base}/token",
            "end_session_endpoint": f"{base}/logout",
            "jwks_uri": f"{base}/certs",
            "grant_types_supported": list(GRANTS),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "scopes_supported": ["openid", "email", "profile"],
        }
    )


async def keys(_service: Service, _request: Request) -> Reply:
    """Publish the key that checks tokens."""
    return json_reply({"keys": [signing.public_key()]})


def _by_password(service: Service, form: dict[str, str], issuer: str) -> Reply:
    email, code = form.get("username", "").lower(), service.options.totp
    known = service.archive.accounts.knows(email, form.get("password", ""))
    if not known or (code is not None and form.get("totp") != code):
        raise _refusal(401, "invalid_grant", "Invalid user credentials")
    try:
        granted = service.sessions.open(email, issuer)
    except SessionError as error:
        raise _refusal(403, "access_denied", str(error)) from error
    service.archive.ledger.count_event("tokens")
    return json_reply(granted)


def _by_refresh_token(service: Service, form: dict[str, str], issuer: str) -> Reply:
    try:
        granted = service.sessions.refresh(form.get("refresh_token", ""), issuer)
    except SessionError as error:
        raise _refusal(400, "invalid_grant", str(error)) from error
    service.archive.ledger.count_event("refreshes")
    return json_reply(granted)


def _refusal(status: int, error: str, description: str) -> CdseError:
    return CdseError(status, {"error": error, "error_description": description})


def _issuer(request: Request) -> str:
    return f"{root_url(request)}/auth/realms/CDSE"


async def _form(request: Request) -> dict[str, str]:
    """Read a form; bytes that are no text are kept as marks, so that they match nothing."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
