"""What each way of streaming files makes of a `Range` header. Pure functions.

The archive's software can send files by itself (`php`) or hand them to its web server (`xsendfile`, `nginx`), and can
stand behind a proxy (`php-behind-nginx`). PEPS protocol notes, sections 5.4 and 8.17.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STREAMING_MODES = ("php", "xsendfile", "nginx", "php-behind-nginx")
"""Ways of streaming, by name."""
OVERFLOW = 9223372036854775807
"""What a negative length turns into on its way through the web server."""


@dataclass(frozen=True, slots=True)
class Slice:
    """How a download is answered."""

    status: int
    """200, 206 or 416."""
    start: int
    """First byte sent."""
    declared: int
    """Value of `Content-Length`."""
    sent: int
    """Bytes of body that really follow; more than `declared` corrupts a kept-alive connection."""
    content_range: str | None
    """Value of `Content-Range`, None for no such header."""

    @property
    def range_headers(self) -> list[tuple[str, str]]:
        """`Content-Range` if there is one."""
        return [] if self.content_range is None else [("Content-Range", self.content_range)]


def answer(
    streaming: str, header: str | None, size: int, *, if_range: str | None = None, validators: tuple[str, ...] = ()
) -> Slice:
    """Return the answer to a `Range` header.

    Args:
        streaming: One of `STREAMING_MODES`.
        header: Value of `Range`, None without one.
        size: Length of the file in bytes.
        if_range: Value of `If-Range`; only real web servers obey it.
        validators: Values of `If-Range` that stand for the present file.
    """
    if streaming in {"xsendfile", "nginx"}:
        stale = if_range is not None and if_range not in validators
        read = by_nginx if streaming == "nginx" else by_web_server
        return read(None if stale else header, size)
    reply = by_php(header, size)
    if streaming == "php-behind-nginx":
        return Slice(reply.status, reply.start, reply.declared, min(reply.sent, reply.declared), reply.content_range)
    return reply


def by_php(header: str | None, size: int) -> Slice:
    """Return the answer of the software itself: unit ignored, end 0 read as absent, the end of the body ignored."""
    first, last = 0, 0
    if header is not None:
        _, _, ranges = header.partition("=")
        begin, _, end = ranges.split(",")[0].partition("-")
        first, last = _php_int(begin), _php_int(end)
    start = min(first, size - 1)
    end_at = min(last, size - 1) if last > 0 else size - 1
    partial = start > 0 or end_at < size - 1
    declared = end_at - start + 1
    return Slice(
        status=206 if partial else 200,
        start=start,
        declared=declared if declared > 0 else OVERFLOW,
        sent=size - start,
        content_range=f"bytes {start}-{end_at}/{size}",
    )


def by_web_server(header: str | None, size: int) -> Slice:
    """Return the answer of Apache: one range cut right, 416 beyond the end, nonsense ignored."""
    whole = Slice(200, 0, size, size, None)
    match = re.fullmatch(r"\s*bytes=\s*(\d*)-(\d*)\s*", header or "", re.IGNORECASE)
    if not match or not any(match.groups()):
        return whole
    begin, end = match.groups()
    start = int(begin) if begin else max(0, size - int(end))
    last = min(int(end), size - 1) if begin and end else size - 1
    if begin and end and int(end) < start:
        return whole
    return _part(start, last, size)


def by_nginx(header: str | None, size: int) -> Slice:
    """Return the answer of nginx: as Apache's, but a range of bytes that makes no sense is answered by 416."""
    text = header or ""
    if "," in text or len(text) < 7 or not text.lower().startswith("bytes="):
        return by_web_server(header, size)
    match = re.fullmatch(r" *(\d*) *- *(\d*) *", text[6:])
    if not match or not any(match.groups()) or (match[1] and match[2] and int(match[2]) < int(match[1])):
        return _part(size, size, size)
    return by_web_server(f"bytes={match[1]}-{match[2]}", size)


def _part(start: int, last: int, size: int) -> Slice:
    if start >= size:
        return Slice(416, 0, 0, 0, f"bytes */{size}")
    return Slice(206, start, last - start + 1, last - start + 1, f"bytes {start}-{last}/{size}")


def _php_int(text: str) -> int:
    """Read a number as PHP does: leading digits count, anything else is 0."""
    match = re.match(r"\s*([+-]?\d+)", text)
    return int(match.group(1)) if match else 0
