"""Slots at several archives: which of them a product is downloaded from, decided as late as possible."""

from __future__ import annotations

import math
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import anyio

from pepsasync.limits.slots import WaitingDownload, choose_next
from pepsasync.model import StorageTier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pepsasync.engine.one_archive import OneArchive
    from pepsasync.errors import PepsasyncError
    from pepsasync.model import Product

LOOKUPS = 4
"""Requests at once to one archive for what it has of products that another one found."""

LOOK_EVERY = 1.0
"""Seconds between two looks, while somebody waits, at whether a quota has opened: no slot is given back then."""


@dataclass(slots=True, eq=False)
class Holder:
    """One of several archives."""

    one: OneArchive
    free: int
    """Slots that nobody has."""
    lookups: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKUPS))
    rests_until: float = -math.inf
    """When it is asked again what it has, on the clock of the event loop; it did not answer."""
    closed: PepsasyncError | None = None
    """Why it is not used any more in this run."""

    @property
    def slots(self) -> int:
        """All of them."""
        return self.one.archive.gate.slots.total


@dataclass(slots=True, eq=False)
class Source:
    """A product as one archive has it."""

    holder: Holder
    product: Product

    @property
    def is_online(self) -> bool:
        """Whether the archive said so last."""
        return self.product.tier is StorageTier.DISK

    @property
    def can_begin(self) -> bool:
        """Whether its download may begin now, as far as quota and pauses go."""
        return self.is_online and self.holder.one.archive.gate.is_open


class SeveralSlots:
    """Gives products slots at archives, late: whoever waits takes the first that is free at any archive it may use.

    Of those that may use a slot `choose_next` chooses, as it does where there is one archive.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def take(self, sources: list[Source]) -> AsyncIterator[Source]:
        """Hold a slot at the archive of one of some sources.

        Cancellation: no slot is held.
        """
        source = _free_slot(sources)
        if source is None:
            source = await self._wait(_Waiting(max(source.product.size or 0 for source in sources), sources=sources))
        else:
            source.holder.free -= 1
        try:
            yield source
        finally:
            self._give_back(source.holder)

    async def _wait(self, me: _Waiting) -> Source:
        self._waiting.append(me)
        try:
            while not me.called.is_set():
                with anyio.move_on_after(LOOK_EVERY):
                    await me.called.wait()
                    break
                if self._waiting and self._waiting[0] is me:
                    self._call()
        except BaseException:
            if me.called.is_set():
                self._give_back(cast("Source", me.source).holder)
            else:
                self._waiting.remove(me)
            raise
        return cast("Source", me.source)  # whoever called has set it

    def _give_back(self, holder: Holder) -> None:
        holder.free += 1
        self._call()

    def _call(self) -> None:
        """Call all for whom there is room: where one slot is given back, a quota may have opened meanwhile, too."""
        while True:
            for waiting in self._waiting:
                waiting.source = _free_slot(waiting.sources)
            able = [one for one in self._waiting if one.source]
            slots = max((source.holder.slots for one in able if (source := one.source)), default=0)
            chosen = choose_next(able, slots)
            if chosen is None or chosen.source is None:
                return
            chosen.source.holder.free -= 1
            self._waiting.remove(chosen)
            chosen.called.set()


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting(WaitingDownload):
    sources: list[Source]
    source: Source | None = None
    """Where it has a slot once it was called; before, where it could have one."""


def _free_slot(sources: list[Source]) -> Source | None:
    """A slot at the least busy archive; where a quota is used up, only when there is no other archive."""
    useful = [source for source in sources if source.can_begin] or sources
    free = [source for source in useful if source.holder.free > 0]
    return max(free, key=lambda source: source.holder.free, default=None)
