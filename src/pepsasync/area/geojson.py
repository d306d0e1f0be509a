"""Geometries of decoded GeoJSON, and the coordinate system that older GeoJSON names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import shapely
from shapely.errors import ShapelyError

from pepsasync.errors import AreaError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_DEEPEST = 40
"""Collections within collections; guards the stack."""
_CRS_NAME = re.compile(r"(?:urn:(?:x-)?ogc:def:crs:)?([A-Za-z]+):(?:[\d.]*:)?(\w+)")
"""`EPSG:2154`, `urn:ogc:def:crs:EPSG::2154`, `urn:ogc:def:crs:OGC:1.3:CRS84`."""


def read_shapes(value: object) -> list[BaseGeometry]:
    """Geometries of a geometry, Feature or FeatureCollection; features without one are left out.

    Raises:
        AreaError: It is not GeoJSON.
    """
    return [_shape(geometry) for geometry in _geometries(value)]


def read_crs(value: object) -> str | None:
    """The coordinate system as `EPSG:2154`; None when GeoJSON from before 2016 says that it has none.

    Raises:
        AreaError: It is only a link, or has no code.
    """
    if not isinstance(value, Mapping) or "crs" not in value:
        return "OGC:CRS84"
    written = value["crs"]
    if written is None:
        return None
    properties = written.get("properties") if isinstance(written, Mapping) else None
    name = properties.get("name") if isinstance(properties, Mapping) and written.get("type") == "name" else None
    match = _CRS_NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise AreaError(
            f"its coordinate system {shortened(str(written))!r} has no code of EPSG or OGC",
            hint="Links are not followed; save it in EPSG:4326, as the GeoJSON standard asks",
        )
    return f"{match[1].upper()}:{match[2]}"


def shortened(text: str) -> str:
    """The beginning of a text, for messages."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _geometries(value: object, depth: int = 0) -> list[Mapping[str, Any]]:
    """Plain geometries of a GeoJSON object, however it is wrapped."""
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        raise _not_geojson(value)
    kind = value.get("type")
    if kind == "Feature":
        inner = value.get("geometry")
        return _geometries(inner, depth + 1) if inner is not None else []
    members = value.get({"FeatureCollection": "features", "GeometryCollection": "geometries"}.get(str(kind), ""))
    if kind not in ("FeatureCollection", "GeometryCollection"):
        return [value]
    if not isinstance(members, list | tuple):
        raise _not_geojson(value)
    return [geometry for member in members for geometry in _geometries(member, depth + 1)]


def _shape(geometry: Mapping[str, Any]) -> BaseGeometry:
    try:
        return shapely.geometry.shape(dict(geometry))
    except (ShapelyError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _not_geojson(geometry) from error


def _not_geojson(value: object) -> AreaError:
    hint = 'It looks like {"type": "Polygon", "coordinates": [[[1, 43], [2, 43], [2, 44], [1, 43]]]}'
    return AreaError(f"the geometry {shortened(str(value))!r} is not GeoJSON", hint=hint)
