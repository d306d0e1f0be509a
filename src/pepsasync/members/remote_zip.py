"""A zip that stays in its archive: its directory and ranges of its bytes. Every request passes the gate of the archive.

The directory stands at the end of a zip; `zipfile` reads it from the bytes that were fetched.
"""

from __future__ import annotations

import contextlib
import functools
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from anyio import to_thread

from pepsasync.errors import IntegrityError, OfflineError, PepsasyncError, ProviderError, ServerError
from pepsasync.events import DownloadStarted, ProductDownloaded
from pepsasync.folder.zips import LARGEST_DIRECTORY, open_zip
from pepsasync.http.client import origin_of
from pepsasync.members.zip_members import Entry, entries_of
from pepsasync.transfer.download import ask_whether_on_tape, last_error
from pepsasync.transfer.progress import Progress
from pepsasync.transfer.ranges import FAILED_RANGES, parse_content_range, refuse_errors, validator_of
from pepsasync.transfer.receive import BLOCK, body_of, plain_length

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from pepsasync.folder.space import Space
    from pepsasync.limits.quota import Permit
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext

TAIL = 1 << 17
"""Bytes at the end of a zip that are fetched at first: the directory of most products is in them."""


class NoRangesError(ProviderError):
    """The archive does not serve parts of this product."""


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
        self._counts_for = self
        self._is_zip = request is None
        self._progress: Progress | None = None
        self._to_report: DownloadStarted | None = None
        self._validator: str | None = None
        self._failed = 0

    def of_file(self, request: Callable[[], Awaitable[httpx.Request]], size: int) -> RemoteZip:
        """Another file of the product, which its archive serves beside the zip; it counts as the zip does.

        Args:
            request: Makes the request for it.
            size: Its bytes.
        """
        other = RemoteZip(self.product, self.archive, request, size)
        other._counts_for, other._progress = self, self._progress
        return other

    @contextlib.contextmanager
    def reporting(self, size: int, space: Space | None, left: Callable[[], int]) -> Iterator[None]:
        """Report what is fetched in the block as a download: the first answer begins it.

        Args:
            size: Bytes of all that is brought.
            space: Room set aside on the disk.
            left: Bytes that are still to be written.
        """
        who = {"id": self.product.id, "name": self.product.name}
        self.received = 0
        self._progress = progress = Progress(self, self.archive, space, left)
        self._to_report = DownloadStarted(**who, offset=0, size=size)
        yield
        self.report_start()
        seconds = progress.seconds
        self.archive.emit(
            ProductDownloaded(**who, bytes=self.received, seconds=seconds, resumed_bytes=0, data_path="plain")
        )

    def report_start(self) -> None:
        """Say, once, that the download began."""
        if event := self._to_report:
            self._to_report = None
            self.archive.emit(event)

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
                if wanted > LARGEST_DIRECTORY + TAIL:
                    raise self._damaged(f"a directory that begins {wanted:,} bytes before its end") from error

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
        look = self._progress.watch() if self._progress else lambda: None

        async def hand_over() -> None:
            nonlocal block
            whole, block = bytes(block), bytearray()
            place.at += len(whole)
            await take(whole)

        try:
            async with contextlib.aclosing(self._body(place.at, end, permit)) as chunks:
                async for chunk in chunks:
                    block += chunk
                    self._counts_for.received += len(chunk)
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
        self._counts_for.requests += 1
        async with self.archive.stream(request) as response, body_of(response) as chunks:
            permit.begin()
            self._refuse_failing(response)
            await refuse_errors(self.product, response, self.archive)
            permit.accept()
            skipped = self._judge(response, first, end)
            self._counts_for.report_start()
            self.archive.has_sent.add(origin_of(request.url))
            left = end - first
            ends_there = plain_length(response) == left and self.archive.provider.limits.bounded_ranges
            async for whole in chunks:
                chunk, skipped = whole[skipped:], max(0, skipped - len(whole))
                if left and chunk:
                    yield chunk[:left]
                    left -= len(chunk[:left])
                if not (left or ends_there):  # else it is read to its end, so that its connection is used again
                    return

    def _judge(self, response: httpx.Response, first: int, end: int) -> int:
        """Take the answer for the range that was asked for, or raise; returns how many of its bytes come before it."""
        begin, _, total = parse_content_range(response.headers.get("Content-Range"))
        validator, skipped = validator_of(response), 0
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            if not self._is_zip:
                if length not in ("", str(self.size)):
                    raise self._changed()
                skipped = first
            elif not (first == 0 and length == str(end) and end == self.size):
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
        return skipped

    def _refuse_failing(self, response: httpx.Response) -> None:
        """Some servers answer every range with HTTP 500 (GEODES notes, section 6.2), and all fail now and then."""
        if response.status_code == 500 and self._is_zip and not self._works:
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

    def _no_ranges(self) -> ProviderError:
        """Where ranges are not promised, one product without them speaks for the whole archive."""
        if not self._is_zip:
            return ServerError("what came is not the range that was asked for", product=self.product.name)
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
