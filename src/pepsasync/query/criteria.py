"""Criteria: the words of the command line and of Python programs become a `Query`. The only parser of both.

Importing this module loads no geometry library; an area does, when one is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.errors import AreaError, ConfigError
from pepsasync.model import Query
from pepsasync.nearest import meant
from pepsasync.paths import in_home
from pepsasync.query import attributes, dates, values
from pepsasync.query.missions import check_words, has_tiles, is_optical, is_radar, mission_of
from pepsasync.query.orbits import HIGHEST

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_SAME = {
    "product": ("product_type",),
    "sensor_mode": ("mode",),
    "start": ("start_date",),
    "end": ("end_date",),
    "geometry": ("area",),
    "orbit": ("relative_orbit",),
    "clouds": ("cloud_cover", "cc"),
    "polarisation": ("polarization",),
    "satellite": ("sat", "platform"),
    "id": ("ids", "name", "names"),
}
"""Other names of a criterion."""


def _collection(criterion: str, value: object) -> str:
    """The common words in any case; an archive's own names as they are."""
    text = values.parse_text(criterion, value)
    return text.upper() if text.upper() in ("S1", "S2", "S2ST", "S3") else text


_SEVERAL: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "collection": ("collection", _collection),
    "product": ("product_type", values.parse_word),
    "sensor_mode": ("sensor_mode", values.parse_word),
    "orbit": ("relative_orbit", values.parse_whole),
    "satellite": ("platform", values.parse_satellite),
    "tile": ("tile", lambda criterion, value: _tile(values.parse_text(criterion, value))),
}
"""Field of `Query` and parser of the criteria that take several values."""

_PLAIN: dict[str, tuple[str, Callable[[str, object], Any]]] = {
    "published_since": ("published_since", dates.parse_since),
    "orbit_direction": ("orbit_direction", values.parse_direction),
    "polarisation": ("polarisation", values.parse_polarisation),
    "timeliness": ("timeliness", values.parse_timeliness),
    "months": ("months", values.parse_months),
    "cover": ("cover", values.parse_percent),
    "sort": ("sort", lambda criterion, value: values.parse_text(criterion, value).lower()),
    "per": ("per", values.parse_words),
    "buffer": ("buffer", values.parse_length),
    "property": ("property", attributes.parse_conditions),
    "latest": ("latest", values.parse_flag),
    "twins": ("twins", values.parse_flag),
    "limit": ("limit", values.parse_whole),
}
"""Field of `Query` and parser of the other criteria that stand for themselves."""

_SIDES = ("lonmin", "latmin", "lonmax", "latmax")
_AREAS = {
    "tile": ("tile",),
    "location": ("location",),
    "point": ("lon", "lat"),
    "box": _SIDES,
    "bbox": ("bbox",),
    "shape": ("shape",),
    "geometry": ("geometry",),
}
"""Ways to say where, each with its criteria; a query has one at most."""

_KNOWN = {
    *_SEVERAL,
    *_PLAIN,
    "start",
    "end",
    "clouds",
    "id",
    *(name for names in _AREAS.values() for name in names),
}
_CANONICAL = {name: name for name in _KNOWN} | {other: name for name, others in _SAME.items() for other in others}
_EMPTY = "Leave it out, or give it a value"
_MISSION = re.compile(r"S(?:ENTINEL[-_ ]?)?(\d)", re.IGNORECASE)
"""Of the beginning of a product's name."""


def build_query(**criteria: object) -> Query:
    """Turn criteria as users write them into a query.

    None counts as not given; an empty text does not, since it comes from a variable that should have held something.
    Everything is checked here, before anything is sent. Who does want a whole archive makes a `Query()`.

    `collection`, `product`, `sensor_mode`, `satellite`, `orbit`, `tile`, `location`, `shape` and `id` take several
    values, of which a product needs one: a list, a text with commas, or `@FILE` with one a line, `#` before comments.

    Args:
        **criteria: Any of

            - `collection`: `S1`, `S2`, `S2ST`, `S3` or an archive's own name;
            - `product` (`product_type`), `sensor_mode`, `satellite` (`sat`, `platform`): `GRD`, `IW`, `S1A`;
            - `start`, `end`: `2015-11-01`, `2015-11`, `2015`, `2015-11-01T10:00:00Z`, `today`, `yesterday`, `-3d` (also
              `h`, `w`, `m` for months, `y`), or `date`, `datetime` and what numpy and pandas have. A date is 00:00:00
              UTC, a time without zone is UTC. `end` is exclusive when it is a date and inclusive, to the millisecond,
              when it has a time. A duration, `P1M`, counts from the other of the two, or back from today;
            - `published_since`: as `start`, of the publication in the archive instead of the acquisition;
            - where, one of: `tile` (`31TCJ`); `location`; `lon` and `lat`; `lonmin`, `latmin`, `lonmax`, `latmax`;
              `bbox` (`W,S,E,N`, W > E crosses the antimeridian); `shape` (vector file); `geometry` (WKT, GeoJSON,
              shapely or geopandas). All in degrees, EPSG:4326, longitude first, except `shape` and tables, which
              are reprojected;
            - `orbit` (`relative_orbit`): number; `clouds` (`cloud_cover`, `cc`): highest cloud cover, percent, or
              lowest and highest, `5..20`;
            - `orbit_direction`: `ascending`, `descending`; `polarisation` (`polarization`): the channels that radar
              products have, `VV+VH`; `timeliness`: `Fast-24h`; `months`: `6-8`, of any year;
            - `buffer`: `5km`, `500m` or metres by which the area is widened; tiles and places are areas then;
            - `cover`: least share of the area, percent, that the footprint covers;
            - `sort`: `date` (newest first), `clouds`, `size` or `cover`;
            - `per`: `day`, `tile` or both, the best product of each;
            - `property`: conditions on attributes as the archive names them, `cloudCover<20`, `processingLevel=L1`,
              `orbitNumber=100..200`; a text, several, or a mapping of names to values;
            - `id` (`ids`, `names`): product names; `@FILE` also reads those of a saved search;
            - `latest`: of several processings of an acquisition the newest; `twins`: the cloud-optimised copy of a
              GRD product of Sentinel-1 that is not online itself; `limit`: at most so many products.

    Raises:
        ConfigError: Unknown criterion, impossible or empty value, criteria of which nothing fulfils all, or none but
            `latest`, `twins` and `limit`.
        AreaError: The area of interest cannot be used.
    """
    given = _given(criteria)
    way = _way(given)
    fields: dict[str, Any] = {}
    for name, (field, parse) in _PLAIN.items():
        if name in given:
            fields[field] = parse(name, given[name])
    for name, (field, parse) in _SEVERAL.items():
        if name in given:
            fields[field] = tuple(parse(name, each) for each in values.each_value(name, given[name]))
    fields["start"], fields["end"] = dates.parse_period(given.get("start"), given.get("end"))
    if "clouds" in given:
        least, fields["cloud_cover"] = values.parse_percents("clouds", given["clouds"])
        fields["min_cloud_cover"] = least or None
    if "location" in given:
        fields["location"] = _places(given["location"])
    _check_orbits(fields.get("relative_orbit", ()), fields.get("collection", ()))
    if "id" in given:
        fields["names"] = _names(given["id"])
        _check_missions(fields["names"], fields.get("collection", ()))
    if way is not None:
        fields["area"] = _area(way, given, fields)
    query = Query(**fields)
    check_words(query)
    _check_sense(query)
    return query


def _check_sense(query: Query) -> None:
    """Refuse criteria that make no sense for what is looked for."""
    has_limit = (query.cloud_cover is not None and query.cloud_cover < 100) or query.min_cloud_cover
    if is_radar(query) and (has_limit or query.sort == "clouds"):
        raise ConfigError("radar sees through clouds: its products have no cloud cover", hint="Leave clouds out")
    if is_radar(query) and "tile" in query.per:
        raise ConfigError("radar products have no tile, so there is no best one per tile", hint="Use per day")
    if is_optical(query) and query.polarisation:
        raise ConfigError("Sentinel-2 products have no polarisation", hint="It is for Sentinel-1")
    if query.buffer is not None and not (query.area or query.tile or query.location):
        hint = "Give one: a point, box, shape, geometry, tile or place"
        raise ConfigError("a buffer goes around an area, and none is given", hint=hint)
    if (query.cover is not None or query.sort == "cover") and not (query.area or query.tile or query.location):
        raise ConfigError("cover needs an area, and none is given", hint="Give a tile, a place, a box or a shape")


def _given(criteria: Mapping[str, object]) -> dict[str, object]:
    """Criteria that have a value, under their canonical names."""
    given: dict[str, object] = {}
    written: dict[str, str] = {}
    for name, value in criteria.items():
        canonical = _canonical(name)
        if value is None:
            continue
        if isinstance(value, str) and not value.strip():
            raise ConfigError(f"{name} is empty", hint=_EMPTY)
        if canonical in given:
            raise ConfigError(f"{written[canonical]} and {name} are the same criterion", hint="Give one of them")
        given[canonical], written[canonical] = value, name
    if not given.keys() - {"latest", "twins", "limit"}:
        raise ConfigError(
            "no criterion is given; the query would mean the whole archive",
            hint="For example: collection S2ST, tile 31TCJ, start 2017-01-01, end 2017-02-01",
        )
    return given


def _canonical(name: str) -> str:
    key = name.replace("-", "_").lower()
    if key in _CANONICAL:
        return _CANONICAL[key]
    word = meant(name, [*sorted(_KNOWN), *_CANONICAL])
    hint = f"Did you mean {word!r}?" if word else f"There are {', '.join(sorted(_KNOWN))}"
    raise ConfigError(f"there is no criterion {name!r}", hint=hint)


def _way(given: Mapping[str, object]) -> str | None:
    """The one way in which the area is given."""
    ways = [way for way, names in _AREAS.items() if any(name in given for name in names)]
    if len(ways) > 1:
        written = [name for way in ways for name in _AREAS[way] if name in given]
        raise ConfigError(f"{', '.join(written)} each name an area", hint="Give one of them")
    if not ways:
        return None
    missing = [name for name in _AREAS[ways[0]] if name not in given]
    if missing:
        there = [name for name in _AREAS[ways[0]] if name in given]
        raise ConfigError(f"{', '.join(there)} without {', '.join(missing)}", hint=f"A {ways[0]} needs all of them")
    return ways[0]


def _area(way: str, given: Mapping[str, object], fields: Mapping[str, Any]) -> BaseGeometry | None:
    """Geometry of the area; None when the archive is asked by tile or place name."""
    if way == "location" or (way == "tile" and all(map(has_tiles, fields.get("collection") or (None,)))):
        return None
    from pepsasync.area import aoi  # noqa: PLC0415 - slow to import, and needed only with an area

    if way == "tile":
        return aoi.together([aoi.tile(tile) for tile in fields["tile"]])
    if way == "shape":
        return aoi.together([aoi.from_file(path) for path in _paths(given["shape"])])
    if way == "geometry":
        return aoi.from_object(given["geometry"])
    if way == "bbox":
        return aoi.box(*values.parse_bbox("bbox", given["bbox"]))
    numbers = [values.parse_number(name, given[name]) for name in _AREAS[way]]
    return aoi.point(*numbers) if way == "point" else aoi.box(*numbers)


def _tile(text: str) -> str:
    """A tile that exists, canonical."""
    from pepsasync.area.tile_grid import find_square  # noqa: PLC0415 - needed only with a tile

    return find_square(text).tile


def _check_orbits(orbits: Iterable[int], collections: Iterable[str]) -> None:
    """Refuse relative orbits that no mission asked for flies; those that none flies at all are refused by `Query`."""
    missions = [f"S{mission_of(collection)}" for collection in collections]
    if not missions or not all(mission in HIGHEST for mission in missions):
        return
    for orbit in orbits:
        if orbit > max(HIGHEST[mission] for mission in missions):
            hint = ", ".join(f"{mission} has 1-{HIGHEST[mission]}" for mission in dict.fromkeys(missions))
            raise ConfigError(f"relative orbit {orbit} does not exist", hint=hint)


def _check_missions(names: Iterable[str], collections: Collection[str]) -> None:
    """Archives look for a name where its mission is, whatever collection they are asked for."""
    missions = {mission_of(collection) for collection in collections}
    for name in names:
        if missions and None not in missions and (match := _MISSION.match(name)) and match[1] not in missions:
            raise ConfigError(f"{name} is not of the collection {', '.join(collections)}", hint="Leave out one of them")


def _places(value: object) -> tuple[str, ...]:
    """Place names. A comma also stands before the country of a place: `Toulouse, FR` is one."""
    texts = values.each_value("location", value, has_commas=False)
    if all("," not in str(text) for text in texts):
        return tuple(values.parse_text("location", text) for text in texts)
    from pepsasync.area.places import split_places  # noqa: PLC0415 - slow to import, and needed only with commas

    return tuple(place for text in texts for place in split_places(values.parse_text("location", text)))


def _paths(value: object) -> list[Path]:
    """Paths of vector files; a comma may also belong to the name of one that is there."""
    paths = []
    for item in values.each_value("shape", value, has_commas=False):
        whole = _path(item)
        is_one = not isinstance(item, str) or "," not in item or in_home(whole).exists()
        paths += [whole] if is_one else [_path(each) for each in values.each_value("shape", item)]
    return paths


def _path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise AreaError(f"shape: {value!r} is not a path", hint="For geometry in memory use `geometry`")
    return Path(value.strip() if isinstance(value, str) else value)


def _names(value: object) -> tuple[str, ...]:
    """Product names, each once, in the order given."""
    if not isinstance(value, str | Iterable):
        raise ConfigError(f"id: {value!r} is not a product name")
    items: Iterable[object] = [value] if isinstance(value, str) else value
    names = tuple(dict.fromkeys(name for item in items for name in _expanded(item)))
    if not names:
        raise ConfigError("id is empty", hint=_EMPTY)
    return names


def _expanded(item: object) -> list[str]:
    """Names in a text, or in a file: `@FILE`."""
    if not (isinstance(item, str) and item.strip().startswith("@")):
        return [values.parse_name("id", name) for name in (item.split(",") if isinstance(item, str) else [item])]
    from pepsasync.query.saved_search import read_saved  # noqa: PLC0415 - needed only with a file

    return read_saved(item.strip()[1:])
