"""Long work on files ends at the next block when it is cancelled, and leaves nothing that is not what its name says."""

import contextlib
import hashlib
import zipfile
from dataclasses import replace

import anyio
import pytest
from anyio import from_thread

from fakes import plain_line
from pepsasync.config import Config
from pepsasync.folder.layout import Folder
from pepsasync.http.client import Http
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.transfer import reverify as recheck
from pepsasync.transfer.existing import find_present
from pepsasync.transfer.extract import extract
from pepsasync.transfer.old_download import download
from pepsasync.transfer.verify import verify

pytestmark = pytest.mark.anyio

MEMBER = bytes(range(256)) * (1 << 14)
"""4 MiB, several blocks."""

NAME = "S1A_TEST"


@pytest.fixture
def shelf(tmp_path):
    shelf = Folder(tmp_path)
    shelf.open()
    return shelf


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


async def test_unpacking(shelf, cancel_in):
    wanted = product(zipped(shelf.directory / f"{NAME}.zip"))

    with cancel_in(zipfile.ZipFile, "open") as scope:
        await extract(wanted, shelf)

    assert scope.cancelled_caught
    assert shelf.zip_path(wanted).exists()
    assert not shelf.folder_path(wanted).exists()
    assert not shelf.unpack_path(wanted).exists()


@pytest.mark.parametrize(("has_checksum", "call"), [(True, (hashlib, "new")), (False, (zipfile.ZipFile, "open"))])
async def test_looking_at_what_is_there(shelf, cancel_in, has_checksum, call):
    wanted = product(zipped(shelf.directory / f"{NAME}.zip"), has_checksum=has_checksum)

    with cancel_in(*call) as scope:
        await find_present(wanted, shelf, extract=False)

    assert scope.cancelled_caught
    assert [*shelf.records.iterdir()] == [], "it was read to its end"


async def test_looking_again(shelf, cancel_in):
    body = zipped(shelf.directory / f"{NAME}.zip")
    known = recheck.Known(len(body), product(body).checksum)
    findings = []

    with cancel_in(hashlib, "new") as scope:
        findings.append(await anyio.to_thread.run_sync(recheck.recheck, shelf.directory, NAME, known))

    assert scope.cancelled_caught
    assert findings == []


@pytest.fixture
async def line(shelf):
    config = Config()
    async with Http(config) as http:
        yield plain_line(http, shelf, config, lambda event: None)


def leave(shelf, wanted, body, length):
    """A part of so many bytes, and the rest in a segment."""
    shelf.claim_part(wanted)
    shelf.part_path(wanted).write_bytes(body[:length])
    if length < len(body):
        shelf.segments_path(wanted).mkdir()
        shelf.segment_path(wanted, length).write_bytes(body[length:])


@pytest.mark.parametrize("length", [1000, None], ids=["joined", "complete"])
async def test_going_on_with_what_is_there(line, cancel_in, length, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip") * 4
    wanted, length = product(body), length or len(body)
    leave(line.shelf, wanted, body, length)
    received = []

    with cancel_in(hashlib, "new") as scope:
        received.append(await download(wanted, line))

    assert scope.cancelled_caught
    assert received == []
    assert line.shelf.part_length(wanted) < length + (8 << 20)


@pytest.mark.parametrize(("has_checksum", "call"), [(True, (hashlib, "new")), (False, (zipfile.ZipFile, "open"))])
async def test_verifying(line, cancel_in, has_checksum, call, tmp_path):
    body = zipped(tmp_path / "elsewhere.zip")
    wanted = product(body, has_checksum=has_checksum)
    leave(line.shelf, wanted, body, len(body))
    received = replace(await download(wanted, line), stamp=None)  # as if others had written to it

    with cancel_in(*call) as scope:
        await verify(wanted, received, line)

    assert scope.cancelled_caught
    assert not line.shelf.zip_path(wanted).exists()
    assert line.shelf.part_length(wanted) == len(body)
