"""Answers to download requests that mean the same in every archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.errors import ProtocolError
from pepsasync.io.failures import safe_url, words_of
from pepsasync.io.secrets import hidden

if TYPE_CHECKING:
    import httpx

    from pepsasync.model import Product

ZIP_START = b"PK\3\4"
EMPTY_ZIP_START = b"PK\5\6"
EMPTY_ZIP_LENGTH = 22
"""Bytes of a zip without any file in it."""


def not_a_zip(product: Product, response: httpx.Response, head: bytes) -> ProtocolError | None:
    """Say what an archive sent instead of a product.

    Args:
        product: What was asked for.
        response: Its status is 200 or 206.
        head: First bytes of the file, as many as are known.

    Returns:
        None as long as it can be a zip.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in ("text/html", "application/json") and ZIP_START.startswith(head[:4]):
        return None
    said = words_of(response, head)
    kind = hidden(kind, response)
    return ProtocolError(
        f"the archive sent {kind or 'something'} instead of a zip{said and ': '}{said}",
        product=product.name,
        url=safe_url(response),
    )


def is_empty_zip(response: httpx.Response, head: bytes) -> bool:
    """Whether an archive sent a zip that holds nothing, which some do for what they have not on disk."""
    if head:
        return head.startswith(EMPTY_ZIP_START)
    return response.status_code == 200 and response.headers.get("Content-Length") == str(EMPTY_ZIP_LENGTH)
