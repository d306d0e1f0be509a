"""A set of the ids that were seen before, for very many of them."""

from __future__ import annotations

from array import array

_FIRST_SLOTS = 1 << 10
"""A power of two, as all sizes of the table."""

_MARKS = (1 << 64) - 1
"""Hashes as unsigned numbers."""


class Seen:
    """Ids or names that came before, in 12 to 24 bytes each: a set keeps every id, and a run may have a million.

    Only hashes are kept. Two of a million ids have the same one in one of 30 million runs; the second is then missed.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SLOTS))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, identity: str) -> bool:
        """Remember an id; returns whether it is new."""
        mark = hash(identity) & _MARKS or 1  # 0 is an empty slot
        slots, last = self._slots, len(self._slots) - 1
        place = mark & last
        while there := slots[place]:
            if there == mark:
                return False
            place = (place + 1) & last
        slots[place] = mark
        self._count += 1
        if 3 * self._count > 2 * len(slots):
            self._grow()
        return True

    def _grow(self) -> None:
        """Double the slots."""
        marks, size = self._slots, 2 * len(self._slots)
        self._slots = slots = array("Q", bytes(8 * size))
        for mark in filter(None, marks):
            place = mark & (size - 1)
            while slots[place]:
                place = (place + 1) & (size - 1)
            slots[place] = mark
