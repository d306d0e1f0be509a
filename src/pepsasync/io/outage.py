"""Is it one product that fails, or does the archive serve nobody at the moment?"""

from __future__ import annotations

import anyio

FAILURES = 3
"""Failures in a row, with an answer to nobody between them, that are taken for an outage."""


class Outage:
    """Failures in a row of something that many ask.

    Args:
        tries: Of one who asks: with more than `FAILURES` of them, so many are needed for an outage.
    """

    def __init__(self, tries: int = 1) -> None:
        self._enough = max(tries, FAILURES)
        self._failures = 0
        self._since = 0.0
        self._asked: set[str] = set()

    @property
    def seconds(self) -> float | None:
        """How long nobody has had an answer; None while that is not known to be so."""
        return anyio.current_time() - self._since if self._failures >= self._enough else None

    @property
    def is_of_many(self) -> bool:
        """Whether more than one product was asked for in vain."""
        return self._failures >= self._enough and len(self._asked) > 1

    def failed(self, asked: str = "") -> None:
        """Note an answer that may mean an outage (`UnavailableError`), and what was asked for."""
        if not self._failures:
            self._since = anyio.current_time()
        self._failures += 1
        self._asked.add(asked)

    def answered(self) -> None:
        """Note any other answer."""
        self._failures = 0
        self._asked.clear()
