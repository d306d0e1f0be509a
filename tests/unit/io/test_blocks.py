"""Chunks in, file and digest out, on both event loops, with real threads."""

import errno
import hashlib
import os
import threading

import anyio
import anyio.lowlevel
import pytest

from pepsasync.errors import DiskFullError, TransferError
from pepsasync.transfer import blocks
from pepsasync.transfer.blocks import BLOCK, Digest, digest_file, open_sink

pytestmark = pytest.mark.anyio


async def test_open_sink_writes_and_hashes_everything(tmp_path):
    path, digest = tmp_path / "part", Digest("md5")
    chunks = [bytes([n % 251]) * 65_536 for n in range(100)]

    async with open_sink(path, offset=0, digest=digest) as sink:
        for chunk in chunks:
            await sink.write(chunk)

    whole = b"".join(chunks)
    assert whole == path.read_bytes()
    assert hashlib.md5(whole).hexdigest() == digest.hexdigest()
    assert len(whole) == digest.length == sink.length


async def test_open_sink_continues(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"abc")
    digest = digest_file(path, "md5", 3)

    async with open_sink(path, offset=3, digest=digest) as sink:
        await sink.write(b"def")

    assert b"abcdef" == path.read_bytes()
    assert hashlib.md5(b"abcdef").hexdigest() == digest.hexdigest()


@pytest.mark.parametrize("there", [b"ab", b"abcXXX"])
async def test_open_sink_refuses_a_file_that_has_changed(tmp_path, there):
    """Cut or filled up, it would hold bytes that the digest has never seen."""
    path, digest = tmp_path / "part", Digest("md5")
    digest.update(b"abc")
    path.write_bytes(there)

    with pytest.raises(TransferError, match="another program has changed it"):
        async with open_sink(path, offset=3, digest=digest):
            pass

    assert there == path.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="no locks on Windows")
@pytest.mark.parametrize("offset", [0, 3])
async def test_open_sink_refuses_a_file_that_another_writes(tmp_path, offset):
    path = tmp_path / "part"

    async with open_sink(path, offset=0, digest=Digest(None)) as sink:
        await sink.write(b"abc")
        await sink.flush()
        with pytest.raises(TransferError, match="another program writes it"):
            async with open_sink(path, offset=offset, digest=Digest(None)):
                pass
        await sink.write(b"def")

    assert b"abcdef" == path.read_bytes()


async def test_open_sink_that_begins_anew_leaves_the_old_file_alone(tmp_path):
    """An emptied file would be forced to the disk when it is closed, which takes seconds for gigabytes."""
    path = tmp_path / "part"
    path.write_bytes(b"abc")

    with path.open("rb") as old:
        async with open_sink(path, offset=0, digest=Digest(None)) as sink:
            await sink.write(b"def")
        assert (b"abc", b"def") == (old.read(), path.read_bytes())


async def test_open_sink_error_in_the_block_keeps_what_was_taken(tmp_path):
    path = tmp_path / "part"

    with pytest.raises(RuntimeError, match="cut"):
        async with open_sink(path, offset=0, digest=Digest(None)) as sink:
            await sink.write(b"x" * 3 * BLOCK)
            await sink.write(b"y" * 10)
            raise RuntimeError("cut")

    assert 3 * BLOCK + 10 == path.stat().st_size


async def test_open_sink_cancelled_keeps_what_was_taken(tmp_path):
    path = tmp_path / "part"

    with anyio.CancelScope() as scope:
        async with open_sink(path, offset=0, digest=Digest("md5")) as sink:
            await sink.write(b"x" * 100)
            scope.cancel()
            await anyio.sleep_forever()

    assert b"x" * 100 == path.read_bytes()


async def test_open_sink_full_disk_is_reported(tmp_path, monkeypatch):
    def fails(file, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blocks, "write_all", fails)

    with pytest.raises(DiskFullError):
        async with open_sink(tmp_path / "part", offset=0, digest=Digest("md5")) as sink:
            for _ in range(100):
                await sink.write(b"x" * BLOCK)


async def test_open_sink_waits_for_a_slow_disk(tmp_path, monkeypatch):
    """Memory stays bounded: with the writer held, only so many blocks are taken."""
    gate = threading.Event()
    write_all = blocks.write_all

    def held(file, block):
        gate.wait()
        write_all(file, block)

    monkeypatch.setattr(blocks, "write_all", held)
    taken = 0
    async with open_sink(tmp_path / "part", offset=0, digest=Digest("md5")) as sink:
        try:
            with anyio.CancelScope() as scope:
                for _ in range(100):
                    taken += 1
                    if taken == blocks.DEPTH:
                        scope.deadline = anyio.current_time() + 0.2
                    await sink.write(b"x" * BLOCK)
        finally:
            gate.set()

    assert taken == blocks.DEPTH


def test_digest_file_hashes_only_the_asked_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 10_000_000)

    digest = digest_file(path, "sha256", 9_999_999)

    assert hashlib.sha256(b"a" * 9_999_999).hexdigest() == digest.hexdigest()
    assert 9_999_999 == digest.length


async def test_open_sink_small_bodies_wake_no_thread(tmp_path, monkeypatch):
    path, digest = tmp_path / "part", Digest("md5")
    monkeypatch.setattr(blocks, "in_thread", None)  # calling it would fail

    async with open_sink(path, offset=0, digest=digest) as sink:
        for _ in range(15):
            await sink.write(b"x" * 65_536)
            assert 0 == path.stat().st_size

    assert 15 * 65_536 == path.stat().st_size
    assert hashlib.md5(b"x" * 15 * 65_536).hexdigest() == digest.hexdigest()


async def test_flush_writes_and_hashes_before_others_go_on(tmp_path):
    path, digest = tmp_path / "part", Digest("md5")

    async with open_sink(path, offset=0, digest=digest) as sink:
        await sink.write(b"abc")
        await sink.flush()

        assert b"abc" == path.read_bytes()
        assert 3 == digest.length

    assert b"abc" == path.read_bytes()


async def test_flush_full_disk_is_reported(tmp_path, monkeypatch):
    def fails(file, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blocks, "write_all", fails)

    with pytest.raises(DiskFullError):
        async with open_sink(tmp_path / "part", offset=0, digest=Digest("md5")) as sink:
            await sink.write(b"abc")
            await sink.flush()


@pytest.mark.parametrize("missing", ["_write_blocks", "_hash_blocks"])
async def test_open_sink_ends_when_a_thread_cannot_be_had(tmp_path, monkeypatch, missing):
    run_sync = anyio.to_thread.run_sync

    async def run_without(work, **options):
        if work.__name__ == missing:
            raise RuntimeError("can't start new thread")
        return await run_sync(work, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_without)
    with anyio.fail_after(10), pytest.raises(TransferError, match="can't start new thread"):
        async with open_sink(tmp_path / "part", offset=0, digest=Digest("md5")) as sink:
            for _ in range(20):
                await sink.write(b"x" * BLOCK)
                await anyio.lowlevel.checkpoint()
