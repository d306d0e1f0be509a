"""Search: a query goes in, wanted products come out, each once, newest acquisition first.

Archives ignore filters, repeat products and shift pages while new ones are published, so everything that arrives is
checked again here. Pages are fetched while earlier products are already being worked on.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from pepsasync.decide.select import is_wanted, latest
from pepsasync.errors import ProtocolError
from pepsasync.events import PageSearched, SearchFinished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from pepsasync.events import Emit
    from pepsasync.model import Product, Query
    from pepsasync.providers.base import Provider

PAGES_AHEAD = 2
"""Pages that may wait for whoever works on them before the next one is fetched."""

MOST_PAGES = 100_000
"""Guard against an archive that never sends an empty page."""


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
    seen: set[str] = set()
    for part in provider.slices(query):
        async with aclosing(_pages(part, provider, emit)) as pages:
            async for products in pages:
                yield [product for product in _unseen(products, seen) if is_wanted(product, query)]


async def _pages(query: Query, provider: Provider, emit: Emit) -> AsyncGenerator[tuple[Product, ...], None]:
    """All pages of one slice; an archive that sends a page twice in a row is believed to go in circles."""
    before: tuple[str, ...] = ()
    for number in range(1, MOST_PAGES + 1):
        page = await provider.search_page(query, number)
        emit(PageSearched(page=number, products=len(page.products), total=page.total))
        ids = tuple(product.id for product in page.products)
        if ids and ids == before:
            raise ProtocolError(f"{provider.name} sends the same page {number} again and again")
        before = ids
        yield page.products
        if page.is_last:
            return
    raise ProtocolError(f"{provider.name} sends more than {MOST_PAGES:,} pages")


def _unseen(products: Iterable[Product], seen: set[str]) -> Iterable[Product]:
    for product in products:
        if product.id not in seen:
            seen.add(product.id)
            yield product


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
