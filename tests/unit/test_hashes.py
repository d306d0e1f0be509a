"""Hash functions by name, and the choice between several checksums of one file."""

import hashlib

import blake3
import pytest

from pepsasync import hashes
from pepsasync.hashes import fastest, is_computable, new_hash
from pepsasync.model import Checksum, Product

MD5, BLAKE3, UNKNOWN = Checksum("md5", "aa"), Checksum("BLAKE3", "bb"), Checksum("whirlpool-9", "cc")


def test_every_algorithm_of_the_table_can_be_computed():
    expected = {name: hashlib.new(name, b"measured").hexdigest() for name in hashes.RATES if name != "blake3"}
    expected["blake3"] = blake3.blake3(b"measured").hexdigest()

    found = {}
    for name in hashes.RATES:
        digest = new_hash(name)
        digest.update(b"meas")
        digest.update(memoryview(bytearray(b"ured")))
        found[name] = digest.hexdigest()

    assert found == expected


@pytest.mark.parametrize(
    ("checksums", "expected"),
    [
        pytest.param([MD5, BLAKE3], BLAKE3, id="blake3-before-md5"),
        pytest.param([BLAKE3, MD5], BLAKE3, id="in-any-order"),
        pytest.param([UNKNOWN, MD5], MD5, id="what-can-be-computed"),
        pytest.param([Checksum("shake_128", "00"), MD5], MD5, id="what-was-measured"),
        pytest.param([UNKNOWN], None, id="none-of-them"),
        pytest.param([], None, id="none"),
    ],
)
def test_the_fastest_is_chosen(checksums, expected):
    assert fastest(checksums) == expected


@pytest.mark.usefixtures("without_blake3")
def test_md5_serves_where_blake3_cannot_be_imported():
    assert fastest([BLAKE3, MD5]) == MD5
    assert not is_computable("blake3")
    with pytest.raises(ValueError, match="blake3"):
        new_hash("blake3")


def test_a_product_with_one_checksum_has_it_among_all():
    one = Product(id="1", name="A", provider="peps", collection="S1", download_url="", checksum=MD5)

    assert one.checksums == (MD5,)
