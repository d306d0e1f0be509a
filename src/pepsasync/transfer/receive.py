"""Receive the body of an answer into a segment of a part: by threads from its socket, or chunk by chunk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

import anyio
from anyio import to_thread

from pepsasync.http.sockets import Connection
from pepsasync.threads import clean_up
from pepsasync.transfer.drain import Rest, drain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    import httpx

    from pepsasync.transfer.context import ArchiveContext
    from pepsasync.transfer.division import Segment
    from pepsasync.transfer.incoming import DataPath, Incoming

LARGE = 1 << 20
"""Bytes of a body from which on threads receive it; its connection is not used again then, that of a smaller one is."""

BLOCK = 1 << 20
"""Bytes that are handed to a thread at once; smaller blocks cost more for switching threads than they save."""


def body_of(response: httpx.Response) -> contextlib.aclosing[AsyncGenerator[bytes, None]]:
    """The body of an answer in chunks, as it is on the wire; closed at the end, whatever happens."""
    return contextlib.aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_raw()))


async def receive(
    response: httpx.Response,
    chunks: AsyncIterator[bytes],
    head: bytes,
    segment: Segment,
    part: Incoming,
    archive: ArchiveContext,
    look: Callable[[], None],
) -> DataPath:
    """Write a body into a segment, to the end of one of the two.

    Args:
        response: Its head.
        chunks: Its body, of which `head` was taken.
        head: First bytes of the body.
        segment: Running; begins where the body begins.
        part: Of which product.
        archive: Its connection and limits.
        look: Called now and then; may raise to end the transfer.

    Returns:
        How it came.

    Raises:
        httpx.TransportError: The connection broke or went silent.
        DiskFullError, ConfigError, TransferError: The part cannot be written.

    Cancellation: every byte that came is written.
    """
    length, connection = plain_length(response), response.extensions.get("network_stream")
    if length is None or length < LARGE or not isinstance(connection, Connection):
        await _receive_chunks(chunks, head, segment, part, archive, look)
        return "plain"
    rest = Rest(connection, head, length - len(head), archive.config.read_timeout)
    writer = await to_thread.run_sync(part.writer, segment)
    try:
        hashes = part.is_hashing and segment.start == part.division.front
        await drain(rest, writer, archive.throttle, archive.buffers, look, hashes=hashes)
    finally:
        await clean_up(writer.close)
    return "drained"


async def _receive_chunks(
    chunks: AsyncIterator[bytes],
    chunk: bytes,
    segment: Segment,
    part: Incoming,
    archive: ArchiveContext,
    look: Callable[[], None],
) -> None:
    """Join chunks to blocks, and have each block written and hashed by a thread, unless the part is in memory."""
    block = bytearray()

    async def write() -> None:
        nonlocal block
        if part.memory is not None:
            part.write(segment, block)
        elif block:
            await to_thread.run_sync(part.write, segment, block)
        block = bytearray()  # not emptied: the traceback of an error may hold views of it

    try:
        while chunk and segment.left:
            wanted = memoryview(chunk)[: segment.left]
            block += wanted
            segment.received += len(wanted)
            await archive.throttle.take(len(chunk))
            if len(block) >= BLOCK:
                await write()
                await part.wait_for_room()
            look()
            chunk = await anext(chunks, b"")
    finally:
        with anyio.CancelScope(shield=True):
            await write()


def plain_length(response: httpx.Response) -> int | None:
    """Content-Length of a body that is neither chunked nor encoded, over HTTP/1.1; None for any other."""
    headers = response.headers
    text = headers.get("Content-Length", "")
    is_plain = response.http_version == "HTTP/1.1" and not headers.keys() & {"transfer-encoding", "content-encoding"}
    return int(text) if is_plain and text.isascii() and text.isdigit() else None
