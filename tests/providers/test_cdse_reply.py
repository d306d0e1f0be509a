"""OData replies become products, whatever is null, missing or of another type."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.errors import ProtocolError
from pepsasync.model import Checksum, Query, StorageTier
from pepsasync.providers.cdse.query import LAST_PAGE, PAGE_SIZE
from pepsasync.providers.cdse.reply import parse_page, parse_record, parse_tier

ROOT = "https://archive.example"
MD5 = "0123456789ABCDEF0123456789ABCDEF"
ANY = Query(collection="S1")


def attributes(**values):
    return [{"Name": name, "Value": value, "ValueType": "String"} for name, value in values.items()]


def record(**properties):
    """A made-up product in the shape of the protocol notes."""
    return {
        "Id": "67360f3a-f36b-11ef-9d3f-0050561a7772",
        "Name": "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A.SAFE",
        "ContentLength": 1000,
        "Online": False,
        "PublicationDate": "2023-08-23T09:26:23.105134Z",
        "Checksum": [{"Value": "00" * 32, "Algorithm": "BLAKE3"}, {"Value": MD5, "Algorithm": "MD5"}],
        "ContentDate": {"Start": "2015-11-05T17:47:30.512000Z", "End": "2015-11-05T17:47:55.511000Z"},
        "GeoFootprint": {"type": "Polygon", "coordinates": [[[1, 43], [2, 43], [2, 44], [1, 44], [1, 43]]]},
        "Assets": [{"Type": "QUICKLOOK", "DownloadLink": f"{ROOT}/odata/v1/Assets(1)/$value"}],
        "Attributes": attributes(
            platformShortName="SENTINEL-1",
            platformSerialIdentifier="A",
            productType="IW_GRDH_1S",
            operationalMode="IW",
            orbitNumber=8471,
            orbitDirection="ASCENDING",
            polarisationChannels="VV&VH",
        ),
    } | properties


def test_parse_record_reads_every_field():
    product = parse_record(record(), "SENTINEL-1", ROOT)

    assert "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A" == product.name
    assert f"{ROOT}/odata/v1/Products({product.id})/$value" == product.download_url
    assert (StorageTier.TAPE, 1000, Checksum("blake3", "00" * 32)) == (product.tier, product.size, product.checksum)
    assert (Checksum("blake3", "00" * 32), Checksum("md5", MD5)) == product.checksums
    assert ("GRD", "IW", "S1A") == (product.product_type, product.sensor_mode, product.platform)
    assert (datetime(2015, 11, 5, 17, 47, 30, 512000, tzinfo=UTC)) == product.start
    assert timedelta(seconds=24.999) == product.end - product.start
    assert (8471, (8471 - 73) % 175 + 1) == (product.orbit, product.relative_orbit)
    assert ("ascending", "VV VH") == (product.orbit_direction, product.polarisation)
    assert ("cdse", "SENTINEL-1") == (product.provider, product.collection)
    assert f"{ROOT}/odata/v1/Assets(1)/$value" == product.quicklook_url
    assert 2023 == product.published.year
    assert "Polygon" == product.footprint["type"]


@pytest.mark.parametrize(
    ("online", "expected"),
    [
        (True, StorageTier.DISK),
        (False, StorageTier.TAPE),
        (None, StorageTier.UNKNOWN),
        ("false", StorageTier.UNKNOWN),
        (1, StorageTier.UNKNOWN),
        ([], StorageTier.UNKNOWN),
    ],
)
def test_parse_tier(online, expected):
    assert expected is parse_tier(record(Online=online))


@pytest.mark.parametrize("reply", [None, [], "x", {}])
def test_parse_tier_missing_is_unknown(reply):
    assert StorageTier.UNKNOWN is parse_tier(reply)


@pytest.mark.parametrize(
    ("value", "expected"), [(1234, 1234), ("1234", 1234), (0, None), (-1, None), (None, None), ("many", None)]
)
def test_parse_record_size(value, expected):
    assert expected == parse_record(record(ContentLength=value), None, ROOT).size


@pytest.mark.parametrize(
    ("value", "exact_size"),
    [
        pytest.param([], None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param([{"Value": "00" * 32, "Algorithm": "WHIRLPOOL-9"}], 1000, id="cannot-be-computed-here"),
        pytest.param([{"Value": "00" * 16, "Algorithm": "BLAKE3"}], 1000, id="too-short"),
        pytest.param([{"Value": "nonsense", "Algorithm": "MD5"}, 7, {"Algorithm": None}], 1000, id="nonsense"),
    ],
)
def test_parse_record_without_usable_checksum(value, exact_size):
    """Where none is told at all, there is no zip yet: the length is that of what will be zipped."""
    product = parse_record(record(Checksum=value), None, ROOT)

    assert (product.checksum, product.size, product.exact_size) == (None, 1000, exact_size)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S2A_X.SAFE", "S2A_X"),
        ("S3A_X.SEN3", "S3A_X"),
        ("S1A_OPER_AUX_POEORB.EOF", "S1A_OPER_AUX_POEORB.EOF"),
        (None, "67360f3a-f36b-11ef-9d3f-0050561a7772"),
        (".SAFE", "67360f3a-f36b-11ef-9d3f-0050561a7772"),
    ],
)
def test_parse_record_name(name, expected):
    assert expected == parse_record(record(Name=name), None, ROOT).name


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        pytest.param("S2B_X", {}, "S2B", id="from-the-name"),
        pytest.param(
            "X", {"platformShortName": "SENTINEL-3", "platformSerialIdentifier": "B"}, "S3B", id="from-attributes"
        ),
        pytest.param("X", {"platformShortName": "LANDSAT-8", "platformSerialIdentifier": "8"}, None, id="no-sentinel"),
        pytest.param("S1__AUX_SCS", {}, None, id="of-both-satellites"),
    ],
)
def test_parse_record_platform(name, given, expected):
    assert expected == parse_record(record(Name=name, Attributes=attributes(**given)), None, ROOT).platform


def test_parse_record_clouds_and_tile():
    product = parse_record(record(Attributes=attributes(cloudCover=95.1, tileId="54PXA")), None, ROOT)
    radar = parse_record(record(Attributes=attributes(cloudCover=-1)), None, ROOT)

    assert (95.1, "54PXA", None) == (product.cloud_cover, product.tile, radar.cloud_cover)


def test_parse_record_collection_is_the_one_asked_for():
    assert "SENTINEL-1-RTC" == parse_record(record(), "SENTINEL-1-RTC", ROOT).collection
    assert "SENTINEL-1" == parse_record(record(), None, ROOT).collection
    assert "unknown" == parse_record(record(Attributes=None), None, ROOT).collection


def test_parse_record_hostile_id_stays_in_the_path():
    url = parse_record(record(Id="a)/b?c#d"), None, ROOT).download_url

    assert f"{ROOT}/odata/v1/Products(a%29%2Fb%3Fc%23d)/$value" == url


@pytest.mark.parametrize("broken", [None, 1, [], {}, {"Id": None}, {"Id": 7}, {"Id": " "}])
def test_parse_record_without_identity_is_left_out(broken):
    assert parse_record(broken, None, ROOT) is None


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ATTRIBUTES = ("orbitNumber", "relativeOrbitNumber", "cloudCover", "tileId", "productType", "platformSerialIdentifier")


@given(st.dictionaries(st.sampled_from(sorted(record())), values), st.dictionaries(st.sampled_from(ATTRIBUTES), values))
def test_parse_page_odd_properties_never_raise(properties, odd):
    page = parse_page({"value": [record(Attributes=attributes(**odd)) | properties]}, ANY, 1, ROOT)

    assert page.is_last
    assert isinstance(properties.get("Id", "x"), str) or not page.products


@given(values, values, values)
def test_parse_page_odd_envelope_raises_only_protocol_error(reply, count, link):
    for answer in (reply, {"value": reply, "@odata.count": count, "@odata.nextLink": link}):
        try:
            page = parse_page(answer, ANY, LAST_PAGE, ROOT)
        except ProtocolError:
            continue
        assert isinstance(answer["value"], list)
        assert page.is_last


@pytest.mark.parametrize("reply", [None, [], {}, {"value": None}, {"value": {}}, {"detail": "x"}, "text"])
def test_parse_page_not_a_list_of_products(reply):
    with pytest.raises(ProtocolError):
        parse_page(reply, ANY, 1, ROOT)


def full(**envelope):
    return {"value": [record(Id=str(n)) for n in range(PAGE_SIZE)], **envelope}


def test_parse_page_full_page_is_not_the_last():
    page = parse_page(full(**{"@odata.count": 50_000}), ANY, 1, ROOT)

    assert (PAGE_SIZE, False, 50_000, None) == (len(page.products), page.is_last, page.total, page.rest)


def test_parse_page_short_page_with_a_link_is_not_the_last():
    assert not parse_page({"value": [record()], "@odata.nextLink": "https://x"}, ANY, 1, ROOT).is_last


@pytest.mark.parametrize("records", [[], [record()]])
def test_parse_page_short_page_is_the_last(records):
    page = parse_page({"value": records}, ANY, LAST_PAGE, ROOT)

    assert (True, None) == (page.is_last, page.rest)


def test_parse_page_deepest_page_tells_what_follows():
    page = parse_page(full(), ANY, LAST_PAGE, ROOT)

    assert page.is_last
    assert datetime(2015, 11, 5, 17, 47, 30, 513000, tzinfo=UTC) == page.rest.end


def test_parse_page_recorded_sentinel_2(recordings):
    reply = json.loads((recordings / "cdse/cop_dataspace_search.json").read_text("utf-8"))

    page = parse_page(reply, Query(collection="S2"), 1, "https://download.dataspace.copernicus.eu")

    assert not page.is_last
    first, second = page.products
    assert "S2A_MSIL1C_20200808T010311_N0500_R045_T54PXA_20230413T212505" == first.name
    assert (224_105_657, "blake3") == (first.size, first.checksum.algorithm)
    assert "md5:923ac4992d90b57d41e7ace4d9d90757" in map(str, first.checksums)
    assert ("54PXA", 45, 26783, "S2A", "S2MSI1C") == (
        first.tile, first.relative_orbit, first.orbit, first.platform, first.product_type,
    )  # fmt: skip
    assert 95.136736479015 == first.cloud_cover
    assert datetime(2020, 8, 8, 1, 3, 11, 24000, tzinfo=UTC) == first.start
    assert ("SENTINEL-2", StorageTier.DISK) == (second.collection, second.tier)
    assert first.quicklook_url.endswith("Assets(385d0a62-ec57-413b-a8b8-12c0e79848f6)/$value")
    assert (
        "https://download.dataspace.copernicus.eu/odata/v1/Products(05edf2bb-d103-49f1-a677-9e474138d84f)/$value"
        == first.download_url
    )


def test_parse_page_recorded_listing_of_sentinel_1(recordings):
    first, last = (
        parse_page(json.loads((recordings / f"cdse/cdsetool_odata_page_{n}.json").read_text("utf-8")), ANY, n, ROOT)
        for n in (1, 5)
    )

    assert (10, 47, False) == (len(first.products), first.total, first.is_last)
    assert (7, None, True) == (len(last.products), last.total, last.is_last)
    assert all(p.size and p.checksum and p.start and p.published for p in first.products + last.products)
    assert {"SENTINEL-1"} == {p.collection for p in first.products + last.products}
