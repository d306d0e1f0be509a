"""From a neutral query to bodies of the STAC search of GEODES (GEODES notes, section 3)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Query

SENTINEL_1 = {"GRD": "PEPS_S1_L1", "SLC": "PEPS_S1_L1", "OCN": "PEPS_S1_L2"}
"""Collection by product type (section 3.2)."""
COLLECTIONS = {
    "S1": ("PEPS_S1_L1", "PEPS_S1_L2"),
    "S2": ("PEPS_S2_L1C",),
    "S2ST": ("PEPS_S2_L1C",),
    "S3": ("PEPS_S3_L1",),
}
"""Collections by neutral word; any other word is a collection's own name."""

POINT_SIZE = 1e-4
"""Degrees (10 m): half the side of the box that stands for a point or follows a line."""
LONGEST_WKT = 20_000
"""Characters of a shape, as WKT; larger ones are sent as a simpler shape around them and filtered on our side."""
_NAME_TYPE = re.compile(r"^S1[A-Z]_\w{2}_(GRD|SLC|OCN)")


ELSEWHERE = {"S1": ("RAW",), "S2": ("S2MSI2A", "S2MSI2Ap"), "S2ST": ("S2MSI2A", "S2MSI2Ap")}
"""Product types that only other archives have, by neutral word."""


def slices(query: Query) -> list[Query]:
    """Split a query by product name and part of the area.

    Raises:
        ConfigError: GEODES has no such products.
    """
    if query.product_type in ELSEWHERE.get(query.collection or "", ()):
        what = f"GEODES has no {query.product_type} of {query.collection}"
        raise ConfigError(what, hint="Try --provider cdse; 'pepsasync collections geodes' lists what is here")
    return [piece for named in _by_name(query) for piece in _by_area(named)]


def _by_name(query: Query) -> Iterator[Query]:
    if not query.names:
        yield query
    for name in query.names:
        yield replace(query, names=(name,), collection=collection_of(name) or query.collection)


def collection_of(name: str) -> str | None:
    """Collection of a Sentinel product, from its name; None when the name does not tell."""
    if match := _NAME_TYPE.match(name):
        return SENTINEL_1[match[1]]
    return "PEPS_S2_L1C" if re.match(r"S2[A-Z]_(MSIL1C|OPER_PRD_MSIL1C)_", name) else None


def _collections(query: Query) -> tuple[str, ...]:
    """Collections of a neutral word; of none, those that hold the archive of PEPS, as PEPS itself would search."""
    kind = (query.product_type or "").upper()
    if query.collection in ("S1", None) and kind in SENTINEL_1:
        return (SENTINEL_1[kind],)
    if query.collection is not None:
        return COLLECTIONS.get(query.collection, (query.collection,))
    return () if query.names else tuple(dict.fromkeys(name for names in COLLECTIONS.values() for name in names))


def _by_area(query: Query) -> Iterator[Query]:
    if query.area is None:
        yield query
        return
    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    for part in fit.parts(query.area):
        yield replace(query, area=part)


def search_body(query: Query, page: int, limit: int) -> dict[str, Any]:
    """Body of the request for one page of one slice.

    Args:
        query: One of `slices`.
        page: 1-based; 0 makes the server fail.
        limit: Products a page.
    """
    collections = _collections(query)
    body: dict[str, Any] = {
        "page": page,
        "limit": limit,
        "query": _criteria(query, collections),
        "sortBy": [{"field": "start_datetime", "direction": "desc"}],
    }
    if len(collections) == 1:
        body["collections"] = list(collections)
    if query.area is not None:
        body |= _area(query.area)
    return body


def _criteria(query: Query, collections: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Text is matched loosely there, so everything is checked again on our side; numbers must not be text (3.1).

    Two collections in the list of the body would find nothing: they are a criterion (3).
    """
    is_radar = any(name.startswith("PEPS_S1") for name in collections)
    period = {"gte": _instant(query.start), "lte": _instant(query.end, timedelta(milliseconds=1))}
    conditions: dict[str, dict[str, Any]] = {
        "dataset": {"in": list(collections) if len(collections) > 1 else None},
        "identifier": {"eq": query.names[0] if query.names else None},
        "product:type": {"eq": query.product_type},
        "sar:instrument_mode": {"eq": query.sensor_mode},
        "platform": {"eq": query.platform},
        "start_datetime": {name: value for name, value in period.items() if value},
        "datetime": {"gte": _instant(query.published_since)},  # of publication (3)
        "sat:relative_orbit": {"eq": query.relative_orbit},
        "eo:cloud_cover": {"lte": None if is_radar else query.cloud_cover},
        "grid:code": {"contains": f"T{query.tile}" if query.tile and not is_radar else None},
    }
    return {name: given for name, given in conditions.items() if given and None not in given.values()}


def _area(area: BaseGeometry) -> dict[str, Any]:
    """A box, or a polygon: any other geometry is ignored by the server without a word (section 3)."""
    import shapely  # noqa: PLC0415 - slow to load, and needed only with an area

    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    if shapely.get_dimensions(area) < 2:
        world = shapely.box(-180, -90, 180, 90)
        area = area.buffer(POINT_SIZE, cap_style="square", join_style="mitre").intersection(world)
    if fit.is_box(area):
        return {"bbox": [round(value, 7) for value in area.bounds]}
    simple = fit.cover(area, LONGEST_WKT)
    if fit.is_box(simple):
        return {"bbox": [round(value, 7) for value in simple.bounds]}
    return {"intersects": shapely.geometry.mapping(simple)}


def _instant(value: datetime | None, earlier: timedelta = timedelta()) -> str | None:
    """UTC with milliseconds and Z."""
    if value is None:
        return None
    value = value.astimezone(UTC) - earlier
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
