"""Bodies of answers: chunk by chunk, or what is left of one to be moved past the event loop."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

import httpx

from pepsasync.http.sockets import Connection
from pepsasync.transfer.old_drain import Rest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

READ = 1 << 20
"""Bytes asked of a connection at once; smaller bodies keep it alive for the next request."""


async def body(response: httpx.Response, silence: float) -> AsyncGenerator[bytes, None]:
    """The body as it is on the wire, in chunks as large as they come.

    A large plain HTTP/1.1 body is read from the connection itself once the HTTP parser has given out what it holds:
    that is several times faster than having every chunk parsed. The connection is not used again then, so small
    bodies take the ordinary way, as does everything chunked, encoded or HTTP/2.

    Args:
        response: Streamed, its body not begun.
        silence: Longest wait for bytes, seconds.

    Raises:
        httpx or httpcore errors, which `Http.stream` turns into ours.
    """
    length = _plain_length(response)
    connection = response.extensions.get("network_stream")
    received = 0
    # Kept open until the end: closing what httpx iterates over would close the connection.
    async with contextlib.aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw())) as parsed:
        async for chunk in parsed:
            received += len(chunk)
            yield chunk
            if length is not None and connection is not None:
                break
        while length is not None and connection is not None and received < length:
            chunk = await connection.read(min(READ, length - received), timeout=silence)
            if not chunk:
                raise httpx.RemoteProtocolError(f"closed after {received:,} of {length:,} bytes")
            received += len(chunk)
            yield chunk


def rest_of(response: httpx.Response, received: int, silence: float, limit: Callable[[], int]) -> Rest | None:
    """What is to come of a large plain body, when its connection can be taken over by `drain`.

    Args:
        response: Its body was begun, and everything that the HTTP parser held was given out.
        received: Bytes of the body that were given out.
        silence: Longest wait for bytes, seconds.
        limit: Length of the part at which nothing more is wanted.

    Returns:
        None when the body has to be read through `body`, or has ended.
    """
    length = _plain_length(response)
    connection = response.extensions.get("network_stream")
    if length is None or received >= length or not isinstance(connection, Connection):
        return None
    return Rest(connection, length - received, silence, limit)


def _plain_length(response: httpx.Response) -> int | None:
    """Content-Length of a body that may be read past the parser, None for any other."""
    headers = response.headers
    text = headers.get("Content-Length", "")
    is_plain = response.http_version == "HTTP/1.1" and not {"Transfer-Encoding", "Content-Encoding"} & set(
        map(str.title, headers)
    )
    return int(text) if is_plain and text.isascii() and text.isdigit() and int(text) >= READ else None
