"""A still picture of footprints, by geopandas and matplotlib."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.area.footprint import as_geometry
from pepsasync.errors import ConfigError
from pepsasync.pictures.coverage import coverage, opacity
from pepsasync.pictures.land import CREDIT, borders, land
from pepsasync.pictures.map import BORDER, CELLS, LAND, SEA, TIER_COLOURS
from pepsasync.pictures.page import needs, write_picture
from pepsasync.pictures.view import view_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Product

PLOTS = (".png", ".svg")
"""Suffixes of plots."""

WIDTH, HEIGHT = 10.0, 6.0
"""Inches."""

PIXELS = 144
"""An inch, of a PNG."""

_ASPECT = 1.75
"""Of the part of the picture that the map takes."""


def check_plot(path: Path, option: str) -> None:
    """Refuse a plot that cannot be made, before any work is done.

    Raises:
        ConfigError: Another suffix than `PLOTS`, or matplotlib is missing.
    """
    if path.suffix.lower() not in PLOTS:
        raise ConfigError(f"{option}: cannot tell the format of {path}", hint=f"Use one of {', '.join(PLOTS)}")
    needs("matplotlib", option)


def write_plot(
    products: Sequence[Product],
    path: str | os.PathLike[str],
    title: str = "Products",
    area: BaseGeometry | None = None,
) -> None:
    """Write the footprints of products, coloured by storage tier, as a picture.

    Args:
        products: From a search.
        path: Ends with one of `PLOTS`; `~` is the home folder.
        title: Plain text.
        area: That was searched, EPSG:4326, within -180..180 degrees of longitude; is drawn as a line.

    Raises:
        ConfigError: The file cannot be written.
        DiskFullError: There is no room for it.
    """
    write_picture(path, _picture(products, Path(path).suffix.lower().removeprefix("."), title, area))


def _picture(products: Sequence[Product], form: str, title: str, area: BaseGeometry | None) -> bytes:
    import geopandas  # noqa: PLC0415 - heavy
    import shapely  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    drawn = [(one.tier, shape) for one in products if (shape := as_geometry(one.footprint)) is not None]
    shapes = [shape for _, shape in drawn]
    view = view_of(shapes or ([] if area is None else [area]), _ASPECT)
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")  # past pyplot: no window, any thread
    axes = figure.add_subplot(facecolor=SEA)
    window = view.west - 1, view.south - 1, view.east + 1, view.north + 1
    for shape, style in ((land(), {"facecolor": LAND}), (borders(), {"linestyle": ":"})):
        here = geopandas.GeoSeries(shapely.clip_by_rect(view.everywhere(shape), *window))
        if not here.is_empty.all():  # else geopandas warns
            here.plot(ax=axes, edgecolor=BORDER, linewidth=0.6, **style)
    counts = Counter(tier for tier, _ in drawn)
    alpha = opacity(coverage(shapes, view, CELLS, round(CELLS / _ASPECT))[-1])
    for tier, _ in counts.most_common():
        colour = TIER_COLOURS[tier]
        table = geopandas.GeoSeries([view.moved(shape) for known, shape in drawn if known == tier])
        table.plot(ax=axes, facecolor=colour, edgecolor="none", alpha=alpha)
        table.boundary.plot(ax=axes, color=colour, linewidth=0.8, alpha=0.8)
    if area is not None:
        geopandas.GeoSeries([view.moved(area)]).plot(
            ax=axes, facecolor="none", edgecolor="#222222", linestyle="--", linewidth=1.2
        )
    axes.set(xlim=(view.west, view.east), ylim=(view.south, view.north), aspect="auto", xlabel="", ylabel="")
    axes.xaxis.set_major_formatter(lambda degrees, _: view.meridian(degrees))
    axes.yaxis.set_major_formatter(lambda degrees, _: f"{degrees:g}°")
    axes.set_title(title, parse_math=False, wrap=True)
    patches = [Patch(color=TIER_COLOURS[tier], label=f"{tier} ({count:,})") for tier, count in counts.most_common()]
    if patches:
        axes.legend(handles=patches, loc="upper left")
    axes.annotate(CREDIT, (1, -0.09), xycoords="axes fraction", ha="right", va="top", fontsize=7, color="#666666")
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=PIXELS)
    return content.getvalue()
