"""How one file is divided between several connections: pure arithmetic over offsets in bytes.

The part grows from the front, on the connection that leads. Others bring segments that lie behind it and are joined to
the part when it reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True, eq=False)
class Segment:
    """Bytes of the file from `start` on, in a file of their own."""

    start: int
    end: int
    """Behind the last byte that is wanted; moves towards the start when another connection takes over the rest."""
    received: int = 0
    """Bytes that came."""
    is_running: bool = True

    @property
    def position(self) -> int:
        """The byte that comes next."""
        return self.start + self.received


class Division:
    """Which bytes are in segments, on their way, or nobody's yet.

    Args:
        size: Of the whole file.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._segments: tuple[Segment, ...] = ()  # by start; never changed in place, because threads look at it

    def received(self, frontier: int) -> int:
        """Bytes in segments, behind the part."""
        return sum(max(0, segment.position - max(segment.start, frontier)) for segment in self._segments)

    def add(self, start: int, length: int) -> None:
        """Take up a segment that an earlier connection has left."""
        self._insert(Segment(start, start + length, length, is_running=False))

    def limit(self, position: int) -> int:
        """Where whoever is at a position meets a segment, or the end of the file."""
        return next((segment.start for segment in self._segments if segment.start >= position), self.size)

    def at(self, position: int) -> Segment | None:
        """The segment that holds, or will hold, the byte at a position."""
        return next((segment for segment in self._segments if segment.start <= position < segment.end), None)

    def running(self) -> list[Segment]:
        """Segments that somebody is bringing."""
        return [segment for segment in self._segments if segment.is_running]

    def claim(self, frontier: int, *, share: int, smallest: int, is_led: bool) -> Segment | None:
        """Choose what one more connection fetches: bytes that are nobody's, else half of what another has left.

        Args:
            frontier: Length of the part.
            share: Bytes of a segment.
            smallest: Bytes that are worth a connection.
            is_led: Whether the part is growing, so that what comes next belongs to the connection that leads.

        Returns:
            A running segment; None when nothing is worth another connection.
        """
        for start, end in self._gaps(frontier):
            if end - start >= smallest and not (is_led and start == frontier):
                stop = start + share
                return self._insert(Segment(start, stop if end - stop >= smallest else end))
        return self._divide(frontier if is_led else None, share=share, smallest=smallest)

    def release(self, segment: Segment) -> None:
        """Note that nothing more comes of a segment; what is missing is nobody's again."""
        segment.is_running = False
        segment.end = min(segment.end, segment.position)
        if not segment.received:
            self.forget(segment)

    def forget(self, segment: Segment) -> None:
        """Its bytes are in the part, or lost."""
        self._segments = tuple(one for one in self._segments if one is not segment)

    def _insert(self, segment: Segment) -> Segment:
        self._segments = tuple(sorted((*self._segments, segment), key=lambda one: one.start))
        return segment

    def _gaps(self, frontier: int) -> Iterator[tuple[int, int]]:
        """Stretches that are nobody's, first and last exclusive."""
        position = frontier
        for segment in self._segments:
            if segment.start > position:
                yield position, segment.start
            position = max(position, segment.end)
        if position < self.size:
            yield position, self.size

    def _divide(self, led: int | None, *, share: int, smallest: int) -> Segment | None:
        busiest = max(self.running(), key=lambda segment: segment.end - segment.position, default=None)
        left = busiest.end - busiest.position if busiest else 0
        room = self.limit(led) - led if led is not None else 0
        if max(left, room) < 2 * smallest:
            return None
        if led is not None and room >= left:
            start = led + min(share, room // 2)
            return self._insert(Segment(start, min(start + share, led + room)))
        assert busiest is not None  # noqa: S101 - something is left of it
        start, end = busiest.position + left // 2, busiest.end
        busiest.end = start
        return self._insert(Segment(start, end))
