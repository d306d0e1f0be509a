"""Small products are verified in memory, several at a time, and each has its own outcome."""

import errno
import hashlib
import io
import os
import zipfile

import anyio
import pytest

from fakes import leave_part, product
from pepsasync import Checksum, IntegrityError, TransferError
from pepsasync.errors import DiskFullError, PepsasyncError
from pepsasync.folder import layout
from pepsasync.folder.layout import Folder
from pepsasync.transfer import part as part_of_a_product
from pepsasync.transfer.existing import find_existing
from pepsasync.transfer.part import open_part
from pepsasync.transfer.verify import verify_and_promote

pytestmark = pytest.mark.anyio

NAMES = [f"S1A_{number}" for number in range(8)]


def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # Without a time of day, with which the zip would be another one two seconds later.
        archive.writestr(zipfile.ZipInfo(f"{name}.SAFE/manifest.safe"), name * 100)
    return buffer.getvalue()


def small(name):
    body = zipped(name)
    return product(name, size=len(body), checksum=Checksum("md5", hashlib.md5(body).hexdigest()))


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    return folder


async def verify_all(folder, bodies, of=small):
    """Path or error by name, all at the same time."""
    outcomes, threads = {}, anyio.CapacityLimiter(2)

    async def one(name, body):
        async with open_part(of(name), folder) as part:
            part.write(segment := part.division.claim_front(), bytearray(body))
            part.release(segment)
        try:
            outcomes[name] = await verify_and_promote(part, folder, threads)
        except PepsasyncError as error:
            outcomes[name] = error

    async with anyio.create_task_group() as tasks:
        for name, body in bodies.items():
            tasks.start_soon(one, name, body)
    return outcomes


async def test_each_small_product_has_its_own_outcome(folder, tmp_path):
    bodies = {name: zipped(name) for name in NAMES}
    bodies["S1A_3"] = bodies["S1A_3"][:-1]
    bodies["S1A_5"] = bodies["S1A_5"][:-1] + b"!"

    outcomes = await verify_all(folder, bodies)

    assert {name: outcome.product for name, outcome in outcomes.items() if isinstance(outcome, IntegrityError)} == {
        "S1A_3": "S1A_3",
        "S1A_5": "S1A_5",
    }
    right = {name: body for name, body in bodies.items() if name not in ("S1A_3", "S1A_5")}
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.zip")} == {
        f"{name}.zip": body for name, body in right.items()
    }
    assert not list(folder.parts.iterdir())
    assert {path.stem.removesuffix(".zip") for path in folder.records.iterdir()} == set(right)


async def test_names_that_cannot_be_forced_to_the_disk_are_not_trusted(folder, monkeypatch):
    def fails(path):
        raise OSError(errno.EIO, "the disk is dying")

    with monkeypatch.context() as broken:
        broken.setattr(layout, "sync", fails)
        outcomes = await verify_all(folder, {name: zipped(name) for name in NAMES})

    assert all(isinstance(outcome, TransferError) and name in str(outcome) for name, outcome in outcomes.items())
    assert not list(folder.records.iterdir())
    existing = await find_existing(small("S1A_1"), folder, extract=False)
    assert existing.path == folder.zip_path(small("S1A_1"))  # it was hashed again, and is right


async def test_zip_that_wants_a_password_is_refused_by_itself(folder):
    """Its members are read, since the archive announced no checksum."""
    bodies = {name: zipped(name) for name in NAMES[:3]}
    locked = bytearray(bodies["S1A_1"])
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(mark) + place] |= 1
    sizes = {name: len(body) for name, body in bodies.items()}

    outcomes = await verify_all(folder, bodies | {"S1A_1": locked}, of=lambda name: product(name, size=sizes[name]))

    assert [name for name, outcome in outcomes.items() if isinstance(outcome, IntegrityError)] == ["S1A_1"]


async def test_product_that_somebody_takes_away_at_once_harms_no_other(folder, monkeypatch):
    def taken_away(directory):
        folder.zip_path(small("S1A_2")).unlink(missing_ok=True)

    monkeypatch.setattr(layout, "sync", taken_away)

    outcomes = await verify_all(folder, {name: zipped(name) for name in NAMES})

    assert outcomes == {name: folder.zip_path(small(name)) for name in NAMES}


@pytest.mark.parametrize("of_version", ["0.1", "now"])
async def test_part_of_an_earlier_run_is_gone_once_the_product_is_there(folder, of_version):
    leave_part(folder, small("S1A_1"), b"began", (0, 5))
    record = folder.part_record_path(small("S1A_1"))
    if of_version == "0.1":
        record.rename(record.with_suffix(".json"))

    await verify_all(folder, {"S1A_1": zipped("S1A_1")})

    assert not list(folder.parts.iterdir())


@pytest.mark.parametrize("smaller", [part_of_a_product.SMALL, 0], ids=["memory", "disk"])
async def test_bytes_are_forced_to_the_disk_before_they_have_their_name_and_the_name_after(
    folder, monkeypatch, smaller
):
    monkeypatch.setattr(part_of_a_product, "SMALL", smaller)
    fsync, final, done = os.fsync, folder.zip_path(small("S1A_1")), []

    def note(handle):
        fsync(handle)
        done.append((os.fstat(handle).st_ino, final.exists()))

    monkeypatch.setattr(os, "fsync", note)
    outcomes = await verify_all(folder, {"S1A_1": zipped("S1A_1")})

    assert outcomes == {"S1A_1": final}
    assert done == [(final.stat().st_ino, False), (folder.directory.stat().st_ino, True)]


async def test_product_that_cannot_be_written_leaves_nothing(folder, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        outcomes = await verify_all(folder, {"S1A_1": zipped("S1A_1")})

    assert isinstance(outcomes["S1A_1"], DiskFullError)
    assert not [path for path in folder.directory.rglob("*") if path.is_file()]
