"""From what the user wants (a query, products, names) to pages of products."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from pepsasync.errors import NotFoundError
from pepsasync.events import ProductFailed
from pepsasync.model import Delivery, DeliveryStatus, Product, Query
from pepsasync.stages.search import search

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream

    from pepsasync.events import Emit
    from pepsasync.providers.base import Provider

Wanted = Query | Iterable[Product | str]
"""What `Client.fetch` takes."""


async def feed(
    wanted: Wanted,
    provider: Provider,
    emit: Emit,
    pages: MemoryObjectSendStream[list[Product]],
    outcomes: MemoryObjectSendStream[Delivery],
) -> None:
    """Send every wanted product once, and a failed outcome for each name that the archive does not know.

    Args:
        wanted: A query, or products and names.
        provider: Which archive.
        emit: Gets the events of the search.
        pages: Closed at the end.
        outcomes: Closed at the end.

    Raises:
        ProviderError: The archive did not answer as it should.
        ConfigError: The archive cannot answer such a query.
    """
    given, query = _sorted_out(wanted)
    names = set(query.names if query else ())
    async with pages, outcomes:
        if given:
            await pages.send(list(given.values()))
        if query is not None:
            async with aclosing(search(query, provider, emit)) as found:
                async for products in found:
                    names.difference_update(product.name for product in products)
                    await pages.send([product for product in products if product.id not in given])
        for name in sorted(names):
            await outcomes.send(_unknown(name, provider, emit))


def _sorted_out(wanted: Wanted) -> tuple[dict[str, Product], Query | None]:
    if isinstance(wanted, Query):
        return {}, wanted
    items = list(wanted)
    given = {item.id: item for item in items if isinstance(item, Product)}
    names = dict.fromkeys(item for item in items if isinstance(item, str))
    return given, replace(Query(), names=tuple(names)) if names else None


def _unknown(name: str, provider: Provider, emit: Emit) -> Delivery:
    error = NotFoundError(
        f"{provider.name} has no such product", product=name, hint="Check the name, or try another archive"
    )
    product = Product(id=name, name=name, provider=provider.name, collection="", download_url="")
    emit(ProductFailed(id=name, name=name, error=type(error).__name__, message=str(error)))
    return Delivery(product=product, status=DeliveryStatus.FAILED, source=provider.name, error=error)
