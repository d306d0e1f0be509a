"""Who may log in, by password or by token, and who may download what."""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
from typing import TYPE_CHECKING

from pepsasync.sandbox.web_tokens import claims_of, web_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pepsasync.sandbox.clock import Clock

DEFAULT_API_KEY = "demo-api-key-0001"
"""API key of the first account; those of further ones end in 0002, 0003, ..."""
TOKEN_SECONDS = 3600
"""Lifetime of a token in archive seconds (PEPS protocol notes, section 1)."""


class Accounts:
    """Accounts of the archive; e-mail addresses are compared in lower case.

    Args:
        passwords: Password by e-mail address.
        clock: Archive time, for the life of tokens.
        seed: Seed of the signatures.
    """

    def __init__(self, passwords: Mapping[str, str], clock: Clock, seed: int = 1) -> None:
        self._passwords = {email.lower(): password for email, password in passwords.items()}
        self._keys = {f"{DEFAULT_API_KEY[:-4]}{at:04d}": email for at, email in enumerate(self._passwords, 1)}
        self._clock = clock
        self._secret = str(seed).encode()
        self._denied: set[tuple[str | None, str]] = set()
        self._expiry: dict[str, float] = {}
        self._lock = threading.Lock()

    def by_basic(self, authorization: str) -> str | None:
        """Return the e-mail address that an `Authorization` header proves, None if it proves nothing.

        The scheme must be written `Basic`: the archive compares it with its case.
        """
        if not authorization.startswith("Basic "):
            return None
        try:
            text = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        email, _, password = text.partition(":")
        return email.lower() if self.knows(email, password) else None

    def knows(self, email: str, password: str) -> bool:
        """Return whether an account has this password."""
        expected = self._passwords.get(email.lower())
        return expected is not None and hmac.compare_digest(expected.encode(), password.encode())

    def by_key(self, key: str) -> str | None:
        """Return the e-mail address of an API key, None if it is wrong."""
        return self._keys.get(key)

    def by_token(self, token: str) -> str | None:
        """Return the e-mail address of a token, None if it is wrong or too old."""
        with self._lock:
            expiry = self._expiry.get(token)
        if expiry is None or self._clock.now() > expiry:
            return None
        return str(claims_of(token)["sub"])

    def token(self, email: str) -> str:
        """Return a new token for an account."""
        expiry = self._clock.now() + TOKEN_SECONDS
        claims = {"sub": email, "iat": round(expiry - TOKEN_SECONDS, 3), "exp": round(expiry, 3)}
        header = {"alg": "HS256", "typ": "JWT"}
        token = web_token(header, claims, lambda signed: hmac.digest(self._secret, signed, "sha256"))
        with self._lock:
            self._expiry[token] = expiry
        return token

    def deny(self, collection: str, email: str | None = None) -> None:
        """Take away the right to download a collection, from one account or from all."""
        self._denied.add((email.lower() if email else None, collection))

    def allows(self, email: str, collection: str) -> bool:
        """Return whether an account may download a collection."""
        return not self._denied & {(email, collection), (None, collection)}
