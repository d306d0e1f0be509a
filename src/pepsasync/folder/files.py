"""Files and folders: written whole, forced to the disk, and what the system says when that fails.

All functions here block and are called in worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
import stat
import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError, DiskFullError, PepsasyncError, TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO
    from pathlib import Path

NEW = ".new"
"""Suffix of files that are being written, to replace others."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when there is no room."""


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Neither is a link followed, nor is a pipe waited for."""

_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def _ignore(_: str) -> None:
    """Tell nobody."""


def kind(mode: int) -> str:
    """What stands there, for people: `a link`, `a folder`, `a device`."""
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a device")


def foreign(found: os.stat_result) -> str | None:
    """Say what is no file of ours: one that is regular and has no other name. None when it may be one."""
    if not stat.S_ISREG(found.st_mode):
        return kind(found.st_mode)
    return "a file that has another name, too" if found.st_nlink > 1 else None


def open_own(path: str | Path, flags: int) -> int:
    """Open a file of ours, for `open(..., opener=open_own)`; whoever plants a link reaches nothing through it.

    Raises:
        OSError: It is a link, has other names, or is no regular file; or the disk failed.
    """
    with contextlib.suppress(FileNotFoundError):
        _refuse_foreign(os.lstat(path))  # opening a device may do something by itself
    handle = os.open(path, flags | _NO_LINKS, 0o666)
    try:
        _refuse_foreign(os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _refuse_foreign(found: os.stat_result) -> None:
    if what := foreign(found):
        raise OSError(errno.EBUSY, f"it is {what}, which pepsasync did not make")


def read_own(path: Path) -> str:
    """Read a small text file of ours.

    Raises:
        OSError: As `open_own`.
        UnicodeDecodeError: It is not one.
    """
    with open(path, encoding="utf-8", opener=open_own) as file:
        return file.read()


def foreign_member(folder: Path, names: Iterable[str]) -> str | None:
    """Say which of some files of a folder would be read elsewhere, and why; None when all are in it.

    Args:
        folder: Of a product.
        names: Paths in it, with `/`; what is not there is no fault here.
    """
    seen = set[PurePosixPath]()
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return f"{name} is outside the folder"
        for part in (*reversed(path.parents), path):
            if part in seen:
                continue
            seen.add(part)
            with contextlib.suppress(OSError, ValueError):  # what cannot be looked at cannot be read either
                if part.parts and stat.S_ISLNK(os.lstat(folder / part).st_mode):
                    return f"{part} is a link; it was not followed"
    return None


_MAKING_WAY = threading.Lock()
"""Held between a look and the renaming: another thread may have put our own there by then."""


def make_way(path: Path, tell: Callable[[str], None] = _ignore, *, is_folder: bool = False) -> None:
    """Rename what stands in the place of a file or folder of ours and is none; what it leads to is not touched.

    Args:
        path: In the state folder, or that itself.
        tell: Gets a sentence for the user about what was renamed.
        is_folder: Whether it should be a folder.

    Raises:
        OSError: It cannot be looked at or renamed.
    """
    with _MAKING_WAY:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        is_ours = is_folder and stat.S_ISDIR(found.st_mode)
        what = None if is_ours else kind(found.st_mode) if is_folder else foreign(found)
        if what is None:
            return
        names = (path.with_name(f"{path.name}.aside-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        path.rename(aside)
    tell(f"{path} was {what}, which pepsasync did not make; it is now {aside.name}, and nothing was written through it")


def remove_own(path: Path, tell: Callable[[str], None] = _ignore) -> None:
    """Remove a file of ours that may not be there; a folder in its place is renamed.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError:
        if not path.is_dir():
            raise
        make_way(path, tell)


def make_own_folder(path: Path, tell: Callable[[str], None] = _ignore) -> None:
    """Make a folder of ours that may be there; a link or a file in its place is renamed.

    Raises:
        OSError: It cannot be made.
    """
    make_way(path, tell, is_folder=True)
    path.mkdir(parents=True, exist_ok=True)


def replace_text(path: Path, text: str, tell: Callable[[str], None] = _ignore, *, is_synced: bool = False) -> None:
    """Write a small file so that a reader finds the old or the new one, never a half; arguments as for `write_new`."""
    new = new_file(path)
    write_new(new, text.encode(), is_synced=is_synced)
    with removed_on_error(new):
        make_way(path, tell)
        new.replace(path)


def write_new(path: Path, content: bytes | bytearray, *, is_synced: bool = False) -> None:
    """Write a small file in the place of any other, which is never opened.

    In as few calls to the system as there can be: each gives the interpreter lock away. What cannot be written is
    removed.

    Args:
        path: In the state folder.
        content: All of it.
        is_synced: Whether it is forced to the disk.

    Raises:
        OSError: It could not be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags, 0o666)
    except FileExistsError:
        make_way(path)
        path.unlink(missing_ok=True)
        handle = os.open(path, flags, 0o666)
    with removed_on_error(path):
        _write_and_close(handle, content, is_synced)


def _write_and_close(handle: int, content: bytes | bytearray, is_synced: bool) -> None:
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        if is_synced:
            os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def removed_on_error(path: Path) -> Iterator[None]:
    """Remove a file of ours when what is done with it fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def new_file(path: Path) -> Path:
    """Where to write what shall replace a file: beside it, and no other program, nor thread, writes there.

    A killed run may leave it; `Folder.remove_leftovers` knows it by its suffix.
    """
    return path.with_name(f"{secrets.token_hex(8)}{NEW}")


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
            f"cannot write {path}: the file system does not allow files of that size",
            hint="Choose a folder on another file system with -w DIR; FAT32 allows up to 4 GiB",
        )
    if error.errno in FULL:
        return DiskFullError(
            f"no space left while writing {path}", hint="Free some space and run the same command again"
        )
    if error.errno == errno.EXDEV:
        return ConfigError(
            f"cannot rename files into {path}: they are written in .pepsasync, which is on another disk",
            hint="Make .pepsasync an ordinary folder there, or choose another folder with -w DIR",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG):
        return ConfigError(f"cannot write {path}: {reason}", hint="Choose another folder with -w DIR")
    return TransferError(f"cannot write {path}: {reason}", hint="Run the same command again to go on")
