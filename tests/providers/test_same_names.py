"""The same query finds the same products in every archive: one catalogue behind three protocols."""

import itertools

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import connect, held, holds, sandbox
from pepsasync import Query, build_query
from pepsasync.area import fit
from pepsasync.providers import provider_names

pytestmark = pytest.mark.anyio
WHOLE = [provider for provider in provider_names() if holds(provider, "S2ST")]
TRIANGLE = "POLYGON((1.0 43.0, 2.2 43.1, 1.6 44.1, 1.0 43.0))"

QUERIES = {
    "everything": {},
    "radar": {"collection": "S1"},
    "optical": {"collection": "S2ST"},
    "optical by its short name": {"collection": "S2"},
    "type": {"collection": "S1", "product": "GRD"},
    "type in lower case": {"collection": "S1", "product": "slc"},
    "optical type": {"collection": "S2ST", "product": "S2MSI1C"},
    "mode": {"collection": "S1", "sensor_mode": "IW"},
    "satellite": {"collection": "S2ST", "satellite": "S2A"},
    "orbit": {"collection": "S1", "orbit": 152},
    "orbit of all": {"orbit": 51},
    "period": {"collection": "S1", "start": "2015-11-05", "end": "2015-11-15"},
    "instants": {"collection": "S2ST", "start": "2017-01-05T10:50:00Z", "end": "2017-01-12T10:55:00Z"},
    "clouds": {"collection": "S2ST", "clouds": 33.3},
    "tile": {"collection": "S2ST", "tile": "T31TCJ"},
    "tile of radar": {"collection": "S1", "tile": "31TCJ"},
    "tile of all": {"tile": "31TCJ"},
    "point": {"collection": "S1", "lon": 1.44, "lat": 43.6},
    "point of all": {"lon": 1.44, "lat": 43.6},
    "box": {"collection": "S2ST", "bbox": "1.0,43.0,1.2,43.2"},
    "sides": {"collection": "S1", "lonmin": 1, "latmin": 43, "lonmax": 1.2, "latmax": 43.2},
    "shape": {"collection": "S1", "geometry": TRIANGLE},
    "line": {"collection": "S1", "geometry": "LINESTRING(0.5 43, 2.5 44)"},
    "several shapes": {"collection": "S2ST", "geometry": "MULTIPOINT((1.44 43.6), (2.6 42.8))"},
    "elsewhere": {"collection": "S1", "bbox": "10,10,11,11"},
    "across the antimeridian": {"collection": "S1", "bbox": "179,-10,-179,10"},
    "all together": {
        "collection": "S2ST",
        "tile": "31TCJ",
        "start": "2017-01-01",
        "end": "2017-01-20",
        "clouds": 80,
        "satellite": "S2A",
        "product": "S2MSI1C",
    },
    "several tiles": {"collection": "S2ST", "tile": "31TCJ,31TDJ,30TYN"},
    "several tiles of radar": {"collection": "S1", "tile": ["31TCJ", "31TDJ"]},
    "several tiles of several collections": {
        "collection": "S1,S2ST",
        "tile": "31TCJ,31TDJ",
        "orbit": "8,51,30,110,132",
    },
    "several types": {"collection": "S1", "product": "SLC,OCN"},
    "several types of several collections": {"collection": "S1,S2", "product": "GRD,S2MSI1C"},
    "several orbits": {"orbit": "8,51,132"},
    "several modes": {"sensor_mode": "EW,INS-NOBS"},
    "several satellites": {"satellite": "S1A,S2A"},
    "newest processing": {"collection": "S1", "latest": True},
}
FINDS_NOTHING = {"elsewhere", "across the antimeridian"}


@pytest.fixture(scope="module")
def archive():
    """One archive for all queries: nothing is changed in it."""
    served = sandbox(120, product_size=60_000)
    served.start()
    yield served
    served.stop()


async def find(archive, provider, criteria):
    async with connect(archive, provider) as client:
        return [product.name async for product in client.search(build_query(**criteria) if criteria else Query())]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the words are tested here, not the event loops
@pytest.mark.parametrize("title", QUERIES)
async def test_the_same_query_finds_the_same_products_everywhere(archive, title):
    criteria = QUERIES[title]
    found = {provider: sorted(await find(archive, provider, criteria)) for provider in WHOLE}
    radar = [name for name in found["peps"] if name.startswith("S1")]

    assert found["geodes"] == found["peps"]
    assert found["cdse"] == found["peps"]
    assert found["wekeo"] == found["peps"]
    if names_no_optical_collection(criteria):
        assert sorted(await find(archive, "asf", criteria)) == radar
    assert bool(found["peps"]) is (title not in FINDS_NOTHING)


def names_no_optical_collection(criteria):
    """Whether an archive of radar products only takes a query."""
    return "S2" not in str(criteria.get("collection", ""))


def some(*values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


RADAR = {
    "product": some("GRD", "SLC", "OCN"),
    "sensor_mode": some("IW", "EW"),
    "orbit": some(8, 30, 110, 132, 152),
    "tile": some("31TCJ", "31TDJ", "30TYN", "31TDH"),
}
OPTICAL = {
    "satellite": some("S2A", "S2B"),
    "orbit": some(8, 51, 94),
    "tile": some("31TCJ", "31TDJ", "30TYN", "31TDH"),
}


@st.composite
def criteria_of_several_values(draw):
    collections = draw(some("S1", "S2ST"))
    known = RADAR if collections == ["S1"] else OPTICAL if collections == ["S2ST"] else {"tile": RADAR["tile"]}
    chosen = draw(st.sets(st.sampled_from(sorted(known)), max_size=2))
    return {"collection": collections} | {name: draw(known[name]) for name in sorted(chosen)}


@pytest.mark.parametrize("provider", WHOLE)
@given(criteria=criteria_of_several_values())
@settings(max_examples=12, deadline=None)
def test_several_values_find_what_each_of_them_finds(archive, provider, criteria):
    async def both():
        together = await find(archive, provider, criteria)
        singles = [
            await find(archive, provider, dict(zip(criteria, values, strict=True)))
            for values in itertools.product(*criteria.values())
        ]
        return together, singles

    together, singles = anyio.run(both)

    assert len(together) == len(set(together))
    assert set(together) == {name for found in singles for name in found}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("provider", provider_names())
async def test_a_radar_product_in_several_parts_of_an_area_comes_once(archive, provider):
    """A footprint is wider than a tile, so that searches for tiles find the same products."""
    tiles = "30TYN", "31TDH"
    singles = [await find(archive, provider, {"collection": "S1", "tile": tile}) for tile in tiles]
    together = await find(archive, provider, {"collection": "S1", "tile": tiles})

    assert len(fit.parts(build_query(collection="S1", tile=tiles).area)) == 2
    assert {*singles[0]} & {*singles[1]}
    assert sorted(together) == sorted({*singles[0], *singles[1]})


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("provider", WHOLE)
async def test_the_newest_of_several_values_come_first(archive, provider):
    async with connect(archive, provider) as client:
        found = [p.start async for p in client.search(collection="S1,S2ST", tile="31TCJ,31TDJ,30TYN")]

    assert found == sorted(found, reverse=True)
    assert len(found) > 20


async def test_names_are_found_everywhere(archive):
    for provider in provider_names():
        wanted = [product.name for product in held(archive, provider)[::17]]
        assert sorted(await find(archive, provider, {"id": wanted})) == sorted(wanted)


def md5_of(product):
    return next(checksum for checksum in product.checksums if checksum.algorithm == "md5")


async def test_what_products_are_is_the_same_everywhere(archive):
    told = {}
    for provider in provider_names():
        async with connect(archive, provider) as client:
            products = [p for c in ("S1", "S2ST") if holds(provider, c) async for p in client.search(collection=c)]
        told[provider] = {
            p.name: (
                p.size,
                provider == "wekeo" or md5_of(p),
                p.product_type,
                p.sensor_mode,
                p.platform,
                p.start,
                p.relative_orbit,
                p.tile,
            )
            for p in products
        }

    assert told["geodes"] == told["peps"]
    assert told["cdse"] == told["peps"]
    assert told["wekeo"] == {name: (size, True, *rest) for name, (size, _, *rest) in told["peps"].items()}
    assert told["asf"] == {name: told["peps"][name] for name in told["peps"] if name.startswith("S1")}
