"""Search: a query goes in, wanted products come out, each once, newest acquisition first.

Archives ignore filters, repeat products and shift pages while new ones are published, so everything that arrives is
checked again here.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from anyio import to_thread

from pepsasync.area.tile_grid import other_name
from pepsasync.engine.paging import Paging
from pepsasync.errors import ProviderError
from pepsasync.events import Noticed, SearchFinished
from pepsasync.groups import task_group
from pepsasync.model import several
from pepsasync.query.attributes import check_conditions, conditions
from pepsasync.query.missions import is_radar
from pepsasync.query.processings import latest, online_twins
from pepsasync.query.rank import ranked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from shapely.geometry.base import BaseGeometry

    from pepsasync.engine.paging import Failures
    from pepsasync.events import Emit
    from pepsasync.model import Attribute, Product, Query
    from pepsasync.providers.base import Provider

PAGES_AHEAD = 2
"""Pages that may wait for whoever works on them before the next one is read."""

MOST_HELD = 5_000
"""Products of one acquisition instant that are held back to be compared."""

_TWO_NAMES = "MGRS has the square of tile {} twice, since two latitude bands share it: its products may be named {}"
_NO_ATTRIBUTE = "no product that {} sent has an attribute {!r}, so none matches"
_OTHER = "{} sends products that are not of the collection {}, such as {}; they are left out"


@asynccontextmanager
async def search(
    query: Query, provider: Provider, emit: Emit, failures: Failures | None = None
) -> AsyncIterator[AsyncGenerator[list[Product], None]]:
    """Open a loop over pages of wanted products; leaving the block ends the search.

    Whoever wants to work while pages are read sends them into a stream with room for `PAGES_AHEAD` of them.

    Args:
        query: What to look for.
        provider: Which archive.
        emit: Gets a `PageSearched` a page, one `SearchFinished`, and a `Noticed` when nothing was found in a collection
            that is not known, or in a tile that has two names.
        failures: Gets names that could not be looked up, and of records that could not be read, while the others are;
            None raises the first error, and tells of such records as `ProductFailed`.

    Raises:
        IncompleteError: After everything that was found: the archive had announced more.
        ProviderError: The archive did not answer as it should.
        ConfigError: The archive cannot answer such a query.
    """
    async with task_group() as requests:
        async with aclosing(_chosen(query, provider, emit, Paging(provider, emit, requests, failures))) as pages:
            yield pages
        requests.cancel_scope.cancel()


async def _chosen(query: Query, provider: Provider, emit: Emit, paging: Paging) -> AsyncGenerator[list[Product], None]:
    """Pages of wanted products, no more than are wanted.

    Raises:
        AreaError: Nothing was found at a place that nobody knows.
    """
    if query.property:
        await _check_properties(query, provider)
    if query.cloud_cover is not None and is_radar(query):
        emit(Noticed(message="cloud cover does not apply to radar products; the limit is ignored"))
    needs_area = query.cover is not None or query.sort == "cover" or query.buffer is not None
    if query.location is not None and (needs_area or not provider.limits.knows_places):
        query = await _placed(query, emit)
    if query.buffer is not None:
        query = await _widened(query)
    count = size = 0
    found = _by_instant(_wanted(query, provider, emit, paging), query)
    async with aclosing(_in_order(found, query) if query.sort or query.per else found) as pages:
        async for products in pages:
            chosen = products if query.limit is None else products[: query.limit - count]
            count += len(chosen)
            size += sum(product.size or 0 for product in chosen)
            if chosen:
                yield chosen
            if count == query.limit:
                break
    emit(SearchFinished(products=count, bytes=size))
    if paging.shortfall and count != query.limit:
        raise paging.shortfall
    if not count:
        await _explain_nothing(query, provider, emit)


async def _check_properties(query: Query, provider: Provider) -> None:
    """Compare the archive's own attributes that a query names with those that it has.

    Raises:
        ConfigError: It has no such attribute, or not with such a value.
        ProviderError: It serves nobody at the moment.
    """
    known: dict[str, Attribute] = {}
    for collection in several(query.collection) or (None,):
        known |= await provider.attributes(collection)
    if known:
        asked = " ".join(several(query.collection)[:1])
        check_conditions(query, known, f"'pepsasync collections {provider.name}{asked and f' {asked}'}' lists them")


async def _explain_nothing(query: Query, provider: Provider, emit: Emit) -> None:
    """Report what may be wrong with a query that found nothing.

    Raises:
        AreaError: It is a place that nobody knows.
    """
    from pepsasync.providers.collections import doubt  # noqa: PLC0415 - not needed when something is found

    for collection in several(query.collection):
        if words := doubt(provider.name, collection):
            emit(Noticed(message=words))
    for tile in several(query.tile):
        if other := other_name(tile):
            emit(Noticed(message=_TWO_NAMES.format(tile, other)))
    for location in several(query.location):
        from pepsasync.area import places  # noqa: PLC0415 - loads the gazetteer

        await to_thread.run_sync(places.find_place, location)  # says what may have been meant


async def _wanted(query: Query, provider: Provider, emit: Emit, paging: Paging) -> AsyncGenerator[list[Product], None]:
    """Pages of products that match, each product once.

    Products of other collections are reported once, and attributes that a query names and no product has.
    """
    is_told, untold, has_any = False, {*conditions(query)}, False
    async with aclosing(paging.products(query)) as pages:
        async for products in pages:
            new = paging.judged(products)
            has_any |= bool(new)
            untold.difference_update(*(product.attributes or () for product, _ in new))
            if not is_told and (other := next((product for product, why in new if why == "collection"), None)):
                is_told = True
                asked = ", ".join(several(query.collection))
                emit(Noticed(message=_OTHER.format(provider.name, asked, other.name)))
            yield [product for product, why in new if why is None]
    for name in sorted(untold) if has_any else ():
        emit(Noticed(message=_NO_ATTRIBUTE.format(provider.name, name)))


async def _in_order(pages: AsyncGenerator[list[Product], None], query: Query) -> AsyncGenerator[list[Product], None]:
    """All products as one page, in the order that the query asks for."""
    found: list[Product] = []
    trouble: ProviderError | None = None
    async with aclosing(pages):
        try:
            async for page in pages:
                found += page
        except ProviderError as error:
            trouble = error
    yield await to_thread.run_sync(ranked, found, query)
    if trouble:
        raise trouble


async def _placed(query: Query, emit: Emit) -> Query:
    """The query with an area in place of place names.

    Raises:
        AreaError: There is no such place, or there are several of the name.
    """
    from pepsasync.area import aoi, places  # noqa: PLC0415 - loads the gazetteer, and needed only with a place

    areas = []
    for text in several(query.location):
        place = await to_thread.run_sync(places.find_one, text)
        emit(Noticed(message=places.describe(place)))
        areas.append(places.place_area(place))
    return replace(query, location=None, area=aoi.together(areas))


async def _widened(query: Query) -> Query:
    """The query with a wider area in place of its own, or of its tiles.

    Raises:
        AreaError: It would reach a pole.
    """
    from pepsasync.area import aoi, widen  # noqa: PLC0415 - slow to import, and needed only with a buffer

    def work() -> BaseGeometry:
        area = query.area or aoi.together([aoi.tile(tile) for tile in several(query.tile)])
        return widen.widen(area, query.buffer or 0.0)

    return replace(query, area=await to_thread.run_sync(work), tile=None, buffer=None)


def _choose(products: list[Product], query: Query) -> list[Product]:
    """Of the products of each acquisition those that are wanted."""
    if query.latest:
        products = latest(products)
    return online_twins(products) if query.twins else products


async def _by_instant(pages: AsyncGenerator[list[Product], None], query: Query) -> AsyncGenerator[list[Product], None]:
    """Pages without an acquisition instant that goes on in the next: products of one are compared with each other.

    Relies on results ordered by acquisition, so that all processings of one acquisition are neighbours.
    """
    held: list[Product] = []
    trouble: ProviderError | None = None
    async with aclosing(pages):
        try:
            async for products in pages:
                held += products
                last = held[-1].start if held and len(held) < MOST_HELD else None
                ready = [p for p in held if last is None or p.start != last]
                held = [p for p in held if last is not None and p.start == last]
                yield _choose(ready, query)
        except ProviderError as error:
            trouble = error
    if held:
        yield _choose(held, query)
    if trouble:
        raise trouble
