"""Threaded receive: the rest of a large body goes from its socket to the part and the digest, past the event loop.

One thread reads the socket into a block, another writes the block, a third hashes it; none copies anything, and nothing
is done for each chunk. The event loop only looks at how far they are, and stops them.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx

from pepsasync.errors import PepsasyncError, TransferError
from pepsasync.groups import task_group
from pepsasync.text import reason
from pepsasync.threads import FEWER_THREADS
from pepsasync.transfer.direct import PAGE

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from pepsasync.http.sockets import Connection
    from pepsasync.limits.throttle import Throttle
    from pepsasync.transfer.buffers import Blocks, BufferPool
    from pepsasync.transfer.incoming import Writer

LINGER = 0.5
"""Seconds after which a block is written though it is not full."""

LOOK_INTERVAL = 0.1
"""Seconds between two looks at how far the threads are."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A body whose connection is taken over."""

    connection: Connection
    head: bytes
    """What the HTTP parser held of the body."""
    length: int
    """Bytes to come over the connection."""
    silence: float
    """Longest wait for bytes, seconds."""


class _Drain:
    """What the threads of one drain do, and the state between them."""

    def __init__(self, rest: Rest, writer: Writer, throttle: Throttle, blocks: Blocks, *, hashes: bool) -> None:
        self._rest = rest
        self._head = memoryview(rest.head)
        self._left = rest.length
        self._writer = writer
        self._throttle = throttle
        self._blocks = blocks
        self._hashes = hashes
        self._has_helpers = False
        self._stopped = threading.Event()
        self._to_write: queue.SimpleQueue[tuple[mmap.mmap, int] | None] = queue.SimpleQueue()
        self._to_hash: queue.SimpleQueue[tuple[mmap.mmap, int, int] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self.failure: PepsasyncError | None = None
        """Of the disk or a thread; raised instead of the connection error that it causes."""

    def stop(self) -> None:
        """Have the threads end soon, with everything written that was received."""
        self._stopped.set()
        self._rest.connection.interrupt()

    def fail(self, error: PepsasyncError) -> None:
        """Have the threads end now; blocks may no longer be given back."""
        self.failure = self.failure or error
        self.stop()
        self._to_hash.put(None)
        self._blocks.wake()

    def drop_blocks(self) -> None:
        """Release the blocks when all threads have ended: a traceback may keep this object alive."""
        del self._to_write, self._to_hash

    def check(self) -> None:
        """Raise what went wrong in the threads."""
        if error := self.failure or self._error:
            raise error

    def read_blocks(self, start: Callable[[Callable[[], None]], object]) -> None:
        """The reading thread; `start` has the event loop start the other two, once they are needed."""
        try:
            self._rest.connection.socket.settimeout(self._rest.silence)
            while self._wanted and self._error is None and not self._must_stop:
                self._writer.wait_for_room(self._stopped.is_set)
                if block := self._blocks.take():
                    self._pass_on(block, self._fill(memoryview(block)), start)
        finally:
            self._to_write.put(None)

    def write_blocks(self) -> None:
        """The writing thread."""
        try:
            while (item := self._to_write.get()) is not None:
                block, count = item
                self._to_hash.put((block, *self._write(block, count, may_be_direct=True)))
        finally:
            self._to_hash.put(None)

    def hash_blocks(self) -> None:
        """The hashing thread."""
        while (item := self._to_hash.get()) is not None:
            self._hash(*item)

    @property
    def _wanted(self) -> int:
        """Bytes to come; fewer when another connection takes over what is left."""
        return max(0, min(len(self._head) + self._left, self._writer.segment.left))

    @property
    def _must_stop(self) -> bool:
        """Whether nothing more is received; what the HTTP parser held has come, and is written."""
        return self._stopped.is_set() and not self._head

    def _fill(self, block: memoryview) -> int:
        """Receive into a block until it is full, or it is time to write it, or nothing more comes."""
        room = len(block) - self._writer.segment.position % PAGE  # the next one begins with a page
        filled, wanted, until = 0, min(room, self._wanted), time.monotonic() + LINGER
        while filled < wanted and not self._must_stop and time.monotonic() < until:
            count = self._receive(block[filled : filled + self._throttle.piece(wanted - filled)])
            if not count:
                break
            filled += count
            self._writer.segment.received += count
            if pause := self._throttle.pause_for(count):
                self._stopped.wait(pause)
        return filled

    def _receive(self, room: memoryview) -> int:
        """Read once; 0 when nothing more comes, and why is known then."""
        if self._head:
            count = min(len(room), len(self._head))
            room[:count], self._head = self._head[:count], self._head[count:]
            return count
        try:
            if count := self._rest.connection.socket.recv_into(room):
                self._left -= count
                return count
            self._error = httpx.RemoteProtocolError(f"closed {self._left:,} bytes before the end")
        except TimeoutError as error:
            self._error = httpx.ReadTimeout(str(error))
        except OSError as error:
            self._error = httpx.ReadError(str(error))
        return 0

    def _pass_on(self, block: mmap.mmap, count: int, start: Callable[[Callable[[], None]], object]) -> None:
        if self._hashes and not self._blocks.is_single:
            if not self._has_helpers:
                self._has_helpers = True
                anyio.from_thread.run_sync(start, self.write_blocks)
                anyio.from_thread.run_sync(start, self.hash_blocks)
            self._to_write.put((block, count))
        else:
            self._hash(block, *self._write(block, count, may_be_direct=False))

    def _write(self, block: mmap.mmap, count: int, *, may_be_direct: bool) -> tuple[int, int]:
        """Write a block; returns how many bytes of it are in the file, and where they end."""
        if self.failure is None:
            try:
                count = self._writer.write(memoryview(block)[:count], may_be_direct=may_be_direct)
            except OSError as error:
                self.fail(self._writer.explain(error))
            except PepsasyncError as error:
                self.fail(error)
        return (count if self.failure is None else 0), self._writer.segment.filled

    def _hash(self, block: mmap.mmap, count: int, end: int) -> None:
        self._writer.hash(end, memoryview(block)[:count])
        self._blocks.give_back(block)


async def drain(
    rest: Rest, writer: Writer, throttle: Throttle, buffers: BufferPool, look: Callable[[], None], *, hashes: bool
) -> None:
    """Move the rest of a body to its part.

    Args:
        rest: Its connection cannot be used again afterwards.
        writer: Nothing may be written to it meanwhile.
        throttle: Shared by all connections of the run.
        buffers: Shared by all large bodies of the run.
        look: Called every 0.1 s; may raise to end the transfer.
        hashes: Whether the bytes are hashed on the way: threads that write and hash beside the one that reads are worth
            it then.

    Raises:
        httpx.TransportError: The connection broke or went silent.
        DiskFullError, ConfigError, TransferError: The part could not be written, or a thread could not be started.

    Cancellation: the connection is cut; every byte received is written and hashed, and the threads have ended.
    """
    with buffers.blocks() as blocks:
        work = _Drain(rest, writer, throttle, blocks, hashes=hashes)
        try:
            await _do(work, look)
        except Exception:
            if work.failure is not None:
                raise work.failure from None
            raise
        finally:
            work.drop_blocks()
        work.check()


async def _do(work: _Drain, look: Callable[[], None]) -> None:
    """Have the threads work, and look at them now and then."""
    limiter = anyio.CapacityLimiter(3)
    ended = anyio.Event()
    async with task_group() as threads:

        async def run(blocks: Callable[[], None]) -> None:
            try:
                # The thread must have ended before its file is closed.
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(blocks, limiter=limiter)
            except Exception as error:  # noqa: BLE001 - whatever it was: the others wait for this thread
                work.fail(TransferError(f"a thread of the download failed: {reason(error)}", hint=FEWER_THREADS))

        async def read() -> None:
            await run(partial(work.read_blocks, lambda blocks: threads.start_soon(run, blocks)))
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
