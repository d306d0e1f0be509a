"""Products as STAC items: what stands where, and that it is valid."""

import hashlib
import json
import sys
from datetime import UTC, datetime

import pytest

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.hashes import new_hash
from pepsasync.model import Checksum, StorageTier
from pepsasync.query.saved_search import read_saved
from pepsasync.results.stac import MULTIHASH, bbox_of, multihash
from pepsasync.results.tables import check_suffix, write_products

pystac = pytest.importorskip("pystac")
pytest.importorskip("jsonschema")

from pepsasync.results.stac import to_item, to_item_collection  # noqa: E402
from stac_schemas import validate  # noqa: E402

FOOTPRINT = {"type": "Polygon", "coordinates": [[[1.0, 43.0], [2.0, 43.0], [2.0, 44.0], [1.0, 43.0]]]}
RADAR = product(
    "S1A_IW_GRDH_X",
    tier=StorageTier.TAPE,
    size=3_000_000_000,
    checksum=Checksum("md5", hashlib.md5(b"radar").hexdigest()),
    platform="S1A",
    product_type="GRD",
    sensor_mode="IW",
    polarisation="VV VH",
    start=datetime(2015, 11, 1, 6, tzinfo=UTC),
    end=datetime(2015, 11, 1, 6, 0, 25, tzinfo=UTC),
    published=datetime(2015, 11, 2, tzinfo=UTC),
    orbit=8000,
    relative_orbit=59,
    orbit_direction="descending",
    quicklook_url="https://archive.example/quick/S1A.png?size=1",
    footprint=FOOTPRINT,
)
OPTICAL = product(
    "S2A_MSIL1C_X",
    platform="S2A",
    tile="31TCJ",
    cloud_cover=12.5,
    start=datetime(2017, 1, 2, tzinfo=UTC),
    footprint=FOOTPRINT,
)
BARE = product("UNKNOWN", tier=StorageTier.UNKNOWN)


def test_an_item_says_what_the_archive_says():
    item = to_item(RADAR)

    assert item.id == RADAR.name
    assert item.datetime == RADAR.start
    assert item.bbox == [1.0, 43.0, 2.0, 44.0]
    assert {
        "datetime": "2015-11-01T06:00:00Z",
        "start_datetime": "2015-11-01T06:00:00Z",
        "end_datetime": "2015-11-01T06:00:25Z",
        "published": "2015-11-02T00:00:00Z",
        "platform": "sentinel-1a",
        "constellation": "sentinel-1",
        "instruments": ["c-sar"],
        "sat:orbit_state": "descending",
        "sat:relative_orbit": 59,
        "sat:absolute_orbit": 8000,
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:polarizations": ["VV", "VH"],
        "sar:product_type": "GRD",
        "pepsasync:provider": "fake",
        "pepsasync:collection": "S1",
        "pepsasync:id": "id-S1A_IW_GRDH_X",
        "pepsasync:product_type": "GRD",
        "pepsasync:sensor_mode": "IW",
        "pepsasync:tier": "tape",
    } == item.to_dict()["properties"]
    assert {
        "href": RADAR.download_url,
        "type": "application/zip",
        "roles": ["data"],
        "file:size": 3_000_000_000,
        "file:checksum": f"d50110{hashlib.md5(b'radar').hexdigest()}",
    } == item.assets["product"].to_dict()
    assert item.assets["quicklook"].media_type == "image/png"


def test_optical_products_have_clouds_and_a_tile():
    properties = to_item(OPTICAL).properties

    assert properties["eo:cloud_cover"] == 12.5
    assert properties["grid:code"] == "MGRS-31TCJ"
    assert properties["instruments"] == ["msi"]


@pytest.mark.parametrize(
    ("described", "extensions"),
    [(RADAR, {"sat", "sar", "timestamps", "file"}), (OPTICAL, {"eo", "grid"}), (BARE, set())],
    ids=["radar", "optical", "bare"],
)
def test_items_are_valid(described, extensions):
    declared = validate(to_item(described))

    assert extensions == {address.split("/")[3] for address in declared}


def test_a_size_that_is_an_estimate_is_none():
    assert "file:size" not in to_item(product("A", size=7, size_is_estimate=True)).assets["product"].extra_fields


@pytest.mark.parametrize("algorithm", MULTIHASH)
def test_a_multihash_tells_algorithm_and_length(algorithm):
    """Decoded as its page says: a code and a length, of seven bits a byte, then the digest."""
    if algorithm == "blake3":
        pytest.importorskip("blake3")
    hashed = new_hash(algorithm)
    hashed.update(b"bytes")
    data, numbers = bytes.fromhex(multihash(Checksum(algorithm, hashed.hexdigest()))), []
    while len(numbers) < 2:
        number = shift = 0
        while True:
            byte, data = data[0], data[1:]
            number, shift = number | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        numbers.append(number)

    assert numbers == [MULTIHASH[algorithm], len(data)]
    assert data.hex() == hashed.hexdigest()


def test_an_unknown_algorithm_has_no_multihash():
    assert multihash(Checksum("crc7", "ab")) is None


def test_a_box_across_the_antimeridian_begins_in_the_east():
    east = [[[178.0, 1.0], [180.0, 1.0], [180.0, 2.0], [178.0, 1.0]]]
    west = [[[-180.0, 1.0], [-179.0, 1.0], [-180.0, 3.0], [-180.0, 1.0]]]
    across = product("A", footprint={"type": "MultiPolygon", "coordinates": [east, west]})

    assert bbox_of(across) == [178.0, 1.0, -179.0, 3.0]


def test_a_file_of_items_is_read_by_others_and_by_us(tmp_path):
    write_products([RADAR, OPTICAL, BARE], tmp_path / "items.json")
    collection = pystac.ItemCollection.from_file(str(tmp_path / "items.json"))

    assert (
        [RADAR.name, OPTICAL.name, BARE.name] == [item.id for item in collection] == read_saved(tmp_path / "items.json")
    )
    for item in collection:
        validate(item)
    assert (
        to_item_collection([RADAR])["features"][0] == json.loads((tmp_path / "items.json").read_text())["features"][0]
    )


def test_without_pystac_it_is_named_at_once(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pystac", None)

    with pytest.raises(ConfigError, match=r"needs pystac.*pip install 'pepsasync\[stac\]'"):
        check_suffix(tmp_path / "items.json")
