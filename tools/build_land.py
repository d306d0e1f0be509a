# /// script
# requires-python = ">=3.11"
# dependencies = ["pepsasync"]
# ///
"""Makes `src/pepsasync/area/data/land.wkt.xz`, the coastlines and borders of maps, from Natural Earth.

Natural Earth (1:50 million) is in the public domain. The npm package `world-atlas` has it as TopoJSON:

    npm pack world-atlas && tar xzf world-atlas-*.tgz && python tools/build_land.py package/
"""

from __future__ import annotations

import json
import lzma
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import shapely

from pepsasync.area.antimeridian import unwrap
from pepsasync.area.clean import clean, single_parts

OUTPUT = Path(__file__).parent.parent / "src" / "pepsasync" / "area" / "data" / "land.wkt.xz"
DECIMALS = 2
SMALLEST = 0.005
"""Square degrees: about 60 square kilometres at the equator."""
TOLERANCE = 0.01
"""Degrees by which a line may be off."""


def arcs(topology: dict[str, Any]) -> list[list[tuple[float, float]]]:
    """Lines in degrees, of the differences of whole numbers that TopoJSON holds."""
    (scale_x, scale_y), (first_x, first_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    lines = []
    for arc in topology["arcs"]:
        steps = accumulate(arc, lambda point, step: [point[0] + step[0], point[1] + step[1]])
        lines.append([(x * scale_x + first_x, y * scale_y + first_y) for x, y in steps])
    return lines


def ring(lines: list[list[tuple[float, float]]], numbers: list[int]) -> list[tuple[float, float]]:
    """Arcs one after the other; the number of one that runs backwards is its complement."""
    points: list[tuple[float, float]] = []
    for number in numbers:
        arc = lines[number] if number >= 0 else lines[~number][::-1]
        points += arc[1 if points else 0 :]
    return points


def is_sliver(polygon: shapely.Polygon) -> bool:
    """Whether a polygon of few corners goes round the Earth."""
    west, _, east, _ = polygon.bounds
    return east - west == 360 and len(polygon.exterior.coords) < 8


def land(folder: Path) -> shapely.MultiPolygon:
    """All land."""
    topology = json.loads((folder / "land-50m.json").read_text())
    lines = arcs(topology)
    rings = [polygon for geometry in topology["objects"]["land"]["geometries"] for polygon in geometry["arcs"]]
    polygons = [shapely.Polygon(ring(lines, outer), [ring(lines, hole) for hole in holes]) for outer, *holes in rings]
    # A sliver of an island of Fiji has an edge around the Earth, which `unwrap` takes for the border of the world.
    cut = [clean(unwrap(one), "the land") for one in polygons if one.area and not is_sliver(one)]
    whole = shapely.set_precision(shapely.simplify(shapely.union_all(cut), TOLERANCE), 10.0**-DECIMALS)
    return shapely.MultiPolygon([part for part in single_parts(whole) if part.area > SMALLEST])


def borders(folder: Path) -> shapely.MultiLineString:
    """Lines that two countries share."""
    topology = json.loads((folder / "countries-50m.json").read_text())
    lines = arcs(topology)
    owners: dict[int, set[int]] = {}
    for country, geometry in enumerate(topology["objects"]["countries"]["geometries"]):
        polygons = geometry.get("arcs", []) if geometry["type"] == "MultiPolygon" else [geometry.get("arcs", [])]
        for number in (number for rings in polygons for numbers in rings for number in numbers):
            owners.setdefault(number if number >= 0 else ~number, set()).add(country)
    shared = shapely.line_merge(
        shapely.MultiLineString([lines[number] for number, countries in owners.items() if len(countries) > 1])
    )
    rounded = shapely.set_precision(shapely.simplify(shared, TOLERANCE), 10.0**-DECIMALS)
    return shapely.MultiLineString(list(single_parts(rounded)))


def main() -> None:
    """Write the file: two lines of WKT."""
    folder = Path(sys.argv[1])
    shapes = [land(folder), borders(folder)]
    text = "\n".join(shapely.to_wkt(shape, rounding_precision=DECIMALS) for shape in shapes) + "\n"
    OUTPUT.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    sys.stderr.write(f"{OUTPUT}: {OUTPUT.stat().st_size} bytes\n")
    sys.stderr.write(f"{[int(shapely.get_num_coordinates(shape)) for shape in shapes]} points\n")


if __name__ == "__main__":
    main()
