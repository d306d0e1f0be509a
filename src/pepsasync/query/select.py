"""Which products are wanted: every criterion again on our side, since archives ignore filters. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pepsasync.area.footprint import as_geometry
from pepsasync.model import several
from pepsasync.query.attributes import are_met
from pepsasync.query.missions import NEUTRAL, mission_of
from pepsasync.query.orbits import relative_orbit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Product, Query

_RADAR_TYPES = ("GRD", "SLC", "OCN", "RAW")
_MISSION_OF_NAME = re.compile(r"S(?:ENTINEL[-_ ]?)?(\d)[A-Z](?:_|$)")
_S1_KIND = re.compile(r"S1[A-Z]_(IW|EW|WV|SM|S\d)_(GRD|SLC|OCN|RAW)")
_S2_KIND = re.compile(r"S2[A-Z]_(?:OPER_PRD_)?MSIL?(1C|2A)_")
_S1_CHANNELS = re.compile(r"S1[A-Z]_\w\w_\w{4}_\d[SA]([SDHV][HV])_")
_CHANNELS = {"SV": "VV", "SH": "HH", "DV": "VV VH", "DH": "HH HV", "VH": "VH", "HV": "HV", "VV": "VV", "HH": "HH"}
"""Polarisation by its letters in a name."""
_TILE_IN_NAME = re.compile(r"_T(\d{2}[A-Z]{3})(?:_|$)")


def is_wanted(product: Product, query: Query) -> bool:
    """Whether a product fulfils every criterion of a query; see `why_unwanted`."""
    return why_unwanted(product, query) is None


def why_unwanted(product: Product, query: Query) -> str | None:
    """Name the first criterion that a product fails.

    What neither a product nor its name tells counts in its favour for collection, product type, sensor mode, satellite,
    time, publication, timeliness and area. It counts against it for relative orbit, tile (but Sentinel-2 products of
    several tiles stay), orbit direction, polarisation (of radar), cloud cover (of others) and the archive's own
    attributes. Location is not checked: it is the archive's word.

    Args:
        product: What an archive returned for the query.
        query: What was asked for.

    Returns:
        `relative orbit`, ...; None when the product is wanted.
    """
    for criterion, is_met in _CHECKS.items():
        if not is_met(product, query):
            return criterion
    return None


def _is_of_collection(product: Product, query: Query) -> bool:
    """Of the mission that the collection's name tells, and of the collection itself where it is the archive's own."""
    return query.collection is None or any(_is_of(product, collection) for collection in several(query.collection))


def _is_of(product: Product, collection: str) -> bool:
    if collection not in NEUTRAL and product.collection not in ("", "unknown", collection):
        return False
    wanted = mission_of(collection)
    actual = _MISSION_OF_NAME.match(platform_of(product) or product.name.upper())
    return wanted is None or actual is None or wanted == actual[1]


def _has_name(product: Product, query: Query) -> bool:
    return not query.names or product.name in query.names


def _has_type(product: Product, query: Query) -> bool:
    """Equal, or for radar the word within the long form: `GRD` and `IW_GRDH_1S` are one, whoever says which."""
    kind = product.product_type or _type_in_name(product.name)
    if query.product_type is None or kind is None:
        return True
    actual = kind.upper()
    return any(
        wanted == actual or _is_short_for(wanted, actual) or _is_short_for(actual, wanted)
        for wanted in map(str.upper, several(query.product_type))
    )


def _is_short_for(word: str, long_form: str) -> bool:
    return word in _RADAR_TYPES and any(part.startswith(word) for part in long_form.split("_"))


def _has_mode(product: Product, query: Query) -> bool:
    mode = product.sensor_mode or _mode_in_name(product.name)
    if query.sensor_mode is None or mode is None:
        return True
    return mode.upper() in map(str.upper, several(query.sensor_mode))


def _has_platform(product: Product, query: Query) -> bool:
    if query.platform is None:
        return True
    return platform_of(product) in (None, *map(str.upper, several(query.platform)))


def _is_late_enough(product: Product, query: Query) -> bool:
    return query.start is None or product.start is None or product.start >= query.start


def _is_early_enough(product: Product, query: Query) -> bool:
    """The acquisition start decides, so that neighbouring periods share no product."""
    return query.end is None or product.start is None or product.start < query.end


def _is_published_since(product: Product, query: Query) -> bool:
    return query.published_since is None or product.published is None or product.published >= query.published_since


def _has_orbit(product: Product, query: Query) -> bool:
    if query.relative_orbit is None:
        return True
    return orbit_of(product) in several(query.relative_orbit)


def _is_clear(product: Product, query: Query) -> bool:
    most, least = query.cloud_cover, query.min_cloud_cover
    if (most is None and least is None) or shows_radar(product):
        return True
    clouds = product.cloud_cover
    return clouds is not None and (least or 0) <= clouds <= (100 if most is None else most)


def shows_radar(product: Product) -> bool:
    """Whether a product is of Sentinel-1, which sees through clouds."""
    return (platform_of(product) or "").startswith("S1")


def _has_direction(product: Product, query: Query) -> bool:
    """Not all archives tell it of Sentinel-2, which looks at the ground by day: on its descending half."""
    if query.orbit_direction is None:
        return True
    told = product.orbit_direction or ("descending" if (platform_of(product) or "").startswith("S2") else "")
    return told.lower() == query.orbit_direction


def _has_polarisation(product: Product, query: Query) -> bool:
    if query.polarisation is None or not shows_radar(product):
        return True
    in_name = _S1_CHANNELS.match(product.name)
    told = product.polarisation or (in_name and _CHANNELS.get(in_name[1])) or ""
    return set(query.polarisation.split()) <= set(told.replace("&", " ").replace("+", " ").upper().split())


def _has_timeliness(product: Product, query: Query) -> bool:
    if query.timeliness is None or product.timeliness is None:
        return True
    return _bare(product.timeliness) == _bare(query.timeliness)


def _bare(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()


def _is_in_season(product: Product, query: Query) -> bool:
    return not query.months or product.start is None or product.start.month in query.months


def _has_properties(product: Product, query: Query) -> bool:
    return not query.property or are_met(query, product.attributes or {})


def _covers(product: Product, query: Query) -> bool:
    return query.cover is None or (share := covered(product, query)) is None or share >= query.cover


def covered(product: Product, query: Query) -> float | None:
    """Share of the area of a query, in percent, that a footprint covers, measured on the ellipsoid.

    Of a tile, if that is what the query asks for and the product has it. None when there is no area or no footprint.
    """
    from pepsasync.area import share  # noqa: PLC0415 - slow to import, and needed only with an area

    tile = tile_of(product)
    area = share.tile_area(tile) if tile and tile in several(query.tile) else query.area
    footprint = product.footprint and as_geometry(product.footprint)
    return share.share(area, footprint) if area is not None and footprint else None


def _has_tile(product: Product, query: Query) -> bool:
    """Products without a tile are left to the area, if there is one; old Sentinel-2 products hold many tiles."""
    if query.tile is None:
        return True
    actual = tile_of(product)
    if actual is not None:
        return actual in several(query.tile)
    return query.area is not None or product.name.startswith("S2")


def _is_in_area(product: Product, query: Query) -> bool:
    """Exact intersection; two polygons that only touch do not count. The right tile is in the area it stands for."""
    if query.area is None or not product.footprint or (query.tile and tile_of(product) in several(query.tile)):
        return True
    footprint = as_geometry(product.footprint)
    return footprint is None or any(_overlaps(part, footprint) for part in _comparable(query.area))


_CHECKS: dict[str, Callable[[Product, Query], bool]] = {
    "name": _has_name,
    "collection": _is_of_collection,
    "product type": _has_type,
    "sensor mode": _has_mode,
    "satellite": _has_platform,
    "start": _is_late_enough,
    "end": _is_early_enough,
    "publication": _is_published_since,
    "relative orbit": _has_orbit,
    "cloud cover": _is_clear,
    "orbit direction": _has_direction,
    "polarisation": _has_polarisation,
    "timeliness": _has_timeliness,
    "month": _is_in_season,
    "property": _has_properties,
    "tile": _has_tile,
    "area": _is_in_area,
    "cover": _covers,
}
"""In order of cost."""


def _type_in_name(name: str) -> str | None:
    if match := _S1_KIND.match(name):
        return match[2]
    match = _S2_KIND.match(name)
    return f"S2MSI{match[1]}" if match else None


def _mode_in_name(name: str) -> str | None:
    """`IW`; the beams S1 to S6 are those of `SM`."""
    match = _S1_KIND.match(name)
    return match and ("SM" if match[1].startswith("S") else match[1])


def platform_of(product: Product) -> str | None:
    """Return the satellite, `S1A`, from the archive or the name."""
    if product.platform is not None:
        return product.platform.upper()
    return product.name[:3] if re.match(r"S\d[A-Z]_", product.name) else None


def orbit_of(product: Product) -> int | None:
    """Return the relative orbit, from the archive or from what tells it."""
    if product.relative_orbit is not None:
        return product.relative_orbit
    return relative_orbit(product.name, product.platform, product.orbit, product.start)


def tile_of(product: Product) -> str | None:
    """Return the tile of a product without T, from the archive or the name."""
    if product.tile:
        return product.tile.upper().removeprefix("T")
    match = _TILE_IN_NAME.search(product.name)
    return match[1] if match else None


def _comparable(area: BaseGeometry) -> Sequence[BaseGeometry]:
    """An area as geometries that GEOS compares with others: a mixed collection is not one."""
    return tuple(getattr(area, "geoms", ())) if area.geom_type == "GeometryCollection" else (area,)


def _overlaps(area: BaseGeometry, footprint: BaseGeometry) -> bool:
    import shapely  # noqa: PLC0415 - slow to import, and needed only with an area

    shapely.prepare(area)
    if not shapely.intersects(area, footprint):
        return False
    is_areal = shapely.get_dimensions(area) == 2 and shapely.get_dimensions(footprint) == 2
    return not (is_areal and shapely.touches(area, footprint))
