"""Searches on a running sandbox: parameters, limits, paging (PEPS protocol notes, sections 2 and 8)."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from raw_http import fetch, running

API = "/resto/api/collections"


def search(archive, query="", collection="S2ST"):
    folder = f"{API}/{collection}" if collection else API
    return fetch(archive, f"{folder}/search.json?{query}", login=False)


def envelope(archive, query="", collection="S2ST"):
    reply = search(archive, query, collection)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def names(document):
    return [feature["properties"]["productIdentifier"] for feature in document["features"]]


def found(archive, query, collection="S2ST"):
    return set(names(envelope(archive, f"maxRecords=500&{query}", collection)))


def expected(archive, test, collection="S2ST"):
    return {p.name for p in archive.catalogue if p.collection == collection and test(p)}


def anything(_product):
    return True


def test_order_is_newest_first(archive):
    starts = [f["properties"]["startDate"] for f in envelope(archive, "maxRecords=500")["features"]]
    assert starts == sorted(starts, reverse=True)


def test_one_collection_and_all(archive):
    assert found(archive, "", "S1") == expected(archive, anything, "S1")
    assert found(archive, "", None) == {p.name for p in archive.catalogue}


@pytest.mark.parametrize(
    "query",
    ["tileid=", "startDate=", "completionDate=", "cloudCover=", "page=", "lon="],
)
def test_empty_values_that_are_refused(archive, query):
    assert search(archive, query).status == 400


@pytest.mark.parametrize("query", ["box=", "geometry=", "q=", "maxRecords=", "productType=", "sensorMode=", "tile=x"])
def test_empty_values_and_unknown_names_that_are_ignored(archive, query):
    assert found(archive, query) == expected(archive, anything)


def test_location_is_ignored(archive):
    assert found(archive, "location=Sydney") == expected(archive, anything)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=0", 'Value for "page" must be greater than 0'),
        ("page=abc", 'Value for "page" must be numeric'),
        ("index=0", 'Value for "index" must be greater than 0'),
        ("lat=91&lon=1", 'Value for "lat" must be lower than 91'),
        ("lon=-181&lat=1", 'Value for "lon" must be greater than -181'),
        ("orbitNumber=[1,2]", 'Value for "orbitNumber" must be numeric'),
        ("relativeOrbitNumber[]=51", 'Value for "relativeOrbitNumber" must be numeric'),
        ("relativeOrbitNumber=0", 'Value for "relativeOrbitNumber" must be greater than 0'),
        ("box=1,43,2", "Invalid geo:box"),
        ("box=1,43,2,44,5", "Invalid geo:box"),
        ("tileid=T31TCJ", r'Value for "tileid" must follow the pattern ^[0-6][0-9][A-Za-z]([A-Za-z]){0,2}%?$'),
        ("box=1e1,43,2,44", r'Value for "box" must follow the pattern ^[0-9\.\,\-]*$'),
    ],
)
def test_refused_values(archive, query, message):
    reply = search(archive, query)
    assert reply.status == 400
    assert json.loads(reply.body) == {"ErrorMessage": message, "ErrorCode": 400}


@pytest.mark.parametrize("value", ["{1,2}", "[0, 10]", "1.5", "-1", "", "[1,2,3]"])
def test_refused_cloud_cover(archive, value):
    assert search(archive, f"cloudCover={quote(value)}").status == 400


@pytest.mark.parametrize(
    ("value", "test"),
    [
        ("[10,40]", lambda c: 10 <= c <= 40),
        ("[10,40[", lambda c: 10 <= c < 40),
        ("]10,40]", lambda c: 10 < c <= 40),
        ("]10,40[", lambda c: 10 < c < 40),
        ("[10", lambda c: c >= 10),
        ("]10", lambda c: c > 10),
        ("40]", lambda c: c <= 40),
        ("40[", lambda c: c < 40),
        ("40", lambda c: c == 40),
    ],
)
def test_cloud_cover_intervals(archive, value, test):
    assert found(archive, f"cloudCover={quote(value)}") == expected(archive, lambda p: test(p.cloud_cover))


def test_no_snow_cover_is_known(archive):
    assert found(archive, "snowCover=[0,100]") == set()


@pytest.mark.parametrize(
    "query",
    ["startDate=2023-11-31", "geometry=HELLO", "box=1..2,43,2,44", "geometry={}", "geometry={%22a%22:" + "[" * 8_000],
)
def test_what_stops_the_database(archive, query):
    reply = search(archive, query)
    assert (reply.status, reply.body) == (500, b'{"ErrorMessage":"Database connection error","ErrorCode":500}')


def test_dates_look_at_the_start_and_include_both_ends(archive):
    moment = max(p.start for p in archive.catalogue if p.collection == "S2ST").replace(microsecond=0)
    after, before = moment - timedelta(seconds=1), moment + timedelta(seconds=1)
    inside = expected(archive, lambda p: after <= p.start <= before)
    assert inside
    assert found(archive, f"startDate={after:%Y-%m-%dT%H:%M:%S}&completionDate={before:%Y-%m-%dT%H:%M:%SZ}") == inside
    offset = quote("+05:00")
    assert (
        found(archive, f"startDate={after:%Y-%m-%dT%H:%M:%S}{offset}&completionDate={before:%Y-%m-%dT%H:%M:%S}")
        == inside
    )
    assert search(archive, f"startDate={after:%Y-%m-%dT%H:%M:%S}+05:00").status == 400


def test_same_day_finds_nothing(archive):
    day = archive.catalogue[-1].start.date()
    assert found(archive, f"startDate={day}&completionDate={day}") == set()
    assert archive.catalogue[-1].name in found(archive, f"startDate={day}&completionDate={day + timedelta(days=1)}")


@pytest.mark.parametrize(
    "query",
    [
        "box=1.4,43.5,1.5,43.7",
        "lon=1.45&lat=43.6",
        "q=Toulouse",
        "q=toulouse",
        "geometry=" + quote("POLYGON((1.4 43.5,1.5 43.5,1.5 43.7,1.4 43.7,1.4 43.5))"),
        "geometry=" + quote("MULTIPOLYGON(((1.4 43.5,1.5 43.5,1.5 43.7,1.4 43.7,1.4 43.5)))"),
        "geometry=" + quote("POINT(1.45 43.6)"),
        "geometry="
        + quote('{"type":"Polygon","coordinates":[[[1.4,43.5],[1.5,43.5],[1.5,43.7],[1.4,43.7],[1.4,43.5]]]}'),
    ],
)
def test_places(archive, query):
    tiles = {p.tile for p in archive.catalogue if p.name in found(archive, query)}
    assert tiles == {"31TCJ"}


def test_places_far_away(archive):
    assert found(archive, "q=Paris") == set()
    assert found(archive, "q=Nowhereville") == set()
    assert found(archive, "geometry=" + quote('{"type":"Point","coordinates":[1.45,43.6]}')) == set()


def test_half_a_point_is_no_filter(archive):
    assert found(archive, "lon=150") == expected(archive, anything)


def test_words_are_keywords(archive):
    assert found(archive, "q=January") == expected(archive, anything)
    assert found(archive, "q=%22SAR-C%20SAR%22", "S1") == expected(archive, anything, "S1")


def test_west_beyond_east_is_drawn_the_wrong_way(archive):
    assert found(archive, "box=170,43,-170,44") == expected(archive, lambda p: p.footprint.bounds[1] <= 44)


def test_radius_makes_a_square(archive):
    assert found(archive, "lon=10&lat=43.6") == set()
    assert found(archive, "lon=10&lat=43.6&radius=2000000") == expected(archive, anything)


def test_tile_case_and_prefix(archive):
    assert found(archive, "tileid=31tcj") == set()
    assert found(archive, "tileid=31TCJ") == expected(archive, lambda p: p.tile == "31TCJ")
    assert found(archive, "tileid=31T%25") == expected(archive, anything)


def test_hours_and_seconds_that_only_the_database_knows(archive):
    day = max(p.start for p in archive.catalogue if p.collection == "S2ST").replace(hour=0, minute=0, second=0)
    day = day.replace(microsecond=0)
    eve, until = day - timedelta(days=1), f"completionDate={day:%Y-%m-%d}T24:00:00"
    wanted = expected(archive, lambda p: day <= p.start <= day + timedelta(days=1))
    assert wanted
    for start in (f"{eve:%Y-%m-%d}T24:00:00Z", f"{eve:%Y-%m-%d}T23:59:60", f"{eve:%Y-%m-%d}T23:59:60.0"):
        assert found(archive, f"startDate={start}&{until}") == wanted
    assert found(archive, "completionDate=9999-12-31T24:00:00") == expected(archive, anything)
    for wrong in ("T24:00:01", "T23:59:61", "T23:60:00", "T25:00:00", "T24:00:00.5"):
        assert search(archive, f"startDate={eve:%Y-%m-%d}{wrong}").status == 500


@pytest.mark.parametrize("system", ["SRID=4326;", "srid=3857;", " SRID=-1;"])
def test_reference_systems_are_read_over(archive, system):
    outline = "POLYGON((1.4 43.5,1.5 43.5,1.5 43.7,1.4 43.7,1.4 43.5))"
    assert (
        found(archive, f"geometry={quote(system + outline)}") == found(archive, f"geometry={quote(outline)}") != set()
    )


def test_patterns(archive):
    assert found(archive, "productIdentifier=S2%25T31TCJ%25") == expected(archive, lambda p: p.tile == "31TCJ")
    assert found(archive, "productIdentifier=S2__MSIL1C%25") == expected(archive, anything)
    assert found(archive, "productIdentifier=S2__MSIL1C") == set()
    assert found(archive, "productIdentifier=S2\\_%25") == set()
    assert found(archive, "productType=S2MSI%25") == expected(archive, anything)
    assert found(archive, "platform=S1%25", "S1") == expected(archive, anything, "S1")
    assert found(archive, "tileid=31TC%25") == expected(archive, lambda p: p.tile.startswith("31TC"))


def test_lists_of_names(archive):
    names = sorted(expected(archive, anything))[:3]
    listed = "&".join(f"productIdentifier[{at}]={name}" for at, name in enumerate(names))
    assert found(archive, listed) == set(names)
    assert found(archive, listed.replace("productIdentifier", "identifier")) == set(names)
    mixed = f"productIdentifier[]={names[0]}&productIdentifier[]={names[1][:-3]}%25"
    assert found(archive, mixed) == {name for name in expected(archive, anything) if name.startswith(names[1][:-3])} | {
        names[0]
    }


def test_blanks_around_values_are_cut(archive):
    assert found(archive, "tileid=%2031TCJ+&productType=+S2MSI1C") == found(archive, "tileid=31TCJ")


def test_replaced_features_are_not_found():
    with running(products=2, product_size=40_000, tape_fraction=0) as archive:
        product = archive.catalogue[0]
        archive.hide(product.name)
        assert found(archive, "", None) == {other.name for other in archive.catalogue[1:]}
        assert found(archive, f"identifier={product.id}", product.collection) == set()


@pytest.mark.parametrize("path", ["S2ST/search", "S2ST/search/", "S2ST/search.json/", "search", "S2ST/describe.xml/"])
def test_addresses_without_format_or_with_a_slash(archive, path):
    assert fetch(archive, f"{API}/{path}", login=False).status == 200


@pytest.mark.parametrize(
    "path", ["S2ST/search.atom", "S2ST/search.xml", "S2ST/describe", "S2ST/search.gif", "search/x"]
)
def test_formats_that_are_not_known(archive, path):
    assert fetch(archive, f"{API}/{path}", login=False).status == 404


def test_pages_for_browsers_are_not_found(archive):
    browser = [("Accept", "text/html,application/xhtml+xml")]
    product = archive.catalogue[0]
    item = f"/resto/collections/{product.collection}/{product.id}"
    for path in (f"{API}/S2ST/search", item):
        assert fetch(archive, path, headers=browser).status == 404
        assert fetch(archive, f"{path}.json", headers=browser).status == 200
    assert fetch(archive, f"{item}/download.json", headers=browser).status == 200
    assert fetch(archive, f"{item}/download", headers=browser).status == 200


def test_collections(archive):
    document = json.loads(fetch(archive, "/resto/collections.json", login=False).body)
    assert [collection["name"] for collection in document["collections"]] == ["S1", "S2", "S2ST", "S3"]
    assert document["statistics"]["facets"]["collection"] == {"S1": 10, "S2ST": 10}
    assert [collection["statistics"]["count"] for collection in document["collections"]] == [10, 0, 10, 0]
    radar = json.loads(fetch(archive, "/resto/collections/S1", login=False).body)
    assert radar == document["collections"][0]
    assert fetch(archive, "/resto/collections/NOPE.json", login=False).status == 404


def test_text_filters(archive):
    assert found(archive, "productType=GRD", "S1") == expected(archive, lambda p: p.product_type == "GRD", "S1")
    lists = "productType[]=SLC&productType[]=OCN"
    assert found(archive, lists, "S1") == expected(archive, lambda p: p.product_type in {"SLC", "OCN"}, "S1")
    assert found(archive, "polarisation=VV%20VH", "S1") == expected(archive, lambda p: p.polarisation == "VV VH", "S1")
    assert found(archive, "orbitDirection=ascending") == set()
    assert found(archive, "parentIdentifier=urn:ogc:def:EOP:ESA::SENTINEL-2:") == set()
    assert found(archive, "relativeOrbitNumber=51") == expected(archive, lambda p: p.relative_orbit == 51)
    assert found(archive, "resolution=10") == set()


def test_identifiers(archive):
    product = next(p for p in archive.catalogue if p.collection == "S2ST")
    assert found(archive, f"identifier={product.id}") == {product.name}
    assert found(archive, f"identifier={product.name.lower()}") == {product.name}
    assert found(archive, f"productIdentifier={product.name}") == {product.name}
    assert found(archive, f"productIdentifier={product.name[:30]}%25") >= {product.name}
    assert found(archive, f"identifier={product.id}", None) == {product.name}
    assert found(archive, f"identifier={product.name}", None) == set()
    assert found(archive, "tileid=00AAA&polarisation=XX", None) == {p.name for p in archive.catalogue}


def test_publication(archive):
    product = archive.catalogue[0]
    moment = f"{product.published:%Y-%m-%dT%H:%M:%S}"
    assert product.name in found(archive, f"publishedEnd={moment}.999", "S1")
    assert product.name not in found(archive, f"publishedBegin={moment}.999", "S1")
    assert product.name in found(archive, f"updated={moment}", "S1")


@pytest.mark.parametrize(
    ("sent", "announced", "number"),
    [("", 20, 10), ("3", "3", 3), ("0", 1, 1), ("-4", 1, 1), ("600", 500, 10), ("500", "500", 10), ("many", 20, 10)],
)
def test_page_size(archive, sent, announced, number):
    document = envelope(archive, f"maxRecords={sent}")
    assert document["properties"]["totalItemsPerPage"] == announced
    assert len(document["features"]) == document["properties"]["itemsPerPage"] == number


def test_paging(archive):
    everything = names(envelope(archive, "maxRecords=500"))
    pages = [envelope(archive, f"maxRecords=5&page={page}") for page in (1, 2, 3)]
    assert [name for page in pages for name in names(page)] == everything
    links = [[link["rel"] for link in page["properties"]["links"]] for page in pages]
    assert links[0] == ["self", "search", "next", "last"]
    assert links[1] == ["self", "search", "previous", "first", "next", "last"]  # next, although this is the last
    assert links[2] == ["self", "search"]
    assert pages[2]["properties"]["totalResults"] == 10
    assert len({page["properties"]["id"] for page in pages}) == 1
    assert names(envelope(archive, "maxRecords=5&index=4")) == everything[3:8]
    assert names(envelope(archive, "maxRecords=5&index=4&page=2")) == everything[5:]


def test_many_results_are_an_estimate():
    with running(products=410, product_size=20_000, faults={"checksum-null": 1}) as archive:
        properties = envelope(archive, "maxRecords=1")["properties"]
        assert (properties["totalResults"], properties["exactCount"]) == (205, False)


def test_too_long_an_address(archive):
    reply = search(archive, "q=" + "x" * 9000)
    assert reply.status == 414
    assert reply.header("Content-Type").startswith("text/html")


def test_description_and_other_addresses(archive):
    for path in (f"{API}/S1/describe.xml", f"{API}/describe.xml"):
        reply = fetch(archive, path, login=False)
        assert (reply.status, reply.body[:5]) == (200, b"<?xml")
    for path in (f"{API}/S9/describe.xml", f"{API}/S9/search.json", "/resto/nothing"):
        assert fetch(archive, path, login=False).body == b'{"ErrorMessage":"Not Found","ErrorCode":404}'


def test_html_is_not_served_without_json(archive):
    product = archive.catalogue[0]
    path = f"/resto/collections/{product.collection}/{product.id}"
    assert fetch(archive, path, headers=[("Accept", "text/html,*/*")], login=False).status == 404
    assert fetch(archive, path + ".json", headers=[("Accept", "text/html,*/*")], login=False).status == 200
    assert fetch(archive, path, login=False).status == 200


def test_announced_size_and_checksum_are_true(archive):
    for feature in envelope(archive, "maxRecords=500")["features"]:
        properties = feature["properties"]
        content = archive.content(properties["productIdentifier"])
        assert properties["resourceSize"] == content.size
        assert properties["resourceChecksum"] == content.md5.upper()


@pytest.mark.parametrize("path", ["/resto/", "/resto//", "/resto/.json", "/resto/x/"])
def test_there_is_nothing_at_the_root(archive, path):
    reply = fetch(archive, path, login=False)
    assert (reply.status, reply.body) == (404, b'{"ErrorMessage":"Not Found","ErrorCode":404}')
