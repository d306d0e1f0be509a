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
    """One of several archives that may hold a copy of a product, and its state in this run."""

    one: OneArchive
    """Stages and downloads from it."""
    used: int = 0
    """Slots that products of this run have."""
    lookups: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKUPS))
    rests_until: float = -math.inf
    """When it may be asked again what it has, on the clock of the event loop: it did not answer before."""
    closed: PepsasyncError | None = None
    """Why it is not used any more in this run."""

    @property
    def free(self) -> int:
        """Slots that no product of this run has; below 0 when the archive gives fewer than it did."""
        return self.slots - self.used

    @property
    def slots(self) -> int:
        """Slots of the archive, free or not."""
        return self.one.archive.gate.slots.total


@dataclass(slots=True, eq=False)
class Copy:
    """A product as one archive has it: with that archive's id, size, checksum and tier."""

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
    async def take(self, copies: list[Copy]) -> AsyncIterator[Copy]:
        """Hold a slot at the archive of one of some copies of a product.

        Cancellation: no slot is held.
        """
        copy = _free_slot(copies)
        if copy is None:
            copy = await self._wait(_Waiting(max(copy.product.size or 0 for copy in copies), copies=copies))
        else:
            copy.holder.used += 1
        try:
            yield copy
        finally:
            self._give_back(copy.holder)

    async def _wait(self, me: _Waiting) -> Copy:
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
                self._give_back(cast("Copy", me.copy).holder)
            else:
                self._waiting.remove(me)
            raise
        return cast("Copy", me.copy)  # whoever called has set it

    def _give_back(self, holder: Holder) -> None:
        holder.used -= 1
        self._call()

    def _call(self) -> None:
        """Call all for whom there is room: where one slot is given back, a quota may have opened meanwhile, too."""
        while True:
            for waiting in self._waiting:
                waiting.copy = _free_slot(waiting.copies)
            able = [one for one in self._waiting if one.copy]
            slots = max((copy.holder.slots for one in able if (copy := one.copy)), default=0)
            chosen = choose_next(able, slots)
            if chosen is None or chosen.copy is None:
                return
            chosen.copy.holder.used += 1
            self._waiting.remove(chosen)
            chosen.called.set()


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting(WaitingDownload):
    copies: list[Copy]
    copy: Copy | None = None
    """Where it has a slot once it was called; before, where it could have one."""


def _free_slot(copies: list[Copy]) -> Copy | None:
    """A slot at the least busy archive; where a quota is used up, only when there is no other archive."""
    useful = [copy for copy in copies if copy.can_begin] or copies
    free = [copy for copy in useful if copy.holder.free > 0]
    return max(free, key=lambda copy: copy.holder.free, default=None)
