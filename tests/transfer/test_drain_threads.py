"""Threads of a drain that fail, or cannot be had: all of it ends, it is told, and the part can be continued."""

import contextlib
import errno
import gc
import hashlib
import mmap
import os
import socket
import threading
import weakref

import anyio
import pytest

from fakes import product
from pepsasync.errors import DiskFullError, TransferError
from pepsasync.folder.layout import Folder
from pepsasync.http.sockets import Connection
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Checksum
from pepsasync.transfer import direct
from pepsasync.transfer.buffers import LARGEST_BLOCK, MOST, Blocks, BufferPool
from pepsasync.transfer.direct import write_all
from pepsasync.transfer.drain import Rest, drain
from pepsasync.transfer.part import open_part

pytestmark = pytest.mark.anyio

BODY = b"".join(hashlib.sha256(n.to_bytes(8)).digest() * 128 for n in range(2 * MOST * LARGEST_BLOCK // 4096))


@pytest.fixture
def rest():
    """A body that comes from a thread."""
    ours, theirs = socket.socketpair()

    def send():
        with contextlib.suppress(OSError), theirs:
            theirs.sendall(BODY)

    sender = threading.Thread(target=send)
    sender.start()
    with ours:
        yield Rest(Connection(ours), b"", len(BODY), silence=10)
    sender.join()


@pytest.fixture
def folder(tmp_path):
    opened = Folder(tmp_path)
    opened.open()
    return opened


ONE = product(size=len(BODY), checksum=Checksum("md5", hashlib.md5(BODY, usedforsecurity=False).hexdigest()))


async def drained(rest, folder, look=lambda: None, *, with_part=lambda part: None):
    """Drain a body into a part, of which everything that is written is right and recorded, whatever happens."""
    async with open_part(ONE, folder) as part:
        with_part(part)
        segment = part.division.claim_front()
        writer = part.writer(segment)
        try:
            await drain(rest, writer, Throttle(None), BufferPool(), look, hashes=True)
        finally:
            writer.close()
            part.release(segment)
            with anyio.CancelScope(shield=True):
                await part.hash_what_is_here()
            written = part.path.read_bytes()[: part.division.front]
            assert len(written) == part.received == part._digest.length
            assert BODY.startswith(written)
            assert part.checksum() == Checksum("md5", hashlib.md5(written, usedforsecurity=False).hexdigest())
            assert folder.read_record(ONE).filled == part.division.filled()


@pytest.fixture
def waits(monkeypatch):
    """Set when all blocks are on their way, and the reading thread waits for one."""
    waits, take = threading.Event(), Blocks.take

    def noting_take(blocks):
        if blocks._made == MOST and blocks._free.empty():
            waits.set()
        return take(blocks)

    monkeypatch.setattr(Blocks, "take", noting_take)
    return waits


@pytest.fixture
def without(monkeypatch, waits):
    """Makes threads unavailable, which is found out at once or when all blocks are on their way."""
    run_sync = anyio.to_thread.run_sync

    def without(names, *, late=False):
        async def no_thread(work, *arguments, **options):
            if getattr(work, "func", work).__name__ not in names:
                return await run_sync(work, *arguments, **options)
            if late:
                await run_sync(waits.wait)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(anyio.to_thread, "run_sync", no_thread)

    return without


THREADS = ["read_blocks", "write_blocks", "hash_blocks"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("names", [*[[name] for name in THREADS], THREADS[1:]], ids=" ".join)
async def test_thread_that_cannot_be_had_is_told_and_the_part_can_be_continued(rest, folder, without, names, late):
    without(names, late=late and "read_blocks" not in names)

    with pytest.raises(TransferError, match=r"can't start new thread.*-j"):
        await drained(rest, folder)


@pytest.mark.parametrize("place", ["write_all", "update"])
async def test_thread_that_fails_is_told_and_the_part_can_be_continued(rest, folder, monkeypatch, place):
    calls = []

    def make_fail(part):
        owner = direct if place == "write_all" else part._digest
        original = getattr(owner, place)

        def fails(*arguments):
            calls.append(arguments)
            if len(calls) == 3:
                raise ValueError("no such case")
            return original(*arguments)

        monkeypatch.setattr(owner, place, fails)

    with pytest.raises(TransferError, match="no such case"):
        await drained(rest, folder, with_part=make_fail)


async def test_blocks_go_with_a_drain_that_failed(rest, folder, without, monkeypatch):
    blocks, make = [], mmap.mmap

    def noting_make(*arguments):
        block = make(*arguments)
        blocks.append(weakref.ref(block))
        return block

    monkeypatch.setattr(mmap, "mmap", noting_make)
    without(["write_blocks", "hash_blocks"], late=True)
    gc.disable()
    try:
        with pytest.raises(TransferError) as caught:
            await drained(rest, folder)

        assert caught.value
        assert [block() for block in blocks] == [None] * MOST
    finally:
        gc.enable()


class Disk:
    """Writes, or is full, once something else has gone wrong."""

    def __init__(self):
        self.is_full = True
        self._is_asked, self._is_free = threading.Event(), threading.Event()

    def write_all(self, file, block):
        self._is_asked.set()
        self._is_free.wait()
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_all(file, block)

    def is_asked(self):
        """Whether it was asked to write, which it goes on to do then."""
        if self._is_asked.is_set():
            self._is_free.set()
        return self._is_asked.is_set()


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(direct, "write_all", disk.write_all)
    return disk


@pytest.mark.parametrize("is_full", [False, True])
async def test_telling_that_fails_does_not_hide_a_full_disk(rest, folder, disk, is_full):
    disk.is_full = is_full

    def look():
        if disk.is_asked():
            raise RuntimeError("the display broke")

    with pytest.raises(DiskFullError if is_full else RuntimeError):
        await drained(rest, folder, look)

    assert folder.part_path(ONE).exists() != is_full  # a part of which nothing was written is not left


async def test_cancellation_stays_one_though_the_disk_is_full(rest, folder, disk):
    def look():
        if disk.is_asked():
            scope.cancel()

    with anyio.CancelScope() as scope:
        await drained(rest, folder, look)

    assert scope.cancelled_caught


async def test_cancellation_writes_what_came(rest, folder, disk):
    disk.is_full = False

    def look():
        if disk.is_asked():
            scope.cancel()

    with anyio.CancelScope() as scope:
        await drained(rest, folder, look)

    assert scope.cancelled_caught
    [(start, end)] = folder.read_record(ONE).filled
    assert start == 0 < end


async def test_body_is_written_to_where_another_connection_has_taken_over(rest, folder, monkeypatch):
    """The end of a segment moves towards its start while its threads receive, who may have more by then."""
    segments, ends = [], []

    def note_segment(part):
        claim = part.division.claim_front
        monkeypatch.setattr(part.division, "claim_front", lambda: segments.append(claim()) or segments[0])

    def write(file, block):
        if not ends:
            ends.append(segments[0].position + 7)
            segments[0].end = ends[0]
        write_all(file, block)

    monkeypatch.setattr(direct, "write_all", write)
    await drained(rest, folder, with_part=note_segment)

    assert folder.read_record(ONE).filled == [(0, ends[0])]
    assert ends[0] < len(BODY)
