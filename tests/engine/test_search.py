"""Pages of a search: which are asked for, how many at once, and each product once."""

import dataclasses
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeProvider, product
from pepsasync.engine.paging import UNREAD
from pepsasync.engine.search import search
from pepsasync.engine.seen import Seen
from pepsasync.errors import AreaError, IncompleteError, ProtocolError, ServerError
from pepsasync.events import Noticed, ProductFailed, SearchFellShort, SearchFinished
from pepsasync.model import Limits, Query, StorageTier
from pepsasync.providers.base import SearchPage
from pepsasync.query.criteria import build_query

DAY = datetime(2017, 1, 1, tzinfo=UTC)


class Catalogue(FakeProvider):
    """So many products, all of one collection; knows how many pages were asked for, and at once."""

    def __init__(self, count, *, at_once=2, tells_total=True):
        limits = Limits(
            page_size=10, downloads=1, staging_requests=1, poll_batch=9, bounded_ranges=False, search_pages=at_once
        )
        super().__init__({}, limits=limits)
        self.products = [product(f"P{number}") for number in range(count)]
        self.tells_total = tells_total
        self.asked_pages = []
        self.now = self.most = 0

    async def search_page(self, query, page):
        self.asked_pages.append(page)
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.lowlevel.checkpoint()
        self.now -= 1
        found = self.products[10 * (page - 1) : 10 * page]
        total = len(self.products) if self.tells_total else None
        return SearchPage(tuple(found), is_last=10 * page >= len(self.products), total=total)


class SilentCatalogue(Catalogue):
    """Tells in another call where products are: odd ones on disk, and nothing about those of one page."""

    def __init__(self, count, *, at_once):
        super().__init__(count, at_once=at_once)
        self.limits = dataclasses.replace(self.limits, tiers_in_search=False, poll_batch=10)
        self.products = [product(f"P{number}", tier=StorageTier.UNKNOWN) for number in range(count)]
        self.looks_now = self.most_looks = 0

    async def tiers(self, products):
        self.looks_now += 1
        self.most_looks = max(self.most_looks, self.looks_now + self.now)
        await anyio.lowlevel.checkpoint()
        self.looks_now -= 1
        if "P40" in [one.name for one in products]:
            raise ServerError("out of order")
        return {one.id: StorageTier.DISK for one in products if int(one.name[1:]) % 2}


async def listed(catalogue, **wanted):
    return await found_by(build_query(collection="S1", **wanted), catalogue)


async def found_by(query, catalogue):
    async with search(query, catalogue, lambda _: None) as pages:
        return [one async for page in pages for one in page]


async def names(catalogue, **wanted):
    return [one.name for one in await listed(catalogue, **wanted)]


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 2, 5])
async def test_all_pages_come_in_order_and_only_so_many_at_once(at_once):
    catalogue = Catalogue(503, at_once=at_once)

    assert [f"P{number}" for number in range(503)] == await names(catalogue)
    assert sorted(catalogue.asked_pages) == list(range(1, 52))
    assert catalogue.most == at_once


@pytest.mark.anyio
async def test_nothing_is_asked_for_at_once_when_nobody_knows_how_much_there_is():
    catalogue = Catalogue(95, tells_total=False)
    await names(catalogue)

    assert (1, list(range(1, 11))) == (catalogue.most, catalogue.asked_pages)


@pytest.mark.anyio
async def test_a_search_that_ends_soon_asks_for_little():
    catalogue = Catalogue(10_000)

    assert ["P0", "P1", "P2"] == await names(catalogue, limit=3)
    assert [1] == catalogue.asked_pages

    assert len(await names(catalogue, limit=25)) == 25
    assert max(catalogue.asked_pages) <= 3 + UNREAD * 2


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 3])
async def test_where_products_are_is_asked_for_several_pages_at_once(at_once):
    catalogue = SilentCatalogue(100, at_once=at_once)
    found = await listed(catalogue)

    assert [f"P{number}" for number in range(100)] == [one.name for one in found]
    odd = [one for number, one in enumerate(found) if number % 2 and not 40 <= number < 50]
    assert {StorageTier.DISK} == {one.tier for one in odd}
    assert {StorageTier.UNKNOWN} == {one.tier for one in found if one not in odd}
    assert catalogue.most_looks == at_once


@pytest.mark.anyio
async def test_pages_are_asked_for_while_one_is_worked_on_and_no_more_than_wait():
    catalogue = Catalogue(1_000)
    async with search(build_query(collection="S1"), catalogue, lambda _: None) as pages:
        for _ in range(10):
            await anext(pages)
        await anyio.wait_all_tasks_blocked()

        assert set(range(1, 10 + UNREAD * 2)) == set(catalogue.asked_pages)


class TiledCatalogue(Catalogue):
    """Searched tile by tile: each has its own products, one a day; the page of one tile may be broken.

    Args:
        days: By tile, the days of its products.
        broken: Tile whose second page is.
    """

    def __init__(self, days, *, broken=None, at_once=2):
        super().__init__(0, at_once=at_once)
        self.broken = broken
        self.tiles = {
            tile: [
                product(f"{tile}-{day}", tile=tile, start=DAY + timedelta(days=day)) for day in sorted(of, reverse=True)
            ]
            for tile, of in days.items()
        }

    def slices(self, query):
        return [dataclasses.replace(query, tile=tile) for tile in query.tile]

    async def search_page(self, query, page):
        if query.tile == self.broken and page == 2:
            raise ServerError("out of order")
        await super().search_page(query, page)
        own = self.tiles[query.tile]
        return SearchPage(tuple(own[10 * (page - 1) : 10 * page]), is_last=10 * page >= len(own), total=len(own))


@pytest.mark.anyio
@given(days=st.lists(st.sets(st.integers(0, 99), max_size=35), min_size=2, max_size=4))
async def test_several_slices_are_read_together_newest_first(days):
    catalogue = TiledCatalogue(dict(zip(["31TCJ", "31TDJ", "31TCH", "31TDH"], days, strict=False)))
    found = await found_by(Query(tile=("31TCJ", "31TDJ", "31TCH", "31TDH")[: len(days)]), catalogue)

    assert sum(map(len, days)) == len(found)
    assert sorted((one.start for one in found), reverse=True) == [one.start for one in found]


@pytest.mark.anyio
async def test_what_was_read_of_the_other_slices_comes_before_the_error_of_one():
    catalogue, found = TiledCatalogue({"31TCJ": range(20), "31TDJ": range(50, 80)}, broken="31TDJ"), []
    with pytest.raises(ServerError, match="out of order"):
        async with search(Query(tile=("31TCJ", "31TDJ")), catalogue, lambda _: None) as pages:
            async for page in pages:
                found += page

    assert 20 == len(found)


@pytest.mark.anyio
async def test_slices_are_asked_for_at_the_same_time():
    catalogue = TiledCatalogue({tile: [1] for tile in ("31TCJ", "31TDJ", "31TCH", "31TDH")}, at_once=3)
    await found_by(Query(tile=("31TCJ", "31TDJ", "31TCH", "31TDH")), catalogue)

    assert 3 == catalogue.most


class BrokenCatalogue(Catalogue):
    """One page fails, before earlier ones come."""

    async def search_page(self, query, page):
        if page == 4:
            raise ServerError("out of order")
        await anyio.wait_all_tasks_blocked()
        return await super().search_page(query, page)


@pytest.mark.anyio
async def test_pages_before_one_that_fails_are_read():
    found = []
    with pytest.raises(ServerError, match="out of order"):
        async with search(build_query(collection="S1"), BrokenCatalogue(1_000, at_once=4), lambda _: None) as pages:
            async for page in pages:
                found += page

    assert [f"P{number}" for number in range(30)] == [one.name for one in found]


@pytest.mark.anyio
async def test_what_breaks_while_a_page_is_worked_on_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with search(build_query(collection="S1"), Catalogue(1_000), lambda _: None) as pages:
            async for _ in pages:
                raise ZeroDivisionError


class ModestCatalogue(Catalogue):
    """Gives fewer a page than it is asked for, and says how many there are, but not which page is the last."""

    def __init__(self, count, *, served, at_once=2):
        super().__init__(count, at_once=at_once)
        self.served = served

    async def search_page(self, query, page):
        await super().search_page(query, page)
        found = self.products[self.served * (page - 1) : self.served * page]
        return SearchPage(tuple(found), is_last=None if found else True, total=len(self.products))


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize(
    ("served", "count", "pages"), [(10, 95, 10), (10, 100, 10), (3, 100, 34), (3, 99, 33), (9, 10, 2)]
)
async def test_as_many_pages_are_read_as_it_takes_and_no_more(served, count, pages, at_once):
    catalogue = ModestCatalogue(count, served=served, at_once=at_once)

    assert [f"P{number}" for number in range(count)] == await names(catalogue)
    assert list(range(1, pages + 1)) == sorted(catalogue.asked_pages)


class FlawedCatalogue(Catalogue):
    """Sends some pages wrong, the first so many times that they are asked for.

    Args:
        count: Products.
        flaws: What is sent in the place of a page: positions of its products.
        times: How often each flaw shows; None for always.
        says_last: Whether a page says that it is the last, as some archives do; else only an empty one is.
        is_estimate: Whether the total is a guess.
        total: Announced, instead of the right number.
    """

    def __init__(self, count, flaws, *, times=None, says_last=False, is_estimate=False, total=None):
        super().__init__(count)
        self.flaws, self.times, self.says_last, self.is_estimate = flaws, times, says_last, is_estimate
        self.total = count if total is None else total

    async def search_page(self, query, page):
        await super().search_page(query, page)
        found = self.products[10 * (page - 1) : 10 * page]
        if page in self.flaws and (self.times is None or self.asked_pages.count(page) <= self.times):
            found = [self.products[place] for place in self.flaws[page]]
        is_last = (len(found) < 10) if self.says_last else (None if found else True)
        total = self.total if found else 0
        return SearchPage(tuple(found), is_last, total, total_is_estimate=self.is_estimate)


FLAWS = {
    "an empty page": {2: []},
    "the first page": {1: [3]},
    "the last page": {6: []},
    "a short page": {3: range(20, 25)},
    "several": {2: [], 3: [], 5: range(40, 49)},
    "all but the first": {2: [], 3: [], 4: [], 5: [], 6: []},
    "repeated results": {3: range(15, 25), 4: range(29, 39)},
}


@pytest.mark.anyio
@pytest.mark.parametrize("says_last", [False, True])
@pytest.mark.parametrize("flaw", FLAWS)
async def test_pages_that_were_wrong_once_are_asked_for_again(flaw, says_last):
    catalogue = FlawedCatalogue(55, FLAWS[flaw], times=1, says_last=says_last)

    assert {f"P{number}" for number in range(55)} == set(await names(catalogue))


@pytest.mark.anyio
@pytest.mark.parametrize("says_last", [False, True])
@pytest.mark.parametrize("flaw", ["an empty page", "a short page", "the last page", "all but the first"])
async def test_a_search_that_stays_short_of_what_was_announced_is_an_error_after_all_that_came(flaw, says_last):
    found, events = [], []
    catalogue = FlawedCatalogue(55, FLAWS[flaw], says_last=says_last)
    lost = {f"P{10 * (page - 1) + at}" for page in FLAWS[flaw] for at in range(10 if page < 6 else 5)} - {
        f"P{place}" for places in FLAWS[flaw].values() for place in places
    }
    with pytest.raises(IncompleteError) as caught:
        async with search(build_query(collection="S1"), catalogue, events.append) as pages:
            async for page in pages:
                found += page

    assert {f"P{number}" for number in range(55)} - lost == {one.name for one in found}
    assert (55, 55 - len(lost)) == (caught.value.announced, caught.value.sent)
    assert f"fake announced 55 results and sent {55 - len(lost)}" in str(caught.value)
    assert [len(found)] == [event.products for event in events if isinstance(event, SearchFinished)]


@pytest.mark.anyio
async def test_an_archive_that_boasts_is_not_asked_for_ever():
    catalogue = FlawedCatalogue(25, {}, total=1_000_000)
    with pytest.raises(IncompleteError, match="announced 1,000,000 results and sent 25"):
        await names(catalogue)

    assert len(catalogue.asked_pages) < 25


@pytest.mark.anyio
@pytest.mark.parametrize(("total", "is_told"), [(1_300, True), (90, False), (30, False)])
async def test_an_estimate_that_cannot_be_so_wrong_is_told(total, is_told):
    events = []
    catalogue = FlawedCatalogue(60, {7: []}, says_last=True, is_estimate=True, total=total)
    async with search(build_query(collection="S1"), catalogue, events.append) as pages:
        found = [one async for page in pages for one in page]

    assert 60 == len(found)
    assert ([SearchFellShort(announced=1_300, sent=60)] if is_told else []) == [
        event for event in events if isinstance(event, SearchFellShort)
    ]


@pytest.mark.anyio
async def test_a_limit_that_is_reached_needs_nothing_more():
    assert 10 == len(await names(FlawedCatalogue(55, {2: []}), limit=10))


@pytest.mark.anyio
async def test_of_what_was_held_back_for_its_newest_processing_nothing_is_lost_with_the_rest():
    found = []
    with pytest.raises(IncompleteError):
        async with search(build_query(collection="S1", latest=True), FlawedCatalogue(12, {2: []}), print) as pages:
            async for page in pages:
                found += page

    assert 10 == len(found)


class UnreadCatalogue(Catalogue):
    """Has two records that cannot be read."""

    async def search_page(self, query, page):
        found = await super().search_page(query, page)
        if page != 2:
            return found
        ids = tuple(one.id for one in found.products)
        return dataclasses.replace(found, products=found.products[2:], sent=ids, unread=("P10", "P11"))


@pytest.mark.anyio
async def test_records_that_cannot_be_read_are_told_by_name():
    events = []
    async with search(build_query(collection="S1"), UnreadCatalogue(25), events.append) as pages:
        found = [one.name async for page in pages for one in page]

    assert {f"P{number}" for number in range(25)} - {"P10", "P11"} == set(found)
    failed = [event for event in events if isinstance(event, ProductFailed)]
    assert [("P10", "ProtocolError"), ("P11", "ProtocolError")] == [(event.name, event.error) for event in failed]
    assert all("cannot be read" in event.message for event in failed)


@pytest.mark.anyio
async def test_products_of_other_collections_are_left_out_and_told_once():
    events, catalogue = [], Catalogue(35)
    catalogue.products[3:33:2] = [product(f"S2A_{number}", collection="S2") for number in range(15)]
    async with search(build_query(collection="S1"), catalogue, events.append) as pages:
        found = [one.name async for page in pages for one in page]

    assert 20 == len(found)
    assert not any(name.startswith("S2") for name in found)
    [notice] = [event.message for event in events if isinstance(event, Noticed)]
    assert "not of the collection S1, such as S2A_0" in notice


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("criteria", "is_told"),
    [
        ({"collection": "S1"}, True),
        ({"product": "GRD"}, True),
        ({"collection": "S2"}, False),
        ({"tile": "31TCJ"}, False),
    ],
)
async def test_a_limit_of_clouds_for_radar_is_said_to_have_no_effect(criteria, is_told):
    events = []
    query = dataclasses.replace(build_query(**criteria), cloud_cover=20.0)
    async with search(query, Catalogue(0), events.append) as pages:
        _ = [page async for page in pages]

    assert is_told is any("radar" in event.message for event in events if isinstance(event, Noticed))


class PlacesCatalogue(Catalogue):
    """Searches by place name itself."""

    def __init__(self, count):
        super().__init__(count)
        self.limits = dataclasses.replace(self.limits, knows_places=True)


@pytest.mark.anyio
async def test_a_misspelt_place_at_which_nothing_was_found_is_refused():
    async with search(build_query(location="Toulose"), PlacesCatalogue(0), print) as pages:
        with pytest.raises(AreaError, match="Did you mean Toulouse"):
            await anext(pages)
    for known, count in (("Toulouse", 0), ("Toulose", 3)):
        async with search(build_query(location=known), PlacesCatalogue(count), print) as pages:
            assert count == len([one async for page in pages for one in page])


class NamesCatalogue(Catalogue):
    """Asked for one name at a time; some names it does not know."""

    def slices(self, query):
        return [dataclasses.replace(query, names=(name,)) for name in query.names]

    async def search_page(self, query, page):
        await super().search_page(query, page)
        known = tuple(one for one in self.products if one.name in query.names)
        return SearchPage(known, is_last=True, total=len(known))


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 4])
async def test_names_are_asked_for_several_at_once_and_found_in_order(at_once):
    catalogue = NamesCatalogue(100, at_once=at_once)
    wanted = tuple(f"P{number}" for number in range(120, -1, -1))
    query = Query(names=wanted)
    found = [one.name for one in await found_by(query, catalogue)]

    assert list(wanted[21:]) == found
    assert (121, at_once) == (len(catalogue.asked_pages), catalogue.most)


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 4])
async def test_few_names_too_many_are_asked_for(at_once):
    catalogue = NamesCatalogue(100, at_once=at_once)
    query = Query(names=tuple(f"P{number}" for number in range(100)), limit=2)
    found = [one.name for one in await found_by(query, catalogue)]

    assert ["P0", "P1"] == found
    assert len(catalogue.asked_pages) <= 2 + UNREAD * at_once


@pytest.mark.anyio
async def test_the_same_page_again_and_again_is_an_error():
    catalogue = Catalogue(100)
    catalogue.products[10:] = 9 * catalogue.products[:10]

    with pytest.raises(ProtocolError, match="returned page 2 repeatedly"):
        await names(catalogue)


@given(st.lists(st.text(max_size=2)))
def test_an_id_is_new_once(ids):
    seen, known = Seen(), set()

    for identity in ids:
        assert (identity not in known) == seen.add(identity)
        known.add(identity)
    assert len(known) == len(seen)


def test_ids_are_remembered_while_the_table_grows():
    seen = Seen()

    assert all(seen.add(f"id-{number}") for number in range(5_000))
    assert not any(seen.add(f"id-{number}") for number in range(5_000))
    assert len(seen) == 5_000


@pytest.mark.anyio
@pytest.mark.parametrize(("tile", "count", "told"), [("31TDP", 0, True), ("31TDP", 1, False), ("31TCJ", 0, False)])
async def test_nothing_in_a_tile_that_has_two_names_is_told_with_the_other(tile, count, told):
    events, provider = [], Catalogue(count)
    provider.products = [dataclasses.replace(one, tile=tile) for one in provider.products]

    async with search(Query(tile=tile), provider, events.append) as pages:
        found = [one async for page in pages for one in page]

    assert len(found) == count
    assert [("31UDP" in event.message) for event in events if isinstance(event, Noticed)] == [True] * told
