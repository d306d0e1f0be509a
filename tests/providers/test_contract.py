"""What every provider must do, over the embedded archive."""

import dataclasses
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
import shapely

from archives import (
    ALWAYS_ONLINE,
    ORDERS,
    connect,
    credentials,
    everything,
    held,
    holds,
    portal,
    right_files,
    root,
    sandbox,
)
from pepsasync import AreaError, AuthError, Checksum, Client, Config, ConfigError, StorageTier
from pepsasync.area import aoi, places, widen
from pepsasync.events import Noticed
from pepsasync.providers import provider_names
from pepsasync.providers.base import StagingOutcome
from pepsasync.providers.collections import KNOW_PLACES
from pepsasync.query.criteria import build_query
from pepsasync.sandbox.catalogue import generate

pytestmark = pytest.mark.anyio
TELLS_NO_TIMELINESS = {"asf"}
WANTS_AN_ACCOUNT = {"wekeo"}
"""Archives that cannot be searched without one."""


@pytest.fixture(params=provider_names())
def provider(request):
    return request.param


@pytest.fixture
def optical(provider):
    if not holds(provider, "S2ST"):
        pytest.skip(f"{provider} has no optical products")


@pytest.fixture
def connect_to(provider):
    """A function that makes a client of one provider for a sandbox."""
    return partial(connect, provider=provider)


async def names(client, **criteria):
    return [product.name async for product in client.search(**criteria)]


async def test_search_finds_every_product_once_newest_first(connect_to):
    async with sandbox(30) as archive, connect_to(archive) as client:
        found = [product async for product in client.search(collection="S1")]

    expected = {product.name for product in archive.catalogue if product.collection == "S1"}
    assert sorted(expected) == sorted(product.name for product in found)
    assert sorted((product.start for product in found), reverse=True) == [product.start for product in found]


async def test_search_describes_products(connect_to, provider):
    collection = "S2ST" if holds(provider, "S2ST") else "S1"
    async with sandbox(10) as archive, connect_to(archive) as client:
        found = {product.name: product async for product in client.search(collection=collection)}
        truth = [product for product in archive.catalogue if product.collection == collection]

        assert truth
        for product in truth:
            ours = found[product.name]
            md5 = Checksum("md5", archive.content(product.name).md5)
            assert product.size == ours.size
            assert md5 in ours.checksums or provider in ORDERS
            assert (product.tile or None, product.platform, product.start) == (ours.tile, ours.platform, ours.start)
            assert (product.relative_orbit, product.orbit) == (ours.relative_orbit, ours.orbit)
            assert ours.footprint["type"] in ("Polygon", "MultiPolygon")


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        pytest.param({"product": "GRD"}, lambda p: p.product_type == "GRD", id="product-type"),
        pytest.param({"satellite": "S1A"}, lambda p: p.platform == "S1A", id="satellite"),
        pytest.param({"sensor_mode": "IW"}, lambda p: p.sensor_mode == "IW", id="sensor-mode"),
        pytest.param({"orbit": 152}, lambda p: p.relative_orbit == 152, id="relative-orbit"),
        pytest.param(
            {"start": "2015-11-10", "end": "2015-11-20"}, lambda p: 10 <= p.start.day < 20, id="period-end-exclusive"
        ),
        pytest.param(
            {"published_since": "2015-11-15T12:00"},
            lambda p: p.published >= datetime(2015, 11, 15, 12, tzinfo=UTC),
            id="published-since",
        ),
        pytest.param({"orbit_direction": "desc"}, lambda p: p.orbit_direction == "descending", id="orbit-direction"),
        pytest.param({"polarisation": "vv+vh"}, lambda p: p.polarisation == "VV VH", id="polarisation"),
        pytest.param({"polarisation": "VV"}, lambda p: "VV" in p.polarisation, id="polarisation-among-others"),
        pytest.param({"timeliness": "fast24h"}, lambda p: p.realtime == "Fast-24h", id="timeliness"),
        pytest.param({"timeliness": "NRT-3h"}, lambda p: p.realtime == "NRT-3h", id="other-timeliness"),
        pytest.param(
            {"orbit_direction": "ascending", "polarization": "VV+VH", "product": "GRD", "start": "2015-11-10"},
            lambda p: (
                (p.orbit_direction, p.polarisation, p.product_type) == ("ascending", "VV VH", "GRD")
                and p.start.day >= 10
            ),
            id="together",
        ),
        pytest.param(
            {"bbox": "1,43,2,44", "cover": 60},
            lambda p: shapely.intersection(p.footprint, shapely.box(1, 43, 2, 44)).area > 0.6,
            id="cover",
        ),
    ],
)
async def test_search_filters_mean_the_same_everywhere(criteria, matches, connect_to, provider):
    if "timeliness" in criteria and provider in TELLS_NO_TIMELINESS:
        pytest.skip(f"{provider} does not tell the timeliness: products are wanted whatever it is")
    catalogue = [
        dataclasses.replace(product, realtime="NRT-3h") if number % 3 else product
        for number, product in enumerate(generate(60, size=100_000))
    ]
    async with sandbox(catalogue=catalogue) as archive, connect_to(archive) as client:
        found = await names(client, collection="S1", **criteria)

    expected = [product.name for product in archive.catalogue if product.collection == "S1" and matches(product)]
    assert sorted(expected) == sorted(found)
    assert expected


async def test_search_clouds_and_tile(connect_to, optical):
    async with sandbox(60) as archive, connect_to(archive) as client:
        found = await names(client, collection="S2ST", tile="t31tcj", clouds=50)

    assert sorted(found) == sorted(
        product.name for product in archive.catalogue if product.tile == "31TCJ" and product.cloud_cover <= 50
    )
    assert found


async def test_search_filters_of_optical_products_mean_the_same_everywhere(connect_to, optical):
    async with sandbox(60) as archive, connect_to(archive) as client:
        optical = [product for product in archive.catalogue if product.collection == "S2ST"]
        for criteria, matches in (
            ({"clouds": "5..20.5"}, lambda p: 5 <= p.cloud_cover <= 20.5),
            ({"clouds": "50.."}, lambda p: p.cloud_cover >= 50),
            ({"orbit_direction": "descending"}, lambda p: True),
            ({"orbit_direction": "ascending"}, lambda p: False),
        ):
            found = await names(client, collection="S2ST", **criteria)
            assert sorted(found) == sorted(product.name for product in optical if matches(product)), criteria


ORBITS, DIRECTION, CLOUDS, PUBLISHED = (
    {"peps": "orbitNumber", "geodes": "sat:absolute_orbit", "cdse": "orbitNumber"},
    {"peps": "orbitDirection", "geodes": "sat:orbit_state", "cdse": "orbitDirection"},
    {"peps": "cloudCover", "geodes": "eo:cloud_cover", "cdse": "cloudCover"},
    {"peps": None, "geodes": "datetime", "cdse": "processingDate"},
)
"""What an archive calls an attribute, by provider."""
ASCENDING = {"peps": "ascending", "geodes": "Ascending", "cdse": "ASCENDING"}


@pytest.mark.parametrize("geodes_version", ["2.1", "2.2"])
async def test_search_by_the_archives_own_attributes(provider, connect_to, geodes_version):
    if provider != "geodes" and geodes_version != "2.1":
        pytest.skip("a version of GEODES")
    orbit, direction, clouds, published = (names.get(provider) for names in (ORBITS, DIRECTION, CLOUDS, PUBLISHED))
    if orbit is None:
        pytest.skip("has attributes of other names")
    async with (
        sandbox(60, geodes_version=geodes_version, geodes_strict=True) as archive,
        connect_to(archive) as client,
    ):
        radar = [product for product in archive.catalogue if product.collection == "S1"]
        middle = sorted(product.orbit for product in radar)[len(radar) // 2]
        cases = [
            ("S1", [f"{orbit}={middle}"], lambda p: p.orbit == middle),
            ("S1", [f"{orbit}={middle}", f"{orbit}={radar[0].orbit}"], lambda p: p.orbit in (middle, radar[0].orbit)),
            ("S1", [f"{orbit}<{middle}"], lambda p: p.orbit < middle),
            ("S1", [f"{orbit}>{middle}.5"], lambda p: p.orbit > middle),
            ("S1", [f"{orbit}={middle - 60}..{middle}"], lambda p: middle - 60 <= p.orbit <= middle),
            ("S1", [f"{orbit}={middle}.5"], lambda p: False),
            ("S1", [f"{direction}={ASCENDING[provider]}"], lambda p: p.orbit_direction == "ascending"),
            (
                "S1",
                [f"{direction}={ASCENDING[provider]}", f"{orbit}>={middle}"],
                lambda p: p.orbit_direction == "ascending" and p.orbit >= middle,
            ),
            ("S2ST", [f"{clouds}=5..20.5"], lambda p: 5 <= p.cloud_cover <= 20.5),
            ("S2ST", [f"{clouds}<20.5"], lambda p: p.cloud_cover < 20.5),
        ]
        if published:
            day = datetime(2015, 11, 15, tzinfo=UTC)
            cases += [
                ("S1", [f"{published}=2015-11-01..2015-11-15"], lambda p: p.published < day),
                ("S1", [f"{published}>=2015-11-15T00:00:00Z"], lambda p: p.published >= day),
            ]
        for collection, asked, matches in cases:
            found = await names(client, collection=collection, property=asked)
            of_collection = [product for product in archive.catalogue if product.collection == collection]
            assert sorted(found) == sorted(product.name for product in of_collection if matches(product)), asked
        kept = [product.attributes async for product in client.search(collection="S1", property=f"{orbit}<{middle}")]
        plain = [product.attributes async for product in client.search(collection="S1", limit=3)]

    assert kept
    assert all({orbit} == {*each} and each[orbit] < middle for each in kept)
    assert [None] * 3 == plain


async def test_an_attribute_that_the_archive_does_not_have_is_refused_before_the_search(provider, connect_to):
    async with sandbox(20) as archive, connect_to(archive) as client:
        known = await client.attributes("S2ST")
        if not known:
            pytest.skip("tells of no attributes")
        right = CLOUDS.get(provider) or next(iter(known))
        for wrong, hint in ((right[:-1], f"Did you mean {right!r}?"), ("nothingOfThisKind", "collections")):
            with pytest.raises(ConfigError, match="there is no attribute") as caught:
                await names(client, collection="S2ST", property=f"{wrong}=3")
            assert hint in caught.value.hint
        assert 0 == archive.statistics.requests.get("search", 0)


async def test_an_attribute_that_no_product_has_is_told(provider, connect_to):
    async with sandbox(20) as archive, connect_to(archive) as client:
        if await client.attributes("S1"):
            pytest.skip("is refused before the search")
        told = []
        with client.listen(lambda event: told.append(event.message) if isinstance(event, Noticed) else None):
            found = await names(client, collection="S1", property=["BEAM_MODE=IW", "BEEM_MODE=IW"])
            right = await names(client, collection="S1", property="BEAM_MODE=IW")

    assert [] == found
    assert right
    assert [f"no product that {provider} sent has an attribute 'BEEM_MODE', so none matches"] == told


async def test_values_that_an_attribute_cannot_have_are_refused(provider, connect_to):
    if provider not in CLOUDS:
        pytest.skip("has attributes of other names")
    async with sandbox(20) as archive, connect_to(archive) as client:
        with pytest.raises(ConfigError, match="is a number"):
            await names(client, collection="S2ST", property=f"{CLOUDS[provider]}<few")


async def test_search_months_of_several_years(connect_to):
    template = generate(2, size=50_000)[0]
    catalogue = [
        dataclasses.replace(
            template, name=f"S1A_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}", id="", start=start, published=None
        )
        for start in (datetime(year, month, 15, tzinfo=UTC) for year in (2015, 2016, 2017) for month in range(1, 13))
    ]
    async with sandbox(catalogue=catalogue) as archive, connect_to(archive) as client:
        whole = await names(client, collection="S1", months="6-8")
        period = await names(client, collection="S1", months="11-2", start="2015-06-01", end="2017-01-10")

    assert sorted(whole) == sorted(p.name for p in catalogue if p.start.month in (6, 7, 8))
    assert sorted(period) == sorted(
        p.name
        for p in catalogue
        if p.start.month in (11, 12, 1, 2) and (2015, 6) <= (p.start.year, p.start.month) < (2017, 1)
    )


async def test_search_sorts_and_takes_the_best(connect_to, optical):
    async with sandbox(60) as archive, connect_to(archive) as client:
        clear = [product async for product in client.search(collection="S2ST", sort="clouds", limit=7)]
        large = [product async for product in client.search(collection="S2ST", sort="size")]
        best = [product async for product in client.search(collection="S2ST", per="tile")]
        daily = [product async for product in client.search(collection="S2ST", per="day,tile", sort="size")]
        covering = [
            product async for product in client.search(collection="S1", bbox="1,43,2,44", sort="cover", limit=3)
        ]
        optical = [product for product in archive.catalogue if product.collection == "S2ST"]
        radar = [product for product in archive.catalogue if product.collection == "S1"]
        latest_of_day = await names(client, collection="S1", per="day")

    radar.sort(key=lambda p: p.name, reverse=True)
    by_day = {p.start.date(): p.name for p in sorted(radar, key=lambda p: (p.start, p.published))}
    assert latest_of_day == [by_day[day] for day in sorted(by_day, reverse=True)]
    assert [p.cloud_cover for p in clear] == sorted(p.cloud_cover for p in optical)[:7]
    assert [p.size for p in large] == sorted((p.size for p in optical), reverse=True)
    tiles = {p.tile: min(q.cloud_cover for q in optical if q.tile == p.tile) for p in optical}
    assert {p.tile: p.cloud_cover for p in best} == tiles
    assert len(best) == len(tiles)
    largest = {}
    for p in optical:
        key = p.tile, p.start.date()
        largest[key] = max(p.size, largest.get(key, 0))
    assert {(p.tile, p.start.date()): p.size for p in daily} == largest
    area = shapely.box(1, 43, 2, 44)
    shares = sorted(shapely.intersection(p.footprint, area).area for p in archive.catalogue if p.collection == "S1")
    shown = [shapely.intersection(shapely.geometry.shape(p.footprint), area).area for p in covering]
    assert shown == pytest.approx(shares[:-4:-1], abs=1e-3)


async def test_search_area_is_exact(connect_to):
    area = shapely.box(1.0, 43.0, 1.2, 43.2)
    async with sandbox(60) as archive, connect_to(archive) as client:
        by_box = await names(client, collection="S1", bbox="1.0,43.0,1.2,43.2")
        by_shape = await names(client, collection="S1", geometry=area.wkt)

    expected = sorted(
        product.name
        for product in archive.catalogue
        if product.collection == "S1" and shapely.geometry.shape(product.footprint).intersects(area)
    )
    assert expected == sorted(by_box) == sorted(by_shape)


async def test_search_names_latest_and_limit(connect_to, provider):
    async with sandbox(20) as archive, connect_to(archive) as client:
        wanted = [product.name for product in held(archive, provider)[:3]]
        found = await names(client, id=wanted)
        few = await names(client, collection="S1", limit=4)

    assert sorted(wanted) == sorted(found)
    assert 4 == len(few)


async def test_search_needs_no_account(provider, tmp_path):
    if provider in WANTS_AN_ACCOUNT:
        async with sandbox(4) as archive, Client(provider, base_url=root(archive, provider)) as anonymous:
            with pytest.raises(AuthError, match="no credentials"):
                await names(anonymous, collection="S1")
        return
    async with (
        sandbox(4, tape_fraction=0) as archive,
        Client(provider, base_url=root(archive, provider), config=Config()) as anonymous,
    ):
        [first, *_] = [product async for product in anonymous.search(collection="S1")]
        with pytest.raises(AuthError):
            await anonymous.download(first, tmp_path)


async def test_tiers_are_what_the_archive_knows(connect_to, provider):
    words = {"disk": StorageTier.DISK, "tape": StorageTier.TAPE}
    async with sandbox(20, tape_fraction=0.5) as archive, connect_to(archive) as client:
        products = [product async for product in client.search(collection="S1")]
        tiers = await client.tiers(products)

        if provider in ORDERS:
            assert tiers == {}
            return
        where = {product.id: words[archive.tier(product.name)] for product in products}
        assert (dict.fromkeys(where, StorageTier.DISK) if provider in ALWAYS_ONLINE else where) == tiers


async def test_stage_brings_a_product_online(connect_to, provider):
    """By request, or, where programs cannot ask, after somebody asked in the portal."""
    async with sandbox(4, tape_fraction=1.0) as archive, connect_to(archive) as client:
        products = [product async for product in client.search(collection="S1")]
        reply = await client.stage(products[0])
        with client.listen(portal(archive)):
            online = [product.name async for product in client.wait_online(products)]

        if provider in ALWAYS_ONLINE:
            assert reply.outcome is StagingOutcome.ONLINE
            assert len(online) == len(products)
            return
        asked = StagingOutcome.ACCEPTED if client.provider.limits.stages else StagingOutcome.BY_HAND
        assert reply.outcome is asked
        assert sorted(product.name for product in products) == sorted(online)
        assert {"disk"} == {archive.tier(name) for name in online}


async def test_stage_online_product_reads_no_body(connect_to):
    async with sandbox(2, tape_fraction=0, product_size=30_000_000) as archive, connect_to(archive) as client:
        [product] = [product async for product in client.search(collection="S1")]
        reply = await client.stage(product)

    assert StagingOutcome.ONLINE is reply.outcome


async def test_slices_cover_the_query(connect_to):
    async with sandbox(1) as archive, connect_to(archive) as client:
        parts = client.provider.slices(build_query(collection="S1", bbox="170,-10,-170,10"))

    assert len(parts) >= 1


async def test_credentials_are_checked_against_the_account(provider, connect_to, tmp_path):
    async with sandbox(2, tape_fraction=0) as archive:
        async with connect_to(archive) as client:
            await client.provider.account()
            [product] = [product async for product in client.search(collection="S1")]
        wrong = credentials(archive, provider, secret="not-it")
        async with Client(provider, base_url=root(archive, provider), credentials=wrong) as client:
            with pytest.raises(AuthError) as unchecked:
                await client.provider.account()
            with pytest.raises(AuthError) as caught:
                await client.download(product, tmp_path)

    assert "not-it" not in f"{unchecked.value} {caught.value}"


async def test_products_arrive_whole(connect_to, provider, tmp_path):
    async with sandbox(8, tape_fraction=0.5) as archive, connect_to(archive) as client:
        wanted = [product.name for product in held(archive, provider)]
        with client.listen(portal(archive)):
            outcomes = [delivery async for delivery in client.fetch(wanted, tmp_path)]

        assert [delivery.error for delivery in outcomes] == [None] * len(wanted)
        assert right_files(archive, tmp_path) == len(wanted) >= 4


async def test_a_place_is_an_area(connect_to):
    async with sandbox(30) as archive, connect_to(archive) as client:
        found = await names(client, collection="S1", location="Toulouse")

    assert found


async def test_hosts_of_the_archive_are_its_own(connect_to):
    async with sandbox(4) as archive, connect_to(archive) as client:
        [link] = {httpx.URL(product.download_url).copy_with(raw_path=b"/") for product in await everything(client)}

    assert client.provider.is_own(link.join("/anywhere"))
    assert not client.provider.is_own(link.copy_with(port=link.port - 1))
    assert not client.provider.is_own(link.copy_with(host="archive.example"))
    assert not client.provider.is_own(link.copy_with(scheme="https"))


@pytest.mark.parametrize("host", ["catalogue", "download", "zipper", "identity"])
async def test_all_hosts_of_the_public_cdse_are_its_own(host):
    async with Client("cdse") as client:
        assert client.provider.is_own(httpx.URL(f"https://{host}.dataspace.copernicus.eu/x"))
        assert not client.provider.is_own(httpx.URL(f"http://{host}.dataspace.copernicus.eu/x"))
        assert not client.provider.is_own(httpx.URL(f"https://{host}.dataspace.copernicus.eu.example/x"))


async def test_a_place_that_may_be_several_is_refused_unless_the_archive_knows_it(provider, connect_to):
    async with sandbox(4) as archive, connect_to(archive) as client:
        knows = client.provider.limits.knows_places
        assert (provider in KNOW_PLACES) is knows
        if not knows:
            with pytest.raises(AreaError, match="may be Córdoba, AR; Córdoba, ES"):
                await names(client, collection="S1", location="Cordoba")


async def test_search_with_a_buffer_around_an_area_a_tile_or_a_place(provider, connect_to):
    async with sandbox(60) as archive, connect_to(archive) as client:
        radar = [product for product in archive.catalogue if product.collection == "S1"]
        for criteria, area in (
            ({"lon": 1.0, "lat": 44.5}, aoi.point(1.0, 44.5)),
            ({"tile": "31TCJ"}, aoi.tile("31TCJ")),
            ({"location": "Toulouse"}, places.place_area(places.find_place("Toulouse"))),
        ):
            wide = widen.widen(area, 60_000)
            found = await names(client, collection="S1", buffer="60km", **criteria)
            near = await names(client, collection="S1", **criteria)
            assert sorted(found) == sorted(p.name for p in radar if p.footprint.intersects(wide)), criteria
            assert {*near} <= {*found}
        if holds(provider, "S2ST"):
            around = await names(client, collection="S2ST", tile="31TCJ", buffer="1km")
            assert {product.tile for product in archive.catalogue if product.name in around} > {"31TCJ"}


async def test_search_latest_of_sentinel_3(provider, connect_to):
    if not holds(provider, "S2ST"):
        pytest.skip(f"{provider} has Sentinel-1 only")
    template = generate(2, size=50_000)[0]
    start = datetime(2018, 3, 1, 9, 30, tzinfo=UTC)
    made = {
        ("NR", "2160"): "20180301T120000",
        ("NT", "2160"): "20180402T120000",
        ("NR", "2340"): "20180301T120500",
    }
    catalogue = [
        dataclasses.replace(
            template,
            name=f"S3A_OL_1_EFR____20180301T093000_20180301T093300_{when}_0179_028_250_{frame}_LN1_O_{kind}_002",
            id="",
            collection="S3",
            product_type="OL_1_EFR___",
            platform="S3A",
            start=start,
            published=None,
            mode="disk",
        )
        for (kind, frame), when in made.items()
    ]
    async with sandbox(catalogue=catalogue) as archive, connect_to(archive) as client:
        everything = await names(client, collection="S3")
        newest = await names(client, collection="S3", latest=True)

    assert len(everything) == 3
    assert sorted(name[-21:-4] for name in newest) == sorted(["250_2160_LN1_O_NT", "250_2340_LN1_O_NR"])
