"""Download slots: how many downloads an archive gets at once, and who is next."""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHOICE = 4
"""Times the slots: so many of those who wait longest are chosen from."""


@dataclass(slots=True, eq=False)
class _Waiting:
    size: int
    called: anyio.Event = field(default_factory=anyio.Event)


class DownloadSlots:
    """Connections for product bytes. Of the downloads that wait longest the largest goes first.

    A large download that begins last leaves the other slots idle at the end of a run; small ones fill up what is left.
    Whoever waits longest is passed over only so often.

    Args:
        total: Connections at once.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: OrderedDict[_Waiting, None] = OrderedDict()
        self._passed_over = 0

    @property
    def is_wanted(self) -> bool:
        """Whether a download waits for a slot."""
        return bool(self._waiting)

    @contextlib.asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Hold a slot.

        Args:
            size: Bytes to come, 0 when unknown.

        Cancellation: no slot is held.
        """
        if not self.try_take():
            await self._wait(_Waiting(size))
        try:
            yield
        finally:
            self.give_back()

    def try_take(self) -> bool:
        """Take a slot if one is free and nobody waits for it; to be given back."""
        if self._free <= 0 or self._waiting:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Free a slot, or hand it to whoever is next."""
        if self._waiting:
            self._call_next()
        else:
            self._free += 1

    async def _wait(self, me: _Waiting) -> None:
        self._waiting[me] = None
        try:
            await me.called.wait()
        except BaseException:
            if me.called.is_set():
                self.give_back()
            else:
                del self._waiting[me]
            raise

    def _call_next(self) -> None:
        choice = CHOICE * self.total
        first = next(iter(self._waiting))
        chosen = max(itertools.islice(self._waiting, choice), key=lambda one: one.size)
        if chosen is not first and self._passed_over >= choice:
            chosen = first
        self._passed_over = 0 if chosen is first else self._passed_over + 1
        del self._waiting[chosen]
        chosen.called.set()
