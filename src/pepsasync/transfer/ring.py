"""Blocks of memory that go round between the threads of a drain."""

from __future__ import annotations

import mmap
import queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ring:
    """Blocks that go round; made when they are needed.

    They are mappings because those give their memory back to the system when they are dropped.

    Args:
        share: How many blocks there may be now, and of how many bytes.
    """

    def __init__(self, share: Callable[[], tuple[int, int]]) -> None:
        self._share = share
        self._made = 0
        self._free: queue.SimpleQueue[mmap.mmap | None] = queue.SimpleQueue()

    def take(self) -> mmap.mmap | None:
        """A free block; waits when all are on their way. None after `wake`."""
        blocks, size = self._share()
        if self._made < blocks and self._free.empty():
            self._made += 1
            return mmap.mmap(-1, size)
        block = self._free.get()
        while block is not None and self._made > blocks and not self._free.empty():
            block = self._free.get()
            self._made -= 1
        return block if block is None or len(block) == size else mmap.mmap(-1, size)

    def give_back(self, block: mmap.mmap) -> None:
        """The block is free again."""
        self._free.put(block)

    def wake(self) -> None:
        """Nobody may give a block back any more: who waits for one need not."""
        self._free.put(None)

    def drop(self) -> None:
        """Give the memory back to the system, whoever still knows the ring."""
        self._free = queue.SimpleQueue()

    @property
    def is_single(self) -> bool:
        """Whether the block that was taken is the only one, and shall be."""
        return self._made == self._share()[0] == 1
