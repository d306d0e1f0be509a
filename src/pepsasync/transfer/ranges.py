"""Requests for a range of a product, and answers that are no product at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from pepsasync.errors import RefusedError
from pepsasync.http.errors import safe_url
from pepsasync.http.replies import encoding_of
from pepsasync.transfer.resume import Action, Judgement, judge_answer

if TYPE_CHECKING:
    from pepsasync.model import Product
    from pepsasync.transfer.archive import Archive
    from pepsasync.transfer.part import Part

WORDS = ("text/html", "application/json")
"""Types of bodies that say why there is no product."""


async def range_request(part: Part, archive: Archive, first: int, last: int | None = None) -> httpx.Request:
    """A request for the bytes from the first to the last, or to the end of the product."""
    request = await archive.provider.download_request(part.product)
    request.headers["Accept-Encoding"] = "identity"
    if first or last is not None:
        request.headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        if part.validator:
            request.headers["If-Range"] = part.validator
    return request


async def refuse_errors(product: Product, response: httpx.Response, archive: Archive) -> None:
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


def are_failing(part: Part, status: int, archive: Archive) -> bool:
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


def seem_to_fail(part: Part, archive: Archive) -> bool:
    """Whether the host of a product seems to serve whole products only.

    That may spare it requests and must not cost a part: an archive that fails for a while looks the same.
    """
    return archive.serves_ranges.get(httpx.URL(part.product.download_url).host) is False


def judge(response: httpx.Response, part: Part, offset: int) -> Judgement:
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
