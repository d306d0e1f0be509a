"""Seats at several archives: which of them a product is downloaded from, decided as late as possible."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import anyio

from pepsasync.model import StorageTier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pepsasync.errors import PepsasyncError
    from pepsasync.model import Product
    from pepsasync.pipeline.run import Run

LOOKUPS = 4
"""Requests at once to one archive for what it has of products that another one found."""


@dataclass(slots=True, eq=False)
class Source:
    """One of several archives."""

    run: Run
    free: int
    """Seats that nobody has."""
    lookups: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKUPS))
    closed: PepsasyncError | None = None
    """Why it is not used any more in this run."""


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
    """Gives products seats at archives, late: whoever waits takes the first that is free at any archive it may use."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def take(self, offers: list[Offer]) -> AsyncIterator[Offer]:
        """Hold a seat at one of some archives; first come, first served."""
        offer = _free_seat(offers)
        if offer is None:
            offer = await self._wait(_Waiting(offers))
        try:
            yield offer
        finally:
            self._give_back(offer.source)

    async def _wait(self, me: _Waiting) -> Offer:
        self._waiting.append(me)
        try:
            await me.called.wait()
        except BaseException:
            if me.offer is None:
                self._waiting.remove(me)
            else:
                self._give_back(me.offer.source)
            raise
        return cast("Offer", me.offer)  # whoever called has set it

    def _give_back(self, source: Source) -> None:
        source.free += 1
        for waiting in self._waiting:
            waiting.offer = _free_seat(waiting.offers)
            if waiting.offer is not None:
                self._waiting.remove(waiting)
                waiting.called.set()
                return


@dataclass(slots=True, eq=False)
class _Waiting:
    offers: list[Offer]
    offer: Offer | None = None
    called: anyio.Event = field(default_factory=anyio.Event)


def _free_seat(offers: list[Offer]) -> Offer | None:
    """Take a seat at the least busy archive; where a quota is used up, only when there is no other archive."""
    useful = [offer for offer in offers if offer.can_begin] or offers
    free = [offer for offer in useful if offer.source.free > 0]
    if not free:
        return None
    chosen = max(free, key=lambda offer: offer.source.free)
    chosen.source.free -= 1
    return chosen
