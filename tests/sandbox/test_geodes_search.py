"""Searches by the GEODES protocol: operators, traps, paging (GEODES protocol notes, sections 3 and 4)."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from geodes_client import GeodesClient, names
from hypothesis import given
from hypothesis import strategies as st
from raw_http import running
from shapely.geometry import box, mapping

from pepsasync.sandbox.geodes.operators import condition


@pytest.fixture(scope="module")
def client(archive):
    with GeodesClient(archive) as started:
        yield started


def expected(archive, test):
    return sorted(p.name for p in archive.catalogue if test(p))


def is_radar(product):
    return product.collection == "S1"


def stamp(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def test_one_catalogue_behind_all_protocols(client, archive):
    assert expected(archive, lambda _: True) == sorted(client.found())


def test_one_collection(client, archive):
    assert expected(archive, lambda p: not is_radar(p)) == sorted(client.found(collections=["PEPS_S2_L1C"]))
    level1 = expected(archive, lambda p: p.product_type in {"GRD", "SLC"})
    assert level1 == sorted(client.found(collections=["PEPS_S1_L1"]))
    assert expected(archive, lambda p: p.product_type == "OCN") == sorted(client.found(collections=["PEPS_S1_L2"]))


def test_two_collections_find_nothing(client, archive):
    wanted = ["PEPS_S1_L1", "PEPS_S2_L1C"]
    assert client.search(collections=wanted)["context"]["matched"] == 0
    by_attribute = client.found(query={"dataset": {"in": wanted}})
    assert expected(archive, lambda p: p.product_type != "OCN") == sorted(by_attribute)


def test_the_next_version_joins_collections_and_tells_sizes():
    with running(products=6, product_size=20_000, seed=3, geodes_version="2.2") as archive:
        with GeodesClient(archive) as client:
            document = client.search(collections=["PEPS_S1_L1", "PEPS_S1_L2", "PEPS_S2_L1C"])
        assert (document["numberMatched"], document["numberReturned"]) == (6, 6)
        for item in document["features"]:
            asset = item["assets"][item["properties"]["identifier"] + ".zip"]
            content = archive.content(item["properties"]["identifier"])
            assert asset["file:size"] == content.size
            assert asset["file:checksum"] == "d50110" + content.md5


def test_area(client, archive):
    west, south, east, north = 0.2, 42.8, 0.4, 43.0
    inside = expected(archive, lambda p: p.footprint.intersects(box(west, south, east, north)))
    assert 0 < len(inside) < len(archive.catalogue)
    assert inside == sorted(client.found(bbox=[west, south, east, north]))
    assert inside == sorted(client.found(intersects=mapping(box(west, south, east, north))))
    assert client.found(bbox=[100, 10, 101, 11]) == []


@pytest.mark.parametrize(
    "geometry",
    [{"type": "Point", "coordinates": [100, 10]}, {"type": "LineString", "coordinates": [[100, 10], [101, 11]]}],
    ids=["point", "line"],
)
def test_other_geometries_are_no_filter_at_all(client, archive, geometry):
    assert len(client.found(intersects=geometry)) == len(archive.catalogue)


def test_default_page_is_ten_and_eighty_is_the_most(client, archive):
    assert client.search()["context"] == {"returned": 10, "limit": 10, "matched": len(archive.catalogue)}
    assert client.search(limit=500)["context"]["limit"] == 80


def test_too_long_pages_and_unknown_attributes_can_be_refused():
    with running(products=2, product_size=20_000, geodes_strict=True) as archive, GeodesClient(archive) as client:
        assert client.post("/api/stac/search", {"limit": 81}).status_code == 400
        reply = client.post("/api/stac/search", {"query": {"spaceborne:tile": {"eq": "31TCJ"}}})
        assert (reply.status_code, list(reply.json())) == (400, ["messages"])
        assert len(client.found()) == 2


@pytest.mark.parametrize("page", [0, -1])
def test_pages_count_from_one(client, page):
    assert client.post("/api/stac/search", {"page": page}).status_code == 500


def test_next_always_says_page_two(client):
    pages = [client.search(limit=8, page=page) for page in (1, 2, 3)]
    linked = [link["href"] for page in pages for link in page["links"] if link["rel"] == "next"]
    assert [parse_qs(urlsplit(href).query)["page"] for href in linked] == [["2"]] * 3
    assert [page["context"]["returned"] for page in pages] == [8, 8, 4]
    everything = [name for page in pages for name in names(page)]
    assert len(set(everything)) == 20
    assert client.http.get(linked[2]).json()["features"] == pages[1]["features"]


def test_page_of_the_body_wins_over_that_of_the_address(client):
    first, second = (client.search(limit=5, page=page) for page in (1, 2))
    by_both = client.post("/api/stac/search?page=1", {"limit": 5, "page": 2}).json()
    assert names(by_both) == names(second)
    by_address = client.post("/api/stac/search?page=2", {"limit": 5, "page": None}).json()
    assert names(by_address) == names(second) != names(first)


def test_numbers_of_paging_may_be_quoted(client):
    quoted, plain = client.search(limit="3", page="2"), client.search(limit=3, page=2)
    assert (quoted["context"], quoted["features"]) == (plain["context"], plain["features"])


def test_both_addresses_of_the_search(client):
    body = {"collections": ["PEPS_S1_L1"], "limit": 3}
    replies = [client.post(f"/api/stac/{path}", body).json() for path in ("search", "items")]
    assert replies[0]["features"] == replies[1]["features"]


def test_nulls_are_nothing(client, archive):
    keys = ("page", "limit", "query", "sortBy", "bbox", "intersects", "collections", "ids", "datetime")
    assert client.search(**dict.fromkeys(keys))["context"]["matched"] == len(archive.catalogue)


def test_order(client, archive):
    def starts(direction):
        order = [{"field": "start_datetime", "direction": direction}]
        return [item["properties"]["start_datetime"] for item in client.search(limit=80, sortBy=order)["features"]]

    upwards = sorted(stamp(product.start) for product in archive.catalogue)
    assert upwards == starts("asc")
    assert upwards[::-1] == starts("desc") == starts("dsc") == starts("ascending")
    lower_case = client.search(limit=80, sortby=[{"field": "start_datetime", "direction": "asc"}])
    assert [item["properties"]["start_datetime"] for item in lower_case["features"]] == upwards


def test_dates(client, archive):
    moment = sorted(product.start for product in archive.catalogue)[9]
    query = {"start_datetime": {"gte": stamp(moment)}}
    assert expected(archive, lambda p: p.start >= moment) == sorted(client.found(query=query))
    query = {"end_datetime": {"gte": stamp(moment)}, "start_datetime": {"lte": stamp(moment)}}
    assert expected(archive, lambda p: p.start <= moment <= p.end) == sorted(client.found(query=query))


def test_datetime_is_that_of_publication(client, archive):
    product = archive.catalogue[0]
    then = expected(archive, lambda p: p.published == product.published)
    assert then == sorted(client.found(datetime=f"{stamp(product.published)}/{stamp(product.published)}"))
    assert then == sorted(client.found(datetime=stamp(product.published)))
    before = client.found(datetime=f"../{stamp(product.published)}")
    assert expected(archive, lambda p: p.published <= product.published) == sorted(before)
    after = client.found(datetime=f"{stamp(product.published)}/")
    assert expected(archive, lambda p: p.published >= product.published) == sorted(after)


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ({"product:type": {"eq": "GRD"}}, lambda p: p.product_type == "GRD"),
        ({"product:type": {"neq": "GRD"}}, lambda p: p.product_type != "GRD"),
        ({"product:type": {"in": ["SLC", "OCN"]}}, lambda p: p.product_type in {"SLC", "OCN"}),
        ({"grid:code": {"contains": "T31TCJ"}}, lambda p: p.tile == "31TCJ"),
        ({"grid:code": {"eq": "t31tcj"}}, lambda p: p.tile == "31TCJ"),
        ({"grid:code": {"eq": "31TCJ"}}, lambda p: False),
        ({"grid:code": {"startsWith": "T31"}}, lambda p: p.tile.startswith("31")),
        ({"grid:code": {"endsWith": "cj"}}, lambda p: p.tile.endswith("CJ")),
        ({"sar:polarizations": {"in": ["VV", "VV VH"]}}, is_radar),
        ({"sar:polarizations": {"containsAll": ["vv", "vh"]}}, lambda p: p.polarisation == "VV VH"),
        ({"sat:orbit_state": {"eq": "Ascending"}}, lambda p: p.orbit_direction == "ascending"),
        ({"sat:relative_orbit": {"eq": 51}}, lambda p: p.relative_orbit == 51),
        ({"sat:relative_orbit": {"neq": 51}}, lambda p: p.relative_orbit != 51),
        ({"sat:relative_orbit": {"in": [51, 8]}}, lambda p: p.relative_orbit in {51, 8}),
        ({"sat:absolute_orbit": {"gt": 8700, "lt": 9000}}, lambda p: 8700 < p.orbit < 9000),
        ({"eo:cloud_cover": {"lte": 30}}, lambda p: p.cloud_cover <= 30),
        ({"latest": {"eq": True}}, lambda p: True),
        ({"latest": {"eq": False}}, lambda p: False),
        ({"keywords": {"eq": "season:winter"}}, lambda p: p.start.month in {12, 1, 2}),
    ],
)
def test_operators(client, archive, query, test):
    assert expected(archive, test) == sorted(client.found(query=query))


def test_equal_texts_need_not_be_equal(client, archive):
    more = client.found(query={"sar:polarizations": {"eq": "vv"}})
    exact = client.found(query={"sar:polarizations": {"eq": "VV", "matchType": "KEYWORD"}})
    assert expected(archive, is_radar) == sorted(more)
    assert expected(archive, lambda p: p.polarisation == "VV") == sorted(exact)
    name = archive.catalogue[0].name
    assert client.found(query={"identifier": {"eq": name.lower()}}) == [name]


@pytest.mark.parametrize(
    "query",
    [
        {"spaceborne:tile": {"eq": "T31TCJ"}},
        {"sat:relative_orbit": {"eq": "51"}},
        {"start_datetime": {"gte": "2016-01-01"}},
        {"product:type": {"eq": 5}},
        {"product:type": {"eq": None}},
        {"product:type": {}},
        {"product:type": {"in": "GRD"}},
    ],
    ids=["unknown", "quoted number", "bare date", "number", "null", "empty", "no list"],
)
def test_what_does_not_fit_is_ignored(client, archive, query):
    assert len(client.found(query=query)) == len(archive.catalogue)


def test_numbers_combine_only_in_ranges(client):
    both = client.found(query={"sat:relative_orbit": {"eq": 51, "gt": 10_000}})
    assert both == client.found(query={"sat:relative_orbit": {"eq": 51}}) != []


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": ["1", "2", "3", "4"]},
        {"page": "one"},
        {"page": 1.5},
        {"limit": True},
        {"collections": "PEPS_S1_L1"},
        {"intersects": "POINT(1 2)"},
        {"intersects": {"type": "Polygon", "coordinates": "x"}},
        {"query": []},
        {"query": {"platform": "S1A"}},
        {"datetime": "yesterday/today"},
        {"sortBy": "start_datetime"},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused(client, body):
    reply = client.post("/api/stac/search", body)
    assert (reply.status_code, list(reply.json())) == (400, ["messages"])


def test_a_body_that_is_no_object(client):
    for content in (b"", b"[]", b"{", b"[" * 99_999):
        assert client.http.post(f"{client.root}/api/stac/search", content=content).status_code == 400


def test_search_by_address(client):
    body = {
        "limit": 7,
        "page": 1,
        "bbox": [0.0, 42.0, 3.0, 45.0],
        "collections": ["PEPS_S1_L1"],
        "query": {"sat:orbit_state": {"eq": "Ascending"}},
        "sortBy": [{"field": "product:type", "direction": "asc"}, {"field": "start_datetime", "direction": "desc"}],
    }
    address = {
        "limit": "7",
        "page": "1",
        "bbox": "0,42,3,45",
        "collections": "PEPS_S1_L1",
        "query": json.dumps(body["query"]),
        "sortby": "+product:type,-start_datetime",
    }
    by_address = client.get("/api/stac/search", params=address).json()
    assert by_address["features"] == client.search(**body)["features"] != []
    assert client.get("/api/stac/search?limit=many").status_code == 400


def test_items_of_a_collection(client):
    document = client.get("/api/stac/collections/PEPS_S2_L1C/items?limit=4").json()
    links = {link["rel"]: link["href"] for link in document["links"]}
    assert document["context"] == {"returned": 4, "limit": 4, "matched": 10}
    assert links["self"] == f"{client.root}/api/stac/collections/PEPS_S2_L1C/items?limit=4&page=1"
    assert links["next"] == f"{client.root}/api/stac/collections/PEPS_S2_L1C/items?limit=4&page=2"
    others = client.http.get(links["next"]).json()
    assert not set(names(others)) & set(names(document))
    assert client.get("/api/stac/collections/NOTHING/items").status_code == 404


def test_paginate(client):
    body = base64.b64encode(json.dumps({"limit": 3}).encode()).decode()
    page = client.get("/api/stac/search/paginate", params={"itemBody": body, "page": 3}).json()
    assert page["features"] == client.search(limit=3, page=3)["features"]
    assert client.get("/api/stac/search/paginate?itemBody=%21&page=1").status_code == 400


def test_one_item(client):
    item = client.search(limit=1)["features"][0]
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert client.http.get(links["self"]).json() == item
    assert client.http.get(links["collection"]).json()["id"] == item["collection"]
    assert client.http.get(links["self"].replace(item["collection"], "PEPS_S3_L1")).status_code == 404
    assert client.http.get(links["self"][:-1]).status_code == 404
    assert client.found(ids=[item["id"]]) == [item["properties"]["identifier"]]


def test_collections(client):
    by_get = client.get("/api/stac/collections").json()
    by_post = client.post("/api/stac/collections", {"page": 1, "query": None, "limit": 500}).json()
    assert by_get["collections"] == by_post["collections"]
    assert by_post["context"]["returned"] == len(by_post["collections"]) == 4
    assert client.get("/api/stac/collections/NOTHING").status_code == 404


def test_landing_leads_everywhere(client):
    landing = client.get("/api/stac").json()
    for link in landing["links"]:
        assert client.http.get(link["href"]).status_code == 200
    assert client.get("/api/stac/conformance").json()["conformsTo"] == landing["conformsTo"]
    assert client.get("/api/nothing").status_code == 404


def test_links_of_a_caller_with_a_key_hold_its_session(client):
    anonymous = client.search(limit=1)
    known = client.post("/api/stac/search", {"limit": 1}, headers=client.key).json()
    assert "token=" not in json.dumps(anonymous)
    hrefs = [asset["href"] for asset in known["features"][0]["assets"].values()]
    hrefs += [link["href"] for link in known["links"]]
    assert all("token=ey" in href for href in hrefs)
    data = next(href for href in hrefs if "/download/" in href)
    assert client.http.get(data).status_code == 200
    pictures = [
        asset["href"] for asset in anonymous["features"][0]["assets"].values() if "/quicklook/" in asset["href"]
    ]
    assert [href.partition("?")[2] for href in pictures] == ["scope=gdh"]


@pytest.mark.parametrize("fault", ["error-500", "error-502", "error-503"])
def test_search_faults(fault):
    with (
        running(products=2, product_size=20_000, faults={fault: 1.0}, fault_limit=1) as archive,
        GeodesClient(archive) as client,
    ):
        assert client.post("/api/stac/search", {}).status_code == int(fault[-3:])
        assert client.search()["context"]["matched"] == 2


def test_a_product_that_arrives_between_two_pages():
    faults = {"page-shift": 1.0}
    with running(products=12, product_size=20_000, faults=faults, fault_limit=1) as archive:
        with GeodesClient(archive) as client:
            pages = [client.search(limit=6, page=page) for page in (1, 2)]
        assert [page["context"]["matched"] for page in pages] == [12, 13]


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.just("2025-01-01T00:00Z"),
)
operands = st.dictionaries(
    st.sampled_from(
        ["eq", "neq", "gt", "gte", "lt", "lte", "in", "contains", "containsAll", "startsWith", "matchType"]
    ),
    st.one_of(values, st.lists(values, max_size=3)),
    max_size=3,
)


@given(
    operands=operands, attribute=st.sampled_from(["platform", "sat:relative_orbit", "start_datetime", "latest", "no"])
)
def test_any_operand_is_understood_or_passed_over(operands, attribute):
    fits = condition(attribute, operands)
    samples = {
        "platform": "S1A",
        "sat:relative_orbit": 51,
        "start_datetime": "2025-01-01T00:00:00.000Z",
        "latest": True,
    }
    assert fits is None or isinstance(fits(samples[attribute]), bool)
    assert fits is None or not fits(None)


@given(orbit=st.integers(0, 400), low=st.integers(0, 400), high=st.integers(0, 400))
def test_a_range_of_numbers(orbit, low, high):
    fits = condition("sat:relative_orbit", {"gte": low, "lte": high})
    assert fits(orbit) == (low <= orbit <= high)
