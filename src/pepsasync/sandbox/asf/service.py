"""What the protocol keeps beside the shared archive: Earthdata tokens, logins under way, cookies, signatures."""

from __future__ import annotations

import hmac
import secrets
import threading
from typing import TYPE_CHECKING

from pepsasync.sandbox.asf import records
from pepsasync.sandbox.asf.tokens import earthdata_token, user_of
from pepsasync.sandbox.selection import Index
from pepsasync.sandbox.web_tokens import web_token

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive

CLIENT_ID = "BO_n7nTIlMljdvU6kRRB3g"
"""What ASF is called at Earthdata Login."""


class Service:
    """The protocol on an archive; every method may be called from any thread.

    Args:
        archive: What is shared with the other protocols.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.options = archive.options
        self.items = Index(archive, records.file_id)
        self._secret = f"asf:{archive.options.seed}".encode()
        self._lock = threading.Lock()
        self._revoked: set[str] = set()
        self._codes: dict[str, str] = {}
        self._cookies: dict[str, tuple[str, float]] = {}
        self._bursts: dict[str, float] = {}

    def token(self, email: str) -> str:
        """Return the token of an account."""
        return earthdata_token(self.options.seed, email)

    def by_token(self, token: str) -> str | None:
        """Return the account of a token, None for one that is unknown or was revoked."""
        with self._lock:
            return None if token in self._revoked else user_of(self.options.seed, token)

    def revoke(self, token: str) -> None:
        """Make a token worthless."""
        with self._lock:
            self._revoked.add(token)

    def code(self, email: str) -> str:
        """Return a code with which a login goes on at ASF, once."""
        code = secrets.token_hex(32)
        with self._lock:
            self._codes[code] = email
        return code

    def use_code(self, code: str) -> str | None:
        """Return the account of a code, and forget it."""
        with self._lock:
            return self._codes.pop(code, None)

    def cookie(self, email: str) -> str:
        """Return the value of a new session cookie."""
        self.archive.ledger.count_event("asf_sessions")
        claims = {"urs-user-id": email, "urs-access-token": self.token(email), "session": secrets.token_hex(8)}
        cookie = web_token(
            {"typ": "JWT", "alg": "RS256"}, claims, lambda signed: hmac.digest(self._secret, signed, "sha256")
        )
        with self._lock:
            self._cookies[cookie] = (email, self.archive.clock.now() + self.options.asf_cookie_seconds)
        return cookie

    def by_cookie(self, cookie: str) -> str | None:
        """Return the account of a session cookie, None for one that is unknown or has ended."""
        with self._lock:
            email, ends = self._cookies.get(cookie, (None, 0.0))
        return email if self.archive.clock.now() < ends else None

    def sign(self, path: str, method: str, ends: float) -> str:
        """Return the signature of a path of the store until a moment in archive seconds."""
        return hmac.digest(self._secret, f"{path}\n{method}\n{ends:.3f}".encode(), "sha256").hex()

    def burst_is_made(self, path: str) -> bool:
        """Return whether a burst has been made; asking for the first time begins that."""
        now = self.archive.clock.now()
        with self._lock:
            return now >= self._bursts.setdefault(path, now + self.options.asf_burst_seconds)
