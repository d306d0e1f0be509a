"""Download: a product that is online goes in; all its bytes come out, not yet verified.

They are in a part file, which stays on disk with its note whenever this stage ends early: the next try or the next run
goes on from there. Those of a small product are in memory.
"""

from __future__ import annotations

import functools
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.decide.resume import plan_request
from pepsasync.errors import (
    IntegrityError,
    PepsasyncError,
    ProtocolError,
    QuotaError,
    ServerError,
    TransferError,
    UnavailableError,
    UnreachableError,
)
from pepsasync.events import DownloadRetried, DownloadStarted, ProductDownloaded
from pepsasync.io.groups import task_group
from pepsasync.io.retries import Retries
from pepsasync.stages.asking import Asking
from pepsasync.stages.intake import DataPath, MemoryIntake, PartIntake
from pepsasync.stages.progress import Progress
from pepsasync.stages.segments import Segments

if TYPE_CHECKING:
    import httpx

    from pepsasync.model import Checksum, Product
    from pepsasync.stages.line import Line

SMALL = 1 << 19
"""Bytes; products below it are kept in memory until they are complete and verified: a part and a note beside each would
cost more than going on with it in a later run saves."""


@dataclass(frozen=True, slots=True)
class Received:
    """All bytes of a product, not yet verified."""

    length: int
    """How many."""
    checksum: Checksum | None
    """What was computed on the way, in the algorithm that the archive announced; None when it announced none, and for
    what is in memory."""
    attempts: int
    """Download requests sent."""
    resumed_bytes: int
    """Bytes that were in the part before this download began and are still in it."""
    seconds: float
    data_path: DataPath = "plain"
    """How the last body came: past the event loop, or chunk by chunk over it."""
    body: bytes | None = None
    """The bytes of a small product; None when they are in its part."""


def is_small(product: Product) -> bool:
    """Whether a product never has a part."""
    return product.size is not None and product.size < SMALL


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
    transfer: _Transfer = _ToMemory(product, line) if is_small(product) else _ToPart(product, line)
    try:
        return await transfer.run()
    except PepsasyncError as error:
        error.attempts = transfer.attempts
        raise


class _Transfer(ABC):
    """One product's transfer: tries, slots, and what is told of them."""

    is_small = False
    hint = "What was received is kept; run the same command again to go on"
    """What to do when the tries are used up."""

    def __init__(self, product: Product, line: Line) -> None:
        self._product = product
        self._line = line
        self._progress = Progress(product, line)
        self._asking = Asking(product, line, self._receive, is_small=self.is_small)
        self._furthest = 0
        self._began = anyio.current_time()
        self._retries = Retries(
            line.config,
            on_retry=self._tell_retry,
            was_reached=lambda: line.http.was_reached,
            outage=lambda: line.pace.downloads.outage.seconds,
        )

    @property
    def attempts(self) -> int:
        """Tries so far."""
        return self._retries.attempts

    async def run(self) -> Received:
        """Transfer it, however many tries that takes."""
        try:
            length = await self._retries.call(self._attempt)
        except UnreachableError:
            raise
        except (ServerError, ProtocolError) as error:
            if isinstance(error, UnavailableError) and self._line.pace.downloads.outage.is_of_many:
                raise UnreachableError(f"the archive answers nobody: {error.message}", url=error.url) from error
            raise TransferError(
                f"gave up after {self._retries.attempts} tries: {error.message}",
                product=self._product.name,
                url=error.url,
                hint=self.hint,
            ) from error
        received = self._received(length)
        self._line.emit(
            ProductDownloaded(
                **self._who(),
                bytes=received.length,
                seconds=received.seconds,
                resumed_bytes=received.resumed_bytes,
                data_path=received.data_path,
            )
        )
        return received

    async def _attempt(self) -> int:
        """One request, or more when the archive cannot go on from where the part ends, or several connections help.

        Returns how many bytes of the product are here.

        The slot is taken for each attempt anew: whoever pauses before the next try lets others go on. A quota is
        waited for without a slot, and without using up tries.
        """
        line = self._line
        while True:
            await line.pace.until_open(wait=line.waits_for_quota)
            async with line.slots.download.take(self._product.size or 0):
                with line.pace.turn(line.download_began) as turn:
                    if turn is None:
                        continue
                    self._asking.turn = turn
                    try:
                        with line.pace.downloads.obeyed(self._product.name):
                            return await self._use_slot()
                    except QuotaError as error:
                        if not line.pace.refuse(error):
                            raise

    @abstractmethod
    async def _use_slot(self) -> int:
        """Bring all that is missing; returns how many bytes are here."""

    @abstractmethod
    async def _receive(self, response: httpx.Response, offset: int, total: int | None) -> int:
        """Take the body of an answer; returns how many bytes are here."""

    @abstractmethod
    def _received(self, length: int) -> Received:
        """What is here, once that is all."""

    def _tell_start(self, offset: int, size: int | None) -> None:
        self._line.emit(DownloadStarted(**self._who(), offset=offset, size=size))

    def _came(self, length: int) -> None:
        self._progress.part = length
        self._progress.tell()

    def _count_progress(self, length: int) -> None:
        self._progress.part = length
        # Only bytes never seen before count: a server that ignores Range and always cuts must not be tried for ever.
        if length > self._furthest:
            self._furthest = length
            self._retries.progressed()

    def _judge_length(self, length: int, expected: int | None, limit: int = sys.maxsize) -> int:
        if expected is not None and length < min(expected, limit):
            raise ServerError(f"the transfer ended after {length:,} of {expected:,} bytes", product=self._product.name)
        if expected is not None and length > expected:
            raise IntegrityError(
                f"the archive sent {length:,} bytes instead of {expected:,}", product=self._product.name
            )
        return length

    def _who(self) -> dict[str, str]:
        return {"id": self._product.id, "name": self._product.name}

    def _tell_retry(self, error: Exception, attempt: int, wait: float) -> None:
        message = error.message if isinstance(error, PepsasyncError) else str(error)
        self._line.emit(DownloadRetried(**self._who(), error=message, attempt=attempt, wait=wait))


class _ToMemory(_Transfer):
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


class _ToPart(_Transfer):
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
        if self._product.size is None:
            length = await self._asking.go_on(self._line.shelf.part_length(self._product))
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
        size = self._product.size
        expected = total if size is None else size

        def limit() -> int:
            return sys.maxsize if size is None else self._segments.limit(offset)

        self._tell_start(offset, expected)
        begin = None if offset else functools.partial(self._asking.begin_anew, response)
        try:
            length = await self._intake.take(response, offset, begin=begin, limit=limit)
        finally:
            self._count_progress(self._intake.length)
        return self._judge_length(length, expected, limit())

    def _received(self, length: int) -> Received:
        return Received(
            length,
            self._intake.checksum(),
            self._retries.attempts,
            0 if self._asking.has_restarted else min(self._present, length),
            anyio.current_time() - self._began,
            self._intake.data_path,
        )
