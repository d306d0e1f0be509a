"""Memory for the large bodies of a run: many at once have few and small blocks, few have more and larger ones."""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MEMORY = 16 << 20
"""Bytes that the blocks of all bodies of a run have together, at most. Many bodies that have one block each have half
of it: so many connections take memory, too."""

SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 16, 1 << 20
"""Bytes; smaller blocks cost more for switching threads than they save."""

FEWEST = 3
"""Blocks of a body with several threads: one is filled, one is written, one is hashed."""

MOST = 8
"""Blocks of a body while there is memory for them: no thread has to wait for a pause of another."""


class BufferPool:
    """Shares memory between the large bodies of a run.

    Args:
        in_memory: Bytes for all blocks together.
        processors: Of this machine; with twice as many bodies they are busy without threads for each task.
    """

    def __init__(self, in_memory: int = IN_MEMORY, processors: int | None = None) -> None:
        self._in_memory = in_memory
        self._processors = processors or os.cpu_count() or 1
        self._users = 0

    @contextlib.contextmanager
    def blocks(self) -> Iterator[Blocks]:
        """The blocks of one body."""
        self._users += 1
        blocks = Blocks(self)
        try:
            yield blocks
        finally:
            self._users -= 1
            blocks.drop()

    @property
    def count(self) -> int:
        """Blocks of one body now; with one, the thread that reads does everything."""
        if self._users > 2 * self._processors:
            return 1
        return min(max(self._in_memory // (LARGEST_BLOCK * max(self._users, 1)), FEWEST), MOST)

    @property
    def size(self) -> int:
        """Bytes of a block now: a power of two, so that one more body rarely changes it."""
        in_memory = self._in_memory if self.count > 1 else self._in_memory // 2
        share = in_memory // (self.count * max(self._users, 1))
        return min(max(1 << share.bit_length() - 1, SMALLEST_BLOCK), LARGEST_BLOCK)


class Blocks:
    """Blocks of memory that the threads of one body pass to each other; made when they are needed.

    They are mappings because those give their memory back to the system when they are dropped.

    Args:
        pool: Says how many there may be now, and of how many bytes.
    """

    def __init__(self, pool: BufferPool) -> None:
        self._pool = pool
        self._made = 0
        self._free: queue.SimpleQueue[mmap.mmap | None] = queue.SimpleQueue()

    def take(self) -> mmap.mmap | None:
        """A free block; waits while all are in use. None after `wake`."""
        count, size = self._pool.count, self._pool.size
        if self._made < count and self._free.empty():
            self._made += 1
            return mmap.mmap(-1, size)
        block = self._free.get()
        while block is not None and self._made > count and not self._free.empty():
            block = self._free.get()
            self._made -= 1
        return block if block is None or len(block) == size else mmap.mmap(-1, size)

    def give_back(self, block: mmap.mmap) -> None:
        """The block is free again."""
        self._free.put(block)

    def wake(self) -> None:
        """Wake a thread that waits for a block: none may be given back any more."""
        self._free.put(None)

    def drop(self) -> None:
        """Give the memory back to the system, even if something still refers to the blocks."""
        self._free = queue.SimpleQueue()

    @property
    def is_single(self) -> bool:
        """Whether the block that was taken is the only one, and shall be."""
        return self._made == self._pool.count == 1
