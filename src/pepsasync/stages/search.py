"""Search: a query goes in, wanted products come out, each once, newest acquisition first.

Archives ignore filters, repeat products and shift pages while new ones are published, so everything that arrives is
checked again here. Pages are fetched while earlier products are already being worked on.
"""

from __future__ import annotations

from array import array
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from pepsasync.decide.select import is_wanted, latest
from pepsasync.errors import AuthError, ProtocolError, ProviderError
from pepsasync.events import Noticed, PageSearched, SearchFinished
from pepsasync.io.groups import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from pepsasync.events import Emit
    from pepsasync.model import Product, Query, StorageTier
    from pepsasync.providers.base import Provider, SearchPage

PAGES_AHEAD = 2
"""Pages that may wait for whoever works on them before the next one is fetched."""

ROUNDS = 12
"""Requests one after the other in one go, at most. Between two goes the archive has nothing to do until the last page
is read, and nobody has the first one until then. Small ones first, since many searches end soon."""

LARGEST_GROUP = 4_000
"""Products in one go, at most, unless the archive takes more at once."""

MOST_PAGES = 100_000
"""Guard against an archive that never sends an empty page."""

_FIRST_SLOTS = 1 << 10
"""A power of two, as all sizes of the table."""

_MARKS = (1 << 64) - 1
"""Hashes as unsigned numbers."""


class Seen:
    """Ids that came before, in 12 to 24 bytes each: a set keeps every id, and a run may have a million.

    Only hashes are kept. Two of a million ids have the same one in one of 30 million runs; the second is then missed.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _FIRST_SLOTS))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, identity: str) -> bool:
        """Remember an id; returns whether it is new."""
        mark = hash(identity) & _MARKS or 1  # 0 is an empty slot
        slots, last = self._slots, len(self._slots) - 1
        place = mark & last
        while there := slots[place]:
            if there == mark:
                return False
            place = (place + 1) & last
        slots[place] = mark
        self._count += 1
        if 3 * self._count > 2 * len(slots):
            self._grow()
        return True

    def _grow(self) -> None:
        """Double the slots."""
        marks, size = self._slots, 2 * len(self._slots)
        self._slots = slots = array("Q", bytes(8 * size))
        for mark in filter(None, marks):
            place = mark & (size - 1)
            while slots[place]:
                place = (place + 1) & (size - 1)
            slots[place] = mark


async def search(query: Query, provider: Provider, emit: Emit) -> AsyncGenerator[list[Product], None]:
    """Pages of wanted products; a page is fetched when it is asked for.

    Whoever wants pages fetched ahead reads this into a stream with room for `PAGES_AHEAD` of them.

    Args:
        query: What to look for.
        provider: Which archive.
        emit: Gets a `PageSearched` a page and one `SearchFinished`.

    Raises:
        ProviderError: The archive did not answer as it should.
        ConfigError: The archive cannot answer such a query.
    """
    if query.location is not None and not provider.limits.knows_places:
        query = await _placed(query, query.location, emit)
    count = size = 0
    async with aclosing(_newest_processing(query, _wanted(query, provider, emit))) as pages:
        async for products in pages:
            chosen = products if query.limit is None else products[: query.limit - count]
            count += len(chosen)
            size += sum(product.size or 0 for product in chosen)
            if chosen:
                yield chosen
            if count == query.limit:
                break
    emit(SearchFinished(products=count, bytes=size))


async def _wanted(query: Query, provider: Provider, emit: Emit) -> AsyncGenerator[list[Product], None]:
    """Pages of products that match, each product once."""
    seen = Seen()
    async with aclosing(_begun(provider.slices(query), provider)) as parts:
        async for part, first in parts:
            async with aclosing(_pages(part, first, provider, emit)) as pages:
                async for products in pages:
                    yield [product for product in products if seen.add(product.id) and is_wanted(product, query)]


async def _begun(parts: Sequence[Query], provider: Provider) -> AsyncGenerator[tuple[Query, SearchPage], None]:
    """Slices with their first page, which is all there is of most: of those by name, several are asked for at once."""
    begun, group = 0, provider.limits.search_pages
    while begun < len(parts):
        together = parts[begun : begun + group]
        for part, first in zip(together, await _ask([(part, 1) for part in together], provider), strict=True):
            yield part, first
        begun, group = begun + len(together), _next_group(group, provider)


async def _pages(
    query: Query, first: SearchPage, provider: Provider, emit: Emit
) -> AsyncGenerator[tuple[Product, ...], None]:
    """All pages of one slice in order, several asked for at once as long as the archive says that there are more.

    An archive that sends a page twice in a row is believed to go in circles.
    """
    pages, before = [first], tuple[str, ...]()
    number, known, told, group = 1, 1, 0, provider.limits.search_pages
    while told < MOST_PAGES:
        for page in pages:
            number, told = number + 1, told + 1
            emit(PageSearched(page=told, products=len(page.products), total=page.total))
            ids = tuple(product.id for product in page.products)
            if ids and ids == before:
                raise ProtocolError(f"{provider.name} sends the same page {told} again and again")
            before = ids
            yield page.products
            known = max(known, -(-(page.total or 0) // provider.limits.page_size))
            if page.is_last and page.rest is None:
                return
            if page.is_last and page.rest is not None:
                query, number, known, before, group = page.rest, 1, 1, (), provider.limits.search_pages
                break
        count = max(1, min(group, known - number + 1))
        group = _next_group(group, provider) if count == group else group
        pages = await _ask([(query, ahead) for ahead in range(number, number + count)], provider)
    raise ProtocolError(f"{provider.name} sends more than {MOST_PAGES:,} pages")


def _next_group(group: int, provider: Provider) -> int:
    """How many pages to ask for in the next go."""
    at_once = provider.limits.search_pages
    return min(2 * group, max(at_once, min(ROUNDS * at_once, LARGEST_GROUP // provider.limits.page_size)))


async def _ask(wanted: Sequence[tuple[Query, int]], provider: Provider) -> list[SearchPage]:
    """Some pages in order, with tiers, as many at once as the archive bears."""
    pages: dict[int, SearchPage] = {}
    turns = anyio.CapacityLimiter(provider.limits.search_pages)

    async def one(place: int, query: Query, number: int) -> None:
        async with turns:
            page = await provider.search_page(query, number)
            pages[place] = page if provider.limits.tiers_in_search else await _located(page, provider)

    async with task_group() as requests:
        for place, (query, number) in enumerate(wanted):
            requests.start_soon(one, place, query, number)
    return [pages[place] for place in range(len(wanted))]


async def _placed(query: Query, text: str, emit: Emit) -> Query:
    """The query with an area in place of a place name.

    Raises:
        AreaError: There is no such place.
    """
    from pepsasync.area import places  # noqa: PLC0415 - loads the gazetteer, and needed only with a place

    place = await to_thread.run_sync(places.find_place, text)
    emit(Noticed(message=places.describe(place)))
    return replace(query, location=None, area=places.place_area(place))


async def _located(page: SearchPage, provider: Provider) -> SearchPage:
    """Products with the tier that another call tells; a call that fails leaves them as they are.

    Raises:
        AuthError: The archive refused the credentials.
    """
    products, batch = page.products, provider.limits.poll_batch
    tiers: dict[str, StorageTier] = {}
    for first in range(0, len(products), batch):
        try:
            tiers |= await provider.tiers(products[first : first + batch])
        except AuthError:
            raise
        except ProviderError:
            continue
    located = (replace(product, tier=tiers.get(product.id, product.tier)) for product in products)
    return replace(page, products=tuple(located))


async def _newest_processing(
    query: Query, pages: AsyncGenerator[list[Product], None]
) -> AsyncGenerator[list[Product], None]:
    """With `latest`, hold back the last acquisition instant of each page: its other processings may follow.

    Relies on results ordered by acquisition, so that all processings of one acquisition are neighbours.
    """
    held: list[Product] = []
    async with aclosing(pages):
        async for products in pages:
            if not query.latest:
                yield products
                continue
            held += products
            last = held[-1].start if held else None
            ready, held = [p for p in held if p.start != last], [p for p in held if p.start == last]
            yield latest(ready)
    if held:
        yield latest(held)
