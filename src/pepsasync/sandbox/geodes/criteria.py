"""What a search body means, traps included (GEODES protocol notes, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shapely.geometry import box, shape

from pepsasync.sandbox.geodes.items import collection_of, properties
from pepsasync.sandbox.geodes.operators import Condition, condition, instant
from pepsasync.sandbox.geodes.replies import GeodesError
from pepsasync.sandbox.geodes.service import urn
from pepsasync.sandbox.selection import BAD_GEOMETRY, intersects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shapely.geometry.base import BaseGeometry

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.options import Options
    from pepsasync.sandbox.selection import Test

DEFAULT_LIMIT, MAX_LIMIT = 10, 80
"""Items of a page when nothing is asked for, and at most."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search body, understood."""

    page: int
    """1-based."""
    limit: int
    """Items of a page."""
    tests: tuple[Test, ...]
    """What a product must pass."""
    conditions: tuple[tuple[str, Condition], ...]
    """What its properties must pass, by attribute."""
    order: tuple[tuple[str, bool], ...]
    """Attributes to sort by, and whether downwards."""


def read(words: Mapping[str, Any], options: Options) -> Search:
    """Understand a search body; null stands for nothing given.

    Raises:
        GeodesError: 400 for what cannot be read or, in strict mode, is asked wrongly; 500 for a page below 1.
    """
    given = {name: value for name, value in words.items() if value is not None}
    page, limit = _whole(given, "page", 1), _whole(given, "limit", DEFAULT_LIMIT)
    if page < 1 or limit < 1:
        raise GeodesError(500, f"page {page - 1} of size {limit}: index must not be negative, size not below one")
    if limit > MAX_LIMIT and options.geodes_strict:
        raise GeodesError(400, f"limit must not exceed {MAX_LIMIT}")
    return Search(
        page,
        min(limit, MAX_LIMIT),
        tuple(_tests(given, options)),
        tuple(_conditions(given.get("query", {}), options)),
        tuple(_order(given.get("sortBy", given.get("sortby", [])))),
    )


def matching(products: Iterable[CatalogueProduct], search: Search) -> list[CatalogueProduct]:
    """Return the products of a search; without an order, in that of their ids."""
    found = [product for product in products if all(test(product) for test in search.tests)]
    if search.conditions:
        found = [product for product in found if _passes(product, search)]
    found.sort(key=urn)
    for name, downwards in reversed(search.order):
        found.sort(key=lambda product: _sort_key(properties(product).get(name)), reverse=downwards)
    return found


def _passes(product: CatalogueProduct, search: Search) -> bool:
    described = properties(product)
    return all(fits(described.get(name)) for name, fits in search.conditions)


def _sort_key(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    """Read a whole number; one in quotes is as good."""
    value = given.get(name, default)
    try:
        if isinstance(value, int | str) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise GeodesError(400, f"{name} must be a whole number")


def _tests(given: Mapping[str, Any], options: Options) -> Iterator[Test]:
    wanted = _texts(given, "collections")
    if wanted:
        any_will_do = options.geodes_version == "2.2"
        # The older version wants the product to be in all of them at once, which none is.
        yield lambda p: collection_of(p) in wanted and (any_will_do or len(wanted) == 1)
    if ids := _texts(given, "ids"):
        yield lambda p: urn(p) in ids
    if "bbox" in given:
        yield intersects(_box(given["bbox"]))
    if "intersects" in given and (outline := _outline(given["intersects"])) is not None:
        yield intersects(outline)
    if "datetime" in given:
        yield _interval(given["datetime"])


def _texts(given: Mapping[str, Any], name: str) -> frozenset[str]:
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise GeodesError(400, f"{name} must be a list of texts")
    return frozenset(value)


def _box(value: Any) -> BaseGeometry:
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(edge, int | float) for edge in value):
        raise GeodesError(400, "bbox must be four numbers: west, south, east, north")
    return box(*value)


def _outline(value: Any) -> BaseGeometry | None:
    """Read a polygon; any other kind of geometry is no filter at all."""
    if not isinstance(value, dict):
        raise GeodesError(400, "intersects must be a GeoJSON geometry")
    if value.get("type") not in {"Polygon", "MultiPolygon"}:
        return None
    try:
        return shape(value)
    except BAD_GEOMETRY:
        raise GeodesError(400, "intersects is not a geometry") from None


def _interval(value: Any) -> Test:
    """Read an interval or an instant of publication; `..` or nothing is an open end."""
    begin, slash, end = str(value).partition("/")
    try:
        first = None if begin in {"", ".."} else instant(begin)
        last = first if not slash else None if end in {"", ".."} else instant(end)
    except ValueError:
        raise GeodesError(400, f"datetime {value!r} is no interval") from None

    def test(product: CatalogueProduct) -> bool:
        moment = product.published
        return moment is not None and (first is None or moment >= first) and (last is None or moment <= last)

    return test


def _conditions(query: Any, options: Options) -> Iterator[tuple[str, Condition]]:
    """Yield what can be understood; the rest is passed over, or refused in strict mode."""
    if not isinstance(query, dict):
        raise GeodesError(400, "query must be an object")
    for name, operands in query.items():
        if operands is None:
            continue
        if not isinstance(operands, dict):
            raise GeodesError(400, f"query of {name} must be an object")
        fits = condition(name, operands)
        if fits is not None:
            yield name, fits
        elif options.geodes_strict:
            raise GeodesError(400, f"unknown attribute or wrong type of value: {name}")


def _order(value: Any) -> Iterator[tuple[str, bool]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise GeodesError(400, "sortBy must be a list of fields and directions")
    for entry in value:
        # Only this one word means upwards.
        yield str(entry.get("field")), entry.get("direction") != "asc"
