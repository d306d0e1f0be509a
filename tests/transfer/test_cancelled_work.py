"""Long work on files ends at the next block when it is cancelled, and leaves nothing that is not what its name says."""

import contextlib
import hashlib
import os
import threading
import zipfile

import anyio
import pytest
from anyio import from_thread

from fakes import leave_part, plain_archive
from pepsasync.config import Config
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer import reverify
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.digest import Digest
from pepsasync.transfer.download import download
from pepsasync.transfer.existing import find_existing
from pepsasync.transfer.extract import extract
from pepsasync.transfer.part import open_part
from pepsasync.transfer.verify import verify_and_promote

pytestmark = pytest.mark.anyio

MEMBER = bytes(range(256)) * (1 << 14)
"""4 MiB, several blocks."""

NAME = "S1A_TEST"


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    return folder


@pytest.fixture
def cancel_in(monkeypatch):
    """A scope that is cancelled as soon as work in a thread calls a function of the standard library."""

    def armed(owner, name):
        scope, call = anyio.CancelScope(), getattr(owner, name)

        def cancelling(*arguments, **options):
            with contextlib.suppress(RuntimeError, AttributeError):  # on the event loop, where it is nothing long
                from_thread.run_sync(scope.cancel)
            return call(*arguments, **options)

        monkeypatch.setattr(owner, name, cancelling)
        return scope

    return armed


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(3):
            archive.writestr(f"{NAME}.SAFE/{number}", MEMBER)
    return path.read_bytes()


def product(body, *, has_checksum=True):
    return Product(
        id=NAME,
        name=NAME,
        provider="plain",
        collection="S1",
        size=len(body),
        checksum=Checksum("md5", hashlib.md5(body, usedforsecurity=False).hexdigest()) if has_checksum else None,
        tier=StorageTier.DISK,
        download_url="http://127.0.0.1:9/",
    )


async def test_unpacking(folder, cancel_in):
    wanted = product(zipped(folder.directory / f"{NAME}.zip"))

    with cancel_in(zipfile.ZipFile, "open") as scope:
        await extract(wanted, folder)

    assert scope.cancelled_caught
    assert folder.zip_path(wanted).exists()
    assert not folder.folder_path(wanted).exists()
    assert not folder.unpack_path(wanted).exists()


@pytest.mark.parametrize(("has_checksum", "call"), [(True, (hashlib, "new")), (False, (zipfile.ZipFile, "open"))])
async def test_looking_at_what_is_there(folder, cancel_in, has_checksum, call):
    wanted = product(zipped(folder.directory / f"{NAME}.zip"), has_checksum=has_checksum)

    with cancel_in(*call) as scope:
        await find_existing(wanted, folder, extract=False)

    assert scope.cancelled_caught
    assert [*folder.records.iterdir()] == [], "it was read to its end"


async def test_looking_again(folder, cancel_in):
    body = zipped(folder.directory / f"{NAME}.zip")
    known = reverify.Known(len(body), product(body).checksum)
    findings = []

    with cancel_in(hashlib, "new") as scope:
        findings.append(await anyio.to_thread.run_sync(reverify.recheck, folder.directory, NAME, known))

    assert scope.cancelled_caught
    assert findings == []


@pytest.fixture
async def archive():
    config = Config()
    async with Http(config) as http:
        yield plain_archive(http, config, lambda event: None)


@pytest.mark.parametrize("missing", [1000, 0], ids=["unfinished", "complete"])
async def test_going_on_with_what_is_here(archive, folder, cancel_in, missing, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip") * 4
    wanted, length = product(body), len(body) - missing
    leave_part(folder, wanted, body, (0, length))
    received = []

    with cancel_in(Digest, "update") as scope:
        received.append(await download(wanted, archive, IntoFolder(folder)))

    assert scope.cancelled_caught
    assert received == []
    assert folder.unfinished_length(wanted) == length
    assert archive.gate.slots.try_take()


async def test_hashing_what_is_here_goes_on_where_it_ended(folder, cancel_in, monkeypatch, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip")
    wanted = product(body)
    leave_part(folder, wanted, body, (0, len(body)))
    lengths, update = [], Digest.update

    def note(digest, block):
        lengths.append(len(block))
        update(digest, block)

    monkeypatch.setattr(Digest, "update", note)
    async with open_part(wanted, folder) as part:
        with cancel_in(Digest, "update") as scope:
            await part.hash_what_is_here()
        assert scope.cancelled_caught
        assert lengths == [4 << 20]
        await part.hash_what_is_here()

        assert sum(lengths) == len(body)
        assert part.checksum() == wanted.checksum


async def test_a_disk_that_takes_long_to_take_a_part_is_not_waited_for(archive, folder, monkeypatch, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip")
    wanted, fsync = product(body), os.fsync
    leave_part(folder, wanted, body, (0, len(body)))
    part = await download(wanted, archive, IntoFolder(folder))
    has_begun, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def slow(handle):
        has_begun.set()
        assert may_end.wait(120)
        fsync(handle)
        has_ended.set()

    monkeypatch.setattr(os, "fsync", slow)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(verify_and_promote, part, folder)
            await anyio.to_thread.run_sync(has_begun.wait, 120)
            tasks.cancel_scope.cancel()
        assert not may_end.is_set()
    finally:
        may_end.set()
    await anyio.to_thread.run_sync(has_ended.wait, 120)

    assert not folder.zip_path(wanted).exists()
    assert folder.unfinished_length(wanted) == len(body)
    assert (await verify_and_promote(part, folder)).read_bytes() == body


@pytest.mark.parametrize(("has_checksum", "call"), [(True, (hashlib, "new")), (False, (zipfile.ZipFile, "open"))])
async def test_verifying(archive, folder, cancel_in, has_checksum, call, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip")
    wanted = product(body, has_checksum=has_checksum)
    leave_part(folder, wanted, body, (0, len(body)))
    part = await download(wanted, archive, IntoFolder(folder))
    os.utime(part.path, ns=(0, 0))  # as if others had written to it

    with cancel_in(*call) as scope:
        await verify_and_promote(part, folder)

    assert scope.cancelled_caught
    assert not folder.zip_path(wanted).exists()
    assert folder.unfinished_length(wanted) == len(body)
