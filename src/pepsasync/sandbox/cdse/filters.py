"""Which products a `$filter` finds, and in which order they come (CDSE protocol notes, Search)."""

from __future__ import annotations

import operator
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import shapely

from pepsasync.sandbox.cdse import ids, records
from pepsasync.sandbox.cdse.grammar import Comparison, FilterError, HasAttribute, Intersects, Match, Not, Term, Value
from pepsasync.sandbox.selection import intersects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.cdse.service import Service
    from pepsasync.sandbox.selection import Test

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_TYPES: dict[str, tuple[type, ...]] = {
    "flag": (bool,),
    "text": (str,),
    "number": (int, float),
    "moment": (datetime,),
}
"""Kinds of values; a flag is also a number to Python, so that it comes first."""
_ATTRIBUTE_TYPES = {
    "String": "text",
    "Integer": "number",
    "Double": "number",
    "DateTimeOffset": "moment",
    "Boolean": "flag",
}
_MATCH: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda whole, part: part in whole,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


class Field(NamedTuple):
    """A property that can be filtered and sorted by."""

    type: str
    """One of the keys of `_TYPES`."""
    get: Callable[[CatalogueProduct], Any]
    """Its value."""


_FIELDS = {
    "Id": Field("text", lambda product: ids.identifier(product.name)),
    "Name": Field("text", records.file_name),
    "ContentLength": Field("number", lambda product: product.size),
    "ContentDate/Start": Field("moment", lambda product: product.start),
    "ContentDate/End": Field("moment", lambda product: product.end),
    "PublicationDate": Field("moment", records.published),
    "ModificationDate": Field("moment", lambda product: records.published(product) + timedelta(hours=1)),
    "Collection/Name": Field("text", records.collection),
}
_ORDERS = ("ContentDate/Start", "ContentDate/End", "PublicationDate", "ModificationDate")


def compiled(term: Term | None, service: Service) -> Test:
    """Return the test that a filter stands for.

    Raises:
        FilterError: Unknown property, or a value of the wrong type.
    """
    match term:
        case None:
            return lambda _: True
        case Comparison():
            return _comparison(term, service)
        case Match():
            return _match(term)
        case Intersects():
            return _intersects(term.wkt)
        case HasAttribute():
            return _attribute(term)
        case Not():
            inner = compiled(term.term, service)
            return lambda product: not inner(product)
        case _:
            tests = [compiled(part, service) for part in term.terms]
            joined = all if term.word == "and" else any
            return lambda product: joined(test(product) for test in tests)


def ordered(products: Iterable[CatalogueProduct], order: str | None) -> list[CatalogueProduct]:
    """Return products in the order that `$orderby` asks for, by default the oldest acquisition first.

    Raises:
        FilterError: Nothing can be sorted like this.
    """
    found = sorted(products, key=lambda product: product.name)
    for part in reversed((order or "ContentDate/Start asc").split(",")):
        read = re.fullmatch(r"\s*(\S+?)(?:\s+(asc|desc))?\s*", part, re.IGNORECASE)
        if read is None or read[1] not in _ORDERS:
            raise FilterError(f"Invalid order: {part.strip()!r}, known: {', '.join(_ORDERS)}")
        found.sort(key=_FIELDS[read[1]].get, reverse=(read[2] or "").lower() == "desc")
    return found


def _comparison(term: Comparison, service: Service) -> Test:
    field = Field("flag", service.is_online)
    if term.path != "Online":
        field = _field(term.path)
    if not _fits(field.type, term.operator, term.value):
        raise FilterError(f"Invalid filter: {term.path} {term.operator} needs another kind of value")
    get, compare, value = field.get, _COMPARE[term.operator], term.value
    return lambda product: compare(get(product), value)


def _field(path: str) -> Field:
    if path not in _FIELDS:
        raise FilterError(f"Invalid filter: unknown property {path}")
    return _FIELDS[path]


def _match(term: Match) -> Test:
    field = _field(term.path)
    if field.type != "text":
        raise FilterError(f"Invalid filter: {term.function} needs a text property, not {term.path}")
    get, match, text = field.get, _MATCH[term.function], term.text
    return lambda product: match(get(product), text)


def _intersects(wkt: str) -> Test:
    try:
        outline = shapely.from_wkt(wkt)
    except (shapely.errors.ShapelyError, ValueError):
        outline = None
    if outline is None or outline.is_empty:
        raise FilterError("Invalid filter: the geography is not a valid WKT geometry")
    if outline.geom_type.startswith("Multi") or outline.geom_type == "GeometryCollection":
        raise FilterError(f"Invalid filter: a {outline.geom_type} is not supported")
    if not outline.is_valid:
        raise FilterError(f"Invalid filter: {shapely.is_valid_reason(outline)}")
    return intersects(outline)


def _attribute(term: HasAttribute) -> Test:
    for name, value in term.comparisons:
        if not any(_fits(_ATTRIBUTE_TYPES[kind], name, value) for kind in term.kinds):
            raise FilterError(f"Invalid filter: {term.name} {name} needs another kind of value")
        if term.kinds == {"String"} and name != "eq":
            raise FilterError(f"Invalid filter: a StringAttribute knows eq only, not {name}")
    return lambda product: any(_passes(value, term.comparisons) for value in _values(product, term.name))


def _values(product: CatalogueProduct, name: str) -> Iterator[records.AttributeValue]:
    """Yield what a product has under a name; Sentinel-1 products are found by their short type too."""
    yield from (attribute.value for attribute in records.attributes(product) if attribute.name == name)
    if name == "productType":
        yield product.product_type


def _passes(value: records.AttributeValue, comparisons: Iterable[tuple[str, Value]]) -> bool:
    return all(_type(value) == _type(other) and _COMPARE[name](value, other) for name, other in comparisons)


def _type(value: Value) -> str:
    return next(kind for kind, types in _TYPES.items() if isinstance(value, types))


def _fits(kind: str, name: str, value: Value) -> bool:
    return _type(value) == kind and (kind != "flag" or name in {"eq", "ne"})
