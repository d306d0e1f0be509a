"""Checksums of bytes as they come, and of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import TransferError
from pepsasync.folder.files import disk_errors
from pepsasync.hashes import new_hash
from pepsasync.threads import check_cancelled

if TYPE_CHECKING:
    from pathlib import Path

READ_AT_ONCE = 4 << 20
"""Bytes of a file that are read at once."""


class Digest:
    """A hash that knows how many bytes it has seen.

    Args:
        algorithm: As `hashes` names it; None only counts.
    """

    def __init__(self, algorithm: str | None) -> None:
        self._hash = new_hash(algorithm) if algorithm else None
        self.length = 0
        """Bytes seen."""

    def update(self, block: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        if self._hash is not None:
            self._hash.update(block)
        self.length += len(block)

    def hexdigest(self) -> str | None:
        """Hexadecimal digits, lower case; None without an algorithm."""
        return None if self._hash is None else self._hash.hexdigest()


def hash_file(path: Path, digest: Digest, until: int) -> None:
    """Add bytes of a file to a digest, from where it ends; blocks. Cancelled, it ends at the next block.

    Args:
        path: The file.
        digest: Has seen its first bytes.
        until: Bytes that it has seen afterwards.

    Raises:
        TransferError: The file is shorter.
        PepsasyncError: It cannot be read.
    """
    block = memoryview(bytearray(min(READ_AT_ONCE, max(1, until - digest.length))))
    with disk_errors(path), path.open("rb", buffering=0) as file:
        file.seek(digest.length)
        while digest.length < until:
            check_cancelled()
            count = file.readinto(block[: min(len(block), until - digest.length)])
            if not count:
                raise TransferError(f"{path} ends after {digest.length:,} bytes, where {until:,} were written")
            digest.update(block[:count])


def digest_file(path: Path, algorithm: str | None, length: int) -> Digest:
    """Hash the first bytes of a file, as far as there are so many; blocks. Cancelled, it ends at the next block.

    Raises:
        PepsasyncError: It cannot be read.
    """
    digest = Digest(algorithm)
    with disk_errors(path):
        there = path.stat().st_size
    hash_file(path, digest, min(length, there))
    return digest
