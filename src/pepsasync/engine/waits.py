"""How long an archive takes to bring products from tape, and in which rhythm they come, learned as they do."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

from pepsasync.limits.estimate import TapePace
from pepsasync.limits.schedule import next_pause

LEARNED = 64
"""Latest waits that are remembered."""

RHYTHM = 8
"""Latest gaps between arrivals that are remembered."""

ENOUGH = 3
"""Waits before they are relied on."""

ENOUGH_GAPS = 2
"""Gaps before they are relied on: nobody waits long for a mistake."""

FINENESS = 10
"""Looks within the time that something usually takes, at least."""

EARLY = 0.9
"""Part of a gap in which nothing is expected."""

LATE = 3
"""Times the longest gap after which a rhythm is over."""


@dataclass(slots=True)
class _Batch:
    """Products that one look found, and how long after those before them."""

    gap: float
    products: int = 0


class Waits:
    """Remembers waits for tape, and plans when to look again.

    Drives bring one product after the other: when several wait, each waits longer than the one before, but the gaps
    between arrivals stay alike. So it is their rhythm that looks follow, and waits tell when the first can be there.

    Args:
        shortest: Seconds between two looks at least.
        longest: Seconds between two looks at most.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._seconds: deque[float] = deque(maxlen=LEARNED)
        self._gaps: deque[float] = deque(maxlen=RHYTHM)
        self._arrival: float | None = None
        self._batches: deque[_Batch] = deque(maxlen=RHYTHM)
        self._batch: _Batch | None = None

    @property
    def pace(self) -> TapePace:
        """What was learned, for estimates: of waits the shortest and longest, of intervals the quartiles."""
        wait = (min(self._seconds), max(self._seconds)) if self.are_known else None
        if len(self._batches) < ENOUGH_GAPS:
            return TapePace(wait=wait)
        intervals = sorted(batch.gap / batch.products for batch in self._batches)
        last = len(intervals) - 1
        return TapePace(wait=wait, interval=(intervals[last // 4], intervals[last - last // 4]))

    @property
    def are_known(self) -> bool:
        """Whether enough was learned."""
        return len(self._seconds) >= ENOUGH

    def note(self, seconds: float, now: float) -> None:
        """Remember one wait.

        Args:
            seconds: For how long the product was certainly not online.
            now: When the look began that found it, on any clock; what one look finds has arrived together.
        """
        self._seconds.append(seconds)
        if now != self._arrival:
            self._batch = None
        if self._arrival is not None and now > self._arrival:
            self._gaps.append(now - self._arrival)
            self._batch = _Batch(now - self._arrival)
            self._batches.append(self._batch)
        if self._batch is not None:
            self._batch.products += 1
        self._arrival = now

    def rest(self) -> None:
        """Know that nothing more is waited for: until the next arrival there is no gap to be learned."""
        self._arrival = self._batch = None

    def pause(self, previous: float | None, *, moved: bool, waited: float, now: float) -> float:
        """Seconds until the next look.

        While nothing is known, pauses grow as long as nothing moves. Later they stay a fraction of what a product
        usually takes, and nobody looks before the first of those that wait can be there. In a rhythm there are two
        looks soon after an arrival, since another drive may be done a moment later; then nobody looks before the next
        arrival is nearly due, and from then on more often.

        Args:
            previous: The pause before the latest look, None before the first.
            moved: Whether that look found anything in another tier than before.
            waited: Seconds since the first of those that wait was asked for.
            now: Seconds on the clock of `note`.
        """
        if not self.are_known:
            return next_pause(previous, moved=moved, shortest=self._shortest, longest=self._longest)
        usual = statistics.median(self._seconds)
        since, due = self._rhythm(now)
        if due is not None:
            usual = min(usual, statistics.median(self._gaps))
        finest = min(self._longest, max(self._shortest, usual / FINENESS))
        pause = next_pause(previous, moved=moved, shortest=self._shortest, longest=finest)
        if due is not None and not moved:
            pause = max(pause, finest if since < finest else due - since)
        return min(max(pause, min(self._seconds) - waited), self._longest)

    def _rhythm(self, now: float) -> tuple[float, float | None]:
        """Seconds since the latest arrival, and after which the next is nearly due; None when there is no rhythm."""
        if self._arrival is None or len(self._gaps) < ENOUGH_GAPS:
            return 0.0, None
        since = now - self._arrival
        if since > LATE * max(self._gaps):
            return since, None
        # One of the shorter gaps: where they are irregular, the next arrival may come soon.
        return since, EARLY * sorted(self._gaps)[len(self._gaps) // 4]
