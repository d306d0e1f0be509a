"""Seats at several archives: which of them a product is downloaded from, decided as late as possible."""

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

    from pepsasync.engine.run import Run
    from pepsasync.errors import PepsasyncError
    from pepsasync.model import Product

LOOKUPS = 4
"""Requests at once to one archive for what it has of products that another one found."""


LOOK_EVERY = 1.0
"""Seconds between two looks, while somebody waits, at whether a quota has opened: no seat is given back then."""


@dataclass(slots=True, eq=False)
class Source:
    """One of several archives."""

    run: Run
    free: int
    """Seats that nobody has."""
    lookups: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKUPS))
    rests_until: float = -math.inf
    """When it is asked again what it has, on the clock of the event loop; it did not answer."""
    closed: PepsasyncError | None = None
    """Why it is not used any more in this run."""

    @property
    def seats(self) -> int:
        """All of them."""
        return self.run.line.slots.download.total


@dataclass(slots=True, eq=False)
class Offer:
    """A product as one archive has it."""

    source: Source
    product: Product

    @property
    def is_online(self) -> bool:
        """Whether the archive said so last."""
        return self.product.tier is StorageTier.DISK

    @property
    def can_begin(self) -> bool:
        """Whether its download may begin now, as far as the account's quota goes."""
        return self.is_online and self.source.run.line.pace.is_open


class Seats:
    """Gives products seats at archives, late: whoever waits takes the first that is free at any archive it may use.

    Of those that may use a seat `choose_next` chooses, as it does where there is one archive.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def take(self, offers: list[Offer]) -> AsyncIterator[Offer]:
        """Hold a seat at one of some archives.

        Cancellation: no seat is held.
        """
        offer = _free_seat(offers)
        if offer is None:
            offer = await self._wait(_Waiting(max(offer.product.size or 0 for offer in offers), offers=offers))
        else:
            offer.source.free -= 1
        try:
            yield offer
        finally:
            self._give_back(offer.source)

    async def _wait(self, me: _Waiting) -> Offer:
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
                self._give_back(cast("Offer", me.offer).source)
            else:
                self._waiting.remove(me)
            raise
        return cast("Offer", me.offer)  # whoever called has set it

    def _give_back(self, source: Source) -> None:
        source.free += 1
        self._call()

    def _call(self) -> None:
        """Seat all for whom there is room: where one seat is given back, a quota may have opened meanwhile, too."""
        while True:
            for waiting in self._waiting:
                waiting.offer = _free_seat(waiting.offers)
            able = [one for one in self._waiting if one.offer]
            seats = max((offer.source.seats for one in able if (offer := one.offer)), default=0)
            chosen = choose_next(able, seats)
            if chosen is None or chosen.offer is None:
                return
            chosen.offer.source.free -= 1
            self._waiting.remove(chosen)
            chosen.called.set()


@dataclass(slots=True, eq=False, kw_only=True)
class _Waiting(WaitingDownload):
    offers: list[Offer]
    offer: Offer | None = None
    """Where it is seated once it was called; before, where it could be."""


def _free_seat(offers: list[Offer]) -> Offer | None:
    """A seat at the least busy archive; where a quota is used up, only when there is no other archive."""
    useful = [offer for offer in offers if offer.can_begin] or offers
    free = [offer for offer in useful if offer.source.free > 0]
    return max(free, key=lambda offer: offer.source.free, default=None)
