"""One product, several archives: products of the same name are the same acquisition.

A product is taken from whichever archive has it online and a free slot. Each archive has as many slots as it allows
downloads; a product gets one only when it is free, so that a fast archive delivers more products than a slow one.
Size and checksum belong to the archive that the bytes come from.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.one_archive import OneArchive
from pepsasync.engine.order import Log
from pepsasync.engine.several_slots import Copy, Holder, SeveralSlots
from pepsasync.errors import (
    NOT_OF_ARCHIVES,
    AuthError,
    NotFoundError,
    NotNowError,
    OfflineError,
    PepsasyncError,
    ProviderError,
    UnreachableError,
)
from pepsasync.events import Noticed, ProductLeftOut
from pepsasync.groups import task_group
from pepsasync.model import Query, StorageTier
from pepsasync.query.product_names import is_same_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.engine.order import Order, Sources
    from pepsasync.limits.gate import Gate
    from pepsasync.model import FinalName, Product
    from pepsasync.providers.base import Provider
    from pepsasync.transfer.context import ArchiveContext

AHEAD = 4
"""Times the slots of all archives: so many products that are online wait for one. The other archives are asked about
those only, in the order in which their turn comes."""

LOOK_UP = 60.0
"""Longest lookup of a product at another archive, seconds: one that does not respond must not delay the others."""

REST = 600.0
"""Seconds after a lookup without an answer during which the archive is not asked again."""


@dataclass(slots=True)
class Candidates:
    """The copies of one product: those that may be tried, and those that failed."""

    log: Log
    copies: list[Copy]
    """Those that may be tried."""
    failed: list[Copy] = field(default_factory=list)
    """Those that could not deliver it; tried once more when no other is left."""
    error: PepsasyncError | None = None
    """Of the last one that failed."""
    are_complete: bool = False
    """Whether every archive was asked."""
    is_last_round: bool = False
    staged: list[Copy] = field(default_factory=list)
    """Those that brought it from tape, and have room in their staging window for it."""
    came_from: Copy | None = None
    """The one that was downloaded."""

    @property
    def are_nowhere_online(self) -> bool:
        """Whether every archive was asked, and those that have it have it on tape."""
        return self.are_complete and bool(self.copies) and not any(copy.is_online for copy in self.copies)

    def drop(self, copy: Copy, error: PepsasyncError) -> None:
        """Try other archives first from now on."""
        self.error = error
        if copy in self.copies:
            self.copies.remove(copy)
            self.failed.append(copy)

    def leave_windows(self) -> None:
        """Give back the room in the staging windows."""
        for copy in self.staged:
            window = copy.holder.one.archive.gate.window
            window.leave(copy.product.size or 0, arrived=copy is self.came_from)
        self.staged.clear()

    async def give_up(self) -> None:
        """Take back what was ordered elsewhere."""
        for copy in (*self.copies, *self.failed):
            if copy is not self.came_from:
                await copy.holder.one.give_up(copy.product)

    def begin_last_round(self) -> None:
        """Try the archives that failed once more.

        Raises:
            PepsasyncError: They were tried, or there is none.
        """
        self.copies = [copy for copy in self.failed if copy.holder.closed is None]
        if self.is_last_round or not self.copies:
            raise self.error or NotFoundError("no archive has the product", product=self.log.product.name)
        self.failed, self.is_last_round = [], True


class SeveralArchives:
    """Archives that hold the same products.

    Args:
        archives: In order of preference; the first one is searched.
    """

    def __init__(self, archives: Sequence[OneArchive]) -> None:
        self._holders = [Holder(one) for one in archives]
        self._slots = SeveralSlots()
        self._ahead = anyio.CapacityLimiter(AHEAD * sum(holder.free for holder in self._holders))

    async def bring(self, product: Product, log: Log) -> FinalName | None:
        """Bring a product from the archive that has it first; see `OneArchive.bring`.

        Raises:
            PepsasyncError: No archive could deliver it: what the last one said.
        """
        first = next((holder for holder in self._holders if holder.one.archive.name == product.provider), None)
        first = first or self._holders[0]
        candidates = Candidates(log, [] if first.closed else [Copy(first, product)], error=first.closed)
        if candidates.copies and await first.one.has_every_byte(product):
            path = await self._fetch_from(candidates.copies[0], candidates)
            if path is not None:
                return path
        try:
            while True:
                is_near = any(copy.is_online for copy in candidates.copies)
                async with self._ahead if is_near else contextlib.nullcontext():
                    path = await self._find_and_fetch(product, candidates)
                if path is not None:
                    await candidates.give_up()
                    return path
                if candidates.are_nowhere_online:
                    if self._is_left_out(candidates):
                        return None
                    await self._wait_online(candidates)
        finally:
            candidates.leave_windows()

    def may_be_online(self, product: Product) -> bool:
        """Whether a product can be downloaded without staging from the archive that is searched."""
        return self._holders[0].one.may_be_online(product)

    async def watch(self) -> None:
        """Poll the tiers of the waiting products; an archive that refuses the credentials does not end the run."""

        async def watch(holder: Holder) -> None:
            with contextlib.suppress(AuthError):  # all who wait get the same error
                await holder.one.watch()

        async with task_group() as watching:
            for holder in self._holders:
                watching.start_soon(watch, holder)

    async def _find_and_fetch(self, product: Product, candidates: Candidates) -> FinalName | None:
        """Download from where the product is online; ask the other archives first when that may not begin now."""
        can_begin = any(copy.can_begin and copy.holder.free > 0 for copy in candidates.copies)
        if not candidates.are_complete and not can_begin:
            await self._look_around(product, candidates)
        if not candidates.copies:
            candidates.begin_last_round()
        online = [copy for copy in candidates.copies if copy.is_online]
        return await self._fetch(online, candidates) if online else None

    async def _fetch(self, online: list[Copy], candidates: Candidates) -> FinalName | None:
        """Download from the first archive that has a free slot; None when that one could not deliver."""
        if not any(copy.can_begin for copy in online):
            await _until_one_opens(online)
        async with self._slots.take(online) as copy:
            path = await self._fetch_from(copy, candidates)
        if path is None and not copy.is_online and candidates.are_nowhere_online:
            await copy.holder.one.pause_before_asking_again(candidates.log)
        return path

    async def _fetch_from(self, copy: Copy, candidates: Candidates) -> FinalName | None:
        """Download from one archive; None when it could not deliver."""
        try:
            path = await copy.holder.one.fetch(copy.product, candidates.log)
        except NOT_OF_ARCHIVES:
            raise
        except OfflineError:
            copy.product = replace(copy.product, tier=StorageTier.TAPE, order=None)
        except NotNowError:
            pass
        except PepsasyncError as error:
            self._drop(copy, error, candidates)
        else:
            candidates.came_from = copy
            return path
        return None

    async def _look_around(self, product: Product, candidates: Candidates) -> None:
        """Ask the other archives what they have of a product."""
        candidates.are_complete = True
        asked = {copy.holder for copy in (*candidates.copies, *candidates.failed)}
        others = [holder for holder in self._holders if holder not in asked and holder.closed is None]

        async with task_group() as lookups:
            for holder in others:
                lookups.start_soon(self._ask, holder, product.name, candidates)

    async def _ask(self, holder: Holder, name: str, candidates: Candidates) -> None:
        """Ask one archive, unless it did not answer just before."""
        try:
            async with holder.lookups:
                if anyio.current_time() < holder.rests_until:
                    return
                with anyio.fail_after(LOOK_UP):
                    same = await _look_up(name, holder.one.archive.provider)
        except AuthError as error:
            self._close(holder, error)
        except (UnreachableError, TimeoutError):
            holder.rests_until = anyio.current_time() + REST
        except ProviderError:
            return
        else:
            if same is not None:
                candidates.copies.append(Copy(holder, same))

    async def _wait_online(self, candidates: Candidates) -> None:
        """Ask every archive for staging that may be, until the first has the product online or all have given up."""

        async def wait(copy: Copy) -> None:
            one, product = copy.holder.one, copy.product
            window, size = one.archive.gate.window, product.size or 0
            await window.enter(size, acquired=product.start, goes_first=one.order.was_asked_before(product))
            log = Log(candidates.log.product, candidates.log.source, asked_at=candidates.log.begin_wait())
            try:
                await one.archive.check_account(product)
                try:
                    await one.bring_online(product, log)
                finally:
                    copy.product = replace(product, order=log.archive_order)
            except NOT_OF_ARCHIVES:
                raise
            except PepsasyncError as error:
                if isinstance(error, OfflineError) and one.order.config.skip_tape:
                    copy.product = replace(copy.product, tier=StorageTier.TAPE)
                else:
                    self._drop(copy, error, candidates)
            else:
                copy.product = replace(copy.product, tier=StorageTier.DISK)
                candidates.staged.append(copy)
                waiting.cancel_scope.cancel()
            finally:
                if copy not in candidates.staged:
                    window.leave(size, arrived=False)
                candidates.log.staging_requests += log.staging_requests
                candidates.log.staged_seconds = max(candidates.log.staged_seconds, log.staged_seconds)

        candidates.leave_windows()
        async with task_group() as waiting:
            for copy in tuple(candidates.copies):
                one = copy.holder.one
                if not one.order.config.skip_tape or one.may_be_online(copy.product):
                    waiting.start_soon(wait, copy)

    def _is_left_out(self, candidates: Candidates) -> bool:
        """Whether an order that does not wait for tape leaves the product out."""
        one, product = candidates.copies[0].holder.one, candidates.log.product
        copies = candidates.copies
        if not one.order.config.skip_tape or any(each.holder.one.may_be_online(each.product) for each in copies):
            return False
        one.archive.emit(ProductLeftOut(**candidates.log.who, tier=product.tier, size=product.size))
        return True

    def _drop(self, copy: Copy, error: PepsasyncError, candidates: Candidates) -> None:
        candidates.drop(copy, error)
        if isinstance(error, (AuthError, UnreachableError)):
            self._close(copy.holder, error)

    def _close(self, holder: Holder, error: PepsasyncError) -> None:
        """Do not use an archive for the rest of the run.

        Raises:
            PepsasyncError: It was the last one.
        """
        if holder.closed is None:
            holder.closed = error
            archive = holder.one.archive
            archive.emit(Noticed(message=f"{archive.name} will not be used for the rest of this run: {error}"))
        if all(one.closed for one in self._holders):
            raise error


def sources_of(archives: Sequence[ArchiveContext], order: Order) -> Sources:
    """Where the products of an order come from.

    Args:
        archives: One, or several in order of preference; the first one is searched.
        order: What is wanted.
    """
    if len(archives) == 1:
        return OneArchive(archives[0], order)
    return SeveralArchives([OneArchive(replace(archive, waits_for_quota=False), order) for archive in archives])


async def _until_one_opens(copies: list[Copy]) -> None:
    """Wait until quota and pauses of one of some archives let downloads begin."""

    async def wait(gate: Gate) -> None:
        with contextlib.suppress(AuthError):  # its next download will tell
            await gate.until_open()
        waiting.cancel_scope.cancel()

    async with task_group() as waiting:
        for copy in copies:
            waiting.start_soon(wait, copy.holder.one.archive.gate)


async def _look_up(name: str, provider: Provider) -> Product | None:
    """What an archive has under a name, which it may write in another way; None when it has nothing.

    Size, checksum and id are those of that archive. Another processing of the acquisition is another product, and so is
    a cloud-optimised copy.
    """
    for part in provider.slices(Query(names=(name,))):
        for product in (await provider.search_page(part, 1)).products:
            if is_same_name(product.name, name):
                if not provider.limits.tiers_in_search:
                    tiers = await provider.tiers([product])
                    product = replace(product, tier=tiers.get(product.id, product.tier))  # noqa: PLW2901
                return product if product.name == name else replace(product, name=name)
    return None
