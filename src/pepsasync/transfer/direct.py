"""Direct writes: blocks of large products bypass the page cache, where that is possible and the disk is fast.

The copy into the page cache takes as much processor time as receiving the bytes, and several times as much where memory
is fresh; and it has to be on the disk anyway before a product gets its name. On slow disks and
network drives blocks go through the page cache, so that no download waits for them.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from typing import TYPE_CHECKING

from pepsasync.folder.files import write_all
from pepsasync.folder.parts import open_unbuffered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = mmap.PAGESIZE
"""What is written directly begins and ends with a page, in the file and in memory (open(2), O_DIRECT)."""

TRIAL = 16 << 20
"""Bytes after which a disk is judged, again and again."""

SLOW = 200e6
"""Bytes a second; a slower disk is written through the page cache."""

CACHED = 1 << 18
"""Bytes that are written at once into the page cache: for more, Linux takes larger pieces of memory, which on virtual
machines are nearly always fresh, and cost five times the processor time."""

_DIRECT = getattr(os, "O_DIRECT", 0)
"""Linux has it; elsewhere nothing is written directly."""


class DirectFile:
    """Writes blocks one behind the other; one thread at a time.

    Args:
        path: An existing file.
        offset: Where the first block is put.
        clock: Seconds.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, offset: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.file = open_unbuffered(path, "r+b")
        """Opened without a buffer."""
        self.file.seek(offset)
        self._offset = offset
        self._clock = clock
        self._is_possible = bool(_DIRECT)
        self._is_direct = False
        self._bytes = 0
        self._seconds = 0.0

    def write(self, block: memoryview, *, may_be_direct: bool) -> None:
        """Write a whole block.

        Args:
            block: Begins with a page of memory if `may_be_direct`.
            may_be_direct: Whether somebody else receives meanwhile. Who receives as well does not wait for the disk.

        Raises:
            OSError: It could not be written, or only a part of it.
        """
        are_pages = not self._offset % PAGE and not len(block) % PAGE
        self._set_direct(may_be_direct and are_pages and self._is_possible)
        if self._is_direct:
            self._write_directly(block)
        else:
            for begin in range(0, len(block), CACHED):
                write_all(self.file, block[begin : begin + CACHED])
        self._offset += len(block)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write_directly(self, block: memoryview) -> None:
        began = self._clock()
        try:
            write_all(self.file, block)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._is_possible = False  # another page size than ours, or less was taken than a page
            self._set_direct(False)
            write_all(self.file, block[self.file.tell() - self._offset :])
            return
        self._bytes += len(block)
        self._seconds += self._clock() - began
        if self._bytes >= TRIAL:
            self._is_possible = self._bytes >= SLOW * self._seconds
            self._bytes, self._seconds = 0, 0.0

    def _set_direct(self, is_direct: bool) -> None:
        if is_direct == self._is_direct:
            return
        import fcntl  # noqa: PLC0415 - Windows has none, and never comes here

        flags = fcntl.fcntl(self.file, fcntl.F_GETFL) & ~_DIRECT
        try:
            fcntl.fcntl(self.file, fcntl.F_SETFL, flags | _DIRECT * is_direct)
        except OSError:
            self._is_possible = False  # this file system knows only its cache
        else:
            self._is_direct = is_direct
