"""A part: the bytes of one product that are here and have no final name yet.

`NAME.part` is a file with gaps. Which stretches of it are filled stands in `NAME.part.record`: a line of JSON that says
which file the part belongs to, then a line for each stretch that was written. A line is added after its bytes, so that
a killed run leaves no line without bytes; what a power cut makes of them is found when the part is verified. Small
products have no part: they stay in memory until they are verified.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import sys
import threading
from typing import TYPE_CHECKING, Literal, cast

import anyio
from anyio import to_thread

from pepsasync.errors import PepsasyncError
from pepsasync.folder.files import disk_errors, make_own_folder, write_all
from pepsasync.folder.layout import PartRecord
from pepsasync.folder.parts import SoleWriter, open_locked, open_unbuffered, stamp_of
from pepsasync.model import Checksum
from pepsasync.threads import clean_up
from pepsasync.transfer.digest import Digest, hash_file
from pepsasync.transfer.direct import DirectFile
from pepsasync.transfer.division import Division

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from io import FileIO

    from pepsasync.folder.layout import Folder
    from pepsasync.folder.parts import Stamp
    from pepsasync.model import Product
    from pepsasync.transfer.division import Segment

DataPath = Literal["drained", "plain"]
"""How a body came: received by threads (`drain`), or chunk by chunk over the event loop."""

SMALL = 1 << 19
"""Bytes; products below it are kept in memory until they are complete and verified: a part beside each would cost more
than going on with it in a later run saves."""


def is_small(product: Product) -> bool:
    """Whether a product never has a part on the disk."""
    return product.exact_size is not None and product.exact_size < SMALL


class Part:
    """What is here of one product. Opened by `open_part`.

    Args:
        product: Whose bytes.
        folder: Where they are put.
    """

    def __init__(self, product: Product, folder: Folder) -> None:
        self.product = product
        self.path = folder.part_path(product)
        self.note = folder.note_for(product)
        """Which file the bytes belong to."""
        self.memory: bytearray | None = bytearray() if is_small(product) else None
        """The bytes of a small product; None when they are on the disk."""
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
        self._folder = folder
        self._algorithm = product.checksum.algorithm if product.checksum else None
        self._digest = Digest(self._algorithm)
        self._lock: FileIO | None = None
        self._record: FileIO | None = None
        self._is_line_cut = False
        self._writing = threading.Lock()
        self._sole_writer = SoleWriter()
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
    def stamp(self) -> Stamp | None:
        """The file after our last write; None when others have written to it as well."""
        return self._sole_writer.stamp

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

    def writer(self, segment: Segment) -> Writer:
        """Open the file for what one connection brings; blocks.

        Raises:
            DiskFullError, ConfigError, TransferError: It cannot be opened.
        """
        return Writer(self, segment)

    def write(self, segment: Segment, block: bytearray) -> None:
        """Write a block behind what is in a segment, and hash it; blocks unless the part is in memory.

        Raises:
            DiskFullError, ConfigError, TransferError: It cannot be written.
        """
        if self.memory is not None:
            del self.memory[segment.filled :]
            self.memory += block
            segment.written += len(block)
            return
        writer = self.writer(segment)
        try:
            with disk_errors(self.path), memoryview(block) as view:
                count = writer.write(view)
                writer.hash(segment.filled, view[:count])
        finally:
            writer.close()

    async def hash_what_is_here(self) -> None:
        """Bring the digest to the end of what is here without a gap, by reading what it has not seen.

        Raises:
            DiskFullError, ConfigError, TransferError: The part cannot be read.

        Cancellation: answered at the next block; what was hashed stays hashed.
        """
        if self.memory is not None:
            return
        if self._digest.length < self.division.front:
            await to_thread.run_sync(hash_file, self.path, self._digest, self.division.front)

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
                    await to_thread.run_sync(self._write_record)
            return segment
        with self._writing:
            self.has_restarted = True
            self.note = dataclasses.replace(self.note, validator=validator)
            self._digest, self.division = Digest(self._algorithm), Division(self.division.size)
        if self.memory is None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._make_file)
        return cast("Segment", self.division.claim_front())

    def release(self, segment: Segment) -> None:
        """Note that the connection of a segment has ended, and wake who waits for that."""
        self.division.release(segment)
        self.changed.set()
        self.changed = anyio.Event()

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[None]:
        """To be put around what needs the file under its name; blocks.

        Raises:
            IntegrityError: It is not there any more; the product can be downloaded again.
            ConfigError: Neither is the folder.
            DiskFullError, ConfigError, TransferError: The disk failed.
        """
        with disk_errors(self.path), self._folder.has_part(self.product):
            yield

    @contextlib.contextmanager
    def writing(self, file: FileIO, division: Division, start: int, length: int) -> Iterator[None]:
        """To be put around each write: notices what others write, and adds the stretch to the record afterwards.

        Args:
            file: That is written.
            division: Of the file.
            start: First byte that is written.
            length: Bytes.

        Raises:
            OSError: The file or the record cannot be written, or the file is not that of the part any more.
        """
        with self._writing:
            if division is not self.division:
                raise OSError(errno.EBUSY, "the part was restarted by another connection")
            if self._record is None:
                yield
                return
            with self._sole_writer.writing(file):
                yield
            # A line that a full disk has cut is ended first: both would be lost otherwise.
            line = b"%s%d %d\n" % (b"\n" * self._is_line_cut, start, start + length)
            self._is_line_cut = True
            write_all(self._record, memoryview(line))
            self._is_line_cut = False

    def hash(self, division: Division, offset: int, block: memoryview) -> None:
        """Hash a block that was written, if it is the next one of this file."""
        if division is self.division and offset == self._digest.length:
            self._digest.update(block)

    def open(self) -> None:
        """Lock the part and take up what belongs to this product; blocks.

        Raises:
            TransferError: Another program writes it.
            IntegrityError: It was removed meanwhile.
            DiskFullError, ConfigError: It cannot be made or read.
        """
        folder, product = self._folder, self.product
        with self.on_disk():
            folder.prepare_part(product)
            old = folder.read_record(product)
            ends = product.exact_size if product.exact_size is not None else sys.maxsize
            if old and old.note.is_same_file(self.note) and all(end <= ends for _, end in old.filled):
                self._lock = open_locked(self.path, "r+b")
                self._sole_writer.look(self._lock)
                if old.note.source == self.note.source:
                    self.note = dataclasses.replace(self.note, validator=old.note.validator)
                self.division = Division(product.exact_size, old.filled)
                self._present = self.received
                self._write_record()
            else:
                self._make_file()

    def close(self) -> None:
        """Unlock the part, which stays unless it is empty; blocks."""
        if not self.received:
            self._remove_own_files()
        self._close_files()
        if not self.received:
            with contextlib.suppress(PepsasyncError):  # another program may have the folder now
                self._folder.discard_part(self.product)

    def _remove_own_files(self) -> None:
        """Remove what this program has made, also after it lost the folder while it was stopped; nothing of others."""
        for file, path in ((self._record, self._folder.part_record_path(self.product)), (self._lock, self.path)):
            with contextlib.suppress(OSError):
                if file is not None and stamp_of(file)[:2] == stamp_of(path)[:2]:
                    path.unlink()

    def _close_files(self) -> None:
        with self._writing:
            for file in (self._record, self._lock):
                if file is not None:
                    file.close()
            self._record = self._lock = None

    def _make_file(self) -> None:
        """Begin with an empty file. A new one: emptying a file of GB takes ext4 a third of a second for each."""
        with self.on_disk():
            self._close_files()
            self._folder.discard_part(self.product)
            make_own_folder(self._folder.parts, self._folder.tell)  # somebody may have removed it in mid-run
            self._lock = open_locked(self.path, "xb")
            self._sole_writer = SoleWriter()
            self._write_record()

    def _write_record(self) -> None:
        """Write the record anew, to be added to."""
        path = self._folder.part_record_path(self.product)
        with disk_errors(path), self._folder.has_part(self.product), self._writing:
            if self._record is not None:
                self._record.close()
            self._folder.write_record(self.product, PartRecord(self.note, self.division.filled()))
            self._record, self._is_line_cut = open_unbuffered(path, "ab"), False


class Writer:
    """Writes the bytes of one segment in their order; for one thread at a time, and one that hashes beside it.

    Args:
        part: Of which product; it is on the disk.
        segment: Counts what was written.
    """

    def __init__(self, part: Part, segment: Segment) -> None:
        self.part = part
        self.segment = segment
        self._division = part.division
        with part.on_disk():
            self._file = DirectFile(part.path, segment.filled)

    def write(self, block: memoryview, *, may_be_direct: bool = False) -> int:
        """Write a block behind what was written, up to the end of the segment; returns how many bytes were.

        Args:
            block: Begins with a page of memory if `may_be_direct`.
            may_be_direct: Whether it may go past the page cache, and be waited for.

        Raises:
            OSError: It could not be written.
        """
        segment = self.segment
        start = segment.filled
        block = block[: max(0, segment.end - start)]
        if block:
            with self.part.writing(self._file.file, self._division, start, len(block)):
                self._file.write(block, may_be_direct=may_be_direct)
            segment.written += len(block)
        return len(block)

    def hash(self, end: int, block: memoryview) -> None:
        """Hash a block that was written and ends at an offset; what is not the next one is read again later."""
        self.part.hash(self._division, end - len(block), block)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextlib.asynccontextmanager
async def open_part(product: Product, folder: Folder) -> AsyncIterator[Part]:
    """Open what is here of a product, for one program at a time.

    Raises:
        TransferError: Another program writes it.
        DiskFullError, ConfigError: It cannot be made or read.

    Cancellation: the part stays, with its record.
    """
    part = Part(product, folder)
    if part.memory is not None:
        yield part
        return
    try:
        await to_thread.run_sync(part.open)
        yield part
    finally:
        await clean_up(part.close)
