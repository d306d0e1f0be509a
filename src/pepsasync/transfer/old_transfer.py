"""Transfer: what the ways of downloading a product have in common: tries, slots, and what is told of them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import (
    AddressError,
    ForbiddenError,
    IntegrityError,
    OfflineError,
    PepsasyncError,
    ProtocolError,
    QuotaError,
    ServerError,
    TransferError,
    UnreachableError,
)
from pepsasync.events import DownloadRetried, DownloadStarted, ProductDownloaded
from pepsasync.limits.attempts import Attempts
from pepsasync.transfer.asking import Asking
from pepsasync.transfer.locate import what_is_wrong
from pepsasync.transfer.old_progress import Progress

if TYPE_CHECKING:
    import httpx

    from pepsasync.folder.parts import Stamp
    from pepsasync.model import Checksum, Product
    from pepsasync.transfer.intake import DataPath
    from pepsasync.transfer.line import Line


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
    stamp: Stamp | None = None
    """The part of which that is the checksum; None when others have written to it, too."""


class Transfer(ABC):
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
        self._retries = Attempts(
            line.config,
            on_retry=self._tell_retry,
            was_reached=lambda: line.http.was_reached,
            outage=lambda: line.pace.downloads.outage.is_on,
        )

    @property
    def attempts(self) -> int:
        """Tries so far."""
        return self._retries.attempts

    async def run(self) -> Received:
        """Transfer it, however many tries that takes."""
        try:
            length = await self._retries.call(self._try)
        except AddressError as error:
            error.product = self._product.name
            raise
        except ForbiddenError:
            await self._line.pace.ask()  # for this product only? The account may have been closed meanwhile
            raise
        except (ServerError, ProtocolError) as error:
            if isinstance(error, UnreachableError) and not self._are_others_served():
                raise
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

    def _are_others_served(self) -> bool:
        """Whether the archive has answered somebody since nobody could be reached for this product."""
        since = self._retries.outage_since
        return since is not None and self._line.pace.downloads.last_answer > since

    async def _try(self) -> int:
        """One attempt; a refusal that leaves open where the product is ends in an error that does not."""
        try:
            return await self._attempt()
        except OfflineError as error:  # without a slot: others can download meanwhile
            raise await what_is_wrong(error, self._product, self._line) from error.__cause__

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
                        with line.pace.downloads.obeyed():
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
