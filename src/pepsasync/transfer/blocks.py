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

from pepsasync.errors import TransferError
from pepsasync.folder.files import disk_error, disk_errors, write_all
from pepsasync.folder.parts import SoleWriter, open_at, open_locked
from pepsasync.groups import task_group
from pepsasync.threads import check_cancelled, clean_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from io import FileIO
    from pathlib import Path

    from anyio.abc import TaskGroup

BLOCK = 1 << 20
"""Bytes handed over at once; smaller blocks lose to the hand-over of the interpreter lock."""

LARGE = 1 << 18
"""Chunks from this size on are handed over as they are; copying them into a block would cost more than it saves."""

FIRST = 1 << 16
"""Bytes of a block at first, enough for what comes along with the headers of an answer."""

FEWER_THREADS = "Run the same command again to go on; with fewer downloads at once (-j) there are fewer threads"
"""What to do when a thread cannot be had."""

DEPTH = 8
"""Blocks between the network and the hash; bounds memory to 8 MiB a download."""


class Digest:
    """A hash that knows how many bytes it has seen."""

    def __init__(self, algorithm: str | None) -> None:
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self.length = 0
        """Bytes seen."""
        self.writer = SoleWriter()
        """Of the file that holds these bytes: what others write into it is not what was hashed."""

    @property
    def is_hashing(self) -> bool:
        """False when bytes are only counted."""
        return self._hash is not None

    def update(self, block: bytes | bytearray | memoryview) -> None:
        """Add bytes."""
        if self._hash is not None:
            self._hash.update(block)
        self.length += len(block)

    def hexdigest(self) -> str | None:
        """Hexadecimal digits, lower case; None without an algorithm."""
        return None if self._hash is None else str(self._hash.hexdigest())


def digest_file(path: Path, algorithm: str | None, length: int) -> Digest:
    """Hash the first bytes of a file; blocks, call it in a thread. Cancelled, it ends at the next block.

    Raises:
        PepsasyncError: The file cannot be read.
    """
    digest = Digest(algorithm)
    block = memoryview(bytearray(4 * BLOCK))
    with disk_errors(path), path.open("rb", buffering=0) as file:
        digest.writer.look(file)
        while digest.length < length:
            check_cancelled()
            count = file.readinto(block[: min(len(block), length - digest.length)])
            if not count:
                break
            digest.update(block[:count])
    return digest


def copy_blocks(source: Path, skip: int, target: Path, digest: Digest, most: int) -> int:
    """Write bytes of one file behind another and hash them; blocks, call it in a thread.

    Args:
        source: Read.
        skip: Bytes at its start to leave out.
        target: Written; has exactly the bytes that the digest has seen.
        digest: Grows with the target.
        most: Bytes at once, whole blocks.

    Returns:
        Bytes written; 0 at the end of the source.

    Cancelled, it ends at the next block.

    Raises:
        DiskFullError, ConfigError, TransferError: The disk failed.
    """
    block, copied = memoryview(bytearray(BLOCK)), 0
    with disk_errors(target), source.open("rb", buffering=0) as reading, open_locked(target, "ab") as writing:
        reading.seek(skip)
        while copied < most and (count := reading.readinto(block)):
            check_cancelled()
            with digest.writer.writing(writing):
                write_all(writing, block[:count])
            digest.update(block[:count])
            copied += count
    return copied


class BlockSink:
    """Takes chunks, joins them to blocks, and has them written and hashed. Made by `open_sink`.

    Both threads start with the first full block: what is smaller is written and hashed at once, in less time than it
    takes to wake a thread.
    """

    def __init__(self, path: Path, file: FileIO, offset: int, digest: Digest, threads: TaskGroup) -> None:
        self.path = path
        self.digest = digest
        self.file = file
        self.length = offset
        """Bytes taken so far, counted from the start of the file."""
        self._threads = threads
        self._is_threaded = False
        self._block = bytearray(FIRST)
        self._filled = 0
        self._spare: collections.deque[bytearray] = collections.deque()
        self._to_write: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._to_hash: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._handed_over = 0
        self._done = 0  # written by the hashing thread alone
        self._room: anyio.Event | None = None
        self._error: OSError | None = None

    async def write(self, chunk: bytes) -> None:
        """Take a chunk; waits only when the disk or the hash are behind.

        Raises:
            DiskFullError, ConfigError, TransferError: An earlier block could not be written.
        """
        self.length += len(chunk)
        rest = memoryview(chunk)
        if not self._filled and len(rest) >= LARGE:
            self._hand_over(rest)
            rest = rest[:0]
        while self._filled + len(rest) >= BLOCK:
            taken = BLOCK - self._filled
            self._join(rest[:taken])
            rest = rest[taken:]
            self._hand_over(self._take_block())
        self._join(rest)
        await self._wait_for_room()  # at the end: a cancellation here loses nothing

    def _join(self, chunk: memoryview) -> None:
        end = self._filled + len(chunk)
        if end > len(self._block):
            self._block += bytes(min(max(end, 2 * len(self._block)), BLOCK) - len(self._block))
        self._block[self._filled : end] = chunk
        self._filled = end

    def _take_block(self) -> memoryview:
        block = memoryview(self._block)[: self._filled]
        # Blocks are used again: fresh memory costs more than the copy into it.
        self._block = self._spare.popleft() if self._spare else bytearray(BLOCK)
        self._filled = 0
        return block

    def _hand_over(self, block: memoryview) -> None:
        if not self._is_threaded:
            self._is_threaded = True
            # Of its own: downloads are bounded elsewhere, and the two must never wait for each other's thread.
            limiter = anyio.CapacityLimiter(2)
            self._threads.start_soon(self._have_written, limiter)
            self._threads.start_soon(in_thread, self._hash_blocks, limiter)
        self._to_write.put(block)
        self._handed_over += 1

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
            raise disk_error(self.path, self._error) from self._error

    async def flush(self) -> None:
        """Write and hash what was taken; only while no block was full.

        Raises:
            DiskFullError, ConfigError, TransferError: It could not be written.
        """
        await clean_up(self._write_and_hash)
        self.check()

    def finish(self) -> None:
        """Write what is left, or have the threads do it and end; blocks, and never raises, see `check`."""
        if not self._is_threaded:
            self._write_and_hash()
            return
        if self._filled:
            self._to_write.put(memoryview(self._block)[: self._filled])
        self._to_write.put(None)

    def _write_and_hash(self) -> None:
        with memoryview(self._block)[: self._filled] as block:
            try:
                if block:
                    self._write(block)
            except OSError as error:
                self._error = error
            else:
                self.digest.update(block)
        self._filled = 0

    def _write(self, block: memoryview) -> None:
        with self.digest.writer.writing(self.file):
            write_all(self.file, block)

    async def _have_written(self, limiter: anyio.CapacityLimiter) -> None:
        try:
            await in_thread(self._write_blocks, limiter)
        finally:
            self._to_hash.put(None)

    def _write_blocks(self) -> None:
        """The writing thread."""
        while (block := self._to_write.get()) is not None:
            if self._error is None:
                try:
                    self._write(block)
                except OSError as error:
                    self._error = error
            self._to_hash.put(block)

    def _hash_blocks(self) -> None:
        """The hashing thread."""
        while (block := self._to_hash.get()) is not None:
            self.digest.update(block)
            if isinstance(block.obj, bytearray):
                self._spare.append(block.obj)
            self._done += 1
            if (room := self._room) is not None:
                self._room = None
                anyio.from_thread.run_sync(room.set)


@contextlib.asynccontextmanager
async def open_sink(
    path: Path, *, offset: int, digest: Digest, check_owner: Callable[[], None] = lambda: None
) -> AsyncIterator[BlockSink]:
    """Open a part file for writing from an offset, which nobody else can meanwhile.

    Args:
        path: The part file.
        offset: Its length; with 0 it begins anew.
        digest: Has seen exactly `offset` bytes.
        check_owner: Blocks; raises when the file must not be touched.

    Raises:
        DiskFullError, ConfigError, TransferError: Opening or writing failed.

    Cancellation: every chunk taken is written before the block is left.
    """

    def open_file() -> FileIO:
        check_owner()
        with disk_errors(path):
            return open_at(path, offset)

    file = await anyio.to_thread.run_sync(open_file)
    try:
        async with task_group() as threads:
            sink = BlockSink(path, file, offset, digest, threads)
            try:
                yield sink
            finally:
                await clean_up(sink.finish)
        sink.check()
    finally:
        await clean_up(file.close)


async def in_thread(work: Callable[[], None], limiter: anyio.CapacityLimiter) -> None:
    """Do work in a thread that ends when it is told; waited for also when cancelled.

    Raises:
        TransferError: There is no thread to be had.
    """
    # The thread must have ended before its file is closed.
    with anyio.CancelScope(shield=True):
        try:
            await anyio.to_thread.run_sync(work, limiter=limiter)
        except RuntimeError as error:
            raise TransferError(f"a thread of the download failed: {error}", hint=FEWER_THREADS) from error
