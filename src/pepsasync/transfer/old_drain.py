"""The rest of a large body, from its socket to the part and the digest, past the event loop.

One thread reads the socket into a block, another writes the block, a third hashes it; none copies anything, and nothing
is done for each chunk. The event loop only looks at how far they are, and stops them.
"""

from __future__ import annotations

import contextlib
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

from pepsasync.errors import PepsasyncError, TransferError
from pepsasync.folder.files import disk_error
from pepsasync.groups import task_group
from pepsasync.http.errors import reason
from pepsasync.transfer.blocks import BLOCK, FEWER_THREADS, in_thread
from pepsasync.transfer.old_direct import PAGE, DirectFile
from pepsasync.transfer.ring import Ring

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

    from pepsasync.http.sockets import Connection
    from pepsasync.limits.throttle import Throttle
    from pepsasync.transfer.blocks import BlockSink

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
        ring = Ring(lambda: (self.blocks, self.block_size))
        try:
            yield ring
        finally:
            self._rings -= 1
            ring.drop()

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


class _Drain:
    """What the threads of one drain do, and the state between them."""

    def __init__(self, rest: Rest, sink: BlockSink, throttle: Throttle, ring: Ring) -> None:
        self._rest = rest
        self._left = rest.length
        self._sink = sink
        self._throttle = throttle
        self._ring = ring
        self._has_helpers = False
        self._stopped = threading.Event()
        self._file = DirectFile(sink.file, sink.length)
        self._to_write: queue.SimpleQueue[tuple[mmap.mmap, int] | None] = queue.SimpleQueue()
        self._to_hash: queue.SimpleQueue[tuple[mmap.mmap, int] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self.failure: PepsasyncError | None = None
        """Of the disk or a thread; told before what the connection, which it cuts, has to say."""

    def stop(self) -> None:
        """End the threads soon; what was received until now is still written and hashed."""
        self._stopped.set()
        self._rest.connection.interrupt()

    def fail(self, failure: PepsasyncError) -> None:
        """End all threads soon, since one of them cannot go on, or was not to be had."""
        self.failure = self.failure or failure
        self.stop()
        self._to_hash.put(None)
        self._ring.wake()

    def finish(self) -> None:
        """When all threads have ended: hash what is written and nobody hashed, and leave the file as it was."""
        with contextlib.suppress(Exception):  # empty at last; a hash that failed has seen less than the part has
            while True:
                if item := self._to_hash.get_nowait():
                    self._hash(*item)
        del self._to_write, self._to_hash  # an error may keep the drain, but none of its blocks
        self._file.close()

    def check(self) -> None:
        """Raise what went wrong in the threads."""
        if error := self.failure or self._error:
            raise error

    def read_blocks(self, start: Callable[[Callable[[], None]], object]) -> None:
        """The reading thread; `start` has the event loop start the others, which most of very many never need."""
        try:
            self._rest.connection.socket.settimeout(self._rest.silence)
            while self._wanted and self._error is None and not self._stopped.is_set():
                if block := self._ring.take():
                    self._pass_on(block, self._fill(memoryview(block)), start)
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

    def _pass_on(self, block: mmap.mmap, count: int, start: Callable[[Callable[[], None]], object]) -> None:
        if self._sink.digest.is_hashing and not self._ring.is_single:
            if not self._has_helpers:
                self._has_helpers = True
                anyio.from_thread.run_sync(start, self.write_blocks)
                anyio.from_thread.run_sync(start, self.hash_blocks)
            self._to_write.put((block, count))
        else:
            self._hash(block, self._write(block, count, may_wait=False))

    def _write(self, block: mmap.mmap, count: int, *, may_wait: bool) -> int:
        """Returns how many bytes are in the file now; none after a failure, since a part has no holes."""
        if self.failure is not None:
            return 0
        try:
            with self._sink.digest.writer.writing(self._sink.file):
                self._file.write(memoryview(block)[:count], may_wait=may_wait)
        except OSError as error:
            self.fail(disk_error(self._sink.path, error))
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
        DiskFullError, ConfigError, TransferError: The part could not be written, or a thread was not to be had.

    Cancellation: the connection is cut; every byte received is written and hashed, and the threads have ended.
    """
    await sink.flush()
    with buffers.ring() as ring:
        work = _Drain(rest, sink, throttle, ring)
        try:
            await _do(work, lambda: tell(sink.length))
        except Exception:
            if work.failure is not None:
                raise work.failure from None
            raise
        finally:
            work.finish()
        work.check()


async def _do(work: _Drain, look: Callable[[], None]) -> None:
    """Have the threads work, and look at them now and then."""
    limiter = anyio.CapacityLimiter(3)
    ended = anyio.Event()
    async with task_group() as threads:

        async def run(blocks: Callable[[], None]) -> None:
            try:
                await in_thread(blocks, limiter)
            except TransferError as error:
                work.fail(error)
            except Exception as error:  # noqa: BLE001 - whatever it was: the others wait for this thread
                work.fail(TransferError(f"a thread of the download failed: {reason(error)}", hint=FEWER_THREADS))

        # The drain must not keep this: its blocks would wait for the garbage collector.
        def read_blocks() -> None:
            work.read_blocks(lambda blocks: threads.start_soon(run, blocks))

        async def read() -> None:
            await run(read_blocks)
            ended.set()

        threads.start_soon(read)
        try:
            while not ended.is_set():
                look()
                with anyio.move_on_after(LOOK_INTERVAL):
                    await ended.wait()
        finally:
            if not ended.is_set():
                work.stop()
