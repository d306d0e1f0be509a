"""Products in progress: a lock for each product of a folder, held by one of the runs of a client at a time."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class InProgress:
    """Names of the products in progress in one folder: two runs must not write the same part."""

    def __init__(self) -> None:
        self.is_shared = False
        """Whether more than one run has ever worked in the folder: what one has not found there, another may have
        brought since."""
        self._names: set[str] = set()
        self._one_ended: anyio.Event | None = None

    @contextlib.asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Hold the lock of a product; waits while another run holds it.

        Yields:
            Whether another run may have brought it meanwhile.

        Cancellation: nothing is held.
        """
        while name in self._names:
            self._one_ended = self._one_ended or anyio.Event()
            await self._one_ended.wait()
        self._names.add(name)
        try:
            yield self.is_shared
        finally:
            self._names.discard(name)
            if self._one_ended is not None:
                self._one_ended.set()
                self._one_ended = None
