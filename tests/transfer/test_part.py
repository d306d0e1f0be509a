"""Bodies that come chunk by chunk: into the part, its record and its digest, on both event loops, with real threads."""

import errno
import hashlib
import os
import threading
from dataclasses import replace

import anyio
import anyio.lowlevel
import httpx
import pytest

from fakes import leave_part, plain_archive, product
from pepsasync.config import Config
from pepsasync.errors import DiskFullError, TransferError
from pepsasync.folder.journal import JournalBusyError
from pepsasync.folder.layout import Folder
from pepsasync.model import Checksum
from pepsasync.transfer import direct
from pepsasync.transfer.digest import digest_file
from pepsasync.transfer.part import SMALL, open_part
from pepsasync.transfer.receive import BLOCK, receive

pytestmark = pytest.mark.anyio

CHUNK = 65_536
CONTENT = b"".join(hashlib.sha256(n.to_bytes(8)).digest() for n in range((3 * BLOCK + 10) // 32 + 1))[: 3 * BLOCK + 10]
CHUNKED = httpx.Response(200, headers={"Transfer-Encoding": "chunked"}, extensions={"http_version": b"HTTP/1.1"})


def wanted(content=CONTENT, **changes):
    checksum = Checksum("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    return product(**({"size": len(content), "checksum": checksum} | changes))


@pytest.fixture
def folder(tmp_path):
    opened = Folder(tmp_path)
    opened.open()
    return opened


@pytest.fixture
def archive():
    return plain_archive(None, Config(), lambda event: None)


async def chunks_of(content, at_the_end=lambda: None):
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
    at_the_end()


def no_look():
    """Finds that all is well."""


async def put(part, content, archive, *, segment=None, look=no_look, at_the_end=no_look):
    """Receive a body into a segment, by default the first gap."""
    segment = segment or part.division.claim_front()
    chunks = chunks_of(content, at_the_end)
    try:
        head = await anext(chunks, b"")
        return await receive(CHUNKED, chunks, head, segment, part, archive, look)
    finally:
        await chunks.aclose()
        part.release(segment)


def recorded(folder, product):
    record = folder.read_record(product)
    return record.filled if record else None


async def test_a_body_is_written_hashed_and_recorded(folder, archive):
    one = wanted()

    async with open_part(one, folder) as part:
        assert await put(part, CONTENT, archive) == "plain"

        assert part.is_complete
        assert part.checksum() == one.checksum

    assert folder.part_path(one).read_bytes() == CONTENT
    assert recorded(folder, one) == [(0, len(CONTENT))]


async def test_a_body_longer_than_its_segment_is_written_to_the_end_of_that(folder, archive):
    one = wanted()
    leave_part(folder, one, CONTENT, (100_000, 200_000))

    async with open_part(one, folder) as part:
        await put(part, bytes(100_000) + b"too much", archive)

        assert part.division.filled() == [(0, 200_000)]

    assert folder.part_path(one).read_bytes() == bytes(100_000) + CONTENT[100_000:200_000]


async def test_a_part_is_gone_on_with(folder, archive):
    one = wanted()
    leave_part(folder, one, CONTENT, (0, 100_000), (200_000, 300_000))

    async with open_part(one, folder) as part:
        assert (part.received, part.resumed_bytes) == (200_000, 200_000)
        await put(part, CONTENT[100_000:200_000], archive)
        await put(part, CONTENT[300_000:], archive)
        await part.hash_what_is_here()

        assert part.is_complete
        assert part.checksum() == one.checksum

    assert folder.part_path(one).read_bytes() == CONTENT


@pytest.mark.parametrize("change", ["cut", "longer", "rewritten"])
async def test_a_file_that_others_write_meanwhile_is_not_taken_for_what_was_hashed(folder, archive, change):
    """It would hold bytes that the digest has never seen."""
    one = wanted()

    async with open_part(one, folder) as part:
        await put(part, CONTENT[: 2 * BLOCK], archive)
        assert part.stamp is not None
        with folder.part_path(one).open("r+b") as file:
            match change:
                case "cut":
                    file.truncate(BLOCK)
                case "longer":
                    file.seek(0, os.SEEK_END)
                    file.write(b"XXX")
                case "rewritten":
                    file.write(b"XXX")
            os.utime(file.fileno(), ns=(0, 0))
        await put(part, CONTENT[2 * BLOCK :], archive)

        assert part.stamp is None


@pytest.mark.skipif(os.name == "nt", reason="no locks on Windows")
async def test_who_lost_a_part_does_not_write_into_that_of_the_next_one(folder, archive):
    """A program that was stopped for minutes finds that another one goes on with a copy."""
    one = wanted()

    async with open_part(one, folder) as part:
        await put(part, CONTENT[:BLOCK], archive)
        async with open_part(one, folder) as other:
            assert other.received == BLOCK
            with pytest.raises(TransferError, match="another program"):
                await put(part, bytes(BLOCK), archive)
            await put(other, CONTENT[BLOCK:], archive)

            assert other.stamp is not None
            assert folder.part_path(one).read_bytes() == CONTENT
            assert recorded(folder, one) == [(0, len(CONTENT))]


@pytest.mark.skipif(os.name == "nt", reason="files that are open cannot be removed on Windows")
async def test_what_begins_anew_leaves_the_old_file_alone(folder, archive):
    """An emptied file would be forced to the disk when it is closed, which takes seconds for gigabytes."""
    one = wanted()
    leave_part(folder, one, b"old" * BLOCK, (0, BLOCK))

    with folder.part_path(one).open("rb") as old:
        async with open_part(one, folder) as part:
            segment = await part.begin(part.division.claim_front(), None)
            await put(part, CONTENT, archive, segment=segment)

            assert (part.resumed_bytes, part.checksum()) == (0, one.checksum)
        assert old.read() == b"old" * (BLOCK // 3) + b"o"

    assert folder.part_path(one).read_bytes() == CONTENT
    assert recorded(folder, one) == [(0, len(CONTENT))]


async def test_an_error_in_the_middle_keeps_what_came(folder, archive):
    one = wanted()

    def look():
        looks.append(None)
        if len(looks) == 20:
            raise RuntimeError("cut")

    looks = []
    with pytest.raises(RuntimeError, match="cut"):
        async with open_part(one, folder) as part:
            await put(part, CONTENT, archive, look=look)

    assert folder.part_path(one).read_bytes() == CONTENT[: 20 * CHUNK]
    assert recorded(folder, one) == [(0, 20 * CHUNK)]


async def test_cancellation_keeps_what_came(folder, archive):
    one = wanted()

    def cancel():
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with open_part(one, folder) as part:
            await put(part, CONTENT[:100], archive, at_the_end=cancel)
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert folder.part_path(one).read_bytes() == CONTENT[:100]
    assert recorded(folder, one) == [(0, 100)]


async def test_a_part_of_which_nothing_came_is_not_left(folder):
    one = wanted()

    async with open_part(one, folder):
        assert folder.part_path(one).exists()

    assert not [*folder.parts.iterdir()]


async def test_a_full_disk_is_reported_and_what_was_written_is_kept(folder, archive, monkeypatch):
    one, write_all, writes = wanted(), direct.write_all, []

    def fails(file, block):
        writes.append(len(block))
        if sum(writes) > BLOCK:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(file, block)

    monkeypatch.setattr(direct, "write_all", fails)

    with pytest.raises(DiskFullError):
        async with open_part(one, folder) as part:
            await put(part, CONTENT, archive)

    [(start, end)] = recorded(folder, one)
    assert (start, end) == (0, BLOCK)
    assert folder.part_path(one).read_bytes()[:end] == CONTENT[:end]


async def test_a_thread_that_is_not_to_be_had_is_an_error_and_the_part_stays(folder, archive, monkeypatch):
    one, run_sync, blocks = wanted(), anyio.to_thread.run_sync, []

    async def run_without(work, *arguments, **options):
        if work.__name__ == "write":
            blocks.append(work)
            if len(blocks) > 1:
                raise RuntimeError("can't start new thread")
        return await run_sync(work, *arguments, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_without)
    with anyio.fail_after(60), pytest.raises(RuntimeError, match="can't start new thread"):
        async with open_part(one, folder) as part:
            await put(part, CONTENT, archive)

    [(_, end)] = recorded(folder, one)
    assert folder.part_path(one).read_bytes() == CONTENT[:end] != b""


async def test_a_slow_disk_is_waited_for(folder, archive, monkeypatch):
    """Memory stays bounded: while a block is written, no more than that is taken."""
    may_write, is_asked, write_all, taken = threading.Event(), threading.Event(), direct.write_all, []

    def held(file, block):
        is_asked.set()
        may_write.wait(60)
        write_all(file, block)

    async def many():
        while len(taken) < 100:
            taken.append(None)
            yield bytes(CHUNK)

    monkeypatch.setattr(direct, "write_all", held)
    async with open_part(wanted(bytes(101 * CHUNK)), folder) as part, anyio.create_task_group() as tasks:
        segment = part.division.claim_front()
        tasks.start_soon(receive, CHUNKED, many(), bytes(CHUNK), segment, part, archive, no_look)
        try:
            await anyio.to_thread.run_sync(is_asked.wait, 10)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            taken_meanwhile = len(taken)
        finally:
            may_write.set()

    assert taken_meanwhile == BLOCK // CHUNK - 1
    assert segment.written == 101 * CHUNK


async def test_small_products_wake_no_thread_and_touch_no_disk(folder, archive, monkeypatch):
    one = wanted(CONTENT[: SMALL - 1])
    monkeypatch.setattr(anyio.to_thread, "run_sync", None)  # calling it would fail

    async with open_part(one, folder) as part:
        await put(part, CONTENT[:100], archive)
        await put(part, CONTENT[100 : SMALL - 1], archive)

        assert part.is_complete
        assert part.memory == CONTENT[: SMALL - 1]
    assert not [*folder.parts.iterdir()]


async def test_a_small_body_longer_than_announced_is_taken_to_its_end_only(folder, archive):
    one = wanted(CONTENT[:100_000])

    async with open_part(one, folder) as part:
        await put(part, CONTENT[:100_500], archive)

        assert part.memory == CONTENT[:100_000]
        assert part.is_complete


async def test_what_was_received_twice_of_a_small_product_is_there_once(folder, archive):
    """As after an answer that was cut, and one with other bytes."""
    one = wanted(CONTENT[:1000])

    async with open_part(one, folder) as part:
        await put(part, bytes(600), archive)
        segment = await part.begin(part.division.claim_front(), None)
        assert segment.start == 0
        await put(part, CONTENT[:1000], archive, segment=segment)

        assert part.memory == CONTENT[:1000]
        assert part.is_complete


async def test_a_writer_of_a_file_that_was_given_up_writes_and_hashes_nothing(folder, archive):
    """Another connection may be writing while the first one finds that the product has to be begun anew."""
    one = wanted()
    leave_part(folder, one, CONTENT, (0, BLOCK))

    async with open_part(one, folder) as part:
        stale = part.division.claim_front()
        writer = part.writer(stale)
        segment = await part.begin(stale, None)
        with pytest.raises(OSError, match="restarted by another connection"):
            writer.write(memoryview(bytes(100)))
        writer.hash(100, memoryview(bytes(100)))
        writer.close()
        await put(part, CONTENT, archive, segment=segment)

        assert part.checksum() == one.checksum

    assert folder.part_path(one).read_bytes() == CONTENT
    assert recorded(folder, one) == [(0, len(CONTENT))]


def test_digest_file_hashes_only_the_asked_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 10_000_000)

    digest = digest_file(path, "sha256", 9_999_999)

    assert hashlib.sha256(b"a" * 9_999_999).hexdigest() == digest.hexdigest()
    assert digest.length == 9_999_999


async def test_a_part_that_ends_before_what_was_written_is_an_error(folder):
    one = wanted()
    leave_part(folder, one, CONTENT, (0, BLOCK))

    async with open_part(one, folder) as part:
        os.truncate(folder.part_path(one), 1000)
        with pytest.raises(TransferError, match="ends after 1,000 bytes"):
            await part.hash_what_is_here()


async def test_an_empty_part_of_a_program_that_lost_the_folder_is_not_left(tmp_path):
    """It was stopped between the look at who has the folder and the making of the file."""
    folder, lost = Folder(tmp_path), []

    def check():
        if lost:
            raise JournalBusyError("another pepsasync has taken over")

    owned = replace(folder, check_owner=check)
    async with open_part(wanted(), owned):
        lost.append(True)
    assert [*folder.parts.iterdir()] == []


async def test_nothing_of_the_one_who_has_the_folder_now_is_removed(folder):
    lost = []

    def check():
        if lost:
            raise JournalBusyError("another pepsasync has taken over")

    owned = replace(folder, check_owner=check)
    async with open_part(one := wanted(), owned) as part:
        lost.append(True)
        for path in (part.path, folder.part_record_path(one)):
            path.unlink()
            path.write_bytes(b"of the other one")
    assert {path.read_bytes() for path in folder.parts.iterdir()} == {b"of the other one"}
