"""From a neutral query to bodies of the STAC search of GEODES (GEODES notes, section 3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pepsasync.errors import ConfigError
from pepsasync.model import only, several
from pepsasync.providers.geodes.attributes import property_criteria
from pepsasync.query.missions import by_collection, with_channels
from pepsasync.query.parts import by_area, by_season, of_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Attribute, Query

SENTINEL_1 = {"GRD": "PEPS_S1_L1", "SLC": "PEPS_S1_L1", "OCN": "PEPS_S1_L2"}
"""Collection by product type (section 3.2)."""
COLLECTIONS = {
    "S1": ("PEPS_S1_L1", "PEPS_S1_L2"),
    "S2": ("PEPS_S2_L1C",),
    "S2ST": ("PEPS_S2_L1C",),
    "S3": ("PEPS_S3_L1",),
}
"""Collections by neutral word; any other word is a collection's own name."""

_V = TypeVar("_V")

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
    for collection in several(query.collection):
        for kind in several(query.product_type):
            if kind in ELSEWHERE.get(collection, ()):
                what = f"GEODES has no {kind} of {collection}"
                raise ConfigError(what, hint="Try --provider cdse; 'pepsasync collections geodes' lists what is here")
    if query.names:
        asked = query.collection if isinstance(query.collection, str) else None
        own = None if asked in COLLECTIONS else asked
        named = (of_name(query, name, own or collection_of(name) or asked) for name in query.names)
        return [part for query_of_name in named for part in by_area(query_of_name)]
    return [
        part
        for of_collection in by_collection(query)
        for of_season in by_season(of_collection)
        for part in by_area(of_season)
    ]


def collection_of(name: str) -> str | None:
    """Collection of a Sentinel product, from its name; None when the name does not tell."""
    if match := _NAME_TYPE.match(name):
        return SENTINEL_1[match[1]]
    return "PEPS_S2_L1C" if re.match(r"S2[A-Z]_(MSIL1C|OPER_PRD_MSIL1C)_", name) else None


def collections_of(query: Query) -> tuple[str, ...]:
    """Collections of a neutral word; of none, those that hold the archive of PEPS, as PEPS itself would search."""
    kinds = [kind.upper() for kind in several(query.product_type)]
    if query.collection in ("S1", None) and kinds and all(kind in SENTINEL_1 for kind in kinds):
        return tuple(dict.fromkeys(SENTINEL_1[kind] for kind in kinds))
    if collection := only(query.collection):
        return COLLECTIONS.get(collection, (collection,))
    return () if query.names else tuple(dict.fromkeys(name for names in COLLECTIONS.values() for name in names))


def search_body(query: Query, page: int, limit: int, known: Mapping[str, Attribute] | None = None) -> dict[str, Any]:
    """Body of the request for one page of one slice.

    Args:
        query: One of `slices`.
        page: 1-based; 0 makes the server fail.
        limit: Products a page.
        known: Attributes that can be asked for.
    """
    collections = collections_of(query)
    body: dict[str, Any] = {
        "page": page,
        "limit": limit,
        "query": property_criteria(query, known or {}) | _criteria(query, collections),
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
    channels = with_channels(query.polarisation) if all(name.startswith("PEPS_S1") for name in collections) else ()
    period = {"gte": _instant(query.start), "lte": _instant(query.end, timedelta(milliseconds=1))}
    conditions: dict[str, dict[str, Any]] = {
        "dataset": {"in": list(collections) if len(collections) > 1 else None},
        "identifier": {"eq": query.names[0] if query.names else None},
        "product:type": _among(query.product_type),
        "sar:instrument_mode": _among(query.sensor_mode),
        "platform": _among(query.platform),
        "start_datetime": {name: value for name, value in period.items() if value},
        "datetime": {"gte": _instant(query.published_since)},  # of publication (3)
        "sat:relative_orbit": _among(query.relative_orbit),
        "sat:orbit_state": {"eq": query.orbit_direction and query.orbit_direction.capitalize()},
        "product:timeliness": {"eq": query.timeliness and query.timeliness.replace("-", "")},
        "sar:polarizations": {"in": list(channels) or None},
        "eo:cloud_cover": {} if is_radar else _between(query.min_cloud_cover, query.cloud_cover),
        "grid:code": {} if is_radar else _tiles(query),
    }
    return {name: given for name, given in conditions.items() if given and None not in given.values()}


def _between(least: float | None, most: float | None) -> dict[str, Any]:
    return {word: value for word, value in {"gte": least or None, "lte": most}.items() if value is not None}


def _among(values: _V | tuple[_V, ...] | None) -> dict[str, Any]:
    """One value, or one of several."""
    return {"in": list(values)} if isinstance(values, tuple) else {"eq": values}


def _tiles(query: Query) -> dict[str, Any]:
    tiles = [f"T{tile}" for tile in several(query.tile)]
    return {"in": tiles} if len(tiles) > 1 else {"contains": next(iter(tiles), None)}


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
