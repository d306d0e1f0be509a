"""Credentials that are looked for when they are first needed: a keyring may ask its user, and a search needs none."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from pepsasync.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.credentials.credentials import Credentials

E = TypeVar("E", bound="Exception | None")


class Lookup:
    """The credentials for one archive.

    Args:
        look: Looks for them; may take its time and ask the user. Called once, in a thread.
    """

    def __init__(self, look: Callable[[], Credentials | None]) -> None:
        self._look = look
        self._lock = anyio.Lock()
        self._found: Credentials | None = None
        self._is_over = False

    @classmethod
    def of(cls, credentials: Credentials | None) -> Lookup:
        """Those that are known, or known to be missing."""
        lookup = cls(lambda: credentials)
        lookup._found, lookup._is_over = credentials, True
        return lookup

    async def find(self) -> Credentials | None:
        """Return them, None when there are none anywhere; however many ask at once, they are looked for once.

        Raises:
            ConfigError: A place where they may be cannot be used; the next caller looks again.

        Cancellation: whoever looks is left alone, and the next caller looks again.
        """
        if self._is_over:
            return self._found
        async with self._lock:
            if not self._is_over:
                self._found = await to_thread.run_sync(self._look, abandon_on_cancel=True)
                self._is_over = True
        return self._found

    def name_source(self, error: E) -> E:
        """Say in the hint of an error where the credentials came from that it says were refused; returns that error."""
        source = self._found.source if self._found else ""
        if isinstance(error, AuthError) and source:
            error.hint = f"{error.hint}. The refused credentials came from {source}"
        return error
