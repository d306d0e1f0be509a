"""Tokens of Earthdata Login: JSON Web Tokens that name their user."""

from __future__ import annotations

import hmac

from pepsasync.sandbox.web_tokens import claims_of, web_token


def earthdata_token(seed: int, email: str) -> str:
    """Return the token of an account, the same each time."""
    claims = {"type": "User", "uid": email, "iss": "https://urs.earthdata.nasa.gov", "sig": "edljwtpubkey_ops"}
    return web_token({"typ": "JWT", "alg": "RS256"}, claims, lambda signed: hmac.digest(_key(seed), signed, "sha256"))


def user_of(seed: int, token: str) -> str | None:
    """Return the account that a token names, None for one that this service did not make."""
    try:
        email = str(claims_of(token)["uid"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return email if hmac.compare_digest(earthdata_token(seed, email), token) else None


def _key(seed: int) -> bytes:
    return f"earthdata:{seed}".encode()
