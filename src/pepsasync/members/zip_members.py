"""Members of a zip as its directory lists them, and unpacked from bytes that come in order.

Members that are near each other come with one request.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from pepsasync.folder.zips import METHODS, UnsafeZipError
from pepsasync.transfer.extract import safe_members
from pepsasync.transfer.receive import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GAP = 1 << 20
"""Bytes between two members that are fetched and thrown away rather than asking once more."""

LONGEST = 1 << 27
"""Bytes of members from which on one request for all of them is divided, so that idle slots help."""


_LOCAL = struct.Struct("<4s5H3L2H")
HEADER = _LOCAL.size
_LOCAL_SIGN = b"PK\3\4"
"""The header before each member's name, and what it begins with (APPNOTE.TXT, 4.3.7)."""

_ENCRYPTED = 1
"""Flag of members that need a password."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A member of a zip, as its directory says."""

    path: str
    """In the product's folder."""
    info: zipfile.ZipInfo
    end: int
    """First byte behind it: where the next member or the directory begins."""

    @property
    def first(self) -> int:
        """First byte of its header."""
        return self.info.header_offset


@dataclass(frozen=True, slots=True)
class Run:
    """Members that come with one request, in the order in which they stand in the zip."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> int:
        """First byte."""
        return self.entries[0].first

    @property
    def end(self) -> int:
        """First byte behind the last one."""
        return self.entries[-1].end


def join(entries: Iterable[Entry], gap: float = GAP, longest: float = LONGEST) -> list[Run]:
    """Put members together that are near each other.

    Args:
        entries: Wanted members.
        gap: Most bytes between two of them that are fetched in vain.
        longest: Bytes from which on no further member is added.
    """
    runs: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: entry.first):
        if runs and entry.first - runs[-1][-1].end <= gap and entry.end - runs[-1][0].first <= longest:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    return [Run(tuple(run)) for run in runs]


def entries_of(archive: zipfile.ZipFile) -> dict[str, Entry]:
    """Files of a zip by their path in the product's folder, which is the only one at its top.

    Raises:
        UnsafeZipError: Names that must not be written, or members that overlap.
        zipfile.BadZipFile: It is damaged.
    """
    members = sorted(safe_members(archive), key=lambda info: info.header_offset)
    ends = [info.header_offset for info in members[1:]] + [archive.start_dir]
    tops = {PurePosixPath(info.filename).parts[0] for info in members}
    has_folder = len(tops) == 1 and all(info.is_dir() or "/" in info.filename for info in members)
    found = dict[str, Entry]()
    for info, end in zip(members, ends, strict=True):
        if not info.is_dir():
            path = PurePosixPath(*PurePosixPath(info.filename).parts[int(has_folder) :]).as_posix()
            found[path] = Entry(path, info, end)
    for path in found:
        if folder := next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in found), None):
            raise UnsafeZipError(f"unsafe zip: {folder!r} is a file and a folder")
    return found


def content_begins(entry: Entry, header: bytes | bytearray) -> int:
    """First byte of the content of a member in the zip.

    Args:
        entry: Of the directory.
        header: At least the first `HEADER` bytes of the member.

    Raises:
        zipfile.BadZipFile: No member begins there.
    """
    sign, *_, name_length, extra_length = _LOCAL.unpack_from(header)
    first = entry.first + HEADER + int(name_length) + int(extra_length)
    if sign != _LOCAL_SIGN or first + entry.info.compress_size > entry.end:
        raise zipfile.BadZipFile(f"there is no member where {entry.info.filename!r} should begin")
    return first


class Unpacker:
    """Takes the bytes of a run in order and unpacks its members; blocks.

    Each member is compared with its header, its size and its CRC.

    Args:
        run: Whose bytes.
        begin: Called with each entry as it begins; returns what its content is written to.
        done: Called with each entry that is complete and right.
    """

    def __init__(self, run: Run, begin: Callable[[Entry], IO[bytes]], done: Callable[[Entry], None]) -> None:
        self._begin, self._done = begin, done
        self._waiting = [*run.entries]
        self._at = run.first
        self._header = bytearray()
        self._member: _Unpacked | None = None

    def feed(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            zipfile.BadZipFile: A member is not what the directory says.
            OSError: It cannot be written.
        """
        rest = memoryview(block)
        while rest and self._waiting:
            entry = self._waiting[0]
            if self._at < entry.first:
                used = min(len(rest), entry.first - self._at)
            elif self._member is None:
                used = self._take_header(entry, rest)
            else:
                used = self._member.take(rest)
            self._at += used
            rest = rest[used:]
            if self._member is not None and not self._member.left:
                self._member.end()
                self._member, self._header = None, bytearray()
                self._waiting.pop(0)
                self._done(entry)
        self._at += len(rest)

    def _take_header(self, entry: Entry, rest: memoryview) -> int:
        """Take bytes of the header of a member; the content begins when it is complete."""
        length, header = HEADER, self._header
        if len(header) >= HEADER:
            length = content_begins(entry, header) - entry.first
        used = min(len(rest), length - len(header))
        header += rest[:used]
        if len(header) >= HEADER and len(header) == content_begins(entry, header) - entry.first:
            name_length, _ = _LOCAL.unpack_from(header)[-2:]
            if bytes(header[HEADER : HEADER + name_length]) not in _names_of(entry.info):
                raise zipfile.BadZipFile(f"another member stands where {entry.info.filename!r} should begin")
            self._member = _Unpacked(entry.info, self._begin(entry))
        return used


class _Unpacked:
    """The content of one member on its way to a file."""

    def __init__(self, info: zipfile.ZipInfo, file: IO[bytes]) -> None:
        if info.compress_type not in METHODS or info.flag_bits & _ENCRYPTED:
            raise zipfile.BadZipFile(f"{info.filename!r} is packed in a way that is not read")
        self.left = info.compress_size
        self._info = info
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type else None
        self._size = self._crc = 0

    def take(self, packed: memoryview) -> int:
        packed = packed[: self.left]
        self.left -= len(packed)
        if self._inflate is None:
            self._write(packed)
            return len(packed)
        rest: bytes | memoryview = packed
        try:
            while rest and not self._inflate.eof:
                self._write(self._inflate.decompress(rest, BLOCK))
                rest = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise zipfile.BadZipFile(f"{self._info.filename!r} is damaged: {error}") from error
        return len(packed)

    def end(self) -> None:
        if self._inflate is not None:
            self._write(self._inflate.flush())
        if (self._size, self._crc) != (self._info.file_size, self._info.CRC):
            raise zipfile.BadZipFile(f"{self._info.filename!r} has other bytes than the directory of the zip says")

    def _write(self, content: bytes | memoryview) -> None:
        self._size += len(content)
        if self._size > self._info.file_size:
            raise zipfile.BadZipFile(f"{self._info.filename!r} has more bytes than the directory of the zip says")
        self._crc = zlib.crc32(content, self._crc)
        self._file.write(content)


def _names_of(info: zipfile.ZipInfo) -> tuple[bytes, bytes]:
    """The name of a member as its header may write it."""
    name = info.orig_filename
    return name.encode("utf-8", "surrogateescape"), name.encode("cp437", "replace")
