"""What WEkEO says when something goes wrong, and what is left of the quota (WEkEO notes, section 8)."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from pepsasync.http.secrets import hidden
from pepsasync.providers.reading import as_integer, as_mapping, as_number, as_text

if TYPE_CHECKING:
    import httpx

MILLISECONDS_FROM = 1e11
"""Moments from here on are in milliseconds since 1970, not in seconds."""
LONGEST_QUOTA = 3600.0
"""Seconds of the window of the quota: no pause is longer."""
_DEEPEST = 5
"""Documents in one another."""
_MESSAGE = re.compile(r"message='([^']{1,500})'")


def words_of_error(response: httpx.Response, body: bytes) -> str:
    """What an error says: its detail may hold the document of the service behind it, and so on."""
    text = body[:8192].decode("utf-8", "replace")
    title = ""
    for _ in range(_DEEPEST):
        document = _decoded(text)
        if not document:
            break
        title = as_text(document.get("title")) or title
        text = as_text(document.get("detail")) or as_text(document.get("message")) or ""
    if match := _MESSAGE.search(text):
        text = match[1]
    parts = (" ".join(part.split())[:300] for part in (title, text))
    said = ": ".join(part for part in parts if part.isprintable() and part and not part.startswith("<"))
    return hidden(said, response)


def _decoded(text: str) -> dict[str, Any]:
    try:
        return dict(as_mapping(json.loads(text)))
    except (ValueError, RecursionError):
        return {}


def is_hopeless(body: bytes) -> bool:
    """Whether an error is about one product, not about the service."""
    return _decoded(body[:8192].decode("utf-8", "replace")).get("title") == "Task Error"


def quota_of(response: httpx.Response) -> tuple[int | None, int | None, float | None]:
    """Orders that are left, orders of the window, and seconds until the next is free; None for what is not told."""
    headers = response.headers
    left, most = as_integer(headers.get("X-Quota-Remaining")), as_integer(headers.get("X-Quota-Limit"))
    reset = as_number(headers.get("X-Quota-Reset"))
    if reset is None:
        return left, most, None
    moment = reset / 1000 if reset > MILLISECONDS_FROM else reset
    return left, most, min(max(moment - time.time(), 0.0), LONGEST_QUOTA)
