"""What is here of one product and has no final name yet, wherever it is put: on a disk (`part`), or in a bucket.

The requests, `receive` and `drain` know no more of it than this.
"""

from __future__ import annotations

import abc
import dataclasses
import threading
from typing import TYPE_CHECKING, Literal, Protocol, cast

import anyio

from pepsasync.model import Checksum
from pepsasync.transfer.digest import Digest
from pepsasync.transfer.division import Division

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.errors import PepsasyncError
    from pepsasync.folder.layout import PartNote
    from pepsasync.model import Product
    from pepsasync.transfer.division import Segment

DataPath = Literal["drained", "plain"]
"""How a body came: received by threads (`drain`), or chunk by chunk over the event loop."""


class Writer(Protocol):
    """Takes the bytes of one segment in their order; for one thread at a time, and one that hashes beside it."""

    segment: Segment
    """Counts what was written."""

    def wait_for_room(self, must_stop: Callable[[], bool]) -> None:
        """Wait until more can be taken, or nothing more is to come; blocks."""

    def write(self, block: memoryview, *, may_be_direct: bool = False) -> int:
        """Take a block behind what was written, up to the end of the segment; returns how many bytes were.

        Args:
            block: Begins with a page of memory if `may_be_direct`; not used any more on return.
            may_be_direct: Whether it may go past the page cache, and be waited for.

        Raises:
            OSError, PepsasyncError: It could not be taken.
        """

    def hash(self, end: int, block: memoryview) -> None:
        """Hash a block that was written and ends at an offset; what is not the next one is read again later."""

    def explain(self, error: OSError) -> PepsasyncError:
        """Our error for one of `write`."""

    def close(self) -> None:
        """Nothing more comes."""


class Incoming(abc.ABC):
    """What is here of one product.

    Args:
        product: Whose bytes.
        note: Which file they belong to.
        is_in_memory: Whether all of it is kept in memory until it is complete.
    """

    takes_several: bool
    """Whether several connections may bring it at once."""

    def __init__(self, product: Product, note: PartNote, *, is_in_memory: bool) -> None:
        self.product = product
        self.note = note
        """Which file the bytes belong to."""
        self.memory: bytearray | None = bytearray() if is_in_memory else None
        """The bytes of a small product; None when they are elsewhere."""
        self.division = Division(product.exact_size)
        self.attempts = 0
        """Download requests that it took."""
        self.data_path: DataPath = "plain"
        """How the last body came."""
        self.failed_ranges = 0
        """Requests for the rest of the product in a row that were answered with HTTP 500."""
        self.has_restarted = False
        """Whether what was here when it was opened is not used any more."""
        self.changed = anyio.Event()
        """Set, and replaced, when a connection has ended."""
        self._algorithm = product.checksum.algorithm if product.checksum else None
        self._digest = Digest(self._algorithm)
        self._writing = threading.Lock()
        self._present = 0

    @property
    def received(self) -> int:
        """Bytes that are here."""
        return self.division.received

    @property
    def resumed_bytes(self) -> int:
        """Bytes that were here when it was opened, and still are."""
        return 0 if self.has_restarted else self._present

    @property
    def is_complete(self) -> bool:
        """Whether every byte is here; unknown, and so false, of a product without a size."""
        return self.division.is_complete

    @property
    def is_hashing(self) -> bool:
        """Whether the bytes are hashed as they come; the archive announced a checksum then."""
        return self._algorithm is not None

    @property
    def validator(self) -> str | None:
        """Of the answer that the part began with, for If-Range.

        None where a checksum tells: a store whose copies differ in their validators must not make it begin anew.
        """
        return self.note.validator if self._algorithm is None else None

    def checksum(self) -> Checksum | None:
        """What was computed of the bytes, in the algorithm that the archive announced; None when it announced none."""
        value = self._digest.hexdigest()
        return Checksum(self._algorithm, value) if value and self._algorithm else None

    @abc.abstractmethod
    def writer(self, segment: Segment) -> Writer:
        """What takes the bytes that one connection brings; blocks.

        Raises:
            PepsasyncError: It cannot be opened.
        """

    @abc.abstractmethod
    def ends_as_zip(self) -> bool:
        """Whether what came of a product of unknown size ends as zips do; blocks.

        Raises:
            PepsasyncError: It cannot be read.
        """

    @abc.abstractmethod
    async def hash_what_is_here(self) -> None:
        """Bring the digest to the end of what is here without a gap, by reading what it has not seen.

        Raises:
            PepsasyncError: It cannot be read.

        Cancellation: answered at the next block; what was hashed stays hashed.
        """

    @abc.abstractmethod
    async def flush(self) -> None:
        """All bytes have come, and the download slot is still held: put away what is not where it belongs yet.

        Raises:
            PepsasyncError: It cannot be.

        Cancellation: what came before can be continued.
        """

    @abc.abstractmethod
    async def _begin_anew(self) -> None:
        """Give up what was here; cancellation waits for it."""

    @abc.abstractmethod
    async def _keep_note(self) -> None:
        """Keep the note for a later run."""

    @abc.abstractmethod
    async def wait_for_room(self) -> None:
        """Wait until more can be written; cancellation leaves nothing behind."""

    def write(self, segment: Segment, block: bytearray) -> None:
        """Write a block behind what is in a segment, and hash it; blocks unless the part is in memory.

        Raises:
            PepsasyncError: It cannot be written.
        """
        if self.memory is not None:
            self.memory = self.memory[: segment.filled] + block if segment.filled else block  # nearly always the whole
            segment.written += len(block)
            return
        writer = self.writer(segment)
        try:
            with memoryview(block) as view:
                try:
                    count = writer.write(view)
                except OSError as error:
                    raise writer.explain(error) from error
                writer.hash(segment.filled, view[:count])
        finally:
            writer.close()

    async def begin(self, segment: Segment, validator: str | None) -> Segment:
        """Prepare for a body that begins with the first byte of the product.

        What is here is given up, unless it is of the same file and lies behind the segment.

        Args:
            segment: That was asked for; released when what is here is given up.
            validator: Of the answer: strong ETag or Last-Modified.

        Returns:
            The segment that the body fills.

        Cancellation: what was here is there with its record, or nothing is.
        """
        is_other = self._algorithm is None and validator != self.note.validator
        if not segment.start and not (is_other and self.received):
            if is_other:
                self.note = dataclasses.replace(self.note, validator=validator)
                if self.memory is None:
                    await self._keep_note()
            return segment
        with self._writing:
            self.has_restarted = True
            self.note = dataclasses.replace(self.note, validator=validator)
            self._digest, self.division = Digest(self._algorithm), Division(self.division.size)
        if self.memory is None:
            with anyio.CancelScope(shield=True):
                await self._begin_anew()
        return cast("Segment", self.division.claim_front())

    def release(self, segment: Segment) -> None:
        """Note that the connection of a segment has ended, and wake who waits for that."""
        self.division.release(segment)
        self.changed.set()
        self.changed = anyio.Event()

    def hash(self, division: Division, offset: int, block: memoryview) -> None:
        """Hash a block that was written, if it is the next one of this file."""
        if division is self.division and offset == self._digest.length:
            self._digest.update(block)
