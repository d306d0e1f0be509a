"""From chunks on the event loop to blocks in threads: write and hash without a thread hop per chunk.

One thread writes, one hashes, each takes blocks of 1 MiB from a queue. Hash functions and file writes release the
interpreter, so the three run side by side.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import queue
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from pepsasync.io.files import disk_error, disk_errors
from pepsasync.io.groups import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

BLOCK = 1 << 20
"""Bytes handed over at once; smaller blocks lose to the hand-over of the interpreter lock."""

LARGE = 1 << 18
"""Chunks from this size on are handed over as they are; copying them into a block would cost more than it saves."""

DEPTH = 8
"""Blocks between the network and the hash; bounds memory to 8 MiB a download."""


class Digest:
    """A hash that knows how many bytes it has seen."""

    def __init__(self, algorithm: str | None) -> None:
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self.length = 0
        """Bytes seen."""

    def update(self, block: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        if self._hash is not None:
            self._hash.update(block)
        self.length += len(block)

    def hexdigest(self) -> str | None:
        """Hexadecimal digits, lower case; None without an algorithm."""
        return None if self._hash is None else str(self._hash.hexdigest())


def digest_file(path: Path, algorithm: str | None, length: int) -> Digest:
    """Hash the first bytes of a file; blocks, call it in a thread.

    Raises:
        PepsasyncError: The file cannot be read.
    """
    digest = Digest(algorithm)
    block = memoryview(bytearray(4 * BLOCK))
    with disk_errors(path), path.open("rb", buffering=0) as file:
        while digest.length < length:
            count = file.readinto(block[: min(len(block), length - digest.length)])
            if not count:
                break
            digest.update(block[:count])
    return digest


class BlockSink:
    """Takes chunks, joins them to blocks, and has them written and hashed. Made by `open_sink`."""

    def __init__(self, path: Path, offset: int, digest: Digest) -> None:
        self._path = path
        self._digest = digest
        self._file = path.open("r+b" if offset else "wb", buffering=0)
        self._file.seek(offset)
        self._file.truncate()
        self._block = bytearray(BLOCK)
        self._filled = 0
        self._spare: collections.deque[bytearray] = collections.deque()
        self._to_write: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._to_hash: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._handed_over = 0
        self._done = 0  # written by the hashing thread alone
        self._room: anyio.Event | None = None
        self._error: OSError | None = None
        self.length = offset
        """Bytes taken so far, counted from the start of the file."""

    async def write(self, chunk: bytes) -> None:
        """Take a chunk; waits only when the disk or the hash are behind.

        Raises:
            DiskFullError, ConfigError, TransferError: An earlier block could not be written.
        """
        self.length += len(chunk)
        if not self._filled and len(chunk) >= LARGE:
            self._to_write.put(memoryview(chunk))
            self._handed_over += 1
            await self._wait_for_room()
            return
        rest = memoryview(chunk)
        while self._filled + len(rest) >= BLOCK:
            taken = BLOCK - self._filled
            self._block[self._filled :] = rest[:taken]
            self._filled, rest = BLOCK, rest[taken:]
            self._hand_over()
            await self._wait_for_room()
        end = self._filled + len(rest)
        self._block[self._filled : end] = rest
        self._filled = end

    async def _wait_for_room(self) -> None:
        while self._handed_over - self._done >= DEPTH:
            self._room = anyio.Event()
            if self._handed_over - self._done < DEPTH:
                break
            await self._room.wait()
        self.check()

    def check(self) -> None:
        """Raise what went wrong in the writing thread."""
        if self._error is not None:
            raise disk_error(self._path, self._error) from self._error

    def _hand_over(self) -> None:
        self._to_write.put(memoryview(self._block)[: self._filled])
        self._handed_over += 1
        # Blocks are used again: fresh memory costs more than the copy into it.
        self._block = self._spare.popleft() if self._spare else bytearray(BLOCK)
        self._filled = 0

    def finish(self) -> None:
        """Hand over what is left and tell both threads to end; never waits."""
        if self._filled:
            self._hand_over()
        self._to_write.put(None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write_blocks(self) -> None:
        """The writing thread."""
        while (block := self._to_write.get()) is not None:
            if self._error is None:
                try:
                    _write_all(self._file, block)
                except OSError as error:
                    self._error = error
            self._to_hash.put(block)
        self._to_hash.put(None)

    def hash_blocks(self) -> None:
        """The hashing thread."""
        while (block := self._to_hash.get()) is not None:
            self._digest.update(block)
            if isinstance(block.obj, bytearray):
                self._spare.append(block.obj)
            self._done += 1
            if (room := self._room) is not None:
                self._room = None
                anyio.from_thread.run_sync(room.set)


def _write_all(file: Any, block: memoryview) -> None:
    while block:
        block = block[file.write(block) :]


@contextlib.asynccontextmanager
async def open_sink(path: Path, *, offset: int, digest: Digest) -> AsyncIterator[BlockSink]:
    """Open a part file for writing from an offset; what stands behind it is cut off.

    Args:
        path: The part file.
        offset: First byte that will be written.
        digest: Has seen exactly `offset` bytes.

    Raises:
        DiskFullError, ConfigError, TransferError: Opening or writing failed.

    Cancellation: every chunk taken is written before the block is left.
    """

    def opened() -> BlockSink:
        with disk_errors(path):
            return BlockSink(path, offset, digest)

    # Of its own: downloads are bounded elsewhere, and writer and hasher must never wait for each other's thread.
    limiter = anyio.CapacityLimiter(2)
    sink = await anyio.to_thread.run_sync(opened, limiter=limiter)
    try:
        async with task_group() as threads:
            threads.start_soon(_in_thread, sink.write_blocks, limiter)
            threads.start_soon(_in_thread, sink.hash_blocks, limiter)
            try:
                yield sink
            finally:
                sink.finish()
        sink.check()
    finally:
        sink.close()


async def _in_thread(work: Callable[[], None], limiter: anyio.CapacityLimiter) -> None:
    # Shielded: the thread ends by itself after finish(), and must have ended before the file is closed.
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(work, limiter=limiter)
