"""Small pieces of blocking work for few threads: while they work on one batch, the next gathers.

A thread for each piece would cost more than the piece: every call to the system gives the interpreter lock away, and
the more threads want it, the longer each waits to get it back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Piece(Generic[Item, Result]):
    """An item on its way to its outcome."""

    __slots__ = ("called", "is_taken", "item", "outcome")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Result | BaseException | None = None
        self.is_taken = False
        """Whether it is in a batch that somebody else sees to."""
        self.called = anyio.Event()
        """Set when the outcome is there, or when a thread is free for a batch that begins with this item."""


class Batches(Generic[Item, Result]):
    """Has blocking work done on items, many at a time.

    Args:
        work: Called in a thread; returns for each item its result or its error, in their order.
        threads: At once.
        most: Items of a batch.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, threads: int, most: int
    ) -> None:
        self._work = work
        self._free = threads
        self._most = most
        self._waiting: deque[_Piece[Item, Result]] = deque()
        self._room: anyio.Event | None = None

    async def until_room(self) -> None:
        """Wait while a whole batch waits already: who has an item that takes memory makes it after this."""
        while len(self._waiting) >= self._most:
            self._room = self._room or anyio.Event()
            await self._room.wait()

    async def do(self, item: Item) -> Result:
        """Have an item worked on, together with others that wait.

        Whoever finds a thread free, or is called to it, sees to a batch for all who are in it.

        Raises:
            Exception: What `work` returned for this item, or raised.

        Cancellation: the work on the item is complete, or was not begun.
        """
        mine: _Piece[Item, Result] = _Piece(item)
        if self._free:
            self._free -= 1
        else:
            await self._wait(mine)
        if not mine.is_taken:
            await self._see_to_batch(mine)
        if isinstance(mine.outcome, BaseException):
            raise mine.outcome
        return cast("Result", mine.outcome)

    async def _wait(self, mine: _Piece[Item, Result]) -> None:
        self._waiting.append(mine)
        try:
            await mine.called.wait()
        except BaseException:
            if mine.is_taken:
                with anyio.CancelScope(shield=True):
                    await mine.called.wait()
            elif mine.called.is_set():
                self._free_thread()
            else:
                self._waiting.remove(mine)
                self._tell_room()
            raise

    async def _see_to_batch(self, mine: _Piece[Item, Result]) -> None:
        batch = [mine, *(self._waiting.popleft() for _ in range(min(self._most - 1, len(self._waiting))))]
        self._tell_room()
        for piece in batch:
            piece.is_taken = True
        outcomes: Sequence[Result | BaseException] = ()
        try:
            with anyio.CancelScope(shield=True):
                outcomes = await to_thread.run_sync(self._work, [piece.item for piece in batch])
        except BaseException as error:  # nobody may wait for ever, whatever happens
            outcomes = [error] * len(batch)
            raise
        finally:
            for piece, outcome in zip(batch, outcomes, strict=True):
                piece.outcome = outcome
                piece.called.set()
            self._free_thread()

    def _tell_room(self) -> None:
        if self._room:
            self._room.set()
            self._room = None

    def _free_thread(self) -> None:
        """Call whoever waits longest."""
        if self._waiting:
            self._waiting.popleft().called.set()
            self._tell_room()
        else:
            self._free += 1
