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
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.errors import PepsasyncError
from pepsasync.folder.files import disk_error, disk_errors, make_own_folder, write_all
from pepsasync.folder.layout import PartRecord
from pepsasync.folder.parts import SoleWriter, open_locked, open_unbuffered, stamp_of
from pepsasync.folder.zips import has_end_record
from pepsasync.threads import clean_up
from pepsasync.transfer.digest import hash_file
from pepsasync.transfer.direct import DirectFile
from pepsasync.transfer.division import Division
from pepsasync.transfer.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from io import FileIO

    from pepsasync.folder.layout import Folder
    from pepsasync.folder.parts import Stamp
    from pepsasync.model import Product
    from pepsasync.transfer.division import Segment

SMALL = 1 << 19
"""Bytes; products below it are kept in memory until they are complete and verified: a part beside each would cost more
than going on with it in a later run saves."""


def is_small(product: Product) -> bool:
    """Whether a product never has a part on the disk."""
    return product.exact_size is not None and product.exact_size < SMALL


class Part(Incoming):
    """What is here of one product on a disk. Opened by `open_part`.

    Args:
        product: Whose bytes.
        folder: Where they are put.
    """

    takes_several = True

    def __init__(self, product: Product, folder: Folder) -> None:
        super().__init__(product, folder.note_for(product), is_in_memory=is_small(product))
        self.path = folder.part_path(product)
        self._folder = folder
        self._lock: FileIO | None = None
        self._record: FileIO | None = None
        self._is_line_cut = False
        self._sole_writer = SoleWriter()

    @property
    def stamp(self) -> Stamp | None:
        """The file after our last write; None when others have written to it as well."""
        return self._sole_writer.stamp

    def writer(self, segment: Segment) -> Writer:
        """See `Incoming.writer`: opens the file."""
        return Writer(self, segment)

    def ends_as_zip(self) -> bool:
        """See `Incoming.ends_as_zip`."""
        with disk_errors(self.path):
            return has_end_record(self.path)

    async def hash_what_is_here(self) -> None:
        """See `Incoming.hash_what_is_here`."""
        if self.memory is not None:
            return
        if self._digest.length < self.division.front:
            await to_thread.run_sync(hash_file, self.path, self._digest, self.division.front)

    async def wait_for_room(self) -> None:
        """A disk takes what comes: it is waited for in `write`."""

    async def flush(self) -> None:
        """Nothing: every byte was written as it came."""

    async def _keep_note(self) -> None:
        await to_thread.run_sync(self._write_record)

    async def _begin_anew(self) -> None:
        await to_thread.run_sync(self._make_file)

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

    def wait_for_room(self, must_stop: Callable[[], bool]) -> None:
        """A disk takes what comes: it is waited for in `write`."""

    def write(self, block: memoryview, *, may_be_direct: bool = False) -> int:
        """See `transfer.incoming.Writer.write`.

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

    def explain(self, error: OSError) -> PepsasyncError:
        """What the system says of the disk, as our error."""
        return disk_error(self.part.path, error)

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
