"""From a neutral query to the parameters of resto's search (PEPS protocol notes, section 2)."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import only, several
from pepsasync.providers.peps.attributes import property_parameters
from pepsasync.query.missions import by_collection, with_channels
from pepsasync.query.parts import by_area, by_season, by_value, of_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Product, Query

COLLECTIONS = ("S1", "S2", "S2ST", "S3")

SINGLE_TILE_SINCE = datetime(2016, 12, 5, tzinfo=UTC)
"""Sentinel-2 products are in S2 (several tiles) before, and in S2ST (one tile) from this day on (section 1)."""

LONGEST_WKT = 1_500
"""Characters; too long a URL is answered with 414 (section 8)."""

MARGIN = timedelta(seconds=1)
"""Added on both sides of a period that is only a means to find products again."""


def slices(query: Query) -> list[Query]:
    """Split a query by product name, collection and part of the area, so that each is one resto search.

    Raises:
        ConfigError: PEPS has no such collection.
    """
    for collection in several(query.collection):
        if collection not in COLLECTIONS:
            raise ConfigError(f"PEPS has no collection {collection!r}", hint=f"It has {', '.join(COLLECTIONS)}")
    if query.names:
        named = (of_name(query, name, _collection_of(name) or _one(query.collection)) for name in query.names)
        return [part for query_of_name in named for part in by_area(query_of_name)]
    return [
        part
        for of_collection in by_collection(query)
        for single in by_value(of_collection, "location", *(("tile",) if of_collection.area is None else ()))
        for of_season in by_season(single)
        for of_period in _by_period(of_season)
        for part in by_area(of_period)
    ]


def _one(collection: str | tuple[str, ...] | None) -> str | None:
    return collection if isinstance(collection, str) else None


def _collection_of(name: str) -> str | None:
    """Collection of a product, from its name; None when the name does not tell."""
    if name.startswith("S2"):
        return "S2ST" if re.search(r"_T\d{2}[A-Z]{3}(_|$)", name) else "S2"
    return name[:2] if name[:2] in COLLECTIONS else None


def _by_period(query: Query) -> Iterator[Query]:
    """`S2` means Sentinel-2, whichever of the two collections holds the period."""
    if query.collection != "S2":
        yield query
        return
    if query.end is None or query.end > SINGLE_TILE_SINCE:
        yield replace(query, collection="S2ST")
    if query.start is None or query.start < SINGLE_TILE_SINCE:
        yield replace(query, area=_tile_area(query))


def _tile_area(query: Query) -> BaseGeometry | None:
    if query.tile is None:
        return query.area
    from pepsasync.area import aoi  # noqa: PLC0415 - needs shapely

    return aoi.together([aoi.tile(tile) for tile in several(query.tile)])


def search_parameters(query: Query) -> dict[str, str | list[str]]:
    """Parameters of one slice, without paging; several values are sent as `key[]` (section 8.9).

    Relative orbit is left out: the archive misses it on some products, and it is filtered on our side. So is cloud
    cover for radar. A cloud limit is rounded up, since the archive takes integers only (section 8.3).
    """
    parameters: dict[str, str | list[str] | None] = {
        **property_parameters(query),
        "startDate": _instant(query.start),
        "completionDate": _instant(query.end),
        "publishedBegin": _instant(query.published_since),
        **_among("productType", query.product_type),
        **_among("sensorMode", query.sensor_mode),
        **_among("platform", query.platform),
        "orbitDirection": query.orbit_direction,
        "realtime": query.timeliness,
        "q": only(query.location),
        "productIdentifier": query.names[0] if query.names else None,
    }
    if query.collection == "S2ST":
        parameters["tileid"] = only(query.tile)
    if query.collection == "S1":
        parameters |= _among("polarisation", with_channels(query.polarisation) or None)
    clouds = query.cloud_cover, query.min_cloud_cover
    if clouds != (None, None) and query.collection in ("S2", "S2ST", "S3"):
        most, least = clouds
        parameters["cloudCover"] = f"[{math.floor(least or 0)},{100 if most is None else math.ceil(most)}]"
    if query.area is not None:
        parameters |= _area_parameters(query.area)
    return {name: value for name, value in parameters.items() if value}


def _among(name: str, values: str | tuple[str, ...] | None) -> dict[str, str | list[str] | None]:
    return {f"{name}[]": list(values)} if isinstance(values, tuple) else {name: values}


def _area_parameters(area: BaseGeometry) -> dict[str, str]:
    """Point, box or WKT; a shape too long for a URL is sent as a simpler one around it, and filtered on our side."""
    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    if area.geom_type == "Point":
        lon, lat = area.coords[0]
        return {"lon": _degrees(lon), "lat": _degrees(lat), "radius": "1"}
    if fit.is_box(area):
        return {"box": ",".join(_degrees(value) for value in area.bounds)}
    return {"geometry": fit.to_wkt(fit.cover(area, LONGEST_WKT))}


def covering_parameters(products: Sequence[Product]) -> dict[str, str] | None:
    """The narrowest search that finds all these products, which are of one collection; None when there is none."""
    starts = [product.start for product in products if product.start]
    if len(starts) < len(products):
        return None
    parameters = {
        "startDate": _instant(min(starts) - MARGIN),
        "completionDate": _instant(max(starts) + MARGIN),
        "productType": _common(product.product_type for product in products),
        "sensorMode": _common(product.sensor_mode for product in products),
        "platform": _common(product.platform for product in products),
        "tileid": _common(product.tile for product in products),
        "box": _common_box(products),
    }
    return {name: value for name, value in parameters.items() if value}


def _common(values: Iterator[str | None]) -> str | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _common_box(products: Sequence[Product]) -> str | None:
    """Box around all footprints; None when one is missing or the box would cross the antimeridian."""
    points = [point for product in products if product.footprint for point in _points(product.footprint["coordinates"])]
    if not points or any(not product.footprint for product in products):
        return None
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    return ",".join(map(_degrees, (west, south, east, north))) if east - west < 180 else None


def _points(coordinates: Any) -> Iterator[tuple[float, float]]:
    if isinstance(coordinates[0], int | float):
        yield coordinates[0], coordinates[1]
        return
    for inner in coordinates:
        yield from _points(inner)


def _instant(value: datetime | None) -> str | None:
    """UTC with milliseconds and Z: offsets are ignored by the archive (section 8.8)."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z" if value else None


def _degrees(value: float) -> str:
    """Digits only: exponents are refused (section 2.1)."""
    return f"{value:.7f}".rstrip("0").rstrip(".")
