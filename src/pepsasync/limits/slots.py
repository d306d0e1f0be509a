"""Slots: how many downloads and staging requests an archive gets at once, and which is next."""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import anyio

from pepsasync.limits.tape_order import TapeOrder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime

CHOICE = 4
"""Times the slots: so many of those who wait longest are chosen from."""


@dataclass(slots=True, eq=False)
class WaitingDownload:
    """A download that waits for its turn."""

    size: int
    """Bytes to come, 0 when unknown."""
    passed_over: int = 0
    """How often another one was chosen while it was the one that had waited longest."""
    called: anyio.Event = field(default_factory=anyio.Event)


W = TypeVar("W", bound=WaitingDownload)


def choose_next(waiting: Iterable[W], slots: int) -> W | None:
    """Of the downloads that wait longest the largest; None when none waits.

    A large download that begins last leaves the other slots idle at the end of a run; small ones fill up what is left.
    Whoever waits longest is passed over only so often.

    Args:
        waiting: In the order in which they came.
        slots: Downloads at once.
    """
    choice = CHOICE * slots
    among = list(itertools.islice(waiting, choice))
    if not among:
        return None
    longest = among[0]
    chosen = longest if longest.passed_over >= choice else max(among, key=lambda one: one.size)
    longest.passed_over += chosen is not longest
    return chosen


class DownloadSlots:
    """Connections for product bytes; who is next is chosen by `choose_next`.

    Args:
        total: Connections at once.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.allowed = total
        """Of these, as many may be used now."""
        self.used = 0
        self.is_short = False
        """Whether somebody who does not wait got none because so few may be used."""
        self.when_changed: Callable[[], None] = lambda: None
        """Called when one is given back, or waited for."""
        self._waiting: OrderedDict[WaitingDownload, None] = OrderedDict()

    @property
    def is_wanted(self) -> bool:
        """Whether a download waits for a slot."""
        return bool(self._waiting)

    @property
    def waiting(self) -> int:
        """Downloads that wait for a slot."""
        return len(self._waiting)

    def allow(self, slots: int) -> None:
        """Let so many be used, at most; those that are in use beyond it are given back as their downloads end."""
        self.allowed = min(slots, self.total)
        self._call()

    @contextlib.asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Hold a slot.

        Args:
            size: Bytes to come, 0 when unknown.

        Cancellation: no slot is held.
        """
        if not self.try_take():
            await self._wait(WaitingDownload(size))
        try:
            yield
        finally:
            self.give_back()

    def try_take(self) -> bool:
        """Take a slot if one is free and nobody waits for it; to be given back."""
        if self.used >= self.allowed or self._waiting:
            self.is_short |= self.used < self.total
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """Free a slot, or hand it to the next download."""
        self.used -= 1
        self._call()
        self.when_changed()

    def resize(self, total: int) -> None:
        """Have another number of slots from now on; who holds one that is too many keeps it until its end."""
        self.allowed = total if self.allowed == self.total else min(self.allowed, total)
        self.total = total
        self._call()

    def _call(self) -> None:
        while self.used < self.allowed and (chosen := choose_next(self._waiting, self.total)):
            del self._waiting[chosen]
            self.used += 1
            chosen.called.set()

    async def _wait(self, me: WaitingDownload) -> None:
        self._waiting[me] = None
        self.when_changed()
        try:
            await me.called.wait()
        except BaseException:
            if me.called.is_set():
                self.give_back()
            else:
                del self._waiting[me]
            raise


class StagingSlots:
    """Room for staging requests; those that wait enter in tape order.

    Args:
        total: Requests at once.
    """

    def __init__(self, total: float) -> None:
        self._total = total
        self._used = 0
        self._waiting: TapeOrder[tuple[int, anyio.Event]] = TapeOrder()

    @property
    def size(self) -> float:
        """How much there is room for now."""
        return self._total

    async def enter(self, size: int = 1, *, acquired: datetime | None = None, goes_first: bool = False) -> None:
        """Wait for room; a single one always has room, however large.

        Args:
            size: How much.
            acquired: When the acquisition of the product began, if that is known.
            goes_first: Before all for whom this is not set.

        Cancellation: no room is held.
        """
        if self._waiting or not self._fits(size):
            await self._wait(size, acquired, goes_first)
        else:
            self._used += size

    def leave(self, size: int = 1) -> None:
        """Give room back."""
        self._used -= size
        self._call()

    def _fits(self, size: int) -> bool:
        return self._used == 0 or self._used + size <= self.size

    async def _wait(self, size: int, acquired: datetime | None, goes_first: bool) -> None:
        called = anyio.Event()
        place = self._waiting.add((size, called), acquired, goes_first=goes_first)
        self._call()
        try:
            await called.wait()
        except BaseException:
            if called.is_set():
                self.leave(size)
            else:
                self._waiting.remove(place)
                self._call()
            raise

    def _call(self) -> None:
        """Let all enter for which there is room now, in their order."""
        while self._waiting and self._fits(self._waiting.first[0]):
            size, called = self._waiting.take_first()
            self._used += size
            called.set()
