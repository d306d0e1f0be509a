"""From a neutral query to a search of WEkEO's data sets (WEkEO notes, sections 4, 5 and 11)."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pepsasync.model import only
from pepsasync.query.missions import by_collection, with_channels
from pepsasync.query.parts import by_area, by_season, by_value, of_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pepsasync.model import Query

DATASETS = {
    "S1": "EO:ESA:DAT:SENTINEL-1",
    "S2": "EO:ESA:DAT:SENTINEL-2",
    "S2ST": "EO:ESA:DAT:SENTINEL-2",
    "S3": "EO:ESA:DAT:SENTINEL-3",
}
"""Data set by neutral word; any other word is a data set's own id."""
PAGE_SIZE = 200
"""Largest `itemsPerPage`."""
MOMENT = timedelta(milliseconds=1)
"""Ends are inclusive there."""
NEAR = timedelta(minutes=1)
"""Around the time in a name, in which the product is looked for: nothing can be searched by name."""

POINT_SIZE = 1e-4
"""Degrees, 10 m, by which a point grows to each side: no archive has said what it makes of a box without width."""
RADAR = re.compile(r"(?:^|_)(GRD|SLC|OCN|RAW)")
"""The short type in a long one."""

_TIME = re.compile(r"_(\d{8}T\d{6})(?=_|\.|$)")
_FIRST, _LAST = datetime(2014, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Of a search without period, where a data set wants one."""
ALWAYS = frozenset({"dataset_id", "itemsPerPage", "startIndex", "bbox"})
"""Parameters of every data set, whatever it lists."""


def slices(query: Query) -> list[Query]:
    """Split a query by name, data set, values of which a search takes one, tile, and part of the area."""
    if query.names:
        return [part for name in query.names if (found := _of_name(query, name)) for part in by_area(found)]
    several_sets = query if query.collection is not None else replace(query, collection=("S1", "S2", "S3"))
    singles = ("product_type", "relative_orbit", "platform", "tile", "sensor_mode")
    return [
        part
        for of_collection in by_collection(several_sets)
        for of_season in by_season(of_collection)
        for single in by_value(of_season, *singles)
        for part in by_area(_placed(single))
    ]


def _of_name(query: Query, name: str) -> Query | None:
    """The search around the first time in a name; None for a name without any."""
    match = _TIME.search(name)
    own = query.collection if isinstance(query.collection, str) else None
    collection = own or (name[:2] if name[:2] in DATASETS else None)
    if match is None or collection is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return replace(of_name(query, name, collection), start=moment - NEAR, end=moment + NEAR)


def _placed(query: Query) -> Query:
    """With the square of the tile as area, since tiles cannot be searched for."""
    tile = only(query.tile)
    if tile is None or query.area is not None:
        return query
    from pepsasync.area.share import tile_area  # noqa: PLC0415 - needed only with a tile

    return replace(query, area=tile_area(tile))


def dataset_of(query: Query) -> str:
    """The data set of a slice."""
    word = only(query.collection) or "S1"
    return DATASETS.get(word, word)


def search_body(query: Query, start_index: int, listed: Collection[str] = ()) -> dict[str, Any]:
    """What one page of a slice is asked with.

    Args:
        query: A slice.
        start_index: Of its first result.
        listed: Parameters that the data set says it has; empty when that is not known. Others are left out.
    """
    dataset = dataset_of(query)
    kind, platform = _product_type(only(query.product_type), dataset), only(query.platform)
    orbit, channels = only(query.relative_orbit), with_channels(query.polarisation)
    start, end = query.start, query.end
    if dataset.endswith("SENTINEL-3") or ":SENTINEL-3:" in dataset:  # which fails without a period
        start, end = start or _FIRST, end or _LAST
    is_sentinel = dataset in DATASETS.values()
    words: dict[str, Any] = {
        "dataset_id": dataset,
        "bbox": _box(query.area.bounds) if query.area is not None else None,
        "startdate": start and _instant(start),
        "enddate": end and _instant(end - MOMENT),
        "productType": kind,
        "processingLevel": kind if dataset == DATASETS["S2"] else None,
        "platformSerialIdentifier": platform[-1].upper() if platform and is_sentinel else None,
        "relativeOrbitNumber": None if orbit is None else str(orbit),
        "orbitDirection": query.orbit_direction and query.orbit_direction.upper(),
        "polarisationChannels": channels[0].replace(" ", "&") if len(channels) == 1 else None,
        "sortOrder": "DESC",
        "itemsPerPage": PAGE_SIZE,
        "startIndex": start_index,
    }
    return {name: value for name, value in _as_listed(words, listed) if value is not None}


def _as_listed(words: dict[str, Any], listed: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in words.items():
        other = {"startdate": "dtstart", "enddate": "dtend"}.get(name, name)
        if not listed or name in ALWAYS or name in listed:
            yield name, value
        elif other in listed:
            yield other, value


def _product_type(kind: str | None, dataset: str) -> str | None:
    """Radar has short types there: `GRD`, not `IW_GRDH_1S` (11)."""
    match = RADAR.search(kind.upper()) if kind and dataset == DATASETS["S1"] else None
    return match[1] if match else kind


def _box(bounds: tuple[float, float, float, float]) -> list[float]:
    """West, south, east, north in degrees, rounded outwards; points and lines along an axis get a width."""
    west, south, east, north = bounds
    wide, high = (POINT_SIZE if most - least < POINT_SIZE else 0.0 for least, most in ((west, east), (south, north)))
    return [
        max(math.floor((west - wide) * 1e6) / 1e6, -180.0),
        max(math.floor((south - high) * 1e6) / 1e6, -90.0),
        min(math.ceil((east + wide) * 1e6) / 1e6, 180.0),
        min(math.ceil((north + high) * 1e6) / 1e6, 90.0),
    ]


def _instant(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
