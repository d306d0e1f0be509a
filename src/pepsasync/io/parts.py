"""One writer a part: whoever writes it locks it, so that two programs never write into the same bytes.

A program that was stopped for minutes loses its folder to the next one, and still has its files open when it goes on.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, cast

from pepsasync.io.files import open_own

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What file systems without locks say; there, as on Windows, the lease of the journal is all there is."""

_IS_WINDOWS = os.name == "nt"
"""Neither are there such locks, nor can a file be removed that is open."""


def open_at(path: Path, offset: int) -> FileIO:
    """Open a part to be written from its end on, which is the offset, or with 0 begin it anew.

    A file that was emptied is written to the disk by ext4 when it is closed, a third of a second for each GB, and the
    event loop would wait for that: one that begins anew is a new one.

    Raises:
        OSError: Another program writes it, or has written it meanwhile; or the disk failed.
    """
    if not offset:
        with contextlib.suppress(FileNotFoundError), _not_written(path):
            path.unlink()
        return open_locked(path, "xb")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_locked(path, "r+b"))
        if file.seek(0, os.SEEK_END) != offset:
            raise OSError(errno.EBUSY, "another program has changed it")
        stack.pop_all()
    return file


def _not_written(path: Path) -> contextlib.AbstractContextManager[object]:
    """That nobody writes a file, as far as that can be known of one that shall be removed."""
    return contextlib.nullcontext() if _IS_WINDOWS else open_locked(path, "r+b")


def open_locked(path: Path, mode: str) -> FileIO:
    """Open a file without a buffer, to be written by nobody else until it is closed.

    Raises:
        OSError: Another program writes it, it is a link or has other names, or the disk failed.
    """
    with contextlib.ExitStack() as stack:
        opened = open(path, mode, buffering=0, opener=open_own)  # noqa: SIM115 - `Path.open` takes no opener
        file = cast("FileIO", stack.enter_context(opened))
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
        raise OSError(errno.EBUSY, "another program writes it") from error
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
