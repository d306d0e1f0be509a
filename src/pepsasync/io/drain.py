"""The rest of a large body, from its socket to the part and the digest, past the event loop.

One thread reads the socket into a block, another writes the block, a third hashes it; none copies anything, and nothing
is done for each chunk. The event loop only looks at how far they are, and stops them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import httpx

from pepsasync.io.blocks import BLOCK, in_thread
from pepsasync.io.direct import PAGE, DirectFile
from pepsasync.io.files import disk_error
from pepsasync.io.groups import task_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pepsasync.io.blocks import BlockSink
    from pepsasync.io.sockets import Connection
    from pepsasync.io.throttle import Throttle

IN_MEMORY = 16 << 20
"""Bytes that the blocks of all drains of a run have together, at most. Many that have one each have half of it: so many
connections take memory, too."""

SMALLEST_BLOCK = 1 << 16

FEWEST = 3
"""Blocks of a drain with several threads: one is filled, one is written, one is hashed."""

MOST = 8
"""Blocks of a drain while there is memory for them: no thread has to wait for a pause of another."""

LINGER = 0.5
"""Seconds after which a block is written though it is not full."""

LOOK_INTERVAL = 0.1
"""Seconds between two looks at how far the threads are."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is still to come of a body whose connection can be taken over."""

    connection: Connection
    length: int
    """Bytes to come."""
    silence: float
    """Longest wait for bytes, seconds."""
    limit: Callable[[], int] = lambda: sys.maxsize
    """Length of the part at which nothing more is wanted; may come nearer meanwhile."""


class Buffers:
    """Shares memory between the drains of a run: many at once have few and small blocks, few have more and larger ones.

    Args:
        in_memory: Bytes for the blocks of all drains together.
        processors: Of this machine; with twice as many drains they are busy without hashing threads.
    """

    def __init__(self, in_memory: int = IN_MEMORY, processors: int | None = None) -> None:
        self._in_memory = in_memory
        self._processors = processors or os.cpu_count() or 1
        self._rings = 0

    @contextlib.contextmanager
    def ring(self) -> Iterator[Ring]:
        """The blocks of one drain."""
        self._rings += 1
        try:
            yield Ring(self)
        finally:
            self._rings -= 1

    @property
    def blocks(self) -> int:
        """Blocks of one drain now; with one, the thread that reads does everything."""
        if self._rings > 2 * self._processors:
            return 1
        return min(max(self._in_memory // (BLOCK * max(self._rings, 1)), FEWEST), MOST)

    @property
    def block_size(self) -> int:
        """Bytes of a block now: a power of two, so that one more drain rarely changes it."""
        in_memory = self._in_memory if self.blocks > 1 else self._in_memory // 2
        share = in_memory // (self.blocks * max(self._rings, 1))
        return min(max(1 << share.bit_length() - 1, SMALLEST_BLOCK), BLOCK)


class Ring:
    """Blocks that go round between the threads of a drain; made when they are needed.

    They are mappings because those give their memory back to the system when they are dropped.
    """

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._made = 0
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()

    def take(self) -> mmap.mmap:
        """A free block; waits when all are on their way."""
        size, blocks = self._buffers.block_size, self._buffers.blocks
        if self._made < blocks and self._free.empty():
            self._made += 1
            return mmap.mmap(-1, size)
        block = self._free.get()
        while self._made > blocks and not self._free.empty():
            self._free.get()
            self._made -= 1
        return block if len(block) == size else mmap.mmap(-1, size)

    def give_back(self, block: mmap.mmap) -> None:
        """The block is free again."""
        self._free.put(block)

    @property
    def is_single(self) -> bool:
        """Whether the block that was taken is the only one, and shall be."""
        return self._made == self._buffers.blocks == 1


class _Drain:
    """What the threads of one drain do, and the state between them.

    `start` has the event loop start a thread: the two that write and hash, which most of very many drains never need.
    """

    def __init__(
        self, rest: Rest, sink: BlockSink, throttle: Throttle, ring: Ring, start: Callable[[Callable[[], None]], object]
    ) -> None:
        self._rest = rest
        self._left = rest.length
        self._sink = sink
        self._throttle = throttle
        self._ring = ring
        self._start = start
        self._has_helpers = False
        self._stopped = threading.Event()
        self._file = DirectFile(sink.file, sink.length)
        self._to_write: queue.SimpleQueue[tuple[mmap.mmap, int] | None] = queue.SimpleQueue()
        self._to_hash: queue.SimpleQueue[tuple[mmap.mmap, int] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._disk_error: Exception | None = None
        """Told before what the connection, which it cuts, has to say."""

    def stop(self) -> None:
        """End the threads soon; what was received until now is still written and hashed."""
        self._stopped.set()
        self._rest.connection.interrupt()

    def finish(self) -> None:
        """Leave the file as it was when all threads have ended, and raise what went wrong in them."""
        self._file.close()
        if error := self._disk_error or self._error:
            raise error

    def read_blocks(self) -> None:
        """The reading thread."""
        try:
            self._rest.connection.socket.settimeout(self._rest.silence)
            while self._wanted and self._error is None and not self._stopped.is_set():
                block = self._ring.take()
                self._pass_on(block, self._fill(memoryview(block)))
        finally:
            self._to_write.put(None)

    def write_blocks(self) -> None:
        """The writing thread."""
        try:
            while (item := self._to_write.get()) is not None:
                block, count = item
                self._to_hash.put((block, self._write(block, count, may_wait=True)))
        finally:
            self._to_hash.put(None)

    def hash_blocks(self) -> None:
        """The hashing thread."""
        while (item := self._to_hash.get()) is not None:
            self._hash(*item)

    @property
    def _wanted(self) -> int:
        """Bytes to come."""
        return max(0, min(self._left, self._rest.limit() - self._sink.length))

    def _fill(self, block: memoryview) -> int:
        """Receive into a block until it is full, or it is time to write it, or nothing more comes."""
        room = len(block) - self._sink.length % PAGE  # the next one begins with a page
        filled, wanted, until = 0, min(room, self._wanted), time.monotonic() + LINGER
        while filled < wanted and not self._stopped.is_set() and time.monotonic() < until:
            count = self._receive(block[filled : filled + self._throttle.piece(wanted - filled)])
            if not count:
                break
            filled += count
            self._left -= count
            self._sink.length += count
            if pause := self._throttle.pause_for(count):
                self._stopped.wait(pause)
        return filled

    def _receive(self, room: memoryview) -> int:
        """Read once; 0 when nothing more comes, and why is known then."""
        try:
            if count := self._rest.connection.socket.recv_into(room):
                return count
            self._error = httpx.RemoteProtocolError(f"closed {self._left:,} bytes before the end")
        except TimeoutError as error:
            self._error = httpx.ReadTimeout(str(error))
        except OSError as error:
            self._error = httpx.ReadError(str(error))
        return 0

    def _pass_on(self, block: mmap.mmap, count: int) -> None:
        if self._sink.digest.is_hashing and not self._ring.is_single:
            if not self._has_helpers:
                self._has_helpers = True
                anyio.from_thread.run_sync(self._start, self.write_blocks)
                anyio.from_thread.run_sync(self._start, self.hash_blocks)
            self._to_write.put((block, count))
        else:
            self._hash(block, self._write(block, count, may_wait=False))

    def _write(self, block: mmap.mmap, count: int, *, may_wait: bool) -> int:
        """Returns how many bytes are in the file now; none once one block failed, since a part has no holes."""
        if self._disk_error is not None:
            return 0
        try:
            self._file.write(memoryview(block)[:count], may_wait=may_wait)
        except OSError as error:
            self._disk_error = disk_error(self._sink.path, error)
            self.stop()
            return 0
        return count

    def _hash(self, block: mmap.mmap, count: int) -> None:
        self._sink.digest.update(memoryview(block)[:count])
        self._ring.give_back(block)


async def drain(rest: Rest, sink: BlockSink, throttle: Throttle, buffers: Buffers, tell: Callable[[int], None]) -> None:
    """Move the rest of a body to its part.

    Args:
        rest: Its connection cannot be used again afterwards.
        sink: Knows part and digest; nothing may be written to it meanwhile.
        throttle: Shared by all connections of the run.
        buffers: Shared by all drains of the run.
        tell: Called every 0.1 s with the length of the part.

    Raises:
        httpx.TransportError: The connection broke or went silent.
        DiskFullError, ConfigError, TransferError: The part could not be written.

    Cancellation: the connection is cut; every byte received is written and hashed, and the threads have ended.
    """
    sink.flush()
    limiter = anyio.CapacityLimiter(3)
    ended = anyio.Event()
    with buffers.ring() as ring:
        async with task_group() as threads:
            # Nothing in here may lead back to the drain: its blocks would wait for the garbage collector.
            start = lambda work: threads.start_soon(in_thread, work, limiter)  # noqa: E731
            work = _Drain(rest, sink, throttle, ring, start)

            async def read() -> None:
                try:
                    await in_thread(work.read_blocks, limiter)
                finally:
                    ended.set()

            threads.start_soon(read)
            try:
                while not ended.is_set():
                    tell(sink.length)
                    with anyio.move_on_after(LOOK_INTERVAL):
                        await ended.wait()
            finally:
                if not ended.is_set():
                    work.stop()
    work.finish()
