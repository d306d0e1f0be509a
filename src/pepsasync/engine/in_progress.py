"""Claims: each product of a folder is on one way at a time, however many runs of a client want it."""

from __future__ import annotations

import anyio


class Claims:
    """Names of the products that are under way in one folder: two ways would write one part."""

    def __init__(self) -> None:
        self.is_shared = False
        """Whether more than one run has ever had a way into the folder: what one has not found there, another may have
        brought since."""
        self._names: set[str] = set()
        self._one_ended: anyio.Event | None = None

    async def take(self, name: str) -> None:
        """Become the one who brings a product, until `give_back`; waits while somebody else is.

        Cancellation: nothing is claimed.
        """
        while name in self._names:
            self._one_ended = self._one_ended or anyio.Event()
            await self._one_ended.wait()
        self._names.add(name)

    def give_back(self, name: str) -> None:
        """Let the next one bring it."""
        self._names.discard(name)
        if self._one_ended is not None:
            self._one_ended.set()
            self._one_ended = None
