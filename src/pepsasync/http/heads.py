"""Heads of plain HTTP/1.1: written for requests without a body, read from answers that need no parser of everything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpcore

if TYPE_CHECKING:
    import httpx

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_HEADER = re.compile(rb"([-!#$%&'*+.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t]+(?=[^ \t]))?)*)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_BODILESS = (204, 304)

Head = tuple[int, list[tuple[bytes, bytes]]]


def parse_head(head: bytes) -> Head | None:
    """Status and headers of an answer; None for anything that is not plain HTTP/1.1, including 1xx.

    Args:
        head: Without the empty line that ends it.
    """
    first, *lines = head.split(b"\r\n")
    status, headers = _STATUS.fullmatch(first), [_HEADER.fullmatch(line) for line in lines]
    if status is None or None in headers:
        return None
    return int(status[1]), [(header[1], header[2]) for header in headers if header]


def plain_length(status: int, headers: list[tuple[bytes, bytes]]) -> int | None:
    """Bytes of a body whose length is announced once and that is not transformed for its way; None for others."""
    names = [name.lower() for name, _ in headers]
    if b"transfer-encoding" in names or status in _BODILESS or names.count(b"content-length") != 1:
        return None
    text = headers[names.index(b"content-length")][1]
    return int(text) if _LENGTH.fullmatch(text) else None


def says_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the connection ends with this answer."""
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers)


def head_of(request: httpx.Request) -> bytes:
    """What is sent for a request without a body.

    Raises:
        httpcore.LocalProtocolError: A header would end the line it stands in.
    """
    pairs = [b"%s: %s" % pair for pair in request.headers.raw]
    first = b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)
    head = b"\r\n".join([first, *pairs, b"", b""])
    if head.count(b"\n") != head.count(b"\r") or head.count(b"\n") != len(pairs) + 2:
        raise httpcore.LocalProtocolError("a header of the request has a line break")
    return head
