"""Asking: one request for what follows a part, and what the archive's answer means."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import httpx
from anyio import to_thread

from pepsasync.errors import IntegrityError, RefusedError, ServerError
from pepsasync.http.errors import safe_url
from pepsasync.http.replies import encoding_of
from pepsasync.transfer.resume import Action, judge_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pepsasync.limits.quota import Turn
    from pepsasync.model import Product
    from pepsasync.transfer.line import Line
    from pepsasync.transfer.resume import Judgement

FAILED_RANGES = 2
"""Requests in a row for the rest of a file that are answered with HTTP 500 before the whole file is asked for: some
servers fail at ranges (GEODES protocol notes, section 6.2), and all fail now and then. Each product counts its own.
Where ranges have worked, only the last try asks for the whole file."""

WORDS = ("text/html", "application/json")
"""Types of bodies that say why there is no product."""


class Asking:
    """Asks for one product from any offset on.

    Args:
        product: What is asked for.
        line: Archive, connection, folder.
        take: Receives the body of an answer: the answer, the offset where it begins, bytes of the whole file as far as
            the answer tells them. Returns the length of the part. Calls `begin_anew` before it gives up what was there
            for a body that begins at 0.
        is_small: Whether there is no part file, and a request should cost little.
    """

    def __init__(
        self,
        product: Product,
        line: Line,
        take: Callable[[httpx.Response, int, int | None], Awaitable[int]],
        *,
        is_small: bool,
    ) -> None:
        self._product = product
        self._line = line
        self._take = take
        self._is_small = is_small
        self._failed_ranges = 0
        self.note = line.shelf.note_for(product)
        """Describes the part."""
        self.turn: Turn | None = None
        """Of this product at its account; begins with the first answer."""
        self.has_restarted = False
        """Whether what was in the part at first is not used any more."""

    async def go_on(self, offset: int) -> int:
        """Ask for what follows the part, or for the whole file when the archive cannot give only that.

        Returns:
            Length of the part.

        Raises:
            ProviderError: What the archive said, or that the answer is not the product.
        """
        for first in (offset, 0):
            length = await self._ask(first)
            if length is not None:
                return length
        raise ServerError("the archive neither continues nor repeats the product", product=self._product.name)

    @property
    def is_rangeless(self) -> bool:
        """Whether the host of the product seems to serve whole files only.

        That may spare it requests and must not cost a part: an archive that fails for a while looks the same.
        """
        ranges = self._line.http.ranges
        return bool(ranges) and ranges.get(self._host) is False

    @functools.cached_property
    def _host(self) -> str:
        """Taken from the URL when it is needed: for a small product that would be a tenth of all there is to do."""
        return httpx.URL(self._product.download_url).host

    async def request(self, first: int, last: int | None = None) -> httpx.Request:
        """A request for the bytes from the first to the last, or to the end of the product."""
        request = await self._line.provider.download_request(self._product)
        request.headers["Accept-Encoding"] = "identity"
        if first or last is not None:
            request.headers["Range"] = f"bytes={first}-{'' if last is None else last}"
            # Where a checksum tells, a store whose copies differ in their validators must not make it begin anew.
            if self.note.validator and self._product.checksum is None:
                request.headers["If-Range"] = self.note.validator
        return request

    async def _ask(self, offset: int) -> int | None:
        """Send one request and receive its body; None when the archive must be asked for the whole file."""
        request = await self.request(offset)
        async with self._line.http.stream(request, is_short=self._is_small) as response:
            if self.turn:
                self.turn.begin()
            if offset and self._count_failed_range(response.status_code):
                return None
            await self._refuse_errors(response)
            self._line.pace.accept()
            judgement = judge_answer(
                response.status_code,
                response.headers.get("Content-Range"),
                _content_length(response),
                offset=offset,
                size=self._product.exact_size,
            )
            return await self._obey(judgement, response, offset)

    def _count_failed_range(self, status: int) -> bool:
        """Take note of what a request for a part led to; returns whether the whole file has to be asked for."""
        ranges, enough = self._line.http.ranges, FAILED_RANGES
        if status == 206:
            self._failed_ranges, ranges[self._host] = 0, True
        elif status == 500:
            self._failed_ranges += 1
        if ranges.get(self._host):
            enough = max(enough, self._line.config.retries - 1)
        return status == 500 and self._failed_ranges >= enough  # any other refusal is about this moment

    async def _refuse_errors(self, response: httpx.Response) -> None:
        """Raise what the provider, or plain HTTP, finds wrong with status and headers."""
        is_product = response.status_code in (200, 206, 416) and not _is_words(response)
        if is_product and (encoding := encoding_of(response)):
            raise RefusedError(
                f"the archive sends the product encoded with {encoding}, which nobody asked for",
                product=self._product.name,
                url=safe_url(response.url),
                hint="Probably a proxy does it; get the product over another way, or from another archive (--provider)",
            )
        head = b"" if is_product else await self._line.http.error_body(response)
        if error := self._line.provider.judge_download(self._product, response, head):
            raise error

    async def _obey(self, judgement: Judgement, response: httpx.Response, offset: int) -> int | None:
        match judgement.action:
            case Action.APPEND:
                return await self._take(response, offset, judgement.total)
            case Action.RESTART:
                if self._failed_ranges >= FAILED_RANGES:
                    self._line.http.ranges.setdefault(self._host, False)
                return await self._take(response, 0, judgement.total)
            case Action.COMPLETE:
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

    async def begin_anew(self, response: httpx.Response) -> None:
        """Give up what is there for the body of an answer, and take note of its validator.

        Cancellation: the part is there with its note, or neither.
        """
        self.has_restarted = True
        etag = response.headers.get("ETag", "")
        validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        if validator != self.note.validator:
            self.note = dataclasses.replace(self.note, validator=validator)
            if not self._is_small:
                await to_thread.run_sync(self._line.shelf.begin_part, self._product, self.note)


def _content_length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _is_words(response: httpx.Response) -> bool:
    """Whether a body is for people or programs to read, and so no product."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() in WORDS
