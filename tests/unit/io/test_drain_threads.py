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

from pepsasync.errors import DiskFullError, TransferError
from pepsasync.http.sockets import Connection
from pepsasync.limits.throttle import Throttle
from pepsasync.transfer import old_direct as direct
from pepsasync.transfer import old_drain as drain
from pepsasync.transfer.blocks import BLOCK, Digest, open_sink
from pepsasync.transfer.old_direct import write_all
from pepsasync.transfer.old_drain import MOST, Buffers, Rest
from pepsasync.transfer.ring import Ring

pytestmark = pytest.mark.anyio

BODY = b"".join(hashlib.sha256(n.to_bytes(8)).digest() * 128 for n in range(2 * MOST * BLOCK // 4096))


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
        yield Rest(Connection(ours), len(BODY), silence=10)
    sender.join()


@pytest.fixture
def part(tmp_path):
    return tmp_path / "part"


async def drained(rest, part, digest, tell=lambda length: None):
    async with open_sink(part, offset=0, digest=digest) as sink:
        try:
            await drain.drain(rest, sink, Throttle(None), Buffers(), tell)
        finally:
            if direct._DIRECT:
                fcntl = pytest.importorskip("fcntl")
                assert not fcntl.fcntl(sink.file, fcntl.F_GETFL) & direct._DIRECT


@pytest.fixture
def waits(monkeypatch):
    """Set when all blocks are on their way, and the reading thread waits for one."""
    waits, take = threading.Event(), Ring.take

    def noting_take(ring):
        if ring._made == MOST and ring._free.empty():
            waits.set()
        return take(ring)

    monkeypatch.setattr(Ring, "take", noting_take)
    return waits


@pytest.fixture
def without(monkeypatch, waits):
    """Makes threads unavailable, which is found out at once or when all blocks are on their way."""
    in_thread = drain.in_thread

    def without(names, *, late=False):
        async def no_thread(work, limiter):
            if work.__name__ not in names:
                return await in_thread(work, limiter)
            if late:
                await anyio.to_thread.run_sync(waits.wait)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(drain, "in_thread", no_thread)

    return without


THREADS = ["read_blocks", "write_blocks", "hash_blocks"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("names", [*[[name] for name in THREADS], THREADS[1:]], ids=" ".join)
async def test_thread_that_cannot_be_had_is_told_and_the_part_can_be_continued(rest, part, without, names, late):
    without(names, late=late and "read_blocks" not in names)
    digest = Digest("md5")

    with pytest.raises(TransferError, match=r"can't start new thread.*-j"):
        await drained(rest, part, digest)

    written = part.read_bytes()
    assert BODY.startswith(written)
    assert (len(written), hashlib.md5(written).hexdigest()) == (digest.length, digest.hexdigest())


@pytest.mark.parametrize("place", ["write_all", "update"])
async def test_thread_that_fails_is_told_and_the_part_can_be_continued(rest, part, monkeypatch, place):
    digest, calls = Digest("md5"), []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise ValueError("no such case")
        return original(*arguments)

    owner = direct if place == "write_all" else digest
    original = getattr(owner, place)
    monkeypatch.setattr(owner, place, fails)

    with pytest.raises(TransferError, match="no such case"):
        await drained(rest, part, digest)

    written = part.read_bytes()
    assert BODY.startswith(written)
    assert (digest.length, digest.hexdigest()) == (len(written), hashlib.md5(written).hexdigest()) or (
        digest.length < len(written)  # it is not gone on with then
    )


async def test_blocks_go_with_a_drain_that_failed(rest, part, without, monkeypatch):
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
            await drained(rest, part, Digest("md5"))

        assert caught.value
        assert [None] * MOST == [block() for block in blocks]
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
async def test_telling_that_fails_does_not_hide_a_full_disk(rest, part, disk, is_full):
    digest, disk.is_full = Digest("md5"), is_full

    def tell(length):
        if disk.is_asked():
            raise RuntimeError("the display broke")

    with pytest.raises(DiskFullError if is_full else RuntimeError):
        await drained(rest, part, digest, tell)

    written = part.read_bytes()
    assert is_full == (not written)
    assert BODY.startswith(written)
    assert (len(written), hashlib.md5(written).hexdigest()) == (digest.length, digest.hexdigest())


async def test_cancellation_stays_one_though_the_disk_is_full(rest, part, disk):
    def tell(length):
        if disk.is_asked():
            scope.cancel()

    with anyio.CancelScope() as scope:
        await drained(rest, part, Digest("md5"), tell)

    assert scope.cancelled_caught
