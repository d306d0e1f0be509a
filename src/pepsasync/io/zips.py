"""Zips that may be damaged anywhere: what reading them raises is about the zip, unless it is about the disk."""

from __future__ import annotations

import contextlib
import errno
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
