"""Pages of a search: which are asked for, how many at once, and each product once."""

import dataclasses

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeProvider, product
from pepsasync.criteria import build_query
from pepsasync.errors import ProtocolError, ServerError
from pepsasync.model import Query, StorageTier
from pepsasync.providers.base import Limits, SearchPage
from pepsasync.stages.paging import UNREAD
from pepsasync.stages.search import search
from pepsasync.stages.seen import Seen


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
        return SearchPage(
            tuple(found), is_last=not found, total=len(self.products), sent=tuple(one.id for one in found)
        )


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize(
    ("served", "count", "pages"), [(10, 95, 10), (10, 100, 10), (3, 100, 34), (3, 99, 33), (9, 10, 2)]
)
async def test_as_many_pages_are_read_as_it_takes_and_no_more(served, count, pages, at_once):
    catalogue = ModestCatalogue(count, served=served, at_once=at_once)

    assert [f"P{number}" for number in range(count)] == await names(catalogue)
    assert list(range(1, pages + 1)) == sorted(catalogue.asked_pages)


class BoastfulCatalogue(ModestCatalogue):
    """Says that there is more than there is."""

    async def search_page(self, query, page):
        return dataclasses.replace(await super().search_page(query, page), total=40)


@pytest.mark.anyio
async def test_an_empty_page_ends_a_search_that_has_not_found_all_it_was_told_of():
    catalogue = BoastfulCatalogue(25, served=10)

    assert [f"P{number}" for number in range(25)] == await names(catalogue)
    assert [1, 2, 3, 4] == sorted(catalogue.asked_pages)


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

    with pytest.raises(ProtocolError, match="again and again"):
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
