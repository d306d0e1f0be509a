"""One writer a part: whoever writes it locks it, so that two programs never write into the same bytes.

A program that was stopped for minutes loses its folder to the next one, and still has its files open when it goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from pepsasync.folder.files import open_own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What file systems without locks say; there, as on Windows, the lease of the journal is all there is."""

_IS_WINDOWS = os.name == "nt"
"""Neither are there such locks, nor can a file be removed that is open."""


class Stamp(NamedTuple):
    """Tells a file, as somebody left it, from what others make of it."""

    device: int
    inode: int
    size: int
    written: int
    """When it was last written, nanoseconds since 1970."""


def stamp_of(file: Path | FileIO) -> Stamp:
    """What a file is now; blocks for a moment.

    Raises:
        OSError: It is not there, or cannot be looked at.
    """
    stat = file.lstat() if isinstance(file, Path) else os.fstat(file.fileno())
    return Stamp(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


class SoleWriter:
    """Notices whether others write into a file between our own writes."""

    def __init__(self) -> None:
        self._stamp: Stamp | None = None
        self._is_alone = True

    @property
    def stamp(self) -> Stamp | None:
        """The file after our last write; None when others have written to it as well, or nobody has."""
        return self._stamp if self._is_alone else None

    def look(self, file: FileIO) -> None:
        """Take the file as it is for what is known, or see that it is not what we left.

        Raises:
            OSError: It cannot be looked at, or is another file.
        """
        stamp = stamp_of(file)
        if self._stamp is not None and stamp[:2] != self._stamp[:2]:
            raise OSError(errno.EBUSY, "another program has replaced it")
        self._is_alone &= self._stamp in (None, stamp)
        self._stamp = stamp

    @contextlib.contextmanager
    def writing(self, file: FileIO) -> Iterator[None]:
        """To be put around each of our writes.

        Raises:
            OSError: The file cannot be looked at.
        """
        self.look(file)
        try:
            yield
        finally:
            self._stamp = stamp_of(file)


def is_locked(path: Path) -> bool:
    """Whether another program has a part open to be written.

    Raises:
        OSError: It cannot be opened.
    """
    if _IS_WINDOWS:
        return False
    try:
        open_locked(path, "r+b").close()
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def open_unbuffered(path: Path, mode: str) -> FileIO:
    """Open a file of ours without a buffer.

    Raises:
        OSError: It is a link or has other names, or the disk failed.
    """
    return cast("FileIO", open(path, mode, buffering=0, opener=open_own))


def open_locked(path: Path, mode: str) -> FileIO:
    """Open a file without a buffer, to be written by nobody else until it is closed.

    Raises:
        OSError: Another program writes it, it is a link or has other names, or the disk failed.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_unbuffered(path, mode))
        _lock(file)
        stack.pop_all()
    return file


def _lock(file: FileIO) -> None:
    if _IS_WINDOWS:
        return
    import fcntl  # noqa: PLC0415 - Windows has none

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EBUSY, "another program is writing it") from error
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
