"""Circuit breaker: tells an archive that does not respond from a single product that fails."""

from __future__ import annotations

FAILURES = 3
"""Failures in a row, without an answer to anyone between them, that count as an outage."""


class CircuitBreaker:
    """Counts failures in a row over all requests of one kind.

    Args:
        tries: Of one request; when larger than `FAILURES`, so many failures are needed for an outage.
    """

    def __init__(self, tries: int = 1) -> None:
        self._enough = max(tries, FAILURES)
        self._failures = 0

    @property
    def is_on(self) -> bool:
        """Whether the archive is in an outage."""
        return self._failures >= self._enough

    def failed(self) -> None:
        """Note an answer that may mean an outage (`UnavailableError`), or that none came (`UnreachableError`)."""
        self._failures += 1

    def answered(self) -> None:
        """Note any other answer, whatever it says."""
        self._failures = 0
