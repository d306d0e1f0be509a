"""How one product is divided between connections: pure arithmetic over offsets in bytes.

A part is a file with gaps. One connection leads: it fills the first gap, so that the bytes can be hashed in order.
Others fill what lies further behind.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True, eq=False)
class Segment:
    """Bytes that one connection brings, or has brought."""

    start: int
    end: int
    """Behind the last byte that is wanted; moves towards the start when another connection takes over the rest."""
    received: int = 0
    """Bytes that came."""
    written: int = 0
    """Bytes that are in the file."""
    is_running: bool = True

    @property
    def position(self) -> int:
        """The byte that comes next."""
        return self.start + self.received

    @property
    def filled(self) -> int:
        """Behind the last byte that is in the file."""
        return self.start + self.written

    @property
    def left(self) -> int:
        """Bytes to come."""
        return max(0, self.end - self.position)


class Division:
    """Which bytes are here, on their way, or nobody's yet. Changed on the event loop; threads read and count.

    Args:
        size: Of the whole product; None when it is unknown, and only one connection can be of use.
        filled: First and behind the last byte of each stretch that is here, by first byte, without overlaps.
    """

    def __init__(self, size: int | None, filled: Iterable[tuple[int, int]] = ()) -> None:
        self.size = size
        self._end = sys.maxsize if size is None else size
        # Never changed in place, because threads look at it.
        self._segments = tuple(Segment(start, end, end - start, end - start, is_running=False) for start, end in filled)

    @property
    def front(self) -> int:
        """Bytes that are in the file from the first one on, without a gap."""
        front = 0
        for segment in self._segments:
            if segment.start > front:
                break
            front = max(front, segment.filled)
            if segment.filled < segment.end:
                break
        return front

    @property
    def received(self) -> int:
        """Bytes that came, wherever they stand."""
        return sum(min(one.position, one.end) - one.start for one in self._segments)

    @property
    def is_complete(self) -> bool:
        """Whether every byte is in the file; never known of a product without a size."""
        return self.front == self.size

    def filled(self) -> list[tuple[int, int]]:
        """First and behind the last byte of each stretch that is here, without overlaps."""
        stretches: list[tuple[int, int]] = []
        for one in self._segments:
            if stretches and one.start <= stretches[-1][1]:
                stretches[-1] = (stretches[-1][0], max(stretches[-1][1], one.filled))
            elif one.written:
                stretches.append((one.start, one.filled))
        return stretches

    def set_size(self, size: int) -> None:
        """Take note of a size that was unknown."""
        self.size = self._end = size

    def claim_front(self) -> Segment | None:
        """Claim the first gap up to the next segment; None when it is being filled, or there is none."""
        front = self.front
        if front >= self._end or any(one.is_running and one.start <= front < one.end for one in self._segments):
            return None
        return self._add(Segment(front, next((one.start for one in self._segments if one.start > front), self._end)))

    def claim(self, *, share: int, smallest: int, leads: bool) -> Segment | None:
        """Choose what one more connection fetches: a gap, else a part of what another connection has left.

        Args:
            share: Bytes of a segment.
            smallest: Bytes that are worth a connection.
            leads: Whether somebody leads, or will do so soon: the first gap is left to that connection.

        Returns:
            A running segment; None when nothing is worth another connection.
        """
        front = self.front
        for start, end in self._gaps():
            if end - start >= smallest and not (leads and start == front):
                stop = start + share
                return self._add(Segment(start, stop if end - stop >= smallest else end))
        return self._divide(share, smallest)

    def release(self, segment: Segment) -> None:
        """Note that nothing more comes of a segment; what is missing is nobody's again."""
        segment.is_running, segment.received = False, segment.written
        segment.end = min(segment.end, segment.filled)
        self._segments = tuple(one for one in self._segments if one.written or one.is_running)

    def _add(self, segment: Segment) -> Segment:
        self._segments = tuple(sorted((*self._segments, segment), key=lambda one: one.start))
        return segment

    def _gaps(self) -> Iterator[tuple[int, int]]:
        """Stretches that are nobody's, first and last exclusive."""
        position = 0
        for segment in self._segments:
            if segment.start > position:
                yield position, segment.start
            position = max(position, segment.end)
        if position < self._end:
            yield position, self._end

    def _divide(self, share: int, smallest: int) -> Segment | None:
        """Take over a part of what the busiest connection has left; the one that leads keeps the beginning."""
        busiest = max((one for one in self._segments if one.is_running), key=lambda one: one.left, default=None)
        if busiest is None or busiest.left < 2 * smallest:
            return None
        start, end = busiest.position + min(share, busiest.left // 2), busiest.end
        busiest.end = start
        stop = start + share
        return self._add(Segment(start, stop if end - stop >= smallest else end))
