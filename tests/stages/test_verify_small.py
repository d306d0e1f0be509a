"""Small products are verified many at a time, and each has its own outcome."""

import errno
import hashlib
import io
import zipfile

import anyio
import pytest

from fakes import plain_line, product
from pepsasync import Checksum, Config, IntegrityError, TransferError
from pepsasync.errors import PepsasyncError
from pepsasync.folder.layout import Folder
from pepsasync.transfer import verify as stage
from pepsasync.transfer.existing import find_present
from pepsasync.transfer.old_transfer import Received

pytestmark = pytest.mark.anyio

NAMES = [f"S1A_{number}" for number in range(8)]


def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.SAFE/manifest.safe", name * 100)
    return buffer.getvalue()


def small(name):
    body = zipped(name)
    return product(name, size=len(body), checksum=Checksum("md5", hashlib.md5(body).hexdigest()))


@pytest.fixture
def line(tmp_path):
    shelf = Folder(tmp_path)
    shelf.open()
    return plain_line(None, shelf, Config(), lambda event: None)


async def verify_all(line, bodies):
    """Path or error by name, all at the same time."""
    outcomes = {}

    async def one(name, body):
        try:
            outcomes[name] = await stage.verify(small(name), Received(len(body), None, 1, 0, 0.0, body=body), line)
        except PepsasyncError as error:
            outcomes[name] = error

    async with anyio.create_task_group() as tasks:
        for name, body in bodies.items():
            tasks.start_soon(one, name, body)
    return outcomes


async def test_each_small_product_has_its_own_outcome(line, tmp_path):
    bodies = {name: zipped(name) for name in NAMES}
    bodies["S1A_3"] = bodies["S1A_3"][:-1]
    bodies["S1A_5"] = bodies["S1A_5"][:-1] + b"!"

    outcomes = await verify_all(line, bodies)

    assert {name: outcome.product for name, outcome in outcomes.items() if isinstance(outcome, IntegrityError)} == {
        "S1A_3": "S1A_3",
        "S1A_5": "S1A_5",
    }
    right = {name: body for name, body in bodies.items() if name not in ("S1A_3", "S1A_5")}
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.zip")} == {
        f"{name}.zip": body for name, body in right.items()
    }
    assert not list(line.shelf.parts.iterdir())
    assert {path.stem.removesuffix(".zip") for path in line.shelf.records.iterdir()} == set(right)


async def test_names_that_cannot_be_forced_to_the_disk_are_not_trusted(line, monkeypatch):
    def fails(path):
        raise OSError(errno.EIO, "the disk is dying")

    with monkeypatch.context() as broken:
        broken.setattr(stage, "sync", fails)
        outcomes = await verify_all(line, {name: zipped(name) for name in NAMES})

    assert all(isinstance(outcome, TransferError) and name in str(outcome) for name, outcome in outcomes.items())
    assert not list(line.shelf.records.iterdir())
    present = await find_present(small("S1A_1"), line.shelf, extract=False)
    assert present.path == line.shelf.zip_path(small("S1A_1"))  # it was hashed again, and is right


async def test_zip_that_wants_a_password_is_refused_by_itself(line):
    """Its members are read, since the archive announced no checksum."""
    bodies = {name: zipped(name) for name in NAMES[:3]}
    locked = bytearray(bodies["S1A_1"])
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(mark) + place] |= 1
    outcomes = {}

    async def one(name, body):
        try:
            came = Received(len(body), None, 1, 0, 0.0, body=body)
            outcomes[name] = await stage.verify(product(name, size=len(body)), came, line)
        except PepsasyncError as error:
            outcomes[name] = error

    async with anyio.create_task_group() as tasks:
        for name, body in (bodies | {"S1A_1": bytes(locked)}).items():
            tasks.start_soon(one, name, body)

    assert [name for name, outcome in outcomes.items() if isinstance(outcome, IntegrityError)] == ["S1A_1"]


async def test_product_that_somebody_takes_away_at_once_harms_no_other(line, monkeypatch):
    def taken_away(directory):
        line.shelf.zip_path(small("S1A_2")).unlink(missing_ok=True)

    monkeypatch.setattr(stage, "sync", taken_away)

    outcomes = await verify_all(line, {name: zipped(name) for name in NAMES})

    assert outcomes == {name: line.shelf.zip_path(small(name)) for name in NAMES}


async def test_part_of_an_earlier_run_is_gone_once_the_product_is_there(line):
    line.shelf.claim_part(small("S1A_1"))
    line.shelf.part_path(small("S1A_1")).write_bytes(b"began")

    await verify_all(line, {"S1A_1": zipped("S1A_1")})

    assert not list(line.shelf.parts.iterdir())
