"""Progress of one product: bytes received, and a stall detector for each connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from pepsasync.errors import ServerError
from pepsasync.events import DownloadProgressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.folder.space import Space
    from pepsasync.model import Product
    from pepsasync.transfer.context import ArchiveContext

    class Coming(Protocol):
        """What is received of one product."""

        product: Product

        @property
        def received(self) -> int:
            """Bytes that are here."""


INTERVAL = 0.1
"""Seconds between two progress events of one product."""

STALL_WINDOW = 60.0
"""Seconds over which the rate of a connection is judged."""


class Progress:
    """Reports how much of one product is here, over all connections.

    Args:
        part: Of the product, or what counts its bytes.
        archive: Gets the events; its config says how slow a connection may be.
        space: Room set aside on the disk, of which less is needed with every byte; None when it is not watched.
        left: Bytes that are still to be written; None where these are the product's that have not come.
    """

    def __init__(
        self, part: Coming, archive: ArchiveContext, space: Space | None, left: Callable[[], int] | None = None
    ) -> None:
        self._part = part
        self._archive = archive
        self._space = space
        self._left = left
        self._told = 0.0
        self._told_bytes = part.received
        self._began = anyio.current_time()
        self.furthest = part.received
        """Most bytes that were ever here: a server that ignores ranges and always cuts must not be tried for ever."""

    @property
    def seconds(self) -> float:
        """Since the download began."""
        return anyio.current_time() - self._began

    def count(self) -> None:
        """Take note of what is here now."""
        self.furthest = max(self.furthest, self._part.received)

    def watch(self) -> Callable[[], None]:
        """Return a function to be called while one body is received, which reports the progress.

        It raises a `ServerError` when a minute brought fewer bytes than `Config.min_rate` asks for: the next connection
        may be faster.
        """
        config, part, since = self._archive.config, self._part, anyio.current_time()
        slowest = 0.0 if config.limit_rate else config.min_rate
        before = part.received

        def look() -> None:
            nonlocal before, since
            now = anyio.current_time()
            self._tell(now)
            if now - since >= STALL_WINDOW:
                came = part.received - before
                if came < slowest * (now - since):
                    raise ServerError(f"stalled: only {came:,} bytes in a minute", product=part.product.name)
                before, since = part.received, now

        return look

    def _tell(self, now: float) -> None:
        if now - self._told < INTERVAL:
            return
        self._told = now
        product, received = self._part.product, self._part.received
        if received > self._told_bytes:
            self._archive.gate.backoff.served()
        self._told_bytes = received
        self._archive.emit(DownloadProgressed(id=product.id, name=product.name, received=received))
        if self._space and self._left:
            self._space.shrink(product.name, self._left())
        elif self._space and product.size:
            self._space.shrink(product.name, max(0, product.size - received))
