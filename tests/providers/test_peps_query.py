"""Neutral queries become the parameters of resto's search."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import shapely

from fakes import product
from pepsasync.config import Config
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import ConfigError
from pepsasync.http.client import Http
from pepsasync.model import Query, StorageTier
from pepsasync.providers.peps import Peps
from pepsasync.providers.peps.query import LONGEST_WKT, covering_parameters, search_parameters, slices
from pepsasync.query.criteria import build_query

BEGIN = datetime(2020, 6, 10, 10, 50, 31, 24000, tzinfo=UTC)


def test_search_parameters_all_criteria():
    query = build_query(
        collection="S2ST", product="S2MSI1C", sensor_mode="INS-NOBS", satellite="S2A", start="2017-01-01", end="2017-02-01",
        tile="t31tcj", clouds="20.5", orbit=51, published_since="2017-01-03",
    )  # fmt: skip

    assert {
        "productType": "S2MSI1C",
        "sensorMode": "INS-NOBS",
        "platform": "S2A",
        "startDate": "2017-01-01T00:00:00.000Z",
        "completionDate": "2017-02-01T00:00:00.000Z",
        "publishedBegin": "2017-01-03T00:00:00.000Z",
        "tileid": "31TCJ",
        "cloudCover": "[0,21]",
    } == search_parameters(query)


def test_search_parameters_nothing_is_sent_empty():
    assert {} == search_parameters(Query(collection="S1"))


def test_search_parameters_place_goes_to_the_archive():
    assert {"q": "Toulouse"} == search_parameters(Query(collection="S1", location="Toulouse"))


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        pytest.param({"lon": 1, "lat": 43.5}, {"lon": "1", "lat": "43.5", "radius": "1"}, id="point"),
        pytest.param({"bbox": "-0.00001,43,2,44.25"}, {"box": "-0.00001,43,2,44.25"}, id="box-without-exponent"),
    ],
)
def test_search_parameters_area(criteria, expected):
    [part] = slices(build_query(collection="S1", **criteria))

    assert expected == search_parameters(part)


def test_slices_box_across_the_antimeridian_is_two_searches():
    boxes = [search_parameters(part)["box"] for part in slices(build_query(collection="S1", bbox="170,-10,-170,10"))]

    assert {"170,-10,180,10", "-180,-10,-170,10"} == set(boxes)


def test_search_parameters_long_shape_is_covered_by_a_short_one():
    wild = shapely.Point(2, 44).buffer(1, quad_segs=2000)
    [part] = slices(Query(collection="S1", area=wild))

    sent = search_parameters(part)["geometry"]

    assert len(sent) <= LONGEST_WKT
    assert shapely.from_wkt(sent).buffer(1e-6).covers(wild)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param("2016-01-01", "2016-06-01", ["S2"], id="before"),
        pytest.param("2017-01-01", "2017-02-01", ["S2ST"], id="after"),
        pytest.param("2016-12-05", None, ["S2ST"], id="from-the-day"),
        pytest.param("2016-01-01", "2017-02-01", ["S2ST", "S2"], id="both"),
        pytest.param(None, None, ["S2ST", "S2"], id="always"),
    ],
)
def test_slices_s2_means_sentinel_2(start, end, expected):
    assert expected == [part.collection for part in slices(build_query(collection="S2", start=start, end=end))]


def test_slices_names_find_their_collection():
    names = [
        "S1A_IW_GRDH_1SDV_20151105T174730_20151105T174755_008471_00BFA4_3C5A",
        "S2A_MSIL1C_20200815T005251_N0209_R002_T55PCR_20200815T023440",
        "S2A_OPER_PRD_MSIL1C_PDMC_20151101T000000_R051_V20151101T000000_20151101T000000",
    ]

    parts = slices(build_query(id=names))

    assert ["S1", "S2ST", "S2"] == [part.collection for part in parts]
    assert names == [search_parameters(part)["productIdentifier"] for part in parts]


def test_slices_unknown_collection():
    with pytest.raises(ConfigError, match="no collection 'S9'"):
        slices(Query(collection="S9"))


def waiting(count, **changes):
    return [
        product(f"P{n}", start=BEGIN + timedelta(minutes=n), product_type="GRD", tile=None, **changes)
        for n in range(count)
    ]


def test_covering_parameters_is_the_narrowest_search():
    footprint = {"type": "Polygon", "coordinates": [[[1, 43], [2, 43], [2, 44], [1, 43]]]}

    assert {
        "startDate": "2020-06-10T10:50:30.024Z",
        "completionDate": "2020-06-10T10:52:32.024Z",
        "productType": "GRD",
        "box": "1,43,2,44",
    } == covering_parameters(waiting(3, footprint=footprint))


def test_covering_parameters_without_times_there_is_none():
    assert covering_parameters([product("A")]) is None


class Catalogue:
    """Counts the calls of `tiers`: a catalogue of many products, of which some are waited for."""

    def __init__(self, wanted, others):
        self.wanted, self.others, self.calls = wanted, others, []

    def __call__(self, request):
        if not request.url.path.endswith("search.json"):
            self.calls.append("item")
            return httpx.Response(200, json={"id": "x", "properties": {"storage": {"mode": "disk"}}})
        self.calls.append("search")
        page = int(request.url.params["page"])
        ids = [f"other-{n}" for n in range(self.others)] + [item.id for item in self.wanted]
        features = [
            {"id": identity, "properties": {"title": identity, "storage": {"mode": "disk"}}}
            for identity in ids[(page - 1) * 500 : page * 500]
        ]
        return httpx.Response(200, json={"features": features, "properties": {"totalResults": len(ids)}})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("count", "others", "expected"),
    [
        pytest.param(1, 0, ["item"], id="one-is-asked-for-itself"),
        pytest.param(2, 0, ["item", "item"], id="two-too"),
        pytest.param(50, 100, ["search"], id="many-on-one-page"),
        pytest.param(50, 1000, ["search"] * 3, id="many-on-three-pages"),
        pytest.param(5, 5000, ["search", *["item"] * 5], id="few-among-many-pages"),
    ],
)
async def test_tiers_takes_the_cheaper_way(count, others, expected):
    wanted = waiting(count)
    catalogue = Catalogue(wanted, others)
    async with Http(Config(), transport=httpx.MockTransport(catalogue)) as http:
        tiers = await Peps(http, Lookup.of(None), "https://archive.example/resto").tiers(wanted)

    assert expected == catalogue.calls
    assert {item.id: StorageTier.DISK for item in wanted} == tiers


@pytest.mark.anyio
async def test_tiers_product_that_vanished_is_unknown():
    async with Http(Config(), transport=httpx.MockTransport(lambda request: httpx.Response(404, json={}))) as http:
        tiers = await Peps(http, Lookup.of(None), "https://archive.example/resto").tiers([product("A")])

    assert {"id-A": StorageTier.UNKNOWN} == tiers


def test_query_is_not_changed_by_slicing():
    query = Query(collection="S2", names=("S1A_X",))
    before = replace(query)

    slices(query)

    assert before == query


def test_slices_of_several_tiles_and_places_are_one_each():
    parts = slices(build_query(collection="S2ST", tile="31TCJ,31TDJ", satellite="S2A,S2B"))

    assert ["31TCJ", "31TDJ"] == [search_parameters(part)["tileid"] for part in parts]
    assert [["S2A", "S2B"]] * 2 == [search_parameters(part)["platform[]"] for part in parts]
    assert ["Foix", "Auch"] == [search_parameters(part)["q"] for part in slices(Query(location=("Foix", "Auch")))]
