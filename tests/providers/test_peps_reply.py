"""Replies of PEPS become products, whatever is null, missing or of another type."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.errors import ProtocolError
from pepsasync.model import Checksum, StorageTier
from pepsasync.providers.peps.reply import parse_feature, parse_page, parse_tier

ROOT = "https://archive.example/resto"
MD5 = "0123456789ABCDEF0123456789ABCDEF"


def feature(**properties):
    """A made-up feature in the shape of the protocol notes, section 3.2."""
    return {
        "type": "Feature",
        "id": "1c0f4c9e-3f6b-5d0e-9d7a-2f1f0a6b7c8d",
        "geometry": {"type": "Polygon", "coordinates": [[[1, 43], [2, 43], [2, 44], [1, 44], [1, 43]]]},
        "properties": {
            "collection": "S1",
            "productIdentifier": "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A",
            "startDate": "2015-11-05T17:47:30.512Z",
            "completionDate": "2015-11-05T17:47:55.511Z",
            "productType": "GRD",
            "platform": "S1A",
            "sensorMode": "IW",
            "orbitNumber": 8471,
            "orbitDirection": "ascending",
            "resourceSize": 1000,
            "resourceChecksum": MD5,
            "storage": {"mode": "tape"},
        }
        | properties,
    }


def test_parse_feature_reads_every_field():
    product = parse_feature(feature(), ROOT)

    assert "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A" == product.name
    assert f"{ROOT}/collections/S1/{product.id}/download" == product.download_url
    assert (StorageTier.TAPE, 1000, Checksum("md5", MD5.lower())) == (product.tier, product.size, product.checksum)
    assert ("GRD", "IW", "S1A") == (product.product_type, product.sensor_mode, product.platform)
    assert datetime(2015, 11, 5, 17, 47, 30, 512000, tzinfo=UTC) == product.start
    assert (8471, (8471 - 73) % 175 + 1) == (product.orbit, product.relative_orbit)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("disk", StorageTier.DISK),
        ("tier2", StorageTier.DISK),
        ("tape", StorageTier.TAPE),
        ("tier3", StorageTier.TAPE),
        ("staging", StorageTier.STAGING),
        ("unknown", StorageTier.UNKNOWN),
        ("unaivalable", StorageTier.UNKNOWN),
        ("tier9", StorageTier.UNKNOWN),
        (None, StorageTier.UNKNOWN),
        (3, StorageTier.UNKNOWN),
    ],
)
def test_parse_tier_is_an_open_set(mode, expected):
    assert expected == parse_tier(feature(storage={"mode": mode}))


@pytest.mark.parametrize("storage", [None, "disk", [], {}])
def test_parse_tier_missing_is_unknown(storage):
    assert StorageTier.UNKNOWN == parse_tier(feature(storage=storage))


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        pytest.param({"resourceSize": "1234"}, 1234, id="text"),
        pytest.param({"resourceSize": None, "services": {"download": {"size": 77}}}, 77, id="from-services"),
        pytest.param({"resourceSize": None}, None, id="missing"),
        pytest.param({"resourceSize": 0}, None, id="zero"),
        pytest.param({"resourceSize": "many"}, None, id="nonsense"),
    ],
)
def test_parse_feature_size(changes, size):
    assert size == parse_feature(feature(**changes), ROOT).size


@pytest.mark.parametrize("value", [MD5, MD5.lower()])
def test_parse_feature_checksum_either_case(value):
    assert Checksum("md5", MD5) == parse_feature(feature(resourceChecksum=value), ROOT).checksum


@pytest.mark.parametrize("value", [None, "", "NONE", 12, "x" * 32])
def test_parse_feature_checksum_null_or_nonsense_is_none(value):
    assert parse_feature(feature(resourceChecksum=value), ROOT).checksum is None


def test_parse_feature_name_falls_back_to_title():
    assert "T" == parse_feature(feature(productIdentifier=None, title="T"), ROOT).name


def test_parse_feature_hostile_collection_and_id_stay_in_the_path():
    hostile = feature(collection="../../x") | {"id": "a/b?c#d"}

    assert f"{ROOT}/collections/..%2F..%2Fx/a%2Fb%3Fc%23d/download" == parse_feature(hostile, ROOT).download_url


@pytest.mark.parametrize("broken", [None, 1, [], {}, {"id": "x"}, {"id": None, "properties": {}}])
def test_parse_feature_without_identity_is_left_out(broken):
    assert parse_feature(broken, ROOT) is None


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(feature()["properties"])), values))
def test_parse_feature_never_raises_on_odd_properties(properties):
    assert parse_feature(feature(**properties), ROOT) is not None


def page(count, **envelope):
    return {"features": [feature() | {"id": str(n)} for n in range(count)], "properties": envelope}


def test_parse_page_full_page_is_not_the_last():
    parsed = parse_page(page(20, totalResults=20, links=[{"rel": "next"}]), 20, ROOT)

    assert (20, False, 20) == (len(parsed.products), parsed.is_last, parsed.total)


@pytest.mark.parametrize("count", [0, 19])
def test_parse_page_short_or_empty_page_is_the_last(count):
    assert parse_page(page(count), 20, ROOT).is_last


NEXT = [{"rel": "self"}, None, {"rel": "next"}]


@pytest.mark.parametrize(
    ("count", "envelope", "is_last"),
    [
        pytest.param(10, {"links": NEXT}, False, id="next"),
        pytest.param(10, {"links": NEXT, "totalResults": 10, "exactCount": True}, False, id="next-beats-total"),
        pytest.param(10, {"totalResults": 35, "exactCount": True}, False, id="more-match"),
        pytest.param(10, {"totalResults": 35}, False, id="more-match-it-seems"),
        pytest.param(10, {"totalResults": 35, "startIndex": 11, "exactCount": True}, False, id="more-match-still"),
        pytest.param(5, {"totalResults": 35, "startIndex": 31, "exactCount": True}, True, id="all-that-match"),
        pytest.param(10, {"totalResults": 35, "exactCount": False}, True, id="more-is-a-guess"),
        pytest.param(10, {"totalResults": "many", "links": 7}, True, id="nonsense"),
        pytest.param(0, {"totalResults": 35, "exactCount": True, "links": NEXT}, True, id="empty"),
    ],
)
def test_parse_page_short_page_is_the_last_when_nothing_says_that_there_is_more(count, envelope, is_last):
    assert is_last is parse_page(page(count, **envelope), 20, ROOT).is_last


@pytest.mark.parametrize("reply", [None, [], {}, {"features": None}, {"ErrorMessage": "x"}, "text"])
def test_parse_page_not_a_feature_collection(reply):
    with pytest.raises(ProtocolError):
        parse_page(reply, 20, ROOT)


def test_parse_page_recorded_production_reply(recordings):
    reply = json.loads((recordings / "peps" / "peps_search.json").read_text("utf-8"))

    parsed = parse_page(reply, 2, "https://peps.cnes.fr/resto")

    online, on_tape = parsed.products
    assert (47, False) == (parsed.total, parsed.is_last)
    assert "S2A_MSIL1C_20200815T005251_N0209_R002_T55PDR_20200815T023440" == online.name
    assert (StorageTier.DISK, StorageTier.TAPE) == (online.tier, on_tape.tier)
    assert (781_865_648, "md5:64ffca4b9cd13d094ed05554e010db5a") == (online.size, str(online.checksum))
    assert ("55PDR", 2, 26883, 20.5218) == (online.tile, online.relative_orbit, online.orbit, online.cloud_cover)
    assert reply["features"][0]["properties"]["services"]["download"]["url"] == online.download_url
    assert datetime(2020, 8, 15, 0, 52, 51, 24000, tzinfo=UTC) == online.start


def test_parse_page_every_recorded_server_search(recordings):
    exchanges = [
        json.loads(path.read_text("utf-8")) for path in sorted((recordings / "peps/server").glob("[sfn]_*.json"))
    ]
    searches = [
        json.loads(exchange["body"]) for exchange in exchanges if exchange["status_line"].startswith("HTTP/1.1 200")
    ]

    for reply in searches:
        parsed = parse_page(reply, 20, ROOT)
        assert len(reply["features"]) == len(parsed.products)
        assert reply["properties"]["totalResults"] == parsed.total
        assert all(product.size and product.start and product.footprint for product in parsed.products)
    assert len(searches) > 10


def test_parse_feature_every_recorded_server_item(recordings):
    for path in sorted((recordings / "peps/server").glob("i_*.json")):
        exchange = json.loads(path.read_text("utf-8"))
        if exchange["status_line"].startswith("HTTP/1.1 200"):
            item = json.loads(exchange["body"])
            product = parse_feature(item, ROOT)
            assert item["properties"]["title"] == product.name
            assert item["properties"]["storage"]["mode"] == product.tier
            assert item["properties"]["relativeOrbitNumber"] == product.relative_orbit
