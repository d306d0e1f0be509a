"""OpenID sessions: short access tokens, refresh tokens, and a limit on how many are open at a time.

Lifetimes count in archive seconds, by the archive's clock. What a client is told about them is in real seconds.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pepsasync.sandbox.cdse import signing

if TYPE_CHECKING:
    from pepsasync.sandbox.clock import Clock
    from pepsasync.sandbox.options import Options

MOST_SESSIONS = 100
"""Sessions that an account may have open."""
SCOPE = "AUDIENCE_PUBLIC openid email profile ondemand_processing user-context"
"""What a token is good for, as the archive writes it."""


class SessionError(Exception):
    """A session that cannot be opened, continued or used; the message is the archive's."""


@dataclass(slots=True)
class Session:
    """One login."""

    id: str
    """Name of the session."""
    email: str
    """Account."""
    ends: float
    """End in archive seconds if it is not refreshed."""


class Sessions:
    """The open sessions of all accounts.

    Args:
        clock: Archive time.
        options: Lifetimes and the limit.
    """

    def __init__(self, clock: Clock, options: Options) -> None:
        self._clock = clock
        self._options = options
        self._sessions: dict[str, Session] = {}
        self._refresh: dict[str, str] = {}
        self._access: dict[str, tuple[Session, float]] = {}
        self._links: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def open(self, email: str, issuer: str) -> dict[str, Any]:
        """Open a session and return the token reply.

        Raises:
            SessionError: The account has too many open sessions.
        """
        with self._lock:
            self._forget()
            if sum(session.email == email for session in self._sessions.values()) >= MOST_SESSIONS:
                raise SessionError("Session limit exceeded")
            session = Session(str(uuid.uuid4()), email, 0.0)
            self._sessions[session.id] = session
            return self._grant(session, issuer)

    def refresh(self, token: str, issuer: str) -> dict[str, Any]:
        """Continue the session of a refresh token and return the token reply.

        Raises:
            SessionError: The token is wrong, or its session has ended.
        """
        with self._lock:
            self._forget()
            if token not in self._refresh:
                raise SessionError("Invalid refresh token")
            session = self._sessions.get(self._refresh[token])
            if session is None:
                raise SessionError("Token is not active")
            return self._grant(session, issuer)

    def close(self, token: str) -> None:
        """End the session of a refresh token; its access tokens end with it."""
        with self._lock:
            ended = self._sessions.pop(self._refresh.get(token, ""), None)
            self._access = {key: value for key, value in self._access.items() if value[0] is not ended}

    def account(self, token: str) -> str:
        """Return the account of an access token.

        Raises:
            SessionError: The token is wrong or too old.
        """
        with self._lock:
            found = self._access.get(token)
        if found is None:
            raise SessionError("Unauthorized")
        session, expiry = found
        if self._clock.now() >= expiry:
            raise SessionError("Expired signature!")
        return session.email

    def sign(self, email: str) -> str:
        """Return the key of a signed address; it opens as long as an access token."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._links[key] = (email, self._clock.now() + self._options.token_seconds)
        return key

    def signed(self, key: str) -> str | None:
        """Return the account of a signed address, None if the key is wrong or too old."""
        with self._lock:
            email, expiry = self._links.get(key, ("", 0.0))
        return email if email and self._clock.now() < expiry else None

    def _grant(self, session: Session, issuer: str) -> dict[str, Any]:
        now, options = self._clock.now(), self._options
        session.ends = now + options.refresh_seconds
        life, refresh_life = self._told(options.token_seconds), self._told(options.refresh_seconds)
        access, refresh = signing.token(_claims(session, issuer, life)), secrets.token_urlsafe(48)
        self._access[access] = (session, now + options.token_seconds)
        self._refresh[refresh] = session.id
        return {
            "access_token": access,
            "expires_in": life,
            "refresh_expires_in": refresh_life,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": session.id,
            "scope": SCOPE,
        }

    def _told(self, seconds: float) -> float:
        """Return archive seconds as a client has to understand them: real ones, whole if they are."""
        real = round(self._clock.real(seconds), 3)
        return int(real) if real == int(real) else real

    def _forget(self) -> None:
        """Drop sessions that have ended, and access tokens that nobody can mistake for valid ones any more."""
        now = self._clock.now()
        self._sessions = {name: session for name, session in self._sessions.items() if session.ends > now}
        old = now - self._options.refresh_seconds
        self._access = {token: value for token, value in self._access.items() if value[1] > old}


def _claims(session: Session, issuer: str, life: float) -> dict[str, Any]:
    issued = time.time()
    return {
        "exp": int(issued + life),
        "iat": int(issued),
        "jti": str(uuid.uuid4()),
        "iss": issuer,
        "aud": ["CLOUDFERRO_PUBLIC"],
        "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, session.email)),
        "typ": "Bearer",
        "azp": "cdse-public",
        "session_state": session.id,
        "scope": SCOPE,
        "preferred_username": session.email,
    }
