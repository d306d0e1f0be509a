"""From granule records of ASF to products: recorded ones, and what may be wrong in others."""

import copy
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pepsasync import Checksum, StorageTier
from pepsasync.errors import ProtocolError
from pepsasync.providers.asf.reply import parse_item, parse_page
from pepsasync.query.criteria import build_query

NAME = "S1A_IW_GRDH_1SDV_20211216T032038_20211216T032103_030045_039655_2335"
ITEM = {
    "meta": {"native-id": f"{NAME}-GRD_HD", "revision-date": "2021-12-17T09:29:15.148Z"},
    "umm": {
        "TemporalExtent": {
            "RangeDateTime": {
                "BeginningDateTime": "2021-12-16T03:20:38.000Z",
                "EndingDateTime": "2021-12-16T03:21:03.092706Z",
            }
        },
        "OrbitCalculatedSpatialDomains": [{"OrbitNumber": 40045}],
        "GranuleUR": f"{NAME}-GRD_HD",
        "AdditionalAttributes": [
            {"Name": "ASCENDING_DESCENDING", "Values": ["ASCENDING"]},
            {"Name": "BEAM_MODE_TYPE", "Values": ["IW"]},
            {"Name": "BYTES", "Values": ["902744581"]},
            {"Name": "MD5SUM", "Values": ["e6051a4f5e00c54444c17458dfae98c3"]},
            {"Name": "PATH_NUMBER", "Values": ["94"]},
            {"Name": "POLARIZATION", "Values": ["VV+VH"]},
            {"Name": "PROCESSING_TYPE", "Values": ["GRD_HD"]},
        ],
        "SpatialExtent": {
            "HorizontalSpatialDomain": {
                "Geometry": {
                    "GPolygons": [
                        {
                            "Boundary": {
                                "Points": [
                                    {"Longitude": -150.0, "Latitude": 65.0},
                                    {"Longitude": -149.0, "Latitude": 63.9},
                                    {"Longitude": -144.1, "Latitude": 64.4},
                                    {"Longitude": -150.0, "Latitude": 65.0},
                                ]
                            }
                        }
                    ]
                }
            }
        },
        "ProviderDates": [{"Date": "2021-12-17T09:29:15.000Z", "Type": "Insert"}],
        "CollectionReference": {"ShortName": "SENTINEL-1A_DP_GRD_HIGH", "Version": "1"},
        "RelatedUrls": [
            {"Type": "GET DATA", "URL": f"s3://asf-ngap2w-p-s1-grd-7d1b4348/{NAME}.zip"},
            {"Type": "GET DATA", "URL": f"https://datapool.asf.alaska.edu/GRD_HD/SA/{NAME}.zip"},
            {"Type": "GET RELATED VISUALIZATION", "URL": f"https://datapool.asf.alaska.edu/BROWSE/SA/{NAME}.jpg"},
        ],
        "DataGranule": {
            "Identifiers": [{"Identifier": NAME, "IdentifierType": "ProducerGranuleId"}],
            "ProductionDateTime": "2021-12-16T03:20:38.000Z",
        },
    },
}


@pytest.fixture
def recordings():
    folder = os.environ.get("PEPSASYNC_RECORDINGS")
    if not folder:
        pytest.skip("PEPSASYNC_RECORDINGS names no folder with recorded replies")
    return Path(folder) / "asf"


def changed(**attributes):
    """The record with other attributes; None takes one away."""
    item = copy.deepcopy(ITEM)
    kept = [each for each in item["umm"]["AdditionalAttributes"] if each["Name"] not in attributes]
    new = [{"Name": name, "Values": [value]} for name, value in attributes.items() if value is not None]
    item["umm"]["AdditionalAttributes"] = kept + new
    return item


def test_a_record_becomes_a_product():
    product = parse_item(ITEM)

    assert product.id == f"{NAME}-GRD_HD"
    assert product.name == NAME
    assert product.collection == "SENTINEL-1A_DP_GRD_HIGH"
    assert product.download_url == f"https://datapool.asf.alaska.edu/GRD_HD/SA/{NAME}.zip"
    assert product.tier is StorageTier.DISK
    assert (product.size, product.size_is_estimate) == (902744581, False)
    assert product.checksum == Checksum("md5", "e6051a4f5e00c54444c17458dfae98c3")
    assert (product.product_type, product.sensor_mode, product.platform) == ("GRD", "IW", "S1A")
    assert product.start == datetime(2021, 12, 16, 3, 20, 38, tzinfo=UTC)
    assert product.end == datetime(2021, 12, 16, 3, 21, 3, 92706, tzinfo=UTC)
    assert (product.orbit, product.relative_orbit, product.orbit_direction) == (40045, 94, "ascending")
    assert product.polarisation == "VV VH"
    assert product.published == datetime(2021, 12, 17, 9, 29, 15, tzinfo=UTC)
    assert product.quicklook_url.endswith(f"/BROWSE/SA/{NAME}.jpg")
    assert product.footprint["coordinates"][0][0] == [-150.0, 65.0]


@pytest.mark.parametrize("value", ["NA", "", None, 7])
def test_values_that_stand_for_nothing_are_none(value):
    product = parse_item(changed(MD5SUM=value, BYTES=value, ASCENDING_DESCENDING=value, POLARIZATION=value))

    assert (product.checksum, product.orbit_direction, product.polarisation) == (None, None, None)
    assert product.size is None


def test_attributes_that_a_query_names_are_kept():
    page = parse_page({"items": [ITEM]}, build_query(collection="S1", property="PATH_NUMBER=94"), is_last=True)

    assert page.products[0].attributes == {"PATH_NUMBER": "94"}


def test_stripmap_is_named_by_its_beam():
    assert parse_item(changed(BEAM_MODE_TYPE="S3")).sensor_mode == "SM"


@pytest.mark.parametrize("kind", ["Sentinel-1C", "SENTINEL-1C"])
def test_the_satellite_of_a_record_without_usual_name(kind):
    item = changed(ASF_PLATFORM=kind)
    item["umm"]["DataGranule"]["Identifiers"][0]["Identifier"] = "other"

    assert parse_item(item).platform == "S1C"


def test_names_are_read_from_the_id_where_nothing_else_tells():
    item = copy.deepcopy(ITEM)
    del item["umm"]["DataGranule"]

    assert parse_item(item).name == NAME


def test_metadata_files_are_no_products_and_no_trouble():
    item = copy.deepcopy(ITEM)
    item["umm"]["GranuleUR"] = f"{NAME}-METADATA_GRD_HD"
    page = parse_page({"hits": 2, "items": [ITEM, item]}, is_last=True)

    assert [product.name for product in page.products] == [NAME]
    assert page.unread == ()
    assert len(page.sent) == page.total == 2


@pytest.mark.parametrize("links", [None, [], [{"Type": "GET DATA", "URL": "s3://bucket/A.zip"}], "x"])
def test_a_product_without_address_cannot_be_read(links):
    item = copy.deepcopy(ITEM)
    item["umm"]["RelatedUrls"] = links
    page = parse_page({"hits": 1, "items": [item]}, is_last=True)

    assert page.products == ()
    assert page.unread == (NAME,)


def test_several_outlines_are_one_footprint():
    item = copy.deepcopy(ITEM)
    geometry = item["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]
    geometry["GPolygons"] *= 2

    assert parse_item(item).footprint["type"] == "MultiPolygon"


@pytest.mark.parametrize("reply", [None, [], {}, {"items": None}, {"errors": ["no"]}])
def test_a_reply_without_list_is_refused(reply):
    with pytest.raises(ProtocolError, match="not a list of products"):
        parse_page(reply, is_last=True)


@pytest.mark.parametrize("part", ["meta", "umm"])
@pytest.mark.parametrize("value", [None, [], "x", 3, {}])
def test_odd_records_raise_nothing(part, value):
    parse_page({"hits": 1, "items": [{**ITEM, part: value}, value]}, is_last=True)


def test_recorded_records_become_products(recordings):
    reply = json.loads((recordings / "derived_cmr_granules.umm_json.json").read_text())
    said = json.loads((recordings / "derived_search.geojson").read_text())["features"]
    page = parse_page(reply, is_last=True)
    found = {product.id: product for product in page.products}

    assert page.unread == ()
    assert {feature["properties"]["fileID"] for feature in said} == found.keys()
    for feature in said:
        told, ours = feature["properties"], found[feature["properties"]["fileID"]]
        is_burst = told["processingLevel"] == "BURST"
        assert ours.name == told["sceneName"] + (".tiff" if is_burst else "")
        assert ours.download_url == told["url"]
        assert ours.size == int(told["bytes"])
        assert (ours.checksum.value if ours.checksum else None) == told["md5sum"]
        assert ours.product_type == told["processingLevel"].partition("_")[0]
        assert (ours.orbit, ours.relative_orbit) == (told["orbit"], told["pathNumber"])
        assert ours.orbit_direction == told["flightDirection"].lower()
        assert ours.polarisation == told["polarization"].replace("+", " ")
        assert ours.sensor_mode == told["beamModeType"]
        assert ours.platform == "S1" + told["platform"][-1]
        assert f"{ours.start:%Y-%m-%dT%H:%M:%SZ}" == told["startTime"][:19] + "Z"
        assert ours.footprint == feature["geometry"]
        assert ours.tier is (StorageTier.UNKNOWN if is_burst else StorageTier.DISK)
