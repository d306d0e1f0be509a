"""Zips that may be damaged anywhere: what reading them raises is about the zip, unless it is about the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import zipfile
from typing import TYPE_CHECKING

from pepsasync.io.blocks import BLOCK
from pepsasync.io.failures import reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BytesIO
    from pathlib import Path

_ENTRY = b"PK\x01\x02"
"""What the entry of each member begins with, in the directory at the end of a zip (APPNOTE.TXT, 4.3.12)."""

_END, _END_LENGTH = b"PK\x05\x06", 22
"""What the end record begins with, and its bytes; a comment of any length may follow (APPNOTE.TXT, 4.3.16)."""

_LONGEST_COMMENT = 65_535

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


def open_zip(zipped: Path | BytesIO) -> zipfile.ZipFile:
    """Open a zip to be read.

    Raises:
        zipfile.BadZipFile: Its directory is damaged.
        OSError: The disk failed.
    """
    with zip_damage():
        archive = zipfile.ZipFile(zipped)
    entries = archive.infolist()
    # Lengths of the directory that are wrong hide members, which nobody would miss: behind an entry, or all of them.
    if not entries or any(_ENTRY in info.extra + info.comment for info in entries):
        archive.close()
        raise zipfile.BadZipFile("not all members are in its directory")
    return archive


def read_members(archive: zipfile.ZipFile) -> None:
    """Read every member, which compares its bytes with its CRC.

    Raises:
        zipfile.BadZipFile: One is damaged.
        OSError: The disk failed.
    """
    with zip_damage():
        for info in archive.infolist():  # `testzip` goes by names, and damage may give one to two members
            with archive.open(info) as member:
                while member.read(BLOCK):
                    pass


def has_end_record(zipped: Path) -> bool:
    """Whether what an end record begins with stands where one can stand: a zip without it is not complete.

    Raises:
        OSError: The disk failed.
    """
    with zipped.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END_LENGTH - _LONGEST_COMMENT))
        return _END in file.read()


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
        raise zipfile.BadZipFile("it does not end with its end record")
