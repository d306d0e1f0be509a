"""Answers to download requests that mean the same in every archive."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from pepsasync.errors import AuthError, ProtocolError, ServerError
from pepsasync.folder.names import is_single_file
from pepsasync.folder.zips import ZIP_START
from pepsasync.http.errors import safe_url, words_of
from pepsasync.http.secrets import hidden

T = TypeVar("T")

if TYPE_CHECKING:
    import httpx

    from pepsasync.model import Product

_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)
EMPTY_ZIP_START = b"PK\5\6"
EMPTY_ZIP_LENGTH = 22
"""Bytes of a zip without any file in it."""


class Acceptance:
    """Whether an archive has accepted the account: then it may refuse it for a moment, and is asked once more.

    Once for each product, since several are asked for at once; credentials that were never accepted are wrong at once.
    """

    def __init__(self) -> None:
        self.was_accepted = False
        """Whether it ever let the account have something."""
        self._refused: set[str] = set()

    def accept(self) -> None:
        """Note that the archive let the account have something."""
        self.was_accepted = True
        self._refused.clear()

    def excuse(self, product: Product, error: T) -> T | ServerError:
        """The error, or a passing one in place of the first `AuthError` of a product since the account was accepted."""
        if not isinstance(error, AuthError) or not self.was_accepted or product.id in self._refused:
            return error
        self._refused.add(product.id)
        message = "the archive refused an account that it had accepted; retrying once"
        return ServerError(message, product=product.name, url=error.url, hint=error.hint)


def not_a_zip(product: Product, response: httpx.Response, head: bytes) -> ProtocolError | None:
    """Say what an archive sent instead of a product.

    Args:
        product: What was asked for.
        response: Its status is 200 or 206.
        head: First bytes of the file, as many as are known.

    Returns:
        None as long as it can be a zip, or a file as the name of the product says.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_page = kind in ("text/html", "application/json") or _PAGE.match(head)
    if is_single_file(product.name) and not is_page:
        return None
    if kind not in ("text/html", "application/json") and ZIP_START.startswith(head[:4]):
        return None
    said = words_of(response, head)
    what = hidden(kind, response) or "something"
    if head and (not kind or "zip" in kind or kind == "application/octet-stream"):  # which a zip might be, too
        what += f" that begins with {head[:8]!r}"
    return ProtocolError(
        f"the archive sent {what} instead of a zip{said and ': '}{said}",
        product=product.name,
        url=safe_url(response),
    )


def is_empty_zip(response: httpx.Response, head: bytes) -> bool:
    """Whether an archive sent a zip that holds nothing, which some do for what they have not on disk."""
    if head:
        return head.startswith(EMPTY_ZIP_START)
    return response.status_code == 200 and response.headers.get("Content-Length") == str(EMPTY_ZIP_LENGTH)
