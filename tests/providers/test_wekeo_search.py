"""Searches of WEkEO: what is asked, and what replies mean."""

import copy
from datetime import UTC, datetime

import pytest
import shapely

from pepsasync import Query
from pepsasync.errors import ProtocolError
from pepsasync.model import StorageTier
from pepsasync.providers.wekeo.query import search_body, slices
from pepsasync.providers.wekeo.reply import parse_feature, parse_page
from pepsasync.query.criteria import build_query

RADAR = "S1A_IW_GRDH_1SDV_20211216T032038_20211216T032103_040995_04DE3C_2335"
OPTICAL = "S2A_MSIL1C_20170105T105432_N0204_R051_T31TCJ_20170105T105428"
FEATURE = {
    "id": f"{RADAR}.SAFE",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
    "properties": {
        "startdate": "2021-12-16T03:20:38.123Z",
        "enddate": "2021-12-16T03:21:03.000Z",
        "size": 902744581,
        "location": "opaque/x",
        "thumbnail": "https://x.example/q.jpg",
        "metadata": {
            "productType": "IW_GRDH_1S",
            "orbitNumber": 40995,
            "relativeOrbitNumber": "123",
            "orbitDirection": "ASCENDING",
            "polarisationChannels": "VV&VH",
            "timeliness": "Fast-24h",
            "cloudCover": -1,
        },
    },
}
QUERY = Query(collection="S1")


def parse(feature):
    return parse_feature(feature, QUERY, "https://h.example/dataaccess/download")


def changed(**properties):
    feature = copy.deepcopy(FEATURE)
    feature["properties"] |= properties
    return feature


def test_a_feature_becomes_a_product():
    product = parse(FEATURE)

    assert (product.id, product.name) == (f"{RADAR}.SAFE", RADAR)
    assert (product.collection, product.storage_url) == ("EO:ESA:DAT:SENTINEL-1", "opaque/x")
    assert product.tier is StorageTier.UNKNOWN
    assert (product.size, product.exact_size, product.checksum) == (902744581, None, None)
    assert (product.product_type, product.sensor_mode, product.platform) == ("GRD", "IW", "S1A")
    assert product.start == datetime(2021, 12, 16, 3, 20, 38, 123000, tzinfo=UTC)
    assert (product.orbit, product.relative_orbit, product.orbit_direction) == (40995, 123, "ascending")
    assert (product.polarisation, product.timeliness, product.cloud_cover) == ("VV VH", "Fast-24h", None)


def test_what_the_metadata_do_not_tell_is_read_from_the_name():
    radar = parse(changed(metadata=None))
    optical = parse({**changed(metadata={}), "id": f"{OPTICAL}.SAFE"})

    assert (radar.product_type, radar.sensor_mode, radar.platform) == ("GRD", "IW", "S1A")
    assert (optical.product_type, optical.sensor_mode, optical.tile) == ("S2MSI1C", "INS-NOBS", "31TCJ")
    assert optical.relative_orbit == 51


@pytest.mark.parametrize("size", ["ND", None, 0, "", []])
def test_sizes_that_are_none(size):
    assert parse(changed(size=size)).size is None


@pytest.mark.parametrize(("suffix", "name"), [(".SAFE", "X"), (".SEN3", "X"), (".nc", "X.nc"), ("", "X")])
def test_names_have_no_extension_of_a_folder(suffix, name):
    assert parse({**FEATURE, "id": f"X{suffix}"}).name == name


@pytest.mark.parametrize("odd", [None, [], "x", 3, {}])
def test_odd_features_raise_nothing(odd):
    page, following = parse_page({"features": [odd, {**FEATURE, "properties": odd}]}, QUERY, 0, "https://h.example")

    assert (page.products, following) == ((), None)


@pytest.mark.parametrize("reply", [None, [], {}, {"features": None}])
def test_a_reply_without_list_is_refused(reply):
    with pytest.raises(ProtocolError, match="not a list of products"):
        parse_page(reply, QUERY, 0, "https://h.example")


@pytest.mark.parametrize(
    ("about", "following"),
    [
        ({"nextIndex": 200}, 200),
        ({"nextIndex": 0}, None),
        ({"nextIndex": None}, None),
        ({}, None),
        ({"totalResults": 5, "startIndex": 0}, 1),
        ({"totalResults": 1, "startIndex": 0}, None),
    ],
)
def test_where_the_next_page_begins(about, following):
    page, found = parse_page({"properties": about, "features": [FEATURE]}, QUERY, 0, "https://h.example")

    assert found == following
    assert page.is_last is (following is None)
    assert page.total == about.get("totalResults")


def test_criteria_become_parameters():
    [query] = slices(
        build_query(
            collection="S2",
            product="S2MSI1C",
            tile="31TCJ",
            start="2017-01-01",
            end="2017-01-02",
            orbit=51,
            satellite="S2A",
        )
    )
    body = search_body(query, 400)

    west, south, east, north = body.pop("bbox")
    assert 0 < west < east < 2
    assert 43 < south < north < 45
    assert body == {
        "dataset_id": "EO:ESA:DAT:SENTINEL-2",
        "startdate": "2017-01-01T00:00:00.000Z",
        "enddate": "2017-01-01T23:59:59.999Z",
        "productType": "S2MSI1C",
        "processingLevel": "S2MSI1C",
        "platformSerialIdentifier": "A",
        "relativeOrbitNumber": "51",
        "sortOrder": "DESC",
        "itemsPerPage": 200,
        "startIndex": 400,
    }


def test_parameters_that_a_data_set_does_not_list_are_not_sent():
    query = build_query(collection="S1", product="GRD", orbit=8, start="2017-01-01", end="2017-01-02")
    own = search_body(Query(collection="EO:X", start=query.start, end=query.end), 0, ["dtstart", "dtend"])

    assert search_body(query, 0, ["productType"]).keys() == {"dataset_id", "productType", "itemsPerPage", "startIndex"}
    assert own.keys() == {"dataset_id", "dtstart", "dtend", "itemsPerPage", "startIndex"}


@pytest.mark.parametrize("collection", ["S3", "EO:EUM:DAT:SENTINEL-3:OL_1_EFR___"])
def test_sentinel_3_always_has_a_period(collection):
    assert {"startdate", "enddate"} <= search_body(Query(collection=collection), 0).keys()


@pytest.mark.parametrize(("channels", "sent"), [("VV+VH", "VV&VH"), ("VV", None)])
def test_one_polarisation_is_sent(channels, sent):
    [query] = slices(build_query(collection="S1", polarisation=channels))

    assert search_body(query, 0).get("polarisationChannels") == sent


def test_names_are_looked_for_around_their_time():
    [radar, optical] = slices(Query(names=(RADAR, OPTICAL, "no-time-in-it", "S1A_20219999T032038")))

    assert (radar.start, radar.end) == (
        datetime(2021, 12, 16, 3, 19, 38, tzinfo=UTC),
        datetime(2021, 12, 16, 3, 21, 38, tzinfo=UTC),
    )
    assert search_body(optical, 0)["dataset_id"] == "EO:ESA:DAT:SENTINEL-2"


def test_everything_is_all_three():
    found = {search_body(query, 0)["dataset_id"] for query in slices(Query())}

    assert found == {"EO:ESA:DAT:SENTINEL-1", "EO:ESA:DAT:SENTINEL-2", "EO:ESA:DAT:SENTINEL-3"}


@pytest.mark.parametrize("about", [{}, {"nextIndex": None}, {"nextIndex": 0}])
def test_a_full_page_is_never_known_to_be_the_last(about):
    page, following = parse_page({"properties": about, "features": [FEATURE] * 200}, QUERY, 400, "https://h.example")

    assert (following, page.is_last) == (600, False)


def test_a_page_that_is_as_full_as_the_archive_makes_them_is_not_the_last():
    about = {"itemsPerPage": 100}
    page, following = parse_page({"properties": about, "features": [FEATURE] * 100}, QUERY, 0, "https://h.example")

    assert (following, page.is_last) == (100, False)


@pytest.mark.parametrize(
    ("collection", "written", "sent"),
    [
        ("S1", "IW_GRDH_1S", "GRD"),
        ("EO:ESA:DAT:SENTINEL-1", "iw_slc__1s", "SLC"),
        ("S1", "grd", "GRD"),
        ("S3", "OL_2_LFR___", "OL_2_LFR___"),
        ("S2", "S2MSI1C", "S2MSI1C"),
    ],
)
def test_types_of_radar_are_sent_in_their_short_form(collection, written, sent):
    [query] = slices(Query(collection=collection, product_type=written))

    assert search_body(query, 0)["productType"] == sent


@pytest.mark.parametrize("wkt", ["POINT (1.4 43.6)", "LINESTRING (1 43, 1 44)"])
def test_boxes_have_a_width_and_hold_what_was_asked_for(wkt):
    area = shapely.from_wkt(wkt)
    west, south, east, north = search_body(Query(collection="S1", area=area), 0)["bbox"]

    assert west < east
    assert south < north
    assert shapely.box(west, south, east, north).contains(area)


def test_boxes_are_rounded_outwards_and_stay_in_the_world():
    inner = search_body(Query(collection="S1", area=shapely.box(0.1234567, 1, 2.1234561, 3)), 0)["bbox"]
    edge = search_body(Query(collection="S1", area=shapely.Point(180, 90)), 0)["bbox"]

    assert inner == [0.123456, 1, 2.123457, 3]
    assert edge[2:] == [180, 90]
