"""Claims: each product of a folder is on one way at a time, however many runs of a client want it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio

from pepsasync.decide.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Claims:
    """Names of the products that are under way in one folder: two ways would write one part."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._one_ended = anyio.Event()

    @contextlib.asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[bool]:
        """Be the one who brings a product; yields whether somebody else did before.

        Cancellation: nothing is claimed, or no longer.
        """
        name, has_waited = safe_name(name), False
        while name in self._names:
            has_waited = True
            await self._one_ended.wait()
        self._names.add(name)
        try:
            yield has_waited
        finally:
            self._names.discard(name)
            self._one_ended.set()
            self._one_ended = anyio.Event()
