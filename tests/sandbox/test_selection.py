"""Later pages come from what was found for the first, until the catalogue changes."""

from types import SimpleNamespace

import pytest

from pepsasync.sandbox.results import KEPT, Results
from pepsasync.sandbox.selection import find

pytestmark = pytest.mark.anyio


class Catalogue:
    """Counts how often it was looked through."""

    def __init__(self):
        self.archive = SimpleNamespace(
            edition=0, results=Results(), faults=SimpleNamespace(strikes=self.strikes), publish_newer=self.publish
        )
        self.looks = 0
        self.shifts = False
        self.products = ["A", "B"]

    def strikes(self, name, key):
        return self.shifts and name == "page-shift"

    def publish(self, product):
        self.products.insert(0, f"{product} again")
        self.archive.edition += 1

    def look(self):
        self.looks += 1
        return list(self.products)

    async def ask(self, search="all", *, is_later_page=False):
        return await find(self.archive, self.look, key="request", search=search, is_later_page=is_later_page)


async def test_a_search_is_made_once():
    catalogue = Catalogue()
    for is_later_page in (False, True, True):
        assert ["A", "B"] == await catalogue.ask(is_later_page=is_later_page)

    assert 1 == catalogue.looks


async def test_other_searches_and_those_without_a_name_are_made_themselves():
    catalogue = Catalogue()
    for search in ("all", "some", None, None):
        await catalogue.ask(search)

    assert 4 == catalogue.looks


async def test_what_was_published_meanwhile_is_found():
    catalogue = Catalogue()
    await catalogue.ask()
    catalogue.publish("C")

    assert ["C again", "A", "B"] == await catalogue.ask()


async def test_a_page_that_shifts_is_found_anew():
    catalogue = Catalogue()
    await catalogue.ask()
    catalogue.shifts = True

    assert ["A again", "A", "B"] == await catalogue.ask(is_later_page=True)


async def test_only_the_latest_searches_are_remembered():
    catalogue = Catalogue()
    for number in range(KEPT + 1):
        await catalogue.ask(str(number))
    await catalogue.ask("1")
    assert KEPT + 1 == catalogue.looks
    await catalogue.ask("0")

    assert KEPT + 2 == catalogue.looks
