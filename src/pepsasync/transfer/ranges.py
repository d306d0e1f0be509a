"""Requests for what is missing of a product, and what their answers mean.

The tables that this implements stand in `docs/resume.md`. PEPS in PHP mode clamps ranges beyond the end instead of
answering 416, ignores the end of bounded ranges and has no validators (PEPS protocol notes, sections 5.4 and 8.17), so
only open-ended ranges are asked there and every Content-Range is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import httpx

from pepsasync.errors import RefusedError
from pepsasync.http.errors import safe_url
from pepsasync.http.replies import encoding_of

if TYPE_CHECKING:
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.incoming import Incoming

WORDS = ("text/html", "application/json")
"""Types of bodies that say why there is no product."""


async def range_request(part: Incoming, archive: ArchiveContext, first: int, last: int | None = None) -> httpx.Request:
    """A request for the bytes from the first to the last, or to the end of the product."""
    request = await archive.provider.download_request(part.product)
    request.headers["Accept-Encoding"] = "identity"
    if first or last is not None:
        request.headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        if part.validator:
            request.headers["If-Range"] = part.validator
    return request


async def refuse_errors(product: Product, response: httpx.Response, archive: ArchiveContext) -> None:
    """Raise what the provider, or plain HTTP, finds wrong with status and headers.

    Raises:
        ProviderError: The answer is not the product.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_product = response.status_code in (200, 206, 416) and kind not in WORDS
    if is_product and (encoding := encoding_of(response)):
        raise RefusedError(
            f"the archive sends the product encoded with {encoding}, although no encoding was requested",
            product=product.name,
            url=safe_url(response.url),
            hint="A proxy probably encodes it: use a connection without it, or another archive (--provider)",
        )
    said = b"" if is_product else await archive.http.error_body(response)
    if error := archive.provider.judge_download(product, response, said):
        raise error


FAILED_RANGES = 2
"""Requests in a row for the rest of a product that are answered with HTTP 500 before all of it is asked for.

Some servers fail at ranges (GEODES protocol notes, section 6.2), and all fail now and then. Each product counts its
own. Where ranges have worked, only the last try asks for the whole product."""


def are_failing(part: Incoming, status: int, archive: ArchiveContext) -> bool:
    """Take note of what a request for the rest of a product led to.

    Returns:
        Whether the whole product has to be asked for.
    """
    works, enough, host = archive.serves_ranges, FAILED_RANGES, httpx.URL(part.product.download_url).host
    if status == 206:
        part.failed_ranges, works[host] = 0, True
    elif status == 500:
        part.failed_ranges += 1
    elif status == 200 and part.failed_ranges >= FAILED_RANGES:
        works.setdefault(host, False)
    if works.get(host):
        enough = max(enough, archive.config.retries - 1)
    return part.failed_ranges >= enough and status == 500


def seem_to_fail(part: Incoming, archive: ArchiveContext) -> bool:
    """Whether the host of a product seems to serve whole products only.

    That may spare it requests and must not cost a part: an archive that fails for a while looks the same.
    """
    return archive.serves_ranges.get(httpx.URL(part.product.download_url).host) is False


class Action(Enum):
    """What to do with the body that the archive sends."""

    APPEND = "append"
    """Write it behind the part."""
    FROM_START = "restart"
    """Write it from 0, as every first answer; what is here of another file is given up."""
    COMPLETE = "complete"
    """Do not read it: the part already holds every byte."""
    ASK_WHOLE = "ask whole"
    """Do not read it: ask once more, without Range."""
    CHANGED = "changed"
    """Do not read it: the archive has another file than it announced."""
    LATER = "later"
    """Do not read it: a proxy or server cut the announced length short; ask again."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means for the part."""

    action: Action
    total: int | None
    """Bytes of the whole file as this answer tells, None when it does not."""


# No file has more bytes than 18 digits tell, and Python refuses to read numbers of thousands of them.
_CONTENT_RANGE = re.compile(r"^\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*$", re.IGNORECASE)


def parse_content_range(text: str | None) -> tuple[int | None, int | None, int | None]:
    """Return first byte, last byte and total of a Content-Range; None for what is missing or makes no sense."""
    match = _CONTENT_RANGE.match(text or "")
    if match is None:
        return None, None, None
    first, last, total = (int(group) if group and group != "*" else None for group in match.groups())
    return first, last, total


def judge_answer(
    status: int, content_range: str | None, content_length: int | None, *, offset: int, size: int | None
) -> Judgement:
    """Decide what to do with a 200, 206 or 416.

    Args:
        status: 200, 206 or 416; other statuses never get here.
        content_range: The header as sent, None when absent.
        content_length: The header as a number, None when absent or chunked.
        offset: First byte that was asked for; 0 when no Range was sent.
        size: Announced bytes of the product, None when unknown.
    """
    first, _, total = parse_content_range(content_range)
    if status == 416:
        return Judgement(Action.COMPLETE if offset and offset == (total or size) else Action.ASK_WHOLE, total)
    if status == 200:
        # PEPS sends Content-Range even with 200; its total is then worth more than nothing.
        total = content_length if content_length is not None else total
        return Judgement(_judge_whole(total, size), total)
    if first != offset or first is None:
        # Clamped to the last byte: the archive's way to say that nothing is missing.
        return Judgement(Action.COMPLETE if offset and total == offset == size else Action.ASK_WHOLE, total)
    if size is not None and total is not None and total != size:
        return Judgement(Action.CHANGED, total)
    return Judgement(Action.APPEND if offset else Action.FROM_START, total)


def is_cut_to_32_bits(length: int, size: int) -> bool:
    """Whether a Content-Length is what REGARDS makes of a size of 2 GiB or more (GEODES protocol notes, section 6)."""
    return size >= 1 << 31 and length != size and (length - size) % (1 << 32) == 0


def _judge_whole(total: int | None, size: int | None) -> Action:
    if total is None or size is None or total == size or is_cut_to_32_bits(total, size):
        return Action.FROM_START
    return Action.CHANGED if total > size else Action.LATER


def judge(response: httpx.Response, part: Incoming, offset: int) -> Judgement:
    """Decide what to do with a 200, 206 or 416 to a request for a product from an offset on."""
    text, headers = response.headers.get("Content-Length", ""), response.headers
    judgement = judge_answer(
        response.status_code,
        headers.get("Content-Range"),
        int(text) if text.isascii() and text.isdigit() else None,
        offset=offset,
        size=part.product.exact_size,
    )
    is_other = part.validator and validator_of(response) not in (None, part.validator)
    return Judgement(Action.ASK_WHOLE, None) if judgement.action is Action.APPEND and is_other else judgement


def validator_of(response: httpx.Response) -> str | None:
    """What tells this file from a later one of the same address: its strong ETag, else Last-Modified."""
    etag: str = response.headers.get("ETag", "")
    modified: str | None = response.headers.get("Last-Modified")
    return etag if etag.startswith('"') else modified
