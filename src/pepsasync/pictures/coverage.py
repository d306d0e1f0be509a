"""How many footprints lie over each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.pictures.view import View


def coverage(
    geometries: Sequence[BaseGeometry], view: View, columns: int, rows: int
) -> tuple[float, float, float, float, Any]:
    """Count the footprints over the middle of each cell of a grid over a window.

    Args:
        geometries: Within -180..180.
        view: The window.
        columns: Of the grid, from west to east.
        rows: Of the grid, from south to north; fewer where the window goes beyond a pole.

    Returns:
        West, south, east and north of the grid in degrees, and the counts as an array of shape (rows, columns).
    """
    import numpy as np  # noqa: PLC0415 - heavy
    import shapely  # noqa: PLC0415

    west, east = view.west, view.east
    south, north = max(-90.0, view.south), min(90.0, view.north)
    rows = max(1, round(rows * (north - south) / (view.north - view.south)))
    longitudes = west + (np.arange(columns) + 0.5) * (east - west) / columns
    latitudes = south + (np.arange(rows) + 0.5) * (north - south) / rows
    x, y = np.meshgrid(longitudes, latitudes)
    footprints = shapely.STRtree([view.moved(one) for one in geometries])
    cells, _ = footprints.query(shapely.points(x.ravel(), y.ravel()), predicate="intersects")
    counts = np.bincount(cells, minlength=x.size).reshape(x.shape).astype(np.uint32)
    return west, south, east, north, counts


def opacity(counts: Any) -> float:
    """Return how much each footprint may hide so that the land can be seen where most lie over each other.

    Args:
        counts: Of `coverage`.
    """
    return float(min(0.35, 1 - 0.15 ** (1 / max(1, int(counts.max())))))
