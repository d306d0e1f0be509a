"""Products that are a tar or a gzip, which may be damaged or hostile: what `zips` is for zips.

Only files and folders are read; members of any other kind (links, devices, sparse files) make the whole product unsafe.
Files are written by the caller: nothing here takes a place, an owner or a mode from an archive.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import zipfile
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from pepsasync.folder.zips import (
    LARGEST_DIRECTORY,
    LARGEST_RATIO,
    LARGEST_UNPACKED,
    MOST_MEMBERS,
    READ_AT_ONCE,
    UnsafeZipError,
    zip_damage,
)
from pepsasync.threads import check_cancelled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_PACKED = re.compile(r"\.(tar|tgz|tar\.gz|gz)$", re.IGNORECASE)
_TAR = re.compile(r"\.(tar|tgz|tar\.gz)$", re.IGNORECASE)
BLOCK = 512
"""Bytes of which a tar is made (POSIX.1-2017, pax, ustar interchange format); it ends with blocks of zeros."""
ALWAYS_ALLOWED = 1 << 20
"""Unpacked bytes that no ratio forbids: a tar is filled up with zeros."""


class Entry(NamedTuple):
    """A file or folder in a tar or gzip."""

    name: str
    size: int
    is_folder: bool


def is_packed(name: str) -> bool:
    """Whether a file of this name is a tar, a packed tar or one packed file."""
    return _PACKED.search(name) is not None


class Tar:
    """A tar, a packed tar, or one packed file, which is read as a tar of this one. Use `open_tar`.

    Args:
        content: Unpacked bytes, from the first one on.
        single: Name of the one file; None for a tar.
    """

    def __init__(self, content: _Bounded, single: str | None) -> None:
        self._content, self._single = content, single

    def entries(self) -> list[Entry]:
        """All members; reads everything.

        Raises:
            UnsafeZipError: There are links, devices or the like, or too many.
            zipfile.BadZipFile: It is damaged.
            OSError: The disk failed.
        """
        return [entry for entry, _ in self._read(with_content=False)]

    def contents(self) -> Iterator[tuple[Entry, Generator[bytes, None, None]]]:
        """Each member with its bytes, which are to be read before the next one; errors as `entries`."""
        return self._read(with_content=True)

    def _read(self, *, with_content: bool) -> Iterator[tuple[Entry, Generator[bytes, None, None]]]:
        with zip_damage():
            self._content.seek(0)
        if self._single is not None:
            size = 0 if with_content else sum(map(len, _blocks(self._content)))
            yield Entry(self._single, size, is_folder=False), _blocks(self._content)
            return
        with zip_damage():
            tar = tarfile.TarFile(fileobj=cast("IO[bytes]", self._content))
        count, end = 0, 0
        while True:
            check_cancelled()
            with zip_damage():
                info = tar.next()
            tar.members.clear()  # type: ignore[attr-defined] # it keeps all that it has read
            if info is None:
                break
            count += 1
            if count > MOST_MEMBERS:
                raise UnsafeZipError(f"unsafe tar: more than {MOST_MEMBERS:,} members")
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise UnsafeZipError(f"unsafe tar: {info.name[:100]!r} is a link or a special file")
            end = info.offset_data + -(-info.size // BLOCK) * BLOCK if info.isreg() else info.offset_data
            if info.isdir() and not PurePosixPath(info.name).parts:  # `.`, where a whole folder was packed
                continue
            entry = Entry(info.name, info.size if info.isreg() else 0, is_folder=info.isdir())
            yield entry, _blocks(self._content, info.offset_data, entry.size)
        self._check_end(end, count)

    def _check_end(self, end: int, count: int) -> None:
        """See that zeros follow the last member: a tar that was cut between two of them looks whole otherwise.

        What follows is read, too, since the checksum of a gzip stands at its end.
        """
        with zip_damage():
            self._content.seek(end)
            if not count or self._content.read(BLOCK) != bytes(BLOCK):
                raise zipfile.BadZipFile("the end of the tar is missing")
        for _ in _blocks(self._content):
            pass


@contextlib.contextmanager
def open_tar(path: Path) -> Iterator[Tar]:
    """Open a product of which `is_packed` is true.

    Raises:
        OSError: The disk failed.
    """
    is_plain = path.name.lower().endswith(".tar")
    with path.open("rb") as packed:
        length = packed.seek(0, 2)
        packed.seek(0)
        most = LARGEST_UNPACKED if is_plain else min(LARGEST_UNPACKED, length * LARGEST_RATIO + ALWAYS_ALLOWED)
        with contextlib.nullcontext(packed) if is_plain else gzip.GzipFile(fileobj=packed, mode="rb") as content:
            single = None if _TAR.search(path.name) else path.name[: -len(".gz")]
            yield Tar(_Bounded(content, length, most), single)


def _blocks(content: _Bounded, start: int | None = None, length: int | None = None) -> Generator[bytes, None, None]:
    """Read a stretch in blocks; without a length to the end."""
    with zip_damage():
        if start is not None:
            content.seek(start)
    while length is None or length > 0:
        check_cancelled()
        with zip_damage():
            block = content.read(READ_AT_ONCE if length is None else min(READ_AT_ONCE, length))
        if not block and length is None:
            return
        if not block:
            raise zipfile.BadZipFile("it ends within a member")
        length = None if length is None else length - len(block)
        yield block


class _Bounded:
    """Unpacked bytes of which there may be so many, and so many at once: headers tell how long they are themselves."""

    def __init__(self, content: Any, packed: int, most: int) -> None:
        self._content, self._packed, self._most = content, packed, most

    def read(self, size: int = READ_AT_ONCE) -> bytes:
        if size > LARGEST_DIRECTORY:
            raise UnsafeZipError(f"unsafe tar: a header of {size:,} bytes")
        self._check(self._content.tell())
        block: bytes = self._content.read(size)
        self._check(self._content.tell())
        return block

    def seek(self, position: int) -> int:
        self._check(position)
        at = self.tell()
        if not isinstance(self._content, gzip.GzipFile) or position <= at:
            self._content.seek(position)
            return position
        while at < position and (skipped := len(self._content.read(min(READ_AT_ONCE, position - at)))):
            check_cancelled()  # unpacking takes its time
            at += skipped
        return at

    def tell(self) -> int:
        return int(self._content.tell())

    def _check(self, position: int) -> None:
        if position > self._most:
            raise UnsafeZipError(f"unsafe: {self._packed:,} bytes that unpack to {position:,} and more")
