"""ASF's own search, as other programs ask it."""

import json
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from archives import held, running

LEVELS = "GRD_HD,GRD_HS,GRD_MD,GRD_MS,SLC,OCN"


@pytest.fixture(scope="module")
def archive():
    with running(24) as served:
        yield served


def ask(archive, *, data=None, kind="application/x-www-form-urlencoded", **asked):
    """Status and body of an answer."""
    url = f"{archive.asf_url}/api.daac.asf.alaska.edu/services/search/param?{urlencode(asked)}"
    request = Request(url, data=data and urlencode(data).encode(), headers={"Content-Type": kind} if data else {})
    try:
        with urlopen(request) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def names(archive, **asked):
    status, body = ask(archive, output="geojson", **asked)
    assert status == 200, body
    return [feature["properties"]["sceneName"] for feature in json.loads(body)["features"]]


def test_products_with_size_and_checksum_newest_end_first(archive):
    _, body = ask(archive, dataset="SENTINEL-1", processingLevel=LEVELS, output="geojson")
    features = [feature["properties"] for feature in json.loads(body)["features"]]

    assert {each["sceneName"] for each in features} == {product.name for product in held(archive, "asf")}
    assert [each["stopTime"] for each in features] == sorted((each["stopTime"] for each in features), reverse=True)
    for each in features:
        content = archive.content(each["sceneName"])
        assert (each["bytes"], each["md5sum"]) == (content.size, content.md5)


def test_every_product_is_there_twice_without_a_level(archive):
    found = names(archive, platform="S1")

    assert len(found) >= 2 * len(set(held(archive, "asf")))


def test_records_are_named_by_level_and_processed_when_they_begin(archive):
    _, body = ask(archive, processingLevel="SLC,METADATA_SLC", output="geojson")
    found = [feature["properties"] for feature in json.loads(body)["features"]]

    assert {each["fileID"].removeprefix(each["sceneName"]) for each in found} == {"-SLC", "-METADATA_SLC"}
    assert [each["processingDate"] for each in found] == [each["startTime"] for each in found]


def test_quirks(archive):
    both = [product.name for product in held(archive, "asf") if product.polarisation == "VV VH"]

    assert names(archive, processingLevel="GRD") == []
    assert not {*names(archive, processingLevel=LEVELS, polarization="VV")} & {*both}
    assert {*names(archive, processingLevel=LEVELS, polarization="VV+VH")} == {*both}
    assert len(names(archive, processingLevel=LEVELS, maxResults=3)) == 3


def test_counts_names_and_places(archive):
    [first, *_] = held(archive, "asf")

    assert ask(archive, processingLevel=LEVELS, output="count") == (200, str(len(held(archive, "asf"))))
    assert set(names(archive, granule_list=first.name)) == {first.name}
    assert names(archive, intersectsWith="POINT(120 -40)") == []
    assert names(archive, intersectsWith="MULTIPOLYGON(((0 42,1 42,1 43,0 42)),((2 44,3 44,3 45,2 44)))")


def test_a_body_counts_only_with_the_right_type(archive):
    data = {"processingLevel": "SLC", "output": "count"}
    right = ask(archive, data=data)
    wrong = ask(archive, data=data, kind="application/x-www-form-urlencoded; charset=utf-8", output="count")

    assert int(right[1]) < int(wrong[1])


@pytest.mark.parametrize(
    "asked",
    [
        {"intersects": "POINT(1 2)"},
        {"platform": ""},
        {"granule_list": "A", "platform": "S1"},
        {"intersectsWith": "CIRCLE"},
        {"start": "soon"},
        {"output": "xml"},
    ],
)
def test_what_is_refused(archive, asked):
    status, body = ask(archive, **asked)

    assert status == 400
    assert json.loads(body)["error"]["type"] == "ERROR"


def test_a_failed_search_says_so_with_400():
    with running(4, faults={"search-failed": 1.0}, fault_limit=1) as archive:
        status, body = ask(archive, platform="S1", output="geojson")
        again, _ = ask(archive, platform="S1", output="geojson")

    assert (status, again) == (400, 200)
    assert "HTTP 504" in json.loads(body)["error"]["report"]
