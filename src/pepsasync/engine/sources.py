"""One product, several archives: products of the same name are the same acquisition.

A product is taken from whichever archive has it online and a seat free. Each archive has as many seats as it bears
downloads; they are given away only when they are free, so that a quick archive gets more products than a slow one.
Size and checksum belong to the archive that the bytes come from.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.bring import back_off, bring_online, can_try, fetch_verified
from pepsasync.engine.run import Log
from pepsasync.engine.seats import Offer, Seats, Source
from pepsasync.errors import (
    AuthError,
    ConfigError,
    DiskFullError,
    NotFoundError,
    OfflineError,
    PepsasyncError,
    ProviderError,
    UnreachableError,
)
from pepsasync.events import Noticed, ProductLeftOut
from pepsasync.groups import task_group
from pepsasync.limits.quota import NotNowError
from pepsasync.model import Query, StorageTier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pepsasync.engine.run import Run
    from pepsasync.limits.quota import QuotaLimiter
    from pepsasync.model import Product


AHEAD = 4
"""Times the seats of all archives: so many products that are online wait for one. The other archives are asked about
those only, in the order in which their turn comes."""

LOOK_UP = 60.0
"""Seconds for which it is asked what else has a product: an archive that is out must not keep others waiting."""

REST = 600.0
"""Seconds for which an archive that did not answer then is not asked again."""


@dataclass(slots=True)
class Quest:
    """Where one product may still come from."""

    log: Log
    offers: list[Offer]
    failed: list[Offer] = field(default_factory=list)
    """Archives that could not deliver it; tried once more when no other is left."""
    error: PepsasyncError | None = None
    """What the last one said."""
    is_complete: bool = False
    """Whether every archive was asked."""
    is_last_round: bool = False
    staged: list[Offer] = field(default_factory=list)
    """Those that brought it from tape, and have room in their staging window for it."""
    came_from: Offer | None = None

    @property
    def is_nowhere_online(self) -> bool:
        """Whether every archive was asked, and those that have it have it on tape."""
        return self.is_complete and bool(self.offers) and not any(offer.is_online for offer in self.offers)

    def drop(self, offer: Offer, error: PepsasyncError) -> None:
        """Try other archives first from now on."""
        self.error = error
        if offer in self.offers:
            self.offers.remove(offer)
            self.failed.append(offer)

    def leave_windows(self) -> None:
        """Give back the room in the staging windows."""
        for offer in self.staged:
            window = offer.source.run.line.slots.window
            window.leave(offer.product.size or 0, arrived=offer is self.came_from)
        self.staged.clear()

    def begin_last_round(self) -> None:
        """Try the archives that failed once more.

        Raises:
            PepsasyncError: They were tried, or there is none.
        """
        self.offers = [offer for offer in self.failed if offer.source.closed is None]
        if self.is_last_round or not self.offers:
            raise self.error or NotFoundError("no archive has the product", product=self.log.product.name)
        self.failed, self.is_last_round = [], True


class Sources:
    """Archives that hold the same products.

    Args:
        runs: One for each archive, in order of preference; the first one is searched.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._all = [Source(run, run.line.slots.download.total) for run in runs]
        self._seats = Seats()
        self._ahead = anyio.CapacityLimiter(AHEAD * sum(source.free for source in self._all))

    @property
    def runs(self) -> list[Run]:
        """One for each archive."""
        return [source.run for source in self._all]

    async def bring(self, product: Product, log: Log) -> Path | None:
        """Bring a product from the archive that has it first; see `pipeline.bring.bring`.

        Raises:
            PepsasyncError: No archive could deliver it: what the last one said.
        """
        first = next((s for s in self._all if s.run.line.provider.name == product.provider), self._all[0])
        quest = Quest(log, [] if first.closed else [Offer(first, product)], error=first.closed)
        try:
            while True:
                is_near = any(offer.is_online for offer in quest.offers)
                async with self._ahead if is_near else contextlib.nullcontext():
                    path = await self._find_and_fetch(product, quest)
                if path is not None:
                    return path
                if quest.is_nowhere_online:
                    if self._is_left_out(quest):
                        return None
                    await self._wait_online(quest)
        finally:
            quest.leave_windows()

    async def _find_and_fetch(self, product: Product, quest: Quest) -> Path | None:
        """Download from where the product is online; ask the other archives first when that may not begin now."""
        if not quest.is_complete and not any(offer.can_begin and offer.source.free for offer in quest.offers):
            await self._look_around(product, quest)
        if not quest.offers:
            quest.begin_last_round()
        online = [offer for offer in quest.offers if offer.is_online]
        return await self._fetch(online, quest) if online else None

    async def _fetch(self, online: list[Offer], quest: Quest) -> Path | None:
        """Download from the first archive that has a seat free; None when that one could not deliver."""
        if not any(offer.can_begin for offer in online):
            await _until_one_opens(online)
        async with self._seats.take(online) as offer:
            run, quest.log.source = offer.source.run, offer.source.run.line.provider.name
            try:
                path = await fetch_verified(offer.product, run, quest.log)
            except OfflineError:
                offer.product = replace(offer.product, tier=StorageTier.TAPE)
            except NotNowError:
                return None
            except (ConfigError, DiskFullError):
                raise
            except PepsasyncError as error:
                self._drop(offer, error, quest)
                return None
            else:
                quest.came_from = offer
                return path
        if quest.is_nowhere_online:
            await back_off(run, quest.log)
        return None

    async def _look_around(self, product: Product, quest: Quest) -> None:
        """Ask the other archives what they have of a product."""
        quest.is_complete = True
        asked = {offer.source for offer in (*quest.offers, *quest.failed)}
        others = [source for source in self._all if source not in asked and source.closed is None]

        async with task_group() as asking:
            for source in others:
                asking.start_soon(self._ask, source, product.name, quest)

    async def _ask(self, source: Source, name: str, quest: Quest) -> None:
        """Ask one archive, unless it did not answer just before."""
        try:
            async with source.lookups:
                if anyio.current_time() < source.rests_until:
                    return
                with anyio.fail_after(LOOK_UP):
                    twin = await _look_up(name, source.run)
        except AuthError as error:
            self._close(source, error)
        except (UnreachableError, TimeoutError):
            source.rests_until = anyio.current_time() + REST
        except ProviderError:
            return
        else:
            if twin is not None:
                quest.offers.append(Offer(source, twin))

    async def _wait_online(self, quest: Quest) -> None:
        """Ask every archive for staging that may be, until the first has the product online or all have given up."""

        async def wait(offer: Offer) -> None:
            run, product = offer.source.run, offer.product
            window, size = run.line.slots.window, product.size or 0
            await window.enter(size, acquired=product.start, goes_first=run.was_asked_before(product))
            log = Log(quest.log.product, asked_at=quest.log.begin_wait())
            try:
                await run.line.pace.check_account(product)
                await bring_online(product, run, log)
            except (ConfigError, DiskFullError):
                raise
            except PepsasyncError as error:
                if isinstance(error, OfflineError) and run.line.config.skip_tape:
                    offer.product = replace(product, tier=StorageTier.TAPE)
                else:
                    self._drop(offer, error, quest)
            else:
                offer.product = replace(product, tier=StorageTier.DISK)
                quest.staged.append(offer)
                waiting.cancel_scope.cancel()
            finally:
                if offer not in quest.staged:
                    window.leave(size, arrived=False)
                quest.log.staging_requests += log.staging_requests
                quest.log.staged_seconds = max(quest.log.staged_seconds, log.staged_seconds)

        quest.leave_windows()
        async with task_group() as waiting:
            for offer in tuple(quest.offers):
                run = offer.source.run
                if not run.line.config.skip_tape or can_try(offer.product, run):
                    waiting.start_soon(wait, offer)

    def _is_left_out(self, quest: Quest) -> bool:
        """Whether a run that does not wait for tape leaves the product out."""
        line, product = quest.offers[0].source.run.line, quest.log.product
        if not line.config.skip_tape or any(can_try(offer.product, offer.source.run) for offer in quest.offers):
            return False
        line.emit(ProductLeftOut(**quest.log.who, tier=product.tier, size=product.size))
        return True

    def _drop(self, offer: Offer, error: PepsasyncError, quest: Quest) -> None:
        quest.drop(offer, error)
        if isinstance(error, (AuthError, UnreachableError)):
            self._close(offer.source, error)

    def _close(self, source: Source, error: PepsasyncError) -> None:
        """Leave an archive out for the rest of the run.

        Raises:
            PepsasyncError: It was the last one.
        """
        if source.closed is None:
            source.closed = error
            line = source.run.line
            line.emit(Noticed(message=f"{line.provider.name} is left out from now on: {error}"))
        if all(one.closed for one in self._all):
            raise error


async def _until_one_opens(offers: list[Offer]) -> None:
    """Wait until the quota of one of some archives lets downloads begin."""

    async def wait(pace: QuotaLimiter) -> None:
        with contextlib.suppress(AuthError):  # its next download will tell
            await pace.until_open()
        waiting.cancel_scope.cancel()

    async with task_group() as waiting:
        for offer in offers:
            waiting.start_soon(wait, offer.source.run.line.pace)


async def _look_up(name: str, run: Run) -> Product | None:
    """What an archive has under a name; None when it has nothing."""
    provider = run.line.provider
    for part in provider.slices(Query(names=(name,))):
        for product in (await provider.search_page(part, 1)).products:
            if product.name == name:
                if provider.limits.tiers_in_search:
                    return product
                tiers = await provider.tiers([product])
                return replace(product, tier=tiers.get(product.id, product.tier))
    return None
