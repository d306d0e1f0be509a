"""Intake: the body of an answer goes into a part, behind what is there, and is hashed on the way."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import anyio
from anyio import to_thread

from pepsasync.decide.flow import Flow
from pepsasync.errors import ServerError
from pepsasync.events import DownloadProgressed
from pepsasync.io.blocks import Digest, digest_file, open_sink
from pepsasync.io.drain import drain
from pepsasync.io.http import body, rest_of
from pepsasync.model import Checksum

if TYPE_CHECKING:
    import httpx

    from pepsasync.model import Product
    from pepsasync.stages.line import Line

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress events of one product."""

DataPath = Literal["drained", "plain"]
"""How a body came: past the event loop, or chunk by chunk over it."""


class Intake:
    """Takes the bodies of one product's answers.

    Args:
        product: Whose part is written; its checksum names the algorithm.
        line: Connection, folder, limits.
    """

    def __init__(self, product: Product, line: Line) -> None:
        self._product = product
        self._line = line
        self._path = line.shelf.part_path(product)
        self._digest: Digest | None = None
        self._told = 0.0
        self.length = 0
        """Bytes of the part after the latest body."""
        self.data_path: DataPath = "plain"
        """How the latest body came."""

    async def take(self, response: httpx.Response, offset: int) -> int:
        """Write a body from an offset of the part on; returns the part's length.

        Raises:
            ProviderError: What comes is not the product, or hardly anything comes.
            ServerError: The connection broke.
            DiskFullError, ConfigError, TransferError: The part cannot be written.

        Cancellation: every byte that came is written.
        """
        digest = await self.hash_prefix(offset)
        config, http = self._line.config, self._line.http
        slowest = 0 if config.limit_rate else config.min_rate
        flow = Flow(slowest, offset, anyio.current_time())
        self.data_path = "plain"
        async with open_sink(self._path, offset=offset, digest=digest) as sink:
            try:
                async with aclosing(body(response, config.read_timeout)) as chunks:
                    async for chunk in chunks:
                        if sink.length == 0:
                            self._refuse_wrong_start(response, chunk)
                        await self._line.throttle.take(len(chunk))
                        await sink.write(chunk)
                        self._tell(sink.length, flow)
                        if rest := rest_of(response, sink.length - offset, config.read_timeout):
                            self.data_path = "drained"
                            tell = lambda length: self._tell(length, flow)  # noqa: E731
                            await drain(rest, sink, self._line.throttle, http.buffers, tell)
                            break
            finally:
                self.length = sink.length
        return self.length

    async def hash_prefix(self, length: int) -> Digest:
        """A digest that has seen the first bytes of the part; reads them again unless it just wrote them."""
        algorithm = self._product.checksum.algorithm if self._product.checksum else None
        if self._digest is None or self._digest.length != length:
            self._digest = await to_thread.run_sync(digest_file, self._path, algorithm, length) if length else None
        self._digest = self._digest or Digest(algorithm)
        return self._digest

    def checksum(self) -> Checksum | None:
        """What was computed, in the algorithm that the archive announced."""
        value = self._digest.hexdigest() if self._digest else None
        return Checksum(self._product.checksum.algorithm, value) if value and self._product.checksum else None

    def _refuse_wrong_start(self, response: httpx.Response, chunk: bytes) -> None:
        if error := self._line.provider.judge_download(self._product, response, chunk):
            raise error

    def _tell(self, length: int, flow: Flow) -> None:
        """Tell the progress now and then, and end a transfer that only crawls: the next connection may be better."""
        now = anyio.current_time()
        if now - self._told >= PROGRESS_INTERVAL:
            self._told = now
            self._line.emit(DownloadProgressed(id=self._product.id, name=self._product.name, received=length))
            if self._line.space and self._product.size:
                self._line.space.shrink(self._product.name, max(0, self._product.size - length))
        came = flow.crawled(length, now)
        if came is not None:
            raise ServerError(f"only {came:,} bytes came in a minute", product=self._product.name)
