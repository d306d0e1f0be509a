"""The bytes of a product: a real zip file that is made on the fly and can be read from any offset.

Nothing is stored: the place of every member follows from the product's size, headers are a few hundred bytes
each, and the rest is `Filler`. CRCs come from the parts, so the first byte of a product is as quick as the last.
The MD5 of the whole file needs one pass (about 1.6 s per GiB), made once, when first asked.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zlib import crc32

from pepsasync.sandbox import safe
from pepsasync.sandbox.filler import Filler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.sandbox.catalogue import CatalogueProduct

MIN_SIZE = 8192
"""Smallest product in bytes: names, headers and manifest need that much."""
CHUNK = 256 * 1024
"""Bytes per block of `ProductContent.blocks`."""
DIGEST_LIMIT = 1 << 20
"""Files above this many bytes have no MD5 in the manifest, so that a huge product costs one digest, not two."""
ZIP64_LIMIT = 0xFFFF0000
"""From this many bytes on the whole file is written in the ZIP64 manner."""

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_EXTRA_LOCAL = struct.Struct("<2H2Q")
_EXTRA_CENTRAL = struct.Struct("<2H3Q")
_MADE_BY_UNIX = 3 << 8
_REGULAR_FILE = 0o100644 << 16
_UNSET = 0xFFFFFFFF
_WIDEST = 10**15
"""A size with more digits than any real one, to reserve room in the manifest."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside the zip."""

    path: str
    """Path with the `NAME.SAFE/` prefix."""
    size: int
    """Bytes."""
    data: bytes | Filler
    """Content."""

    def read(self, start: int, stop: int) -> list[memoryview]:
        """Return bytes `start` to `stop` (not included)."""
        if isinstance(self.data, Filler):
            return self.data.read(start, stop)
        return [memoryview(self.data)[start:stop]]

    def crc(self) -> int:
        """Return the CRC-32."""
        return self.data.crc() if isinstance(self.data, Filler) else crc32(self.data)


class ProductContent:
    """The zip file of one product.

    Args:
        product: What the zip is made for; its `size` is the exact length in bytes.
        seed: Other seeds give other bytes.

    Raises:
        ValueError: `product.size` is below `MIN_SIZE`.
    """

    def __init__(self, product: CatalogueProduct, seed: int = 1) -> None:
        if product.size < MIN_SIZE:
            raise ValueError(f"{product.name}: size is {product.size} bytes, at least {MIN_SIZE} are needed")
        self.product = product
        self.size = product.size
        self._key = f"{seed}:{product.name}"
        self._zip64 = product.size >= ZIP64_LIMIT
        self._lock = threading.RLock()

    @property
    def md5(self) -> str:
        """MD5 of the whole file, lower-case hexadecimal; computed once."""
        with self._lock:
            return self._digest

    @property
    def digested(self) -> bool:
        """Whether the MD5 is already known."""
        return "_digest" in self.__dict__

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end of the file, all by default."""
        stop = self.size if length is None else min(self.size, offset + length)
        starts, segments = self._segments
        pieces: list[memoryview] = []
        at = bisect_right(starts, offset) - 1
        while offset < stop:
            segment, base = segments[at], starts[at]
            end = min(stop, base + segment.size)
            pieces += segment.read(offset - base, end - base)
            offset, at = end, at + 1
        return b"".join(pieces)

    def blocks(self, offset: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `offset` to `stop` (not included, end of file by default) in large blocks."""
        stop = self.size if stop is None else min(stop, self.size)
        while offset < stop:
            block = self.read(offset, min(CHUNK, stop - offset))
            offset += len(block)
            yield block

    def files(self) -> dict[str, tuple[int, int]]:
        """Return where the bytes of each file are: the first one and their number, by path."""
        with self._lock:
            starts, segments = self._segments
        return {part.path: (start, part.size) for start, part in zip(starts, segments, strict=True) if part.path}

    def prepare(self) -> None:
        """Compute headers and manifest now; after it `read` only copies memory."""
        with self._lock:
            _ = self._segments

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    @cached_property
    def _members(self) -> list[Member]:
        listed = safe.files(self.product)
        prefix = f"{self.product.name}.SAFE/"
        reserved = len(safe.manifest(self.product, [safe.ManifestEntry(f.path, _WIDEST, "0" * 32) for f in listed]))
        sizes = self._share_out(listed, reserved)
        members = [
            Member(prefix + file.path, size, file.text if file.text is not None else Filler(self._key, number, size))
            for number, (file, size) in enumerate(zip(listed, sizes, strict=True))
        ]
        entries = [_manifest_entry(member, prefix) for member in members]
        manifest = safe.manifest(self.product, entries).ljust(reserved, b"\n")
        return [Member(prefix + "manifest.safe", reserved, manifest), *members]

    def _share_out(self, listed: list[safe.SafeFile], reserved: int) -> list[int]:
        """Give each file its size, so that the zip has exactly the size asked for."""
        prefix = len(f"{self.product.name}.SAFE/")
        paths = [prefix + len(path) for path in ("manifest.safe", *(file.path for file in listed))]
        local = _LOCAL.size + (_EXTRA_LOCAL.size if self._zip64 else 0)
        central = _CENTRAL.size + (_EXTRA_CENTRAL.size if self._zip64 else 0)
        end = _END.size + (_END64.size + _LOCATOR.size if self._zip64 else 0)
        texts = sum(len(file.text or b"") for file in listed)
        left = self.size - end - reserved - texts - sum(local + central + 2 * path for path in paths)
        weights = sum(file.weight for file in listed)
        sizes = [len(f.text) if f.text is not None else left * f.weight // weights for f in listed]
        largest = max(range(len(listed)), key=lambda at: listed[at].weight)
        sizes[largest] += left + texts - sum(sizes)
        return sizes

    @cached_property
    def _segments(self) -> tuple[list[int], list[Member]]:
        """Where each run of bytes starts, and the runs: local header, data, ..., central directory."""
        starts: list[int] = []
        segments: list[Member] = []
        directory: list[bytes] = []
        offset = 0
        for member in self._members:
            crc = member.crc()
            header = self._local_header(member, crc)
            directory.append(self._central_header(member, crc, offset))
            starts += [offset, offset + len(header)]
            segments += [Member("", len(header), header), member]
            offset += len(header) + member.size
        tail = b"".join(directory)
        tail += self._end(len(directory), len(tail), offset)
        return [*starts, offset], [*segments, Member("", len(tail), tail)]

    def _local_header(self, member: Member, crc: int) -> bytes:
        name = member.path.encode()
        extra, size = b"", member.size
        if self._zip64:
            extra, size = _EXTRA_LOCAL.pack(1, 16, member.size, member.size), _UNSET
        day, time = _dos_time(self.product)
        version = 45 if self._zip64 else 20
        fields = (b"PK\x03\x04", version, 0x800, 0, time, day, crc, size, size, len(name), len(extra))
        return _LOCAL.pack(*fields) + name + extra

    def _central_header(self, member: Member, crc: int, offset: int) -> bytes:
        name = member.path.encode()
        extra, size = b"", member.size
        if self._zip64:
            extra = _EXTRA_CENTRAL.pack(1, 24, member.size, member.size, offset)
            size = offset = _UNSET
        day, time = _dos_time(self.product)
        version = 45 if self._zip64 else 20
        made = (b"PK\x01\x02", _MADE_BY_UNIX | version, version, 0x800, 0, time, day, crc, size, size)
        return _CENTRAL.pack(*made, len(name), len(extra), 0, 0, 0, _REGULAR_FILE, offset) + name + extra

    def _end(self, count: int, length: int, offset: int) -> bytes:
        if not self._zip64:
            return _END.pack(b"PK\x05\x06", 0, 0, count, count, length, offset, 0)
        record = _END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, count, count, length, offset)
        locator = _LOCATOR.pack(b"PK\x06\x07", 0, offset + length, 1)
        return record + locator + _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _UNSET, _UNSET, 0)


def _manifest_entry(member: Member, prefix: str) -> safe.ManifestEntry:
    digest = None
    if member.size <= DIGEST_LIMIT:
        digest = hashlib.md5(b"".join(member.read(0, member.size)), usedforsecurity=False).hexdigest()
    return safe.ManifestEntry(member.path.removeprefix(prefix), member.size, digest)


def _dos_time(product: CatalogueProduct) -> tuple[int, int]:
    moment = product.start
    day = (moment.year - 1980) << 9 | moment.month << 5 | moment.day
    return day, moment.hour << 11 | moment.minute << 5 | moment.second // 2
