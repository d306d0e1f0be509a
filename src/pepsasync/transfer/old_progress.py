"""Progress: how much of one product is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pepsasync.events import DownloadProgressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.model import Product
    from pepsasync.transfer.line import Line

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress events of one product."""


class Progress:
    """Tells how much of one product is here, however many connections bring it.

    Args:
        product: Whose bytes come.
        line: Where it is told, and whose room on the disk shrinks.
    """

    def __init__(self, product: Product, line: Line) -> None:
        self._product = product
        self._line = line
        self._told = 0.0
        self.part = 0
        """Bytes of the part."""
        self.elsewhere: Callable[[], int] = lambda: 0
        """Tells the bytes that are not in the part yet."""

    @property
    def received(self) -> int:
        """Bytes that are here."""
        return self.part + self.elsewhere()

    def tell(self) -> None:
        """Tell it, if that was not done just before."""
        now = anyio.current_time()
        if now - self._told < PROGRESS_INTERVAL:
            return
        self._told = now
        product, received = self._product, self.received
        self._line.emit(DownloadProgressed(id=product.id, name=product.name, received=received))
        if self._line.space and product.size:
            self._line.space.shrink(product.name, max(0, product.size - received))
