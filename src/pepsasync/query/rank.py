"""Which of the products that match come first, and which are the best of their day or tile. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pepsasync.query.processings import newness
from pepsasync.query.select import covered, shows_radar, tile_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from pepsasync.model import Product, Query


def ranked(products: Iterable[Product], query: Query) -> list[Product]:
    """Return products in the order that a query asks for, and of each day or tile only the best.

    Args:
        products: All that match, in any order.
        query: With `sort` and `per`.

    Returns:
        Without `sort` the newest acquisition first, and then the clearest product is the best of its day or tile.
        Of equals the newest acquisition comes first, then the newest processing, then the first name.
    """
    found = sorted(products, key=lambda product: product.name)
    found.sort(key=newness, reverse=True)
    found.sort(key=_key("date", query))
    if query.per:
        best: dict[Hashable, Product] = {}
        for product in sorted(found, key=_key(query.sort or "clouds", query)):
            best.setdefault(tuple(_PARTS[word](product) for word in query.per), product)
        kept = {id(product) for product in best.values()}
        found = [product for product in found if id(product) in kept]
    return sorted(found, key=_key(query.sort or "date", query))


def _key(sort: str, query: Query) -> Callable[[Product], float]:
    """What to sort by; unknown values come last."""
    if sort == "clouds":
        return lambda product: 101.0 if product.cloud_cover is None or shows_radar(product) else product.cloud_cover
    if sort == "size":
        return lambda product: -(product.size or 0)
    if sort == "cover":
        return lambda product: -(covered(product, query) or 0.0)
    return lambda product: -product.start.timestamp() if product.start else float("inf")


_PARTS: dict[str, Callable[[Product], Hashable]] = {
    "day": lambda product: product.start and product.start.date(),
    "tile": tile_of,
}
