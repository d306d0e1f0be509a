"""From a neutral query to a granule search of CMR, the catalogue behind ASF's own search (ASF notes, sections 4 and 7).

ASF's search API has no pages and no totals, and cuts long results without a word; CMR has both.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError
from pepsasync.model import several
from pepsasync.query.missions import mission_of
from pepsasync.query.parts import by_area, by_season, by_value, of_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Query

PAGE_SIZE = 2_000
"""Largest `page_size`."""
LONGEST_WKT = 4_000
"""Characters; a longer shape is sent as a simpler one around it."""
LONGEST_EDGE = 0.5
"""Degrees: edges are great circles there and straight lines here, so long ones are sent in pieces."""
MARGIN = 1e-3
"""Degrees by which a shape is widened, so that no edge of great circles cuts anything off."""

SATELLITES = ("S1A", "S1B", "S1C", "S1D")
LEVELS = {
    "GRD": tuple(f"{beams}_GRD_{detail}" for beams in ("DP", "SP") for detail in ("FULL", "HIGH", "MEDIUM")),
    "SLC": ("SLC",),
    "OCN": ("OCN",),
    "RAW": ("RAW",),
}
"""By product type, the ends of the names of the archive's collections; each satellite has its own."""
_ALL = ("S1", "SENTINEL-1")
"""Names of all those collections together."""
BURSTS = "SENTINEL-1_BURSTS"
BURST = "BURST"
"""Product type of single bursts."""


def slices(query: Query) -> list[Query]:
    """Split a query by product name, season, values of which a search takes one, and part of the area.

    Raises:
        ConfigError: It is for another mission than Sentinel-1.
    """
    if query.names:
        own = _own_collections(query)
        asked = query.collection if own else None
        names = [name for name in query.names if own or name.startswith("S1")]
        named = [replace(of_name(query, name, None), collection=asked) for name in names]
        return [part for of_one in named for part in by_area(of_one) if any(short_names(part))]
    for collection in several(query.collection):
        if mission_of(collection) not in (None, "1"):
            raise ConfigError(
                f"ASF has no collection {collection}: it holds Sentinel-1", hint="Use another archive, see --provider"
            )
    return [
        part
        for of_season in by_season(query)
        for single in by_value(of_season, "relative_orbit", "sensor_mode")
        for part in by_area(single)
        if any(short_names(part))
    ]


def search_parameters(query: Query, page_size: int = PAGE_SIZE) -> list[tuple[str, str]]:
    """Parameters of one slice, newest acquisition first.

    Periods find what overlaps them, both ends included, so that the engine decides what is wanted.
    """
    attributes = {
        "int,PATH_NUMBER": next(iter(several(query.relative_orbit)), None),
        "string,BEAM_MODE": _beam_mode(next(iter(several(query.sensor_mode)), None)),
        "string,ASCENDING_DESCENDING": query.orbit_direction and query.orbit_direction.upper(),
    }
    return [
        ("provider", "ASF"),
        *(("shortName", name) for name in dict.fromkeys(short_names(query))),
        *(("readable_granule_name[]", name.removesuffix(".tiff")) for name in query.names),
        *([("temporal", f"{_instant(query.start)},{_instant(query.end)}")] if query.start or query.end else []),
        *([("updated_since", _instant(query.published_since))] if query.published_since else []),
        *(_shape(query.area) if query.area is not None else ()),
        *(("attribute[]", f"{name},{value}") for name, value in attributes.items() if value is not None),
        ("sort_key[]", "-start_date"),
        ("sort_key[]", "granule_ur"),
        ("page_size", str(page_size)),
    ]


def short_names(query: Query) -> Iterator[str]:
    """The archive's collections that may hold what is looked for, without those of metadata files."""
    own = _own_collections(query)
    yield from own
    if own and not any(name in _ALL for name in several(query.collection)):
        return
    wanted = tuple(str(kind).upper() for kind in several(query.product_type))
    kinds = [kind for kind in LEVELS if not wanted or any(_names(word, kind) for word in wanted)]
    satellites = [satellite for satellite in several(query.platform) or SATELLITES if satellite.upper() in SATELLITES]
    for kind in kinds if wanted and not query.names else LEVELS:
        for level in LEVELS[kind]:
            yield from (f"SENTINEL-1{satellite[-1].upper()}_{level}" for satellite in satellites)
    if BURST in wanted or any(name.endswith(f"{BURST}.tiff") for name in query.names):
        yield BURSTS


def _own_collections(query: Query) -> list[str]:
    """Those that are named as the archive names them."""
    return [name for name in several(query.collection) if name not in _ALL and mission_of(name) in (None, "1")]


def _names(word: str, kind: str) -> bool:
    """Whether a word is a product type, or a longer form such as `IW_GRDH_1S` and `GRD_HD`."""
    return any(part.startswith(kind) for part in word.replace("-", "_").split("_"))


def _beam_mode(mode: str | None) -> str | None:
    """Stripmap has a mode for each beam, so that it is only checked afterwards."""
    return None if mode is None or mode.upper() == "SM" else mode.upper()


def _instant(value: datetime | None) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z" if value else ""


def _shape(area: BaseGeometry) -> Iterator[tuple[str, str]]:
    """A point, a box, or a polygon around the rest."""
    import shapely  # noqa: PLC0415 - slow to load, and needed only with an area

    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    if area.geom_type == "Point":
        west, south, *_ = area.bounds
        yield "point", f"{west:.6f},{south:.6f}"
        return
    if fit.is_box(area):
        yield "bounding_box", _box(area.bounds)
        return
    wide = fit.cover(area, LONGEST_WKT).segmentize(LONGEST_EDGE).buffer(MARGIN, join_style="mitre")
    world = shapely.box(-180, -90, 180, 90)
    if wide.geom_type != "Polygon" or not world.contains_properly(wide):
        yield "bounding_box", _box(wide.intersection(world).bounds)
        return
    ring = shapely.geometry.polygon.orient(shapely.Polygon(wide.exterior)).exterior
    yield "polygon", ",".join(f"{x:.6f},{y:.6f}" for x, y in ring.coords)


def _box(bounds: tuple[float, float, float, float]) -> str:
    """West, south, east, north, rounded outwards."""
    west, south, east, north = bounds
    outwards = (
        *(math.floor(each * 1e6) / 1e6 for each in (west, south)),
        *(math.ceil(each * 1e6) / 1e6 for each in (east, north)),
    )
    return ",".join(f"{each:.6f}" for each in outwards)
