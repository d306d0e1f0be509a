"""From a neutral query to the OData search of the Copernicus Data Space (CDSE notes, Search)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pepsasync.errors import ProtocolError
from pepsasync.model import AttributeKind, only, several
from pepsasync.query.attributes import conditions, flag_of, number_of, period_of, split_values
from pepsasync.query.missions import by_collection, with_channels
from pepsasync.query.parts import by_area, by_season, by_value, of_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Attribute, Product, Query
    from pepsasync.query.attributes import Condition

COLLECTIONS = {"S1": "SENTINEL-1", "S2": "SENTINEL-2", "S2ST": "SENTINEL-2", "S3": "SENTINEL-3"}
"""Collection by neutral word; any other word is a collection's own name."""
RADAR_TYPES = ("GRD", "SLC", "OCN", "RAW")
"""Product types that are a part of the archive's own ones, such as `IW_GRDH_1S`, and of product names."""

PAGE_SIZE = 1_000
"""Largest `$top`."""
DEEPEST_SKIP = 10_000
"""Largest `$skip`."""
LAST_PAGE = DEEPEST_SKIP // PAGE_SIZE + 1

LONGEST_WKT = 1_500
"""Characters; a longer shape is sent as a simpler one around it, so that the URL stays usual in length."""
MOST_VALUES = 10
"""Values of one criterion that are joined by `or`, so that the URL stays usual in length."""
LINE_WIDTH = 1e-5
"""Degrees (1 m): half the width of the polygon that stands for a line."""
OVERLAP = timedelta(milliseconds=1)
"""By which what follows the last page begins before its end, so that no product of the same instant is lost."""


def slices(query: Query) -> list[Query]:
    """Split a query by product name, collection, so many values of a criterion, and part of the area."""
    if query.names:
        return [part for name in query.names for part in by_area(_of_name(query, name))]
    return [
        part
        for of_collection in by_collection(query)
        for of_season in by_season(of_collection)
        for group in by_value(of_season, "tile", "relative_orbit", at_most=MOST_VALUES)
        for part in by_area(group)
    ]


def _of_name(query: Query, name: str) -> Query:
    own = query.collection if isinstance(query.collection, str) else None
    return of_name(query, name, own or COLLECTIONS.get(name[:2]))


def search_parameters(
    query: Query, page: int, known: Mapping[str, Attribute] | None = None
) -> dict[str, str | list[str]]:
    """Parameters of the request for one page (1-based) of one slice, newest acquisition first.

    Matches are counted once only: counting takes the archive long. Attributes are asked for as far as they are known.
    """
    parameters: dict[str, str | list[str]] = {
        "$filter": search_filter(query, known),
        "$orderby": "ContentDate/Start desc",
        "$top": str(PAGE_SIZE),
        "$skip": str((page - 1) * PAGE_SIZE),
        "$expand": ["Attributes", "Assets"],  # quicklooks are assets; the archive takes a parameter for each
        "$count": "true" if page == 1 else "",
    }
    return {name: value for name, value in parameters.items() if value}


def search_filter(query: Query, known: Mapping[str, Attribute] | None = None) -> str:
    """`$filter` of one slice; empty for the whole catalogue.

    The acquisition start decides about the period, as everywhere. A tile is an attribute where products have one;
    otherwise the query has the tile's footprint as its area. Radar knows no clouds.
    """
    collection = collection_name(only(query.collection))
    is_radar = collection is not None and collection.startswith("SENTINEL-1")
    has_clouds = collection is not None and not collection.startswith("SENTINEL-1")
    # Its type is Double there, also for a limit that was given as a whole number.
    clouds = float(query.cloud_cover) if has_clouds and query.cloud_cover is not None else None
    least = query.min_cloud_cover and math.floor(query.min_cloud_cover * 100) / 100 if has_clouds else None
    direction = query.orbit_direction if is_radar else None  # of others it is not told
    channels = with_channels(query.polarisation) if is_radar else ()
    terms = [
        collection and f"Collection/Name eq {_quoted(collection)}",
        *(f"contains(Name,{_quoted(name)})" for name in query.names),
        _either(_product_type(kind, with_copies=query.twins) for kind in several(query.product_type)),
        _either(_attribute("operationalMode", "eq", mode) for mode in several(query.sensor_mode)),
        _either(f"startswith(Name,{_quoted(satellite + '_')})" for satellite in several(query.platform)),
        query.start and f"ContentDate/Start ge {_instant(query.start)}",
        query.end and f"ContentDate/Start lt {_instant(query.end)}",
        query.published_since and f"PublicationDate ge {_instant(query.published_since)}",
        _either(_attribute("relativeOrbitNumber", "eq", orbit) for orbit in several(query.relative_orbit)),
        _attribute("orbitDirection", "eq", direction and direction.upper()),
        _either(_attribute("polarisationChannels", "eq", word.replace(" ", "&")) for word in channels),
        _attribute("timeliness", "eq", query.timeliness if is_radar else None),
        _attribute("cloudCover", "le", clouds),
        _attribute("cloudCover", "ge", least),
        _either(_attribute("tileId", "eq", tile) for tile in several(query.tile) if query.area is None),
        query.area and _intersects(query.area),
        *_properties(query, known or {}),
    ]
    return " and ".join(term for term in terms if term)


def _either(terms: Iterable[str | None]) -> str:
    """Terms of which one has to be true; empty for none."""
    given = [term for term in terms if term]
    if len(given) < 2:
        return "".join(given)
    return f"({' or '.join(f'({term})' if ' and not ' in term else term for term in given)})"


def collection_name(word: str | None) -> str | None:
    """The archive's own name of a collection."""
    return COLLECTIONS.get(word, word) if word else None


def _product_type(kind: str, *, with_copies: bool) -> str:
    """A radar word is looked for in the name, and cloud-optimised copies left out unless they are wanted."""
    if kind.upper() in RADAR_TYPES:
        has_word = f"contains(Name,{_quoted(kind.upper())})"
        return has_word if with_copies else f"{has_word} and not contains(Name,'_COG')"
    return _attribute("productType", "eq", kind) or ""


def _attribute(name: str, comparison: str, value: str | float | None) -> str | None:
    """A condition on an attribute; limits with decimals are rounded up, and checked exactly on our side."""
    if value is None:
        return None
    kind, written = "String", _quoted(str(value))
    if isinstance(value, int):
        kind, written = "Integer", str(value)
    elif isinstance(value, float):
        kind, written = "Double", f"{math.ceil(value * 100) / 100:.2f}"
    kind = f"OData.CSC.{kind}Attribute"
    return f"Attributes/{kind}/any(att:att/Name eq '{name}' and att/{kind}/Value {comparison} {written})"


_SIGNS = {"=": "eq", "<": "lt", ">": "gt", "<=": "le", ">=": "ge"}


def _properties(query: Query, known: Mapping[str, Attribute]) -> Iterator[str]:
    """What can be asked of the archive's own attributes; texts are only compared for being the same (Search)."""
    for name, asked in conditions(query).items():
        if name not in known:
            continue
        values, limits = split_values(asked)
        alternatives = [_property(known[name], condition) for condition in values]
        if all(alternatives):
            yield _either(alternatives)
        yield from filter(None, (_property(known[name], condition) for condition in limits))


def _property(attribute: Attribute, condition: Condition) -> str:
    """One condition; empty when it cannot be asked."""
    terms = [term for sign, value in condition.bounds for term in _comparisons(attribute.kind, sign, value)]
    kind = f"OData.CSC.{_KINDS[attribute.kind]}Attribute"
    name = _quoted(attribute.name)
    written = " and ".join(f"att/{kind}/Value {_SIGNS[sign]} {value}" for sign, value in terms)
    return written and f"Attributes/{kind}/any(att:att/Name eq {name} and {written})"


_KINDS = {
    AttributeKind.TEXT: "String",
    AttributeKind.WHOLE: "Integer",
    AttributeKind.NUMBER: "Double",
    AttributeKind.INSTANT: "DateTimeOffset",
    AttributeKind.FLAG: "Boolean",
}
ATTRIBUTE_KINDS = {name: kind for kind, name in _KINDS.items()}
"""Kind by the archive's word for it."""


def _comparisons(kind: AttributeKind, sign: str, value: str) -> list[tuple[str, str]]:
    if kind is AttributeKind.TEXT:
        return [(sign, _quoted(value))] if sign == "=" else []
    if kind is AttributeKind.INSTANT:
        return [(each, _instant(end)) for each, end in period_of(sign, value)]
    if kind is AttributeKind.FLAG:
        return [(sign, str(flag_of(value)).lower())]
    number = number_of(value, kind, sign=sign)
    if number is None:
        return [("<", "0"), (">", "0")]  # no whole number is equal to it
    digits = f"{Decimal(repr(number)):f}"  # no exponents
    return [(sign, digits if isinstance(number, int) or "." in digits else f"{digits}.0")]


def _intersects(area: BaseGeometry) -> str:
    import shapely  # noqa: PLC0415 - slow to load, and needed only with an area

    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    if shapely.get_dimensions(area) == 1:
        area = area.buffer(LINE_WIDTH, cap_style="square", join_style="mitre")
        area = area.intersection(shapely.box(-180, -90, 180, 90))
    return f"OData.CSC.Intersects(area=geography'SRID=4326;{fit.to_wkt(fit.cover(area, LONGEST_WKT))}')"


def rest_of(query: Query, products: Sequence[Product]) -> Query | None:
    """The query that finds what follows the last page that the archive gives out.

    Args:
        query: Whose pages end.
        products: Of its last page, newest acquisition first.

    Returns:
        None when only products from before the period would follow.

    Raises:
        ProtocolError: The products do not tell where to go on.
    """
    oldest = min((product.start for product in products if product.start), default=None)
    end = oldest and oldest + OVERLAP
    if end is None or (query.end is not None and end >= query.end):
        raise ProtocolError(f"the archive lists no more than {DEEPEST_SKIP + PAGE_SIZE:,} products of one instant")
    return None if query.start is not None and end <= query.start else replace(query, end=end)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _instant(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
