import hashlib
import io
import tracemalloc
import xml.etree.ElementTree as ET
import zipfile
import zlib
from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pepsasync.sandbox import ProductContent, checksum
from pepsasync.sandbox.catalogue import generate
from pepsasync.sandbox.content import MIN_SIZE
from pepsasync.sandbox.filler import BLOCK, Filler

PRODUCTS = generate(12, size=1 << 20)
SIZES = (MIN_SIZE, 10_001, 60_486, 262_144, 300_007, 3 * BLOCK + 17)


@lru_cache
def whole(size, radar):
    product = next(product for product in PRODUCTS if (product.collection == "S1") is radar)
    content = ProductContent(replace(product, size=size))
    return content, content.read()


class ContentFile(io.RawIOBase):
    """A content as a file, so that zipfile can read one that does not fit in memory."""

    def __init__(self, content):
        self._content, self._at = content, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._at

    def seek(self, offset, whence=0):
        self._at = {0: 0, 1: self._at, 2: self._content.size}[whence] + offset
        return self._at

    def readinto(self, buffer):
        data = self._content.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@pytest.mark.parametrize("radar", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_zip_is_valid_and_exactly_as_large_as_asked(size, radar):
    content, data = whole(size, radar)
    assert len(data) == content.size == size
    assert content.md5 == hashlib.md5(data).hexdigest()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert all(name.startswith(content.product.name + ".SAFE/") for name in archive.namelist())


@pytest.mark.parametrize("radar", [True, False])
def test_manifest_lists_sizes_and_digests(radar):
    content, data = whole(300_007, radar)
    folder = content.product.name + ".SAFE/"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = ET.fromstring(archive.read(folder + "manifest.safe").strip())
        listed = {
            stream.find("fileLocation").get("href"): (int(stream.get("size")), stream.findtext("checksum"))
            for stream in manifest.iter("byteStream")
        }
        for name in set(archive.namelist()) - {folder + "manifest.safe"}:
            member = archive.read(name)
            assert listed["./" + name.removeprefix(folder)] == (len(member), hashlib.md5(member).hexdigest())


@given(st.sampled_from(SIZES), st.booleans(), st.data())
def test_any_slice_is_the_slice_of_the_whole(size, radar, data):
    content, expected = whole(size, radar)
    offset = data.draw(st.integers(0, size + 5))
    length = data.draw(st.integers(0, size))
    assert content.read(offset, length) == expected[offset : offset + length]


@given(st.integers(0, 3 * BLOCK + 17))
@settings(max_examples=20)
def test_blocks_from_any_offset_are_the_rest(offset):
    content, expected = whole(3 * BLOCK + 17, radar=False)
    assert b"".join(content.blocks(offset)) == expected[offset:]


def test_huge_product_is_zip64_and_never_in_memory():
    product = replace(PRODUCTS[-1], size=5 << 30)
    tracemalloc.start()
    with zipfile.ZipFile(ContentFile(ProductContent(product))) as archive:
        members = archive.infolist()
        with archive.open(members[-1]) as last:
            assert len(last.read(1000)) == 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(member.file_size for member in members) > 4 << 30
    assert peak < 32 << 20


def test_same_seed_same_bytes_other_seed_other_bytes():
    product = replace(PRODUCTS[0], size=20_000)
    assert ProductContent(product, 1).md5 == ProductContent(product, 1).md5
    assert ProductContent(product, 1).md5 != ProductContent(product, 2).md5


def test_digest_is_made_when_asked():
    content = ProductContent(replace(PRODUCTS[0], size=20_000))
    content.prepare()
    assert not content.digested
    assert content.md5 == content.md5
    assert content.digested


def test_too_small_product_is_refused():
    with pytest.raises(ValueError, match=str(MIN_SIZE)):
        ProductContent(replace(PRODUCTS[0], size=MIN_SIZE - 1))


@given(st.binary(), st.binary())
def test_joined_crc(first, second):
    assert checksum.join(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_filler_crc_without_making_it(length):
    filler = Filler("key", 3, length)
    assert filler.crc() == zlib.crc32(b"".join(filler.read(0, length)))


def test_blocks_differ():
    filler = Filler("key", 3, 3 * BLOCK)
    blocks = {b"".join(filler.read(at * BLOCK, (at + 1) * BLOCK)) for at in range(3)}
    assert len(blocks) == 3
