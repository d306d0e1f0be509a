"""How long an archive takes to bring products from tape, learned as it does."""

from __future__ import annotations

import statistics
from collections import deque

from pepsasync.decide.schedule import next_pause

LEARNED = 64
"""Latest waits that are remembered."""

ENOUGH = 3
"""Waits before they are relied on."""

FINENESS = 10
"""Looks within the time that a product usually takes, at least."""


class Waits:
    """Remembers waits for tape, and plans when to look again.

    Args:
        shortest: Seconds between two looks at least.
        longest: Seconds between two looks at most.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._seconds: deque[float] = deque(maxlen=LEARNED)

    @property
    def are_known(self) -> bool:
        """Whether enough was learned."""
        return len(self._seconds) >= ENOUGH

    def note(self, seconds: float) -> None:
        """Remember one wait: for how long a product was certainly not online."""
        self._seconds.append(seconds)

    def pause(self, previous: float | None, *, moved: bool, waited: float) -> float:
        """Seconds until the next look.

        While nothing is known, pauses grow as long as nothing moves. Later they stay a fraction of what a product
        usually takes, and nobody looks before the first of those that wait can be there.

        Args:
            previous: The pause before the latest look, None before the first.
            moved: Whether that look found anything in another tier than before.
            waited: Seconds since the first of those that wait was asked for.
        """
        if not self.are_known:
            return next_pause(previous, moved=moved, shortest=self._shortest, longest=self._longest)
        finest = min(self._longest, max(self._shortest, statistics.median(self._seconds) / FINENESS))
        pause = next_pause(previous, moved=moved, shortest=self._shortest, longest=finest)
        return min(max(pause, min(self._seconds) - waited), self._longest)
