"""Download: a product that is online goes in, a complete but unverified part file comes out.

The part and its note stay on disk whenever this stage ends early; the next try or the next run goes on from there.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import httpx
from anyio import to_thread

from pepsasync.decide.resume import Action, Judgement, judge_answer, plan_request
from pepsasync.errors import (
    IntegrityError,
    PepsasyncError,
    ProtocolError,
    QuotaError,
    ServerError,
    TransferError,
    UnreachableError,
)
from pepsasync.events import DownloadRetried, DownloadStarted, ProductDownloaded
from pepsasync.io.groups import task_group
from pepsasync.io.http import LARGEST_ERROR_BODY
from pepsasync.io.retries import Retries
from pepsasync.stages.intake import DataPath, Intake, Progress
from pepsasync.stages.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.io.files import PartNote
    from pepsasync.model import Checksum, Product
    from pepsasync.stages.line import Line
    from pepsasync.stages.pace import Turn

FAILED_RANGES = 2
"""Requests for the rest of a file that are answered with HTTP 500 before the whole file is asked for: some servers fail
at ranges (GEODES protocol notes, section 6.2), and all fail now and then."""

SMALL = 1 << 20
"""Bytes; products below it are not gone on with by a later run: a note beside each would cost more than that saves."""

WORDS = ("text/html", "application/json")
"""Types of bodies that say why there is no product."""


@dataclass(frozen=True, slots=True)
class Received:
    """A complete part, not yet verified."""

    length: int
    """Bytes in the part."""
    checksum: Checksum | None
    """What was computed on the way, in the algorithm that the archive announced; None when it announced none."""
    attempts: int
    """Download requests sent."""
    resumed_bytes: int
    """Bytes that were in the part before this download began and are still in it."""
    seconds: float
    data_path: DataPath = "plain"
    """How the last body came: past the event loop, or chunk by chunk over it."""


async def download(product: Product, line: Line) -> Received:
    """Fetch one product into its part file, going on with what is there.

    Args:
        product: Believed to be online.
        line: Archive, connection, folder, limits.

    Raises:
        OfflineError: The product is on tape after all.
        NotNowError: The quota of the account is used up, and the line does not wait for it.
        TransferError: The tries are used up; the part is kept.
        IntegrityError: The archive has another file than it announced; the part was removed.
        ProviderError: The archive refuses the product.
        DiskFullError, ConfigError: The part cannot be written; it is kept.

    Cancellation: bytes already received are written; the part can be continued.
    """
    transfer = _Transfer(product, line)
    try:
        return await transfer.run()
    except PepsasyncError as error:
        error.attempts = transfer.attempts
        raise


class _Transfer:
    """One product's transfer: tries, the state between them, and progress."""

    def __init__(self, product: Product, line: Line) -> None:
        self._product = product
        self._line = line
        algorithm = product.checksum.algorithm if product.checksum else None
        self._progress = Progress(product, line)
        self._intake = Intake(product, line, line.shelf.part_path(product), algorithm, self._came)
        self._segments = Segments(product, line, self._progress)
        self._note: PartNote = line.shelf.note_for(product)
        self._is_small = product.size is not None and product.size < SMALL
        self._resumed = 0
        self._failed_ranges = 0
        self._turn: Turn | None = None
        self._furthest = 0
        self._began = anyio.current_time()
        self._retries = Retries(line.config, on_retry=self._tell_retry, was_reached=lambda: line.http.was_reached)

    @property
    def attempts(self) -> int:
        """Tries so far."""
        return self._retries.attempts

    async def run(self) -> Received:
        if not self._is_small:
            self._note = await to_thread.run_sync(self._line.shelf.claim_part, self._product)
            self._segments.validator = self._note.validator
            await self._segments.load()
        self._resumed = self._furthest = self._progress.received
        try:
            length = await self._retries.call(self._attempt)
        except UnreachableError:
            raise
        except (ServerError, ProtocolError) as error:
            raise TransferError(
                f"gave up after {self._retries.attempts} tries: {error.message}",
                product=self._product.name,
                url=error.url,
                hint="What was received is kept; run the same command again to go on",
            ) from error
        received = Received(
            length,
            self._intake.checksum(),
            self._retries.attempts,
            min(self._resumed, length),
            anyio.current_time() - self._began,
            self._intake.data_path,
        )
        self._line.emit(
            ProductDownloaded(
                **self._who(),
                bytes=length,
                seconds=received.seconds,
                resumed_bytes=received.resumed_bytes,
                data_path=received.data_path,
            )
        )
        return received

    async def _attempt(self) -> int:
        """One request, or two when the archive cannot go on from where the part ends; returns the part's length.

        The slot is taken for each attempt anew: whoever pauses before the next try lets others go on. A quota is
        waited for without a slot, and without using up tries.
        """
        line = self._line
        while True:
            await line.pace.until_open(wait=line.waits_for_quota)
            async with line.slots.download.take(self._product.size or 0):
                with line.pace.turn(line.download_began) as self._turn:
                    if self._turn is None:
                        continue
                    try:
                        with line.pace.downloads.obeyed():
                            return await self._use_slot()
                    except QuotaError as error:
                        if not line.pace.refuse(error):
                            raise

    async def _use_slot(self) -> int:
        if self._is_small:
            return await self._go_on(self._intake.length)
        if self._product.size is None:
            return await self._go_on(self._line.shelf.part_length(self._product))
        if not self._segments.are_possible:
            return await self._lead()
        async with task_group() as helpers:
            helpers.start_soon(self._segments.recruit, helpers)
            length = await self._lead()
            helpers.cancel_scope.cancel()
        return length

    async def _lead(self) -> int:
        """Grow the part until it is complete, while others may bring what lies behind."""
        segments = self._segments
        while True:
            ask = plan_request(await segments.join(self._intake), self._product.size)
            if ask.complete:
                await self._intake.hash_prefix(ask.offset)
                return ask.offset
            if segments.is_coming(ask.offset):
                await segments.help()
            else:
                await self._go_on(ask.offset)

    async def _go_on(self, offset: int) -> int:
        """Ask for what follows the part; returns the part's length."""
        self._segments.is_led = True
        rangeless = self._line.http.rangeless
        is_whole = bool(rangeless) and httpx.URL(self._product.download_url).host in rangeless
        try:
            for first in (0,) if is_whole else (offset, 0):
                length = await self._request(first)
                if length is not None:
                    return length
        finally:
            self._segments.is_led = False
        raise ServerError("the archive neither continues nor repeats the product", product=self._product.name)

    async def _request(self, offset: int) -> int | None:
        """Send one request and receive its body; None when the archive must be asked for the whole file."""
        request = await self._line.provider.download_request(self._product)
        request.headers["Accept-Encoding"] = "identity"
        if offset:
            request.headers["Range"] = f"bytes={offset}-"
            if self._note.validator:
                request.headers["If-Range"] = self._note.validator
        async with self._line.http.stream(request, is_short=self._is_small) as response:
            if self._turn:
                self._turn.begin()
            if offset and response.status_code == 500:
                self._failed_ranges += 1
                if self._failed_ranges >= FAILED_RANGES:
                    return None
            await self._refuse_errors(response)
            self._line.pace.accept()
            judgement = judge_answer(
                response.status_code,
                response.headers.get("Content-Range"),
                _content_length(response),
                offset=offset,
                size=self._product.size,
            )
            return await self._obey(judgement, response, offset)

    async def _obey(self, judgement: Judgement, response: httpx.Response, offset: int) -> int | None:
        match judgement.action:
            case Action.APPEND:
                return await self._receive(response, offset, judgement.total)
            case Action.RESTART:
                if self._failed_ranges >= FAILED_RANGES:
                    self._line.http.rangeless.add(httpx.URL(self._product.download_url).host)
                self._resumed = 0
                await self._remember_validator(response)
                return await self._receive(response, 0, judgement.total)
            case Action.COMPLETE:
                await self._intake.hash_prefix(offset)
                return offset
            case Action.ASK_WHOLE:
                return None
            case Action.CHANGED:
                raise IntegrityError(
                    f"the archive now has {judgement.total:,} bytes, the catalogue said {self._product.size:,}",
                    product=self._product.name,
                    hint="Search again: the product was probably replaced",
                )
            case _:
                raise ServerError(
                    f"the archive announces {judgement.total} of {self._product.size} bytes", product=self._product.name
                )

    async def _refuse_errors(self, response: httpx.Response) -> None:
        """Raise what the provider, or plain HTTP, finds wrong with status and headers."""
        is_product = response.status_code in (200, 206, 416) and not _is_words(response)
        head = b"" if is_product else await _error_body(response)
        if error := self._line.provider.judge_download(self._product, response, head):
            raise error

    async def _receive(self, response: httpx.Response, offset: int, total: int | None) -> int:
        expected = self._product.size if self._product.size is not None else total
        self._line.emit(DownloadStarted(**self._who(), offset=offset, size=expected))
        try:
            limit = self._limit(offset)
            length = await self._intake.take(response, offset, is_start=not offset, limit=limit)
        finally:
            self._progress.part = self._intake.length
            self._count_progress(self._intake.length)
        return self._judge_length(length, expected, limit())

    def _limit(self, offset: int) -> Callable[[], int]:
        """Where the part, growing from an offset, meets what others bring."""
        return (lambda: self._segments.limit(offset)) if self._product.size is not None else lambda: sys.maxsize

    def _came(self, length: int) -> None:
        self._progress.part = length
        self._progress.tell()

    def _count_progress(self, length: int) -> None:
        # Only bytes never seen before count: a server that ignores Range and always cuts must not be tried for ever.
        if length > self._furthest:
            self._furthest = length
            self._retries.progressed()

    def _judge_length(self, length: int, expected: int | None, limit: int) -> int:
        if expected is not None and length < min(expected, limit):
            raise ServerError(f"the transfer ended after {length:,} of {expected:,} bytes", product=self._product.name)
        if expected is not None and length > expected:
            raise IntegrityError(
                f"the archive sent {length:,} bytes instead of {expected:,}", product=self._product.name
            )
        return length

    async def _remember_validator(self, response: httpx.Response) -> None:
        etag = response.headers.get("ETag", "")
        validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        if validator != self._note.validator:
            self._note = dataclasses.replace(self._note, validator=validator)
            if not self._is_small:
                await to_thread.run_sync(self._line.shelf.write_note, self._product, self._note)
        self._segments.validator = validator

    def _who(self) -> dict[str, str]:
        return {"id": self._product.id, "name": self._product.name}

    def _tell_retry(self, error: Exception, attempt: int, wait: float) -> None:
        message = error.message if isinstance(error, PepsasyncError) else str(error)
        self._line.emit(DownloadRetried(**self._who(), error=message, attempt=attempt, wait=wait))


def _content_length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _is_words(response: httpx.Response) -> bool:
    """Whether a body is for people or programs to read, and so no product."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in WORDS


async def _error_body(response: httpx.Response) -> bytes:
    head = b""
    async for chunk in response.aiter_raw():
        head += chunk
        if len(head) >= LARGEST_ERROR_BODY:
            break
    return head[:LARGEST_ERROR_BODY]
