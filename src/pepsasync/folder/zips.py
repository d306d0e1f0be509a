"""Zips that may be damaged anywhere: what reading them raises is about the zip, unless it is about the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pepsasync.text import reason
from pepsasync.threads import check_cancelled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

READ_AT_ONCE = 1 << 20
"""Bytes of a member."""

ZIP_START = b"PK\x03\x04"
"""First bytes of a zip with something in it."""
_ENTRY = b"PK\x01\x02"
"""What the entry of each member begins with, in the directory at the end of a zip (APPNOTE.TXT, 4.3.12)."""

_END, _END_LENGTH = b"PK\x05\x06", 22
"""What the end record begins with, and its bytes; a comment of any length may follow (APPNOTE.TXT, 4.3.16)."""

_LONGEST_COMMENT = 65_535

LONGEST_END = _END_LENGTH + _LONGEST_COMMENT
"""Bytes at the end of a zip among which its end record begins."""

_END_64, _END_64_LENGTH = b"PK\x06\x06", 56
_LOCATOR_64, _LOCATOR_64_LENGTH = b"PK\x06\x07", 20
"""Of zips of 64 bits: another end record and its locator, before the end record (APPNOTE.TXT, 4.3.14 and 4.3.15)."""

_HEADER_LENGTH = 30
"""Bytes of the header before each member's name (APPNOTE.TXT, 4.3.7)."""

LARGEST_RATIO = 200
"""Unpacked bytes for one packed byte; Sentinel products stay under 10, zip bombs above 1,000."""

LARGEST_UNPACKED = 1 << 40
"""Bytes of one unpacked product: far above any, far below a disk filled by mistake."""

MOST_MEMBERS = 200_000

LARGEST_DIRECTORY = 32 << 20
"""Bytes of the directory, which is in memory, with much more for each member, before these can be counted."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of products are packed; of other methods `zipfile` unpacks all that it has read, however much that is."""


_NOT_THE_DISK = (None, errno.EINVAL)
"""Numbers of an `OSError` that is about the zip: of data that are not bzip2's, and of places before the first byte."""


@contextlib.contextmanager
def zip_damage() -> Iterator[None]:
    """Turn what a damaged zip makes its reader raise into one error; to be put around reading alone.

    Raises:
        zipfile.BadZipFile: The zip is damaged.
        OSError: The disk failed.
    """
    # With one byte or several changed, `zipfile` raised: BadZipFile, EOFError, ValueError, RuntimeError (a password),
    # NotImplementedError, OverflowError, zlib.error, LZMAError, MemoryError (lzma wanted 4 GB) and OSError. Each Python
    # may add to them: only the disk is told from the rest.
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _NOT_THE_DISK:
            raise
        raise zipfile.BadZipFile(reason(error)) from error


class UnsafeZipError(zipfile.BadZipFile):
    """A zip that was made to do harm, or might as well have been."""


def open_zip(zipped: Path | Any) -> zipfile.ZipFile:
    """Open a zip to be read.

    Args:
        zipped: A path, or a binary file that can be searched.

    Raises:
        UnsafeZipError: It has too many members, two of one name, or unpacks to too much.
        zipfile.BadZipFile: Its directory is damaged.
        OSError: The disk failed.
    """
    with zipped.open("rb") if isinstance(zipped, Path) else contextlib.nullcontext(zipped) as file:
        packed = file.seek(0, os.SEEK_END)
        if (length := _directory_length(file, packed)) > LARGEST_DIRECTORY:
            raise UnsafeZipError(f"unsafe zip: a directory of {length:,} bytes")
    with zip_damage():
        archive = zipfile.ZipFile(zipped)
    try:
        _check_entries(archive.infolist(), packed)
    except BaseException:
        archive.close()
        raise
    return archive


def _directory_length(file: IO[bytes], packed: int) -> int:
    """How long a zip says that its directory is; whoever opens it will believe the longest."""
    before_end = _LOCATOR_64_LENGTH + _END_64_LENGTH
    file.seek(max(0, packed - _END_LENGTH - _LONGEST_COMMENT - before_end))
    tail = file.read()
    at = tail.rfind(_END, 0, len(tail) - _END_LENGTH + len(_END))
    if at < 0:
        return 0
    lengths = [int.from_bytes(tail[at + 12 : at + 16], "little")]
    locator = tail[max(0, at - _LOCATOR_64_LENGTH) : at]
    if locator.startswith(_LOCATOR_64):  # some readers go where it says, others look right before it
        file.seek(min(int.from_bytes(locator[8:16], "little"), packed))
        records = (tail[max(0, at - before_end) : at], file.read(_END_64_LENGTH))
        lengths = [int.from_bytes(record[40:48], "little") for record in records if record.startswith(_END_64)]
    return max(lengths, default=0)


def _check_entries(members: Sequence[zipfile.ZipInfo], packed: int) -> None:
    # Lengths of the directory that are wrong hide members, which nobody would miss: behind an entry, or all of them.
    if not members or any(_ENTRY in info.extra + info.comment for info in members):
        raise zipfile.BadZipFile("not all members are in its directory")
    total = sum(info.file_size for info in members)
    if len({info.filename.rstrip("/") for info in members}) < len(members):
        raise UnsafeZipError("unsafe zip: two members of one name")
    if len(members) > MOST_MEMBERS:
        raise UnsafeZipError(f"unsafe zip: {len(members):,} members")
    if total > min(LARGEST_UNPACKED, max(packed, 1) * LARGEST_RATIO):
        raise UnsafeZipError(f"unsafe zip: {packed:,} bytes that unpack to {total:,}")


def refuse_overlap(archive: zipfile.ZipFile) -> None:
    """See that no two members are made of the same bytes; to be called before they are read.

    Raises:
        UnsafeZipError: They are.
    """
    members = sorted(archive.infolist(), key=lambda info: info.header_offset)
    ends = [info.header_offset for info in members[1:]] + [archive.start_dir]
    for info, end in zip(members, ends, strict=True):
        if info.header_offset + _HEADER_LENGTH + info.compress_size > end:
            raise UnsafeZipError(f"unsafe zip: {info.filename!r} overlaps the next member")


def blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Generator[bytes, None, None]:
    """Read a member, which compares its bytes with its CRC.

    Raises:
        zipfile.BadZipFile: It is damaged.
        OSError: The disk failed.
    """
    if info.compress_type not in METHODS:
        raise zipfile.BadZipFile(f"unsupported compression method {info.compress_type} in {info.filename!r}")
    with zip_damage():
        member = archive.open(info)
    with member:
        while block := _read_block(member):
            check_cancelled()
            yield block


def _read_block(member: IO[bytes]) -> bytes:
    with zip_damage():
        return member.read(READ_AT_ONCE)


def read_members(archive: zipfile.ZipFile) -> None:
    """Read every member, which compares its bytes with its CRC.

    Raises:
        UnsafeZipError: Some are made of the same bytes.
        zipfile.BadZipFile: One is damaged.
        OSError: The disk failed.
    """
    refuse_overlap(archive)
    for info in archive.infolist():  # `testzip` goes by names, and damage may give one to two members
        for _ in blocks(archive, info):
            pass


def crc_of(path: Path) -> int:
    """The CRC of a file as a zip would have it.

    Raises:
        OSError: It cannot be read.
    """
    crc = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(READ_AT_ONCE):
            crc = zlib.crc32(block, crc)
    return crc


def has_end_record(zipped: Path) -> bool:
    """Whether what an end record begins with stands where one can stand: a zip without it is not complete.

    Raises:
        OSError: The disk failed.
    """
    with zipped.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_END))
        return is_end(file.read())


def is_end(tail: bytes | bytearray) -> bool:
    """Whether what an end record begins with stands in the last `LONGEST_END` bytes of a zip."""
    return _END in tail


def check_end(archive: zipfile.ZipFile) -> None:
    """Look whether a zip ends with its end record, as `zipfile` does not insist on.

    Args:
        archive: Open.

    Raises:
        zipfile.BadZipFile: Something is behind it, or its comment is cut.
        OSError: The disk failed.
    """
    assert archive.fp is not None  # noqa: S101 - it is open
    with zip_damage():
        archive.fp.seek(-_END_LENGTH - len(archive.comment), os.SEEK_END)
        record = archive.fp.read(_END_LENGTH)
    if not record.startswith(_END) or int.from_bytes(record[-2:], "little") != len(archive.comment):
        raise zipfile.BadZipFile("the zip's end record is missing")
