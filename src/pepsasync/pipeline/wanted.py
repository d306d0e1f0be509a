"""From what the user wants (a query, products, names) to pages of products."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING

from pepsasync.errors import NotFoundError
from pepsasync.events import ProductFailed
from pepsasync.model import Delivery, DeliveryStatus, Product, Query
from pepsasync.stages.search import Seen, search

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.events import Emit
    from pepsasync.pipeline.record import Recorder
    from pepsasync.providers.base import Provider

Wanted = Query | Iterable[Product | str | Query]
"""What `Client.fetch` takes."""

TOGETHER = 500
"""Products or names of an iterable that are taken at once; it may be as long as a journal."""


async def feed(
    wanted: Wanted,
    provider: Provider,
    recorder: Recorder,
    pages: MemoryObjectSendStream[list[Product]],
    outcomes: MemoryObjectSendStream[Delivery],
) -> None:
    """Send every wanted product once, and a failed outcome for each name that the archive does not know.

    Args:
        wanted: A query, or products, names and queries.
        provider: Which archive.
        recorder: Notes what was asked for and what was found, and gets the events of the search.
        pages: Closed at the end.
        outcomes: Closed at the end.

    Raises:
        ProviderError: The archive did not answer as it should.
        ConfigError: The archive cannot answer such a query.
    """
    seen = Seen()
    names_order = await recorder.order(wanted) if isinstance(wanted, Collection) else None
    async with pages, outcomes:
        for part in _parts(wanted):
            order = await recorder.order(part) if isinstance(part, Query) else names_order
            async with aclosing(_found(part, provider, recorder)) as batches:
                async for products, unknown in batches:
                    new = [product for product in products if seen.add(product.id)]
                    if new:
                        await recorder.found(order, new)
                        await pages.send(new)
                    for name in unknown:
                        await outcomes.send(_unknown(name, provider, recorder.take))
            recorder.search_finished(order)


def _parts(wanted: Wanted) -> Iterator[Query | list[Product | str]]:
    """Queries one by one, products and names some together."""
    items = iter([wanted]) if isinstance(wanted, Query) else iter(wanted)
    together: list[Product | str] = []
    for item in items:
        if isinstance(item, Query):
            yield item
            continue
        together.append(item)
        if len(together) == TOGETHER:
            yield together
            together = []
    if together:
        yield together


async def _found(
    part: Query | list[Product | str], provider: Provider, recorder: Recorder
) -> AsyncGenerator[tuple[list[Product], list[str]], None]:
    """Products of one part, and at its end the names that were not found."""
    if isinstance(part, Query):
        query: Query | None = part
    else:
        names = tuple(dict.fromkeys(item for item in part if isinstance(item, str)))
        query = Query(names=names) if names else None
        yield [item for item in part if isinstance(item, Product)], []
    if query is None:
        return
    missing = dict.fromkeys(query.names)
    async with aclosing(search(query, provider, recorder.take)) as found:
        async for products in found:
            for product in products:
                missing.pop(product.name, None)
            yield products, []
    yield [], sorted(missing)


def _unknown(name: str, provider: Provider, emit: Emit) -> Delivery:
    error = NotFoundError(
        f"{provider.name} has no such product", product=name, hint="Check the name, or try another archive"
    )
    product = Product(id=name, name=name, provider=provider.name, collection="", download_url="")
    emit(ProductFailed(id=name, name=name, error=type(error).__name__, message=str(error)))
    return Delivery(product=product, status=DeliveryStatus.FAILED, source=provider.name, error=error)
