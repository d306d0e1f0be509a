"""Download: a product that is online goes in; all its bytes come out, not yet verified.

They are in a part file, which stays on disk with its note whenever this stage ends early: the next try or the next run
goes on from there. Those of a small product are in memory.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.errors import PepsasyncError, ServerError
from pepsasync.folder.files import disk_errors
from pepsasync.folder.zips import has_end_record
from pepsasync.groups import task_group
from pepsasync.transfer.intake import MemoryIntake, PartIntake
from pepsasync.transfer.old_segments import Segments
from pepsasync.transfer.old_transfer import Received, Transfer
from pepsasync.transfer.resume import plan_request

if TYPE_CHECKING:
    import httpx

    from pepsasync.model import Product
    from pepsasync.transfer.line import Line

SMALL = 1 << 19
"""Bytes; products below it are kept in memory until they are complete and verified: a part and a note beside each would
cost more than going on with it in a later run saves."""


def is_small(product: Product) -> bool:
    """Whether a product never has a part."""
    return product.exact_size is not None and product.exact_size < SMALL


async def download(product: Product, line: Line) -> Received:
    """Fetch one product into its part file, going on with what is there, or into memory when it is small.

    Args:
        product: Believed to be online.
        line: Archive, connection, folder, limits.

    Raises:
        OfflineError: The product is on tape after all.
        NotNowError: The quota of the account is used up, and the line does not wait for it.
        TransferError: The tries are used up; the part is kept.
        IntegrityError: The archive has another file than it announced; the part was removed.
        ProviderError: The archive refuses the product.
        DiskFullError, ConfigError: The part cannot be written; it is kept.

    Cancellation: bytes already received are written; the part can be continued.
    """
    transfer: Transfer = _ToMemory(product, line) if is_small(product) else _ToPart(product, line)
    try:
        return await transfer.run()
    except PepsasyncError as error:
        error.attempts = transfer.attempts
        raise


class _ToMemory(Transfer):
    """Of a small product, which is asked for anew by a next run."""

    is_small = True
    hint = "Run the same command again"

    def __init__(self, product: Product, line: Line) -> None:
        super().__init__(product, line)
        self._intake = MemoryIntake(product, line, self._came)

    async def _use_slot(self) -> int:
        await self._line.slots.small.until_room()
        return await self._asking.go_on(len(self._intake.body))

    async def _receive(self, response: httpx.Response, offset: int, total: int | None) -> int:  # noqa: ARG002
        self._tell_start(offset, self._product.size)
        if not offset:
            await self._asking.begin_anew(response)
        try:
            length = await self._intake.take(response, offset)
        finally:
            self._count_progress(len(self._intake.body))
        return self._judge_length(length, self._product.size)

    def _received(self, length: int) -> Received:
        seconds = anyio.current_time() - self._began
        return Received(length, None, self._retries.attempts, 0, seconds, body=self._intake.give_away())


class _ToPart(Transfer):
    """Over one connection that grows the part, and others that may bring what lies behind."""

    def __init__(self, product: Product, line: Line) -> None:
        super().__init__(product, line)
        algorithm = product.checksum.algorithm if product.checksum else None
        self._intake = PartIntake(product, line, self._came, line.shelf.part_path(product), algorithm)
        self._segments = Segments(product, line, self._progress, self._asking)
        self._present = 0

    async def run(self) -> Received:
        """Transfer what is not there yet."""
        self._asking.note = await to_thread.run_sync(self._line.shelf.claim_part, self._product)
        await self._segments.load()
        self._present = self._progress.received
        self._intake.length = self._furthest = self._progress.part
        return await super().run()

    async def _use_slot(self) -> int:
        if self._product.exact_size is None:
            length = await self._asking.go_on(await to_thread.run_sync(self._line.shelf.part_length, self._product))
        elif not self._segments.are_possible:
            length = await self._lead()
        else:
            async with task_group() as helpers:
                helpers.start_soon(self._segments.recruit, helpers)
                length = await self._lead()
                helpers.cancel_scope.cancel()
        await self._intake.hash_prefix(length)
        return length

    async def _lead(self) -> int:
        """Grow the part until it is complete, while others may bring what lies behind; returns its length."""
        segments = self._segments
        while True:
            ask = plan_request(await segments.join(self._intake), self._product.size)
            if ask.complete:
                return ask.offset
            if segments.is_coming(ask.offset):
                await segments.help()
            else:
                with segments.led():
                    reached = await self._asking.go_on(ask.offset)
                if reached == ask.offset and not segments.is_coming(reached):
                    raise ServerError("the archive sends nothing of what is missing", product=self._product.name)

    async def _receive(self, response: httpx.Response, offset: int, total: int | None) -> int:
        size = self._product.exact_size
        expected = total if size is None else size

        def limit() -> int:
            return sys.maxsize if size is None else self._segments.limit(offset)

        self._tell_start(offset, expected or self._product.size)
        begin = None if offset else functools.partial(self._asking.begin_anew, response)
        try:
            length = await self._intake.take(response, offset, begin=begin, limit=limit)
        finally:
            self._count_progress(self._intake.length)
        if expected is None and self._product.checksum is None and "Transfer-Encoding" not in response.headers:
            await self._refuse_cut_zip()
        return self._judge_length(length, expected, limit())

    async def _refuse_cut_zip(self) -> None:
        """Go on with a body that nothing but a closed connection ends, unless its zip is at its end, too."""
        part = self._line.shelf.part_path(self._product)
        with disk_errors(part):
            is_whole = await to_thread.run_sync(has_end_record, part)
        if not is_whole:
            raise ServerError("the transfer ended before the end of the zip", product=self._product.name)

    def _received(self, length: int) -> Received:
        return Received(
            length,
            self._intake.checksum(),
            self._retries.attempts,
            0 if self._asking.has_restarted else min(self._present, length),
            anyio.current_time() - self._began,
            self._intake.data_path,
            stamp=self._intake.stamp,
        )
