"""One archive: stage a product, wait, download, verify, and give it its final name in the folder."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pepsasync.engine.watch import OnlineWatch, too_late
from pepsasync.errors import IntegrityError, OfflineError, PepsasyncError, ProviderError
from pepsasync.events import (
    DownloadStarted,
    Noticed,
    ProductAwaited,
    ProductLeftOut,
    ProductStaged,
    ProductVerified,
    StagingRequested,
)
from pepsasync.folder.names import is_single_file
from pepsasync.folder.space import UNPACKED
from pepsasync.limits.schedule import LONGEST_ADVICE
from pepsasync.members.fetch import fetch_members
from pepsasync.members.remote_zip import NoRangesError
from pepsasync.model import StorageTier
from pepsasync.providers.base import StagingOutcome
from pepsasync.transfer.part import is_small

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pepsasync.engine.order import Log, Order
    from pepsasync.events import Event
    from pepsasync.model import FinalName, Product
    from pepsasync.query.members import Selection
    from pepsasync.transfer.context import ArchiveContext


GIVE_UP = 30.0
"""Longest attempt to take back an order, seconds."""


class OneArchive:
    """An archive that the products of an order come from.

    Args:
        archive: Its connection and limits.
        order: What is wanted, and where it is put.
    """

    def __init__(self, archive: ArchiveContext, order: Order) -> None:
        self.archive = archive
        self.order = order
        self._watch = OnlineWatch(archive.provider, archive.config, archive.emit)

    async def bring(self, product: Product, log: Log) -> FinalName | None:
        """Stage if need be, wait, download, verify, promote; again from staging when it went back to tape.

        Returns:
            Where it is, under its final name; None when it is on tape and the order leaves such products out.

        Raises:
            PepsasyncError: It cannot be had from this archive; what was received is kept.

        Cancellation: nothing is held; what was received is kept.
        """
        while True:
            needs_staging = product.tier is not StorageTier.DISK and not await self.has_every_byte(product)
            if needs_staging and self.order.config.skip_tape and not self.may_be_online(product):
                self.archive.emit(ProductLeftOut(**log.who, tier=product.tier, size=product.size))
                return None
            try:
                if not needs_staging:
                    return await self.fetch(product, log)
                await self.archive.check_account(product)
                async with self._within_window(product):
                    await self.bring_online(product, log)
                    return await self.fetch(replace(product, order=log.archive_order), log)
            except OfflineError:  # back on tape before the download, or never online
                product = replace(product, tier=StorageTier.TAPE, order=None)
                if not self.order.config.skip_tape:
                    await self.pause_before_asking_again(log)

    async def has_every_byte(self, product: Product) -> bool:
        """Whether an earlier run has received all of a product, and was ended before it was verified.

        False where only some members are wanted: these are fetched nevertheless, which a product on tape refuses.
        """
        return self.order.selection is None and await self.order.destination.has_every_byte(product)

    async def fetch(self, product: Product, log: Log) -> FinalName:
        """Download and verify, whole or only its wanted members; once more from the start when the bytes are wrong.

        Raises:
            OfflineError: The product is on tape after all.
            PepsasyncError: It cannot be had; what was received is kept, unless it is wrong.
        """
        destination, log.source = self.order.destination, self.archive.name
        archive = replace(self.archive, emit=partial(self._note_start, log))
        if self.order.selection is not None:
            try:
                return await self._fetch_members(product, archive, self.order.selection, log)
            except NoRangesError:
                await self._expect_whole(product)  # `deliver` keeps the wanted members of it
        for is_last in (False, True):
            try:
                async with self.order.small if is_small(product) else contextlib.nullcontext():
                    brought = await self.order.executor.bring(product, archive, destination, self.order.verifiers)
                break
            except PepsasyncError as error:
                log.attempts += error.attempts
                if not isinstance(error, IntegrityError):
                    raise
                await destination.discard(product)
                if is_last:
                    error.hint = error.hint or "It was downloaded twice; if this continues, report it to the archive"
                    raise
                if destination.space:
                    destination.space.renew(product.name, product.size or 0)
                self.archive.emit(
                    Noticed(message=f"{product.name}: {error.message}; downloading it again from the start")
                )
        log.attempts += brought.attempts
        log.bytes, log.resumed_bytes, log.data_path = brought.bytes, brought.resumed_bytes, brought.data_path
        log.checksum, log.worker = product.checksum, brought.worker
        if brought.seconds is not None:
            log.download_seconds = brought.seconds
        elif log.download_began is not None:
            log.download_seconds = anyio.current_time() - log.download_began
        self.archive.emit(ProductVerified(**log.who, checksum=str(product.checksum) if product.checksum else None))
        return brought.path

    async def _fetch_members(self, product: Product, archive: ArchiveContext, selection: Selection, log: Log) -> Path:
        """Download and verify some members; once more when they are not what the directory of the zip says.

        Raises:
            NoRangesError: The archive serves no parts of this product, or it has none.
            PepsasyncError: They cannot be had; those that are here and right stay.
        """
        if is_single_file(product.name):
            raise NoRangesError("it is one file", product=product.name)
        try:
            brought = await fetch_members(product, archive, self.order.folder, selection)
        except IntegrityError as error:
            self.archive.emit(Noticed(message=f"{product.name}: {error.message}; bringing its members again"))
            brought = await fetch_members(product, archive, self.order.folder, selection)
        log.members, log.bytes, log.data_path = brought.members, brought.bytes, "plain"
        log.attempts += brought.requests
        began = log.download_began
        log.download_seconds = anyio.current_time() - began if began is not None else 0.0
        self.archive.emit(ProductVerified(**log.who, checksum=None))
        return brought.path

    async def _expect_whole(self, product: Product) -> None:
        """Say that all of a product is downloaded to keep some of it, and set room aside."""
        if is_single_file(product.name):
            self.order.advise("Products that are one file have no members: all of the file is downloaded")
        elif self.archive.provider.limits.bounded_ranges:  # it does, but of this one
            what = f"{product.name}: the archive does not serve parts of it; all of it is downloaded, and what is not "
            self.archive.emit(Noticed(message=f"{what}wanted is removed afterwards"))
        else:
            self.order.advise(
                f"{self.archive.name} does not serve parts of products: whole ones are downloaded, and what is not "
                "wanted of them is removed afterwards"
            )
        if space := self.order.folder.space:
            size = product.size or 0
            if space.must_look(size):
                await anyio.to_thread.run_sync(space.look)
            space.reserve(product.name, size, later=int(size * UNPACKED))

    async def bring_online(self, product: Product, log: Log) -> None:
        """Ask for staging and wait, again while the archive leaves the product on tape; its order is in the log then.

        Raises:
            StagingTimeout: It took longer than `Config.staging_timeout`, or nothing moved.
            OfflineError: It is on tape after all, nobody can ask for it from here, and the order leaves such out.
            ProviderError: The archive refuses the product.

        Cancellation: nothing to undo; the archive may go on staging.
        """
        archive, order = self.archive, self.order
        began, deadline = anyio.current_time(), self._deadline(log)
        is_waiting = goes_first = self._take_up_earlier_request(product, log)
        product = replace(product, order=log.archive_order)
        while not (is_waiting and await self._watch.until_online(product, log.staging_requests, deadline)):
            reply = await archive.request_staging(product, goes_first=goes_first)
            if reply.order is not None:
                log.archive_order = reply.order
                await archive.asked(product, log.staging_requests + 1, reply)
            if reply.outcome is StagingOutcome.ONLINE:
                break
            is_waiting = reply.outcome is not StagingOutcome.QUOTA
            if not is_waiting:
                await self._pause(reply.retry_after or LONGEST_ADVICE, log)
                continue
            if reply.outcome is StagingOutcome.BY_HAND and order.config.skip_tape:
                raise OfflineError("the archive has the product on tape", product=product.name)
            # By the next time it may have come, mentioned or not.
            product = replace(product, tier=StorageTier.UNKNOWN, order=log.archive_order)
            log.staging_requests += 1
            if reply.outcome is StagingOutcome.BY_HAND:
                order.advise(reply.advice)
                archive.emit(ProductAwaited(**log.who))
            else:
                if reply.order is None:
                    await archive.asked(product, log.staging_requests, reply)
                archive.emit(StagingRequested(**log.who, times=log.staging_requests, retry_after=reply.retry_after))
        log.staged_seconds += anyio.current_time() - began
        archive.emit(ProductStaged(**log.who, seconds=log.staged_seconds))

    def may_be_online(self, product: Product) -> bool:
        """Whether a product is online, or may be: where asking for it would stage it, it counts as on tape."""
        if product.tier is StorageTier.UNKNOWN:
            limits = self.archive.provider.limits
            return limits.orders or not limits.stages
        return product.tier is StorageTier.DISK

    @contextlib.asynccontextmanager
    async def _within_window(self, product: Product) -> AsyncIterator[None]:
        """Hold room in the staging window for a product that is to be staged and downloaded."""
        window, size, has_arrived = self.archive.gate.window, product.size or 0, False
        await window.enter(size, acquired=product.start, goes_first=self.order.was_asked_before(product))
        try:
            yield
            has_arrived = True
        finally:
            window.leave(size, arrived=has_arrived)

    async def pause_before_asking_again(self, log: Log) -> None:
        """Wait before asking again for a product that was said to be online and was not.

        Raises:
            StagingTimeout: That would last longer than `Config.staging_timeout`.
        """
        log.returns_to_tape += 1
        pause = self.archive.poll_interval * 2 ** min(log.returns_to_tape - 1, 20)
        await self._pause(min(pause, LONGEST_ADVICE), log)

    async def give_up(self, product: Product) -> None:
        """Take back the order of a product that came from elsewhere; what the archive says to that changes nothing."""
        if product.order is not None:
            with contextlib.suppress(ProviderError), anyio.move_on_after(GIVE_UP):
                await self.archive.provider.give_up(product)

    async def watch(self) -> None:
        """Poll the tiers of the waiting products, until cancelled.

        Raises:
            AuthError: The archive no longer accepts the credentials; all who wait get the same error.
        """
        await self._watch.run()

    def _take_up_earlier_request(self, product: Product, log: Log) -> bool:
        """Note an earlier request to this archive, once; False when there is none to wait for."""
        asked = self.order.asked_before.pop((product.provider, product.id), None)
        log.archive_order = product.order or (asked.order if asked else None)
        if asked:
            log.staging_requests = asked.requests
        is_known = log.archive_order is not None or (asked is not None and not self.archive.provider.limits.orders)
        if not is_known:
            return False
        self.archive.emit(ProductAwaited(**log.who))
        return True

    def _deadline(self, log: Log) -> float:
        """When the archive has had long enough to bring the product online."""
        return log.begin_wait() + self.archive.config.staging_timeout

    async def _pause(self, seconds: float, log: Log) -> None:
        if anyio.current_time() + seconds > self._deadline(log):
            raise too_late(log.product, self.archive.config.staging_timeout)
        await anyio.sleep(seconds)

    def _note_start(self, log: Log, event: Event) -> None:
        """Pass on an event; the first `DownloadStarted` ends the wait for quota and slots, and the download begins."""
        if log.download_began is None and isinstance(event, DownloadStarted):
            log.download_began = anyio.current_time()
        self.archive.emit(event)
