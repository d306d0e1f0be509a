"""Is it one product that fails, or does the archive serve nobody at the moment?"""

from __future__ import annotations

FAILURES = 3
"""Failures in a row, with an answer to nobody between them, that are taken for an outage."""


class CircuitBreaker:
    """Failures in a row of something that many ask.

    Args:
        tries: Of one who asks: with more than `FAILURES` of them, so many are needed for an outage.
    """

    def __init__(self, tries: int = 1) -> None:
        self._enough = max(tries, FAILURES)
        self._failures = 0

    @property
    def is_on(self) -> bool:
        """Whether nobody gets an answer."""
        return self._failures >= self._enough

    def failed(self) -> None:
        """Note an answer that may mean an outage (`UnavailableError`), or that none came (`UnreachableError`)."""
        self._failures += 1

    def answered(self) -> None:
        """Note any other answer, whatever it says."""
        self._failures = 0
