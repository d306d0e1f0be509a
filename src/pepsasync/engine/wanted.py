"""From what the user wants (a query, products, names) to pages of products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pepsasync.engine.paging import Failures
from pepsasync.engine.search import search
from pepsasync.engine.seen import Seen
from pepsasync.errors import NotFoundError
from pepsasync.events import ProductFailed, ProductSuperseded, SearchFellShort, SearchFinished
from pepsasync.model import Delivery, DeliveryStatus, Product, Query, Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.engine.recorder import Recorder
    from pepsasync.errors import ProviderError
    from pepsasync.events import Emit, Event
    from pepsasync.model import Shard
    from pepsasync.providers.base import Provider

TOGETHER = 500
"""Products or names of an iterable that are taken at once; it may be as long as a journal."""


async def feed(  # noqa: C901 - one loop over all that may be wanted
    wanted: Wanted,
    provider: Provider,
    recorder: Recorder,
    pages: MemoryObjectSendStream[list[Product]],
    outcomes: MemoryObjectSendStream[Delivery],
    shard: Shard | None = None,
) -> None:
    """Send every wanted product once, and a failed outcome for each name that the archive does not know or look up.

    Of several with one name, which is what their files are called, one is sent: of those that come together the one
    published last. The others are reported as `ProductSuperseded`.

    Args:
        wanted: A query, or products, names and queries.
        provider: Which archive.
        recorder: Notes what was asked for and what was found, and gets the events of the search.
        pages: Closed at the end.
        outcomes: Closed at the end.
        shard: Only these products and names; a search is for all of them.

    Raises:
        ProviderError: The archive did not answer as it should, to a query or to any name.
        ConfigError: The archive cannot answer such a query.
    """
    names, ids, mine = Seen(), Seen(), Counter[str]()
    if shard is not None and not isinstance(wanted, Query):
        wanted = _of_shard(wanted, shard)
    names_order = await recorder.order(wanted) if isinstance(wanted, Collection) else None

    async def found(order: int | None, products: list[Product]) -> None:
        if shard is not None:
            products = [product for product in products if shard.has(product.name)]
            mine.update(products=len(products), bytes=sum(product.size or 0 for product in products))
        new = [product for product in _newest(products).values() if names.add(product.name)]
        fetched = {product.id for product in new}
        for product in products:
            if ids.add(product.id) and product.id not in fetched and product.provider == provider.name:
                recorder.take(ProductSuperseded(id=product.id, name=product.name))
        if new:
            await recorder.found(order, new)
            await pages.send(new)

    short: list[SearchFellShort] = []

    def take(event: Event) -> None:
        if isinstance(event, SearchFellShort):
            short.append(event)
        if isinstance(event, SearchFinished) and shard is not None:
            event = replace(event, products=mine["products"], bytes=mine["bytes"])
        recorder.take(event)

    async with pages, outcomes:
        for part in _parts(wanted):
            order = await recorder.order(part) if isinstance(part, Query) else names_order
            if not isinstance(part, Query):
                await found(order, [item for item in part if isinstance(item, Product)])
            missing: dict[str, ProviderError] = {}
            short.clear()
            mine.clear()
            if query := _query(part):
                missing = await _look_for(query, partial(found, order), provider, take)
                for name, error in missing.items():
                    await outcomes.send(_fail(name, error, provider, recorder.take))
            is_whole = not short and (query is None or missing.keys() <= {*query.names})
            if order != names_order and is_whole:  # else another run searches again
                recorder.search_finished(order)
        recorder.search_finished(names_order)


def _of_shard(wanted: Iterable[Product | str | Query], shard: Shard) -> Collection[Any] | Iterator[Any]:
    """What of a list, or of an iterator, belongs to a part, and all queries."""

    def is_mine(item: Product | str | Query) -> bool:
        return isinstance(item, Query) or shard.has(item.name if isinstance(item, Product) else item)

    return [*filter(is_mine, wanted)] if isinstance(wanted, Collection) else filter(is_mine, wanted)


def _newest(products: list[Product]) -> dict[str, Product]:
    """Of each name the product that was published last."""
    newest: dict[str, Product] = {}
    for product in products:
        other = newest.setdefault(product.name, product)
        if product.published and (other.published is None or product.published > other.published):
            newest[product.name] = product
    return newest


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


def _query(part: Query | list[Product | str]) -> Query | None:
    """The query for a part of what is wanted; None when it needs none."""
    if isinstance(part, Query):
        return part
    names = tuple(dict.fromkeys(item for item in part if isinstance(item, str)))
    return Query(names=names) if names else None


async def _look_for(
    query: Query, found: Callable[[list[Product]], Awaitable[None]], provider: Provider, emit: Emit
) -> dict[str, ProviderError]:
    """Pass on what the archive has.

    Returns:
        Why each other name is missing, and each record that could not be read; nothing when the limit was reached.
    """
    missing, failures, count = dict.fromkeys(query.names), Failures(), 0
    known = frozenset(query.names)
    async with search(query, provider, emit, failures) as pages:
        async for products in pages:
            count += len(products)
            for product in products:
                missing.pop(product.name, None)
            await found(products)
    if count == query.limit:
        return {}
    unread = {name: error for name, error in failures.items() if name not in known}
    return unread | {name: failures.get(name) or _not_found(name, query, provider) for name in sorted(missing)}


def _not_found(name: str, query: Query, provider: Provider) -> NotFoundError:
    is_narrowed = replace(query, names=(), limit=None) != Query()
    return NotFoundError(
        f"{provider.name} has no such product{' that fits the other criteria' if is_narrowed else ''}",
        product=name,
        hint=f"Check the name{' and them' if is_narrowed else ''}, or try another archive",
    )


def _fail(name: str, error: ProviderError, provider: Provider, emit: Emit) -> Delivery:
    """Report that nothing can be delivered under a name, and why."""
    error.product = error.product or name
    product = Product(id=name, name=name, provider=provider.name, collection="", download_url="")
    emit(ProductFailed(id=name, name=name, error=type(error).__name__, message=str(error)))
    return Delivery(product=product, status=DeliveryStatus.FAILED, source=provider.name, error=error)
