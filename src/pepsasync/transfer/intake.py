"""Intake: the body of an answer goes behind what is there, into a part or into memory, and is hashed on the way."""

from __future__ import annotations

import functools
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import anyio
from anyio import to_thread

from pepsasync.errors import ServerError
from pepsasync.model import Checksum
from pepsasync.transfer.blocks import Digest, copy_blocks, digest_file, open_sink
from pepsasync.transfer.bodies import body, rest_of
from pepsasync.transfer.flow import Flow
from pepsasync.transfer.old_drain import drain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import httpx

    from pepsasync.folder.parts import Stamp
    from pepsasync.model import Product
    from pepsasync.transfer.line import Line

DataPath = Literal["drained", "plain"]
"""How a body came: past the event loop, or chunk by chunk over it."""

JOINED_AT_ONCE = 1 << 24
"""Bytes joined to the part without looking whether the transfer was cancelled."""


class Intake:
    """What both ways have in common: is it the product that comes, and does it come fast enough.

    Args:
        product: Whose bytes come.
        line: Connection, limits.
        came: Called now and then with the number of bytes that are here.
    """

    def __init__(self, product: Product, line: Line, came: Callable[[int], None]) -> None:
        self._product = product
        self._line = line
        self._came = came
        self.data_path: DataPath = "plain"
        """How the latest body came."""

    def _flow(self, offset: int) -> Flow:
        config = self._line.config
        return Flow(0 if config.limit_rate else config.min_rate, offset, anyio.current_time())

    def _refuse_wrong_start(self, response: httpx.Response, chunk: bytes) -> None:
        if not chunk:
            raise ServerError("the archive sent an empty file", product=self._product.name)
        if error := self._line.provider.judge_download(self._product, response, chunk):
            raise error

    def _watch(self, length: int, flow: Flow) -> None:
        """Tell what came, and end a transfer that only crawls: the next connection may be better."""
        self._came(length)
        came = flow.crawled(length, anyio.current_time())
        if came is not None:
            raise ServerError(f"only {came:,} bytes came in a minute", product=self._product.name)


class MemoryIntake(Intake):
    """Keeps the bytes of a small product until they are verified, which is also when they are hashed.

    Args:
        product: Its size is known.
        line: Connection, limits.
        came: Called now and then with the number of bytes that are here.
    """

    def __init__(self, product: Product, line: Line, came: Callable[[int], None]) -> None:
        super().__init__(product, line, came)
        self.body = b""
        """What is here."""

    async def take(self, response: httpx.Response, offset: int) -> int:
        """Keep a body from an offset on; returns how many bytes are here.

        Args:
            response: Its body was not begun.
            offset: Of the product; what was here from there on is forgotten.

        Raises:
            ProviderError: What comes is not the product, or hardly anything comes.

        Cancellation: every byte that came is kept.
        """
        flow, pieces, length = self._flow(offset), [self.body[:offset]], offset
        try:
            async for chunk in response.aiter_raw():
                if not length:
                    self._refuse_wrong_start(response, chunk)
                pieces.append(chunk)
                length += len(chunk)
                await self._line.throttle.take(len(chunk))
                self._watch(length, flow)
                if length > (self._product.size or 0):
                    break
        finally:
            self.body = b"".join(pieces)
        return length

    def give_away(self) -> bytes:
        """What is here, and here no more: a transfer may be remembered long after its end."""
        body, self.body = self.body, b""
        return body


class PartIntake(Intake):
    """Takes the bodies of one product's answers into one file.

    Args:
        product: Whose bytes come.
        line: Connection, limits.
        came: Called now and then with the length of the file while it grows.
        path: The part, or a segment.
        algorithm: Of the checksum; None hashes nothing.
    """

    def __init__(
        self, product: Product, line: Line, came: Callable[[int], None], path: Path, algorithm: str | None
    ) -> None:
        super().__init__(product, line, came)
        self._path = path
        self._algorithm = algorithm
        self._digest: Digest | None = None
        self.length = 0
        """Bytes of the file after the latest body."""

    async def take(
        self,
        response: httpx.Response,
        offset: int,
        *,
        begin: Callable[[], Awaitable[None]] | None = None,
        limit: Callable[[], int] = lambda: sys.maxsize,
    ) -> int:
        """Write a body from an offset of the file on; returns the file's length.

        Args:
            response: Its body was not begun.
            offset: Of the file that is written.
            begin: For the start of a product: awaited once that has proved to be one, and before what is there goes.
            limit: Length of the file at which nothing more is wanted; may come nearer meanwhile.

        Raises:
            ProviderError: What comes is not the product, or hardly anything comes.
            ServerError: The connection broke.
            DiskFullError, ConfigError, TransferError: The file cannot be written.

        Cancellation: every byte that came is written.
        """
        digest, flow, silence = await self.hash_prefix(offset), self._flow(offset), self._line.config.read_timeout
        check_owner = self._line.shelf.check_owner
        self.data_path = "plain"
        async with aclosing(body(response, silence)) as chunks:
            chunk = await anext(chunks, b"")
            if begin is not None:
                self._refuse_wrong_start(response, chunk)
                await begin()
            async with open_sink(self._path, offset=offset, digest=digest, check_owner=check_owner) as sink:
                try:
                    while chunk:
                        wanted = chunk[: max(0, limit() - sink.length)]
                        await sink.write(wanted)
                        await self._line.throttle.take(len(wanted))
                        self._watch(sink.length, flow)
                        if len(wanted) < len(chunk):
                            break
                        if rest := rest_of(response, sink.length - offset, silence, limit):
                            self.data_path = "drained"
                            watch = lambda length: self._watch(length, flow)  # noqa: E731
                            await drain(rest, sink, self._line.throttle, self._line.http.buffers, watch)
                            break
                        chunk = await anext(chunks, b"")
                finally:
                    self.length = sink.length
        return self.length

    async def join(self, segment: Path, skip: int, length: int) -> int:
        """Write the rest of a segment behind the file; returns the file's length.

        Args:
            segment: Another file; kept.
            skip: Bytes of the segment that are in the file already.
            length: Bytes of the file.

        Cancellation: bytes that were written stay, and are skipped next time.
        """
        digest = await self.hash_prefix(length)
        await to_thread.run_sync(self._line.shelf.check_owner)
        while count := await to_thread.run_sync(copy_blocks, segment, skip, self._path, digest, JOINED_AT_ONCE):
            skip, length = skip + count, length + count
        self.length = length
        return length

    async def hash_prefix(self, length: int) -> Digest:
        """A digest that has seen the first bytes of the file; reads them again unless it just wrote them."""
        if self._digest is None or self._digest.length != length:
            again = functools.partial(digest_file, self._path, self._algorithm, length)
            self._digest = await to_thread.run_sync(again) if length else Digest(self._algorithm)
        return self._digest

    @property
    def stamp(self) -> Stamp | None:
        """The file of which that is the checksum; None when others have written to it, too."""
        return self._digest.writer.stamp if self._digest else None

    def checksum(self) -> Checksum | None:
        """What was computed."""
        value = self._digest.hexdigest() if self._digest else None
        return Checksum(self._algorithm, value) if value and self._algorithm else None
