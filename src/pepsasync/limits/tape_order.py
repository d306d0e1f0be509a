"""The order in which products that wait for tape are requested."""

from __future__ import annotations

import bisect
import itertools
import math
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

LATECOMERS = 1000
"""Products that may join a sweep that has begun."""

_BEFORE_ALL = -1
"""Sweep of those that go first."""


class Place(NamedTuple, Generic[T]):
    """A place in the queue; places sort in the order of the calls, and differ before their items are compared."""

    sweep: int
    acquired: float
    arrival: int
    item: T


class TapeOrder(Generic[T]):
    """A queue for tape: the earliest acquisition first, as archives have written their tapes.

    They are called in sweeps from the earliest to the latest. Whose acquisition lies behind where a sweep has come to
    goes with the next one: else a catalogue that begins with the latest products would be asked for backwards, and
    later ones would wait for ever. For the same reason only so many may join a sweep that has begun.

    Args:
        latecomers: How many.
    """

    def __init__(self, latecomers: int = LATECOMERS) -> None:
        self._latecomers = latecomers
        self._places: list[Place[T]] = []
        self._arrivals = itertools.count()
        self._sweep = 0
        self._position = -math.inf
        self._joined = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def first(self) -> T:
        """The item that is next."""
        return self._places[0].item

    def add(self, item: T, acquired: datetime | None, *, goes_first: bool = False) -> Place[T]:
        """Add an item to the queue.

        Args:
            item: Waits in the queue.
            acquired: When the acquisition began; those without a time come at the end of a sweep.
            goes_first: Before all for whom this is not set.

        Returns:
            For `remove`.
        """
        if not self._places:
            self._begin(self._sweep)
        time = acquired.timestamp() if acquired else math.inf
        place = Place(_BEFORE_ALL if goes_first else self._sweep_of(time), time, next(self._arrivals), item)
        bisect.insort(self._places, place)
        return place

    def take_first(self) -> T:
        """Take the next item out of the queue."""
        place = self._places.pop(0)
        if place.sweep > self._sweep:
            self._begin(place.sweep)
        if place.sweep == self._sweep:
            self._position = place.acquired
        return place.item

    def remove(self, place: Place[T]) -> None:
        """Remove an item that no longer waits."""
        del self._places[bisect.bisect_left(self._places, place)]

    def _begin(self, sweep: int) -> None:
        self._sweep, self._position, self._joined = sweep, -math.inf, 0

    def _sweep_of(self, time: float) -> int:
        if self._position == -math.inf:  # this one has not begun
            return self._sweep
        if time < self._position or self._joined >= self._latecomers:
            return self._sweep + 1
        self._joined += 1
        return self._sweep
