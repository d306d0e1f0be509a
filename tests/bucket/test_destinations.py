"""What a destination promises, on each of them: the same tests for a folder and a bucket."""

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random
from zipfile import ZIP_STORED, ZipFile

import pytest
from anyio import to_thread

import stores
from fakes import product
from pepsasync.bucket import upload as bucket_upload
from pepsasync.bucket.address import parse_address
from pepsasync.bucket.destination import BucketDestination
from pepsasync.bucket.store import GoneError, Store
from pepsasync.errors import IntegrityError, TransferError
from pepsasync.folder.layout import Folder
from pepsasync.model import Checksum, StorageTier
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.part import SMALL

pytestmark = pytest.mark.anyio

PART = 5 << 20
"""Bytes; the smallest that stores take."""


def zipped(size, seed=1):
    body = BytesIO()
    with ZipFile(body, "w", ZIP_STORED) as archive:
        archive.writestr("A.SAFE/data", Random(seed).randbytes(size))
    return body.getvalue()


SIZES = {"small": 1000, "one part": SMALL + 1000, "several parts": 2 * PART + 1000}
ZIPS = {name: zipped(size) for name, size in SIZES.items()}


def product_of(content, **changes):
    values = {"size": len(content), "checksum": Checksum("md5", _md5(content))}
    return product("A", tier=StorageTier.DISK, **(values | changes))


def _md5(content):
    return hashlib.md5(content).hexdigest()


class OnDisk:
    def __init__(self, path):
        self.path = path

    async def open(self):
        folder = Folder(self.path)
        await to_thread.run_sync(folder.open)
        return IntoFolder(folder)

    def put(self, name, content):
        self.path.mkdir(exist_ok=True)
        (self.path / name).write_bytes(content)

    def get(self, name):
        path = self.path / name
        return path.read_bytes() if path.exists() else None

    def where(self, name):
        return self.path / name

    def unfinished(self):
        return [*self.path.glob(".pepsasync/parts/*.part")]


class InBucket:
    def __init__(self, served, state):
        self.served, self.state = served, state

    async def open(self):
        folder = Folder(self.state)
        await to_thread.run_sync(folder.open)
        return BucketDestination(Store(parse_address(self.served.address), self.served.url), folder)

    def put(self, name, content):
        self.served.s3.put_object(Bucket=self.served.name, Key=f"in/here/{name}", Body=content)

    def get(self, name):
        key = f"in/here/{name}"
        return stores.content_of(self.served, key, self.served.name) if key in self._keys() else None

    def where(self, name):
        return f"{self.served.address}/{name}"

    def unfinished(self):
        return stores.uploads_of(self.served, self.served.name) + [key for key in self._keys() if ".pepsasync" in key]

    def _keys(self):
        return stores.keys_of(self.served, self.served.name)


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, monkeypatch):
    monkeypatch.setattr(bucket_upload, "PART", PART)
    if request.param == "folder":
        return OnDisk(tmp_path / "data")
    return InBucket(request.getfixturevalue("bucket"), tmp_path / "state")


async def receive(incoming, content, until=None, *, restart=False):
    """Write what is missing of a product, in blocks, as a connection does."""
    if restart:
        await incoming.begin(incoming.division.claim_front(), None)
    segment = incoming.division.claim_front()
    if not segment.start:
        segment = await incoming.begin(segment, None)
    end = len(content) if until is None else until
    for start in range(segment.start, end, 1 << 20):
        block = bytearray(content[start : min(start + (1 << 20), end)])
        segment.received += len(block)
        if incoming.memory is not None:
            incoming.write(segment, block)
        else:
            await to_thread.run_sync(incoming.write, segment, block)
        await incoming.wait_for_room()
    incoming.release(segment)


async def bring(destination, wanted, content):
    async with destination.incoming(wanted) as incoming:
        await receive(incoming, content)
        await incoming.flush()
        await incoming.hash_what_is_here()
    return await destination.finish(incoming)


@pytest.mark.parametrize("size", SIZES)
async def test_final_name_has_all_bytes_and_is_found_again(place, size):
    content, destination = ZIPS[size], await place.open()
    wanted = product_of(content)

    assert frozenset({"A"}) == await destination.absent([wanted])
    assert place.where("A.zip") == await bring(destination, wanted, content)

    assert content == place.get("A.zip")
    assert [] == place.unfinished()
    again = await place.open()
    assert frozenset() == await again.absent([wanted])
    assert place.where("A.zip") == (await again.find(wanted)).path


@pytest.mark.parametrize("size", SIZES)
async def test_wrong_bytes_get_no_final_name(place, size):
    content, destination = ZIPS[size], await place.open()
    wanted = product_of(content, checksum=Checksum("md5", "0" * 32))

    with pytest.raises(IntegrityError, match="checksum is md5:"):
        await bring(destination, wanted, content)

    assert place.get("A.zip") is None
    await destination.discard(wanted)
    assert [] == place.unfinished()


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_no_zip_gets_no_final_name(place, size):
    content, destination = Random(2).randbytes(SIZES[size]), await place.open()

    with pytest.raises(IntegrityError, match="not a readable zip"):
        await bring(destination, product_of(content), content)

    assert place.get("A.zip") is None


@pytest.mark.parametrize("size", SIZES)
async def test_every_member_is_read_where_no_checksum_is_known(place, size):
    content, destination = bytearray(ZIPS[size]), await place.open()
    wanted = product_of(content, checksum=None)
    content[SIZES[size] // 2] ^= 1

    with pytest.raises(IntegrityError, match=r"damaged|CRC|crc"):
        await bring(destination, wanted, content)
    await destination.discard(wanted)
    assert place.get("A.zip") is None

    assert place.where("A.zip") == await bring(destination, wanted, ZIPS[size])
    assert ZIPS[size] == place.get("A.zip")


@pytest.mark.parametrize("size", SIZES)
async def test_right_product_of_others_is_kept(place, size):
    content = ZIPS[size]
    place.put("A.zip", content)
    destination = await place.open()

    found = await destination.find(product_of(content))

    assert (place.where("A.zip"), len(content)) == (found.path, found.bytes)


@pytest.mark.parametrize("size", SIZES)
async def test_wrong_product_of_others_is_told_and_replaced(place, size):
    content = ZIPS[size]
    place.put("A.zip", zipped(SIZES[size], seed=9))
    destination, wanted = await place.open(), product_of(content)

    found = await destination.find(wanted)
    assert (None, True) == (found.path, "its checksum is " in found.wrong)
    await bring(destination, wanted, content)

    assert content == place.get("A.zip")


async def test_going_on_where_an_earlier_run_was_ended(place):
    content = ZIPS["several parts"]
    wanted = product_of(content)
    first = await place.open()
    with pytest.raises(ZeroDivisionError):
        async with first.incoming(wanted) as incoming:
            await receive(incoming, content, until=PART + 1000)
            while getattr(incoming, "sent", ("", [1]))[1] == ():
                await to_thread.run_sync(lambda: None)
            raise ZeroDivisionError

    assert place.get("A.zip") is None
    second = await place.open()
    async with second.incoming(wanted) as incoming:
        here = incoming.resumed_bytes
        await receive(incoming, content)
        await incoming.flush()
        await incoming.hash_what_is_here()
    await second.finish(incoming)

    assert PART <= here <= PART + 1000
    assert content == place.get("A.zip")
    assert [] == place.unfinished()


async def test_other_file_of_the_same_name_begins_anew(place):
    old, content = zipped(SIZES["several parts"], seed=5), ZIPS["several parts"]
    with pytest.raises(ZeroDivisionError):
        async with (await place.open()).incoming(product_of(old)) as incoming:
            await receive(incoming, old, until=PART + 1000)
            raise ZeroDivisionError

    destination = await place.open()
    async with destination.incoming(product_of(content)) as incoming:
        assert 0 == incoming.resumed_bytes
        await receive(incoming, content)
        await incoming.flush()
        await incoming.hash_what_is_here()
    await destination.finish(incoming)

    assert content == place.get("A.zip")


async def test_restart_within_a_run_gives_up_what_was_here(place):
    content, other = ZIPS["several parts"], zipped(SIZES["several parts"], seed=5)
    wanted, destination = product_of(content), await place.open()
    async with destination.incoming(wanted) as incoming:
        await receive(incoming, other, until=PART + 1000)
        segment = incoming.division.claim_front()
        incoming.release(await incoming.begin(segment, None))
        assert 0 == incoming.received
        await receive(incoming, content)
        await incoming.flush()
        await incoming.hash_what_is_here()
    await destination.finish(incoming)

    assert content == place.get("A.zip")


async def test_every_byte_was_received_before_it_was_verified(place):
    content = ZIPS["several parts"]
    wanted, destination = product_of(content), await place.open()
    assert not await destination.has_every_byte(wanted)
    async with destination.incoming(wanted) as incoming:
        await receive(incoming, content)
        await incoming.flush()

    again = await place.open()
    assert await again.has_every_byte(wanted)
    async with again.incoming(wanted) as incoming:
        assert incoming.is_complete
        await incoming.hash_what_is_here()
    await again.finish(incoming)

    assert content == place.get("A.zip")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_another_program_has_completed_meanwhile_is_not_trusted(bucket, tmp_path, monkeypatch, moment):
    monkeypatch.setattr(bucket_upload, "PART", PART)
    content, other = ZIPS["several parts"], zipped(SIZES["several parts"], seed=5)
    place, wanted = InBucket(bucket, tmp_path / "state"), product_of(content)
    destination, complete = await place.open(), Store.complete

    def complete_with_others(store, key, upload, parts, **options):
        if moment == "before":
            store.abort(key, upload)
            bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=other)
            raise GoneError("its upload is not there any more")  # moto answers with HTTP 500
        etag = complete(store, key, upload, parts, **options)
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=other)
        return etag

    async with destination.incoming(wanted) as incoming:
        await receive(incoming, content)
        await incoming.flush()
    monkeypatch.setattr(Store, "complete", complete_with_others)

    with pytest.raises(IntegrityError, match="checksum"):
        await destination.finish(incoming)

    assert place.get("A.zip") is None


async def test_store_that_knows_no_ranges_is_not_trusted(bucket, monkeypatch):
    bucket.s3.put_object(Bucket=bucket.name, Key="in/here/A.zip", Body=ZIPS["small"])
    store = Store(parse_address(bucket.address), bucket.url)
    found = store.head("in/here/A.zip")
    get = store._s3.get_object
    monkeypatch.setattr(store._s3, "get_object", lambda Range, **asked: get(**asked))  # noqa: N803

    with pytest.raises(TransferError, match="other bytes of it than were asked for"):
        store.read(found.key, 0, 100, found.etag)


async def test_bodies_that_are_cut_are_asked_for_again(bucket, monkeypatch):
    content = ZIPS["small"]
    bucket.s3.put_object(Bucket=bucket.name, Key="in/here/A.zip", Body=content)
    store = Store(parse_address(bucket.address), bucket.url)
    found = store.head("in/here/A.zip")
    get, cut = store._s3.get_object, [BytesIO(content[:50]), BytesIO()]
    monkeypatch.setattr(store._s3, "get_object", lambda **asked: {"Body": cut.pop()} if cut else get(**asked))

    assert content[:100] == store.read(found.key, 0, 100, found.etag)
    assert [] == cut


async def test_product_that_is_one_file_keeps_its_name(place):
    content = Random(3).randbytes(2 * PART)
    wanted, destination = replace(product_of(content), name="A.nc"), await place.open()

    assert place.where("A.nc") == await bring(destination, wanted, content)
    assert place.where("A.nc") == (await (await place.open()).find(wanted)).path


async def test_size_that_nobody_knows(place):
    content = ZIPS["several parts"]
    wanted, destination = product_of(content, size=None), await place.open()
    async with destination.incoming(wanted) as incoming:
        await receive(incoming, content)
        assert await to_thread.run_sync(incoming.ends_as_zip)
        incoming.division.set_size(len(content))
        await incoming.flush()
        await incoming.hash_what_is_here()
    await destination.finish(incoming)

    assert content == place.get("A.zip")


async def test_names_of_hostile_archives_stay_inside(place):
    content = ZIPS["small"]
    wanted, destination = replace(product_of(content), name="../../A"), await place.open()

    found = await bring(destination, wanted, content)

    inside = str(place.where(Path(str(found)).name))
    assert inside == str(found)
