"""Seeded pseudo-random bytes of any length, readable from any offset at memory speed.

A filler is a sequence of 1 MiB blocks. All blocks of a product are the same random bytes but for the first 16,
which hold the member and the block number: cheap to make, and no two blocks are alike, so that bytes written to
the wrong place of a file change its checksum.
"""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

from pepsasync.sandbox import checksum

BLOCK = 1 << 20
"""Length of a block in bytes."""
STAMP = struct.Struct(">8sII")
"""First bytes of a block: a mark, the member number, the block number."""


@lru_cache(maxsize=64)
def pattern(key: str, length: int) -> bytes:
    """Return `length` random bytes that depend on `key` only."""
    return random.Random(key).randbytes(length)


@dataclass(frozen=True, slots=True)
class Filler:
    """The bytes of one member of a product's zip file."""

    key: str
    """Seed of the random bytes, shared by the members of one product."""
    member: int
    """Number of the member in its zip file."""
    length: int
    """Length in bytes."""

    def read(self, start: int, stop: int) -> list[memoryview]:
        """Return bytes `start` to `stop` (not included) in pieces that share memory where they can."""
        base = memoryview(self._pattern())
        pieces = []
        while start < stop:
            number, inner = divmod(start, BLOCK)
            end = min(BLOCK, inner + stop - start)
            stamp = memoryview(self._stamp(number))
            pieces += [stamp[inner:end], base[max(inner, STAMP.size) : end]]
            start += end - inner
        return pieces

    def crc(self) -> int:
        """Return the CRC-32 of the whole member without making it."""
        blocks, rest = divmod(self.length, BLOCK)
        total = 0
        if blocks:
            tail = zlib.crc32(memoryview(self._pattern())[STAMP.size : BLOCK])
            for number in range(blocks):
                block = checksum.join(zlib.crc32(self._stamp(number)), tail, BLOCK - STAMP.size)
                total = checksum.join(total, block, BLOCK)
        for piece in self.read(self.length - rest, self.length):
            total = zlib.crc32(piece, total)
        return total

    def _pattern(self) -> bytes:
        return pattern(self.key, min(self.length, BLOCK))

    def _stamp(self, number: int) -> bytes:
        return STAMP.pack(b"pepsasyn", self.member, number)
