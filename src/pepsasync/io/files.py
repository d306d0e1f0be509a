"""Files and folders: written whole, forced to the disk, and what the system says when that fails.

All functions here block and are called in worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError, DiskFullError, PepsasyncError, TransferError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when there is no room."""


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader finds the old or the new one, never a half."""
    new = half_written(path)
    new.write_text(text, "utf-8")
    new.replace(path)


def write_new(path: Path, content: bytes, *, is_synced: bool = False) -> None:
    """Write a small file, in as few calls to the system as there can be: each gives the interpreter lock away."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        if is_synced:
            os.fsync(handle)
    finally:
        os.close(handle)


def half_written(path: Path) -> Path:
    """Where `replace_text` writes first; a killed run may leave it."""
    return path.with_name(f"{path.name}.new")


def write_all(file: FileIO, block: memoryview) -> None:
    """Write a whole block, however little the system takes at once."""
    while block:
        block = block[file.write(block) :]


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders; its renames are journalled
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Remove a folder that may not be there."""
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system raises into our errors.

    Raises:
        DiskFullError: No space, or over a disk quota.
        ConfigError: No permission, read-only, not a folder, name too long.
        TransferError: Anything else, such as a file that is too large for the file system.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> PepsasyncError:
    """Our error for one of the operating system about a path."""
    reason = error.strerror or str(error)
    if error.errno == errno.EFBIG:  # smaller products still fit
        return TransferError(
            f"cannot write {path}: the file system takes no file of that size",
            hint="Choose a folder on another file system with -w DIR; FAT32 ends at 4 GiB",
        )
    if error.errno in FULL:
        return DiskFullError(
            f"no space left while writing {path}", hint="Free some space and run the same command again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG):
        return ConfigError(f"cannot write {path}: {reason}", hint="Choose another folder with -w DIR")
    return TransferError(f"cannot write {path}: {reason}", hint="Run the same command again to go on")
