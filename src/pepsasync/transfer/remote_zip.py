"""A zip that stays in its archive: its directory, and the bytes of some of its members, by requests for ranges.

The directory stands at the end of a zip; `zipfile` reads it from the bytes that were fetched. Members that are near
each other come with one request. Every request passes the gate of the archive, as downloads do.
"""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import httpx
from anyio import to_thread

from pepsasync.errors import IntegrityError, OfflineError, PepsasyncError, ProviderError, ServerError
from pepsasync.folder.zips import METHODS, UnsafeZipError, open_zip
from pepsasync.http.client import origin_of
from pepsasync.transfer.download import ask_whether_on_tape, last_error
from pepsasync.transfer.extract import safe_members
from pepsasync.transfer.ranges import FAILED_RANGES, parse_content_range, refuse_errors, validator_of
from pepsasync.transfer.receive import BLOCK, body_of, plain_length

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from pepsasync.limits.quota import Permit
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.progress import Progress

TAIL = 1 << 17
"""Bytes at the end of a zip that are fetched at first: the directory of most products is in them."""

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


class NoRangesError(ProviderError):
    """The archive does not serve parts of this product."""


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


@dataclass(slots=True)
class _Place:
    """How far a range has come."""

    at: int
    """First byte that was not handed over."""


class RemoteZip:
    """The zip of one product in its archive. Made for one event loop; several ranges of it may be fetched at once.

    Args:
        product: Believed to be online.
        archive: Its connection and limits.
        request: Makes the request for another file than the zip.
        size: Bytes of that file.
    """

    def __init__(
        self,
        product: Product,
        archive: ArchiveContext,
        request: Callable[[], Awaitable[httpx.Request]] | None = None,
        size: int | None = None,
    ) -> None:
        self.product = product
        self.archive = archive
        self._request = request or functools.partial(archive.provider.download_request, product)
        self.size = product.exact_size if request is None else size
        """Bytes of the zip; learned from the first answer where the catalogue does not say."""
        self.received = 0
        """Bytes that came."""
        self.requests = 0
        self.counts_for = self
        """Gets the counts of bytes and requests."""
        self.progress: Progress | None = None
        """Told of every byte, while members are fetched."""
        self._validator: str | None = None
        self._failed = 0

    async def read_directory(self) -> dict[str, Entry]:
        """Fetch and read the directory: members by path.

        Raises:
            NoRangesError: The archive serves no parts of this product.
            IntegrityError: It is no zip, or one that must not be unpacked.
            PepsasyncError: As `download`.
        """
        self._refuse_known()
        if self.size is None:
            await self.fetch(1, 2, _ignore)
        size, tail, wanted = self.size or 0, b"", TAIL
        while True:
            first = max(0, size - wanted)
            piece = bytearray()

            async def take(block: bytes, piece: bytearray = piece) -> None:
                piece += block

            await self.fetch(first, size - len(tail), take)
            tail = bytes(piece) + tail
            view = _Tail(tail, size)
            try:
                return await to_thread.run_sync(_read, view)
            except (zipfile.BadZipFile, OSError) as error:
                if view.missing is None or len(tail) >= size:
                    raise self._damaged(f"its directory cannot be read: {error}") from error
                wanted = size - view.missing

    async def fetch(self, first: int, end: int, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand over a range of the zip, in blocks and in order, in as many attempts as it takes.

        Args:
            first: First byte.
            end: First byte behind it.
            take: Gets each block; what it raises ends the range.

        Raises:
            NoRangesError: The archive serves no parts of this product.
            IntegrityError: The file was changed in the archive.
            PepsasyncError: As `download`.

        Cancellation: nothing is held.
        """
        place = _Place(first)
        attempts = self.archive.attempts(self.product, lambda: place.at)
        try:
            async for attempt in attempts:
                with attempt:  # which swallows errors until the next step of the loop: nothing may follow it there
                    await self._go_on(place, end, take)
        except PepsasyncError as error:
            if given_up := await last_error(error, attempts, self.product, self.archive):
                raise given_up from error
            raise

    async def _go_on(self, place: _Place, end: int, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Make one attempt: enter the gate and hand over what comes."""
        product, archive = self.product, self.archive
        try:
            async with archive.gate.download(
                end - place.at, product.id, wait=archive.waits_for_quota, counted=archive.counted
            ) as permit:
                with archive.foreign_hosts_fail_alone(product):
                    await self._hand_over(place, end, take, permit)
        except OfflineError as refusal:  # the slot is free again
            raise await ask_whether_on_tape(refusal, product, archive) from refusal.__cause__
        if place.at < end:
            raise ServerError(f"the transfer ended {end - place.at:,} bytes early", product=product.name)

    async def _hand_over(
        self, place: _Place, end: int, take: Callable[[bytes], Awaitable[None]], permit: Permit
    ) -> None:
        """Send one request; what came before an error of the connection is right as far as it goes."""
        block = bytearray()
        look = self.progress.watch() if self.progress else lambda: None

        async def hand_over() -> None:
            nonlocal block
            whole, block = bytes(block), bytearray()
            place.at += len(whole)
            await take(whole)

        try:
            async with contextlib.aclosing(self._body(place.at, end, permit)) as chunks:
                async for chunk in chunks:
                    block += chunk
                    self.counts_for.received += len(chunk)
                    await self.archive.throttle.take(len(chunk))
                    look()
                    if len(block) >= BLOCK:
                        await hand_over()
        except ServerError:
            await hand_over()
            raise
        await hand_over()

    async def _body(self, first: int, end: int, permit: Permit) -> AsyncGenerator[bytes, None]:
        """One request: the bytes from `first` on, as many as come before `end`."""
        request = await self._request()
        request.headers["Accept-Encoding"] = "identity"
        request.headers["Range"] = f"bytes={first}-{end - 1}"
        if self._validator:
            request.headers["If-Range"] = self._validator
        if not self.archive.provider.limits.bounded_ranges:
            # What such an archive may send behind the range must not meet the next answer (PEPS notes, section 5.4).
            request.headers["Connection"] = "close"
        self.counts_for.requests += 1
        async with self.archive.http.stream(request) as response, body_of(response) as chunks:
            permit.begin()
            self._refuse_failing(response)
            await refuse_errors(self.product, response, self.archive)
            permit.accept()
            self._judge(response, first, end)
            self.archive.has_sent.add(origin_of(request.url))
            left = end - first
            ends_there = plain_length(response) == left and self.archive.provider.limits.bounded_ranges
            async for chunk in chunks:
                if left:
                    yield chunk[:left]
                    left -= len(chunk[:left])
                if not (left or ends_there):  # else it is read to its end, so that its connection is used again
                    return

    def _judge(self, response: httpx.Response, first: int, end: int) -> None:
        """Take the answer for the range that was asked for, or raise."""
        begin, _, total = parse_content_range(response.headers.get("Content-Range"))
        validator = validator_of(response)
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            if not (first == 0 and length == str(end) and end == self.size):
                is_other = self._validator is not None and self._works
                raise self._changed() if is_other else self._no_ranges()
        elif response.status_code == 416 or (self.size is not None and total not in (None, self.size)):
            raise self._changed()
        elif begin != first:
            raise self._no_ranges()
        else:
            self._works = True
        if self._validator not in (None, validator):
            raise self._changed()
        self._validator = validator
        if self.size is None:
            if total is None:
                raise self._no_ranges()
            self.size = total

    def _refuse_failing(self, response: httpx.Response) -> None:
        """Some servers answer every range with HTTP 500 (GEODES notes, section 6.2), and all fail now and then."""
        if response.status_code == 500 and not self._works:
            self._failed += 1
            if self._failed >= FAILED_RANGES:
                raise self._no_ranges()

    def _refuse_known(self) -> None:
        if self.archive.serves_ranges.get(self._host) is False:
            raise self._no_ranges()

    @property
    def _host(self) -> str:
        return httpx.URL(self.product.download_url).host

    @property
    def _works(self) -> bool:
        return bool(self.archive.serves_ranges.get(self._host))

    @_works.setter
    def _works(self, works: bool) -> None:
        self.archive.serves_ranges[self._host] = works

    def _no_ranges(self) -> NoRangesError:
        """Where ranges are not promised, one product without them speaks for the whole archive."""
        if not self.archive.provider.limits.bounded_ranges:
            self.archive.serves_ranges.setdefault(self._host, False)
        return NoRangesError(
            f"{self.archive.name} does not serve parts of this product",
            product=self.product.name,
            hint="Download the whole product: pepsasync download NAME",
        )

    def _changed(self) -> IntegrityError:
        return self._damaged("the file in the archive is another one than before, or than the catalogue said")

    def _damaged(self, what: str) -> IntegrityError:
        hint = "Search again: the product was probably replaced"
        return IntegrityError(what, product=self.product.name, hint=hint)


class _Tail(io.RawIOBase):
    """The end of a file, which can be read as the whole file as long as nobody looks before it.

    Args:
        tail: Its last bytes.
        size: Of the whole.
    """

    def __init__(self, tail: bytes, size: int) -> None:
        self._tail = tail
        self._size = size
        self._at = 0
        self.missing: int | None = None
        """First byte that somebody wanted and that is not here."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._size)[whence]
        if base + offset < 0:
            raise OSError(22, "negative position")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        start = self._at - (self._size - len(self._tail))
        if start < 0:
            self.missing = self._at
            raise OSError("that was not fetched")
        piece = self._tail[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _read(view: _Tail) -> dict[str, Entry]:
    with open_zip(view) as archive:
        return entries_of(archive)


async def _ignore(_: bytes) -> None:
    """Take nothing."""
