"""Values as archives send them, which may be null, missing or of another type, in the types of the model or None."""

from __future__ import annotations

import math
import re
import sys
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from pepsasync.model import Checksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pepsasync.model import Product

_NUMBERS = (int, float, str)
_NUMERIC = {int, float}
"""Types of a coordinate; a bool is none."""
_DIMENSIONS = ({2}, {3})
_FARTHEST = 540.0
"""Degrees; what is beyond is in another unit."""
_NOTHING: tuple[Any, ...] = (None, "", {})
_OTHER_SHAPES = ("Point", "MultiPoint", "LineString", "MultiLineString", "GeometryCollection")
_HALF = re.compile("[\ud800-\udfff]")
"""One half of a pair that stands for one character."""
_SATELLITE = re.compile(r"(S\d[A-Z])_")
_MISSION = re.compile(r"SENTINEL-(\d[A-Z])")
_BETWEEN = re.compile("[&+,]")
_DIGESTS = {"md5": re.compile("[0-9a-f]{32}"), "blake3": re.compile("[0-9a-f]{64}")}


def name_of(record: Any, *names: str) -> str:
    """What a record that cannot be read is called: the first of some fields that holds a text; empty when none does."""
    fields = as_mapping(record)
    return next((text for name in names if (text := as_text(fields.get(name)))), "")


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """A text with something in it; what JSON can say and no file can hold is replaced."""
    if not isinstance(value, str):
        return None
    return (value if value.isascii() else _HALF.sub("\ufffd", value)).strip() or None


def as_word(value: Any) -> str | None:
    """A text of which there are few: kept once, however many products have it."""
    text = as_text(value)
    return sys.intern(text) if text else None


def as_lower(value: Any) -> str | None:
    """A text of which there are few, in lower case."""
    text = as_text(value)
    return sys.intern(text.lower()) if text else None


def as_percent(value: Any) -> float | None:
    """A share; a negative one, as of the clouds of radar, means that there is none to tell."""
    number = as_number(value)
    return number if number is not None and number >= 0 else None


def as_polarisation(value: Any) -> str | None:
    """`VV VH`, from `VV&VH`, `VV+VH`, `VV,VH` or a list."""
    text = " ".join(map(str, value)) if isinstance(value, list) else as_text(value)
    return sys.intern(" ".join(_BETWEEN.sub(" ", text).split())) or None if text else None


def as_platform(name: str, mission: Any = None, unit: Any = None) -> str | None:
    """`S1A`; None for what is no Sentinel.

    Args:
        name: Of the product, which tells it as a rule.
        mission: `SENTINEL-1`, in any case, with or without the unit.
        unit: `A`.
    """
    if match := _SATELLITE.match(name):
        return sys.intern(match[1])
    match = _MISSION.fullmatch(f"{as_text(mission) or ''}{as_text(unit) or ''}".upper())
    return sys.intern(f"S{match[1]}") if match else None


def as_number(value: Any) -> float | None:
    """A finite number, sent as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_integer(value: Any) -> int | None:
    """A whole number, sent as a number or as text."""
    if type(value) is int:
        return value
    number = as_number(value)
    return int(number) if number is not None else None


def as_size(value: Any) -> int | None:
    """Bytes, sent as a number or as text; 0 means unknown."""
    size = as_integer(value)
    return size if size and size > 0 else None


def as_instant(value: Any) -> datetime | None:
    """An instant such as `2020-08-15T00:52:51.024Z`, UTC and aware; a time without zone is UTC."""
    try:
        instant = datetime.fromisoformat(str(value))
        if instant.tzinfo is UTC:
            return instant
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def unclear(product: Product, start: Any, footprint: Any) -> tuple[str, ...]:
    """Which of `start` and `footprint` a record holds in a form that cannot be read.

    Args:
        product: What was read of the record.
        start: Its acquisition start, as the archive wrote it.
        footprint: Its footprint. An empty one, points and lines are readable, though none is kept.
    """
    geometry = as_mapping(footprint)
    is_other = geometry.get("type") in _OTHER_SHAPES or geometry.get("coordinates") == []
    is_told = {
        "start": product.start is None and start not in _NOTHING,
        "footprint": product.footprint is None and footprint not in _NOTHING and not is_other,
    }
    return tuple(name for name, told in is_told.items() if told)


def as_checksum(algorithm: str, value: Any) -> Checksum | None:
    """An MD5 or BLAKE3 in upper or lower case; None for other algorithms."""
    text, digits = (as_text(value) or "").lower(), _DIGESTS.get(algorithm)
    return Checksum(algorithm, text) if digits and digits.fullmatch(text) else None


def as_md5(value: Any) -> Checksum | None:
    """An MD5 in upper or lower case."""
    return as_checksum("md5", value)


def as_footprint(value: Any) -> Mapping[str, Any] | None:
    """A GeoJSON polygon or multipolygon, well-formed, so that every library can read it."""
    geometry = as_mapping(value)
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    is_polygon = kind == "Polygon"
    if not is_polygon and kind != "MultiPolygon":
        return None
    polygons = [coordinates] if is_polygon else as_list(coordinates)
    return {"type": kind, "coordinates": coordinates} if polygons and all(map(_is_polygon, polygons)) else None


def _is_polygon(rings: Any) -> bool:
    return type(rings) is list and bool(rings) and all(map(_is_ring, rings))


def _is_ring(positions: Any) -> bool:
    """Four positions or more, all with height or all without; this runs for each product, hence no loops of our own."""
    if type(positions) is not list or len(positions) < 4 or {*map(type, positions)} != {list}:
        return False
    numbers = [*chain.from_iterable(positions)]
    if {*map(len, positions)} not in _DIMENSIONS or not _NUMERIC.issuperset(map(type, numbers)):
        return False
    step = len(positions[0])
    return all(abs(degrees) <= _FARTHEST for axis in (0, 1) for degrees in numbers[axis::step]) and _are_finite(
        numbers[2::3] if step > 2 else ()
    )


def _are_finite(numbers: Iterable[float]) -> bool:
    try:
        return all(map(math.isfinite, numbers))
    except OverflowError:  # an integer beyond any float
        return False
