"""Maps that a browser shows without a network: footprints by storage tier and date, coverage, a list."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from pepsasync.area.footprint import as_geometry
from pepsasync.html import web_link
from pepsasync.model import StorageTier
from pepsasync.pictures.coverage import coverage, opacity
from pepsasync.pictures.land import borders, land
from pepsasync.pictures.page import heading, note, page, write_picture
from pepsasync.pictures.view import view_of
from pepsasync.text import one_line
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import datetime

    from bokeh.models import ColumnDataSource, GlyphRenderer, Plot
    from bokeh.plotting import figure
    from shapely.geometry.base import BaseGeometry

    from pepsasync.model import Product
    from pepsasync.pictures.view import View

WIDTH, HEIGHT = 1100, 560
"""Of a map, in pixels of a window that is wide enough."""

TIER_COLOURS = {
    StorageTier.DISK: "#1b7837",
    StorageTier.STAGING: "#e08214",
    StorageTier.TAPE: "#762a83",
    StorageTier.UNKNOWN: "#555555",
}
"""Told apart by people who do not see red and green as well."""

SEA, LAND, BORDER = "#dbe9f4", "#f6f2e8", "#b3aa98"

CELLS = 240
"""Columns of the grid on which the coverage is counted."""

DECIMALS = 3
"""Of coordinates in a page, in degrees: 100 m."""

MOST_TIPS = 3
"""Products that are described at the pointer, where many lie over each other."""


def write_map(
    products: Sequence[Product],
    path: str | os.PathLike[str],
    title: str = "Products",
    area: BaseGeometry | None = None,
) -> None:
    """Write a map of products as one HTML file.

    Args:
        products: From a search.
        path: Ends with `.html`; `~` is the home folder.
        title: Plain text.
        area: That was searched, EPSG:4326, within -180..180 degrees of longitude; is drawn as a line.

    Raises:
        ConfigError: The file cannot be written.
        DiskFullError: There is no room for it.
    """
    write_picture(path, map_page(products, title, area).encode())


def map_page(products: Sequence[Product], title: str = "Products", area: BaseGeometry | None = None) -> str:
    """Return a page with the maps of products; all that archives wrote is plain text in it."""
    maps = Maps(products, area=area)
    return page(title, [heading(title, maps.summary), maps.tabs(), *maps.table()])


class Maps:
    """Maps and lists of the same products, in which what is chosen in one is chosen in all.

    Args:
        products: From a search; those without a footprint are only listed.
        colours: A word and its colour for each product, instead of its storage tier.
        by: What the words of `colours` are about.
        area: That was searched.
    """

    def __init__(
        self,
        products: Sequence[Product],
        colours: Sequence[tuple[str, str]] | None = None,
        by: str = "Storage tier",
        area: BaseGeometry | None = None,
    ) -> None:
        from bokeh.models import ColumnDataSource, Range1d  # noqa: PLC0415 - heavy

        drawn = [(product, as_geometry(product.footprint)) for product in products]
        self._products = products
        self._geometries = [geometry for _, geometry in drawn if geometry is not None]
        self._view = view_of(self._geometries or ([] if area is None else [area]), WIDTH / HEIGHT)
        self._counts = coverage(self._geometries, self._view, CELLS, round(CELLS * HEIGHT / WIDTH))
        self._alpha = opacity(self._counts[-1])
        self._by = by
        self._words = colours or [(str(one.tier), TIER_COLOURS[one.tier]) for one in products]
        self._source = ColumnDataSource(_columns(products, self._words, drawn, self._view))
        self._land = _outlines(self._view.everywhere(land()))
        self._borders = _lines(self._view.everywhere(borders()))
        self._area = area
        self._range = Range1d(self._view.west, self._view.east), Range1d(self._view.south, self._view.north)

    @property
    def summary(self) -> str:
        """Count, bytes, period, and what cannot be drawn, in a sentence."""
        sizes = [one.size for one in self._products if one.size]
        starts = [one.start for one in self._products if one.start]
        words = [show_count(len(self._products)), show_size(sum(sizes))] if sizes else [show_count(len(self._products))]
        if starts:
            first, last = f"{min(starts):%Y-%m-%d}", f"{max(starts):%Y-%m-%d}"
            words.append(f"acquired on {first}" if first == last else f"acquired {first} to {last}")
        if missing := len(self._products) - len(self._geometries):
            words.append(f"{missing:,} without a footprint, only in the list")
        return ", ".join(words)

    def tabs(self) -> Any:
        """The maps and the list of all products."""
        from bokeh.models import TabPanel, Tabs  # noqa: PLC0415 - heavy

        panels = [
            TabPanel(title=self._by, child=self.by_word()),
            TabPanel(title="Date", child=self._by_date()),
            TabPanel(title="Coverage", child=self._coverage()),
            TabPanel(title="List", child=self._list()),
        ]
        return Tabs(tabs=panels, sizing_mode="stretch_width")

    def table(self) -> list[Any]:
        """What is chosen on the maps."""
        from bokeh.models import CDSView, IndexFilter  # noqa: PLC0415 - heavy

        chosen = IndexFilter(indices=[])
        self._source.selected.js_link("indices", chosen, "indices")
        table = self._list(view=CDSView(filter=chosen), height=180, selectable=False)
        return [
            note("Click a place on the map to list its products here; drag to move, turn the wheel to zoom."),
            table,
        ]

    def by_word(self) -> Plot:
        """The map whose colours are those of the words; a click on a word hides its products."""
        from bokeh.models import CDSView, GroupFilter  # noqa: PLC0415 - heavy

        plot = self._base()
        counts = Counter(self._words)
        drawn = []
        for word, colour in sorted(counts, key=lambda known: -counts[known]):
            view = CDSView(filter=GroupFilter(column_name="word", group=word))
            label = f"{word} ({counts[word, colour]:,})"
            drawn.append(self._footprints(plot, colour, view=view, legend_label=label))
        _describe(plot, drawn)
        if counts:
            plot.legend.click_policy = "hide"
            plot.legend.location = "top_left"
            plot.legend.background_fill_alpha = 0.8
        return plot

    def _by_date(self) -> Plot:
        from bokeh.models import ColorBar, DatetimeTickFormatter  # noqa: PLC0415 - heavy
        from bokeh.palettes import Viridis256  # noqa: PLC0415
        from bokeh.transform import linear_cmap  # noqa: PLC0415

        plot = self._base()
        moments = [_milliseconds(one.start) for one in self._products if one.start]
        low, high = (min(moments), max(moments)) if moments else (0.0, 0.0)
        if high - low < _DAY:
            low, high = low - _DAY / 2, high + _DAY / 2
        colours = linear_cmap("start", Viridis256, low=low, high=high, nan_color="#999999")
        _describe(plot, [self._footprints(plot, colours)])
        days = DatetimeTickFormatter(days="%Y-%m-%d", months="%Y-%m", years="%Y", hours="%m-%d %Hh")
        plot.add_layout(ColorBar(color_mapper=colours.transform, formatter=days, title="acquired"), "right")
        return plot

    def _coverage(self) -> Plot:
        from bokeh.models import ColorBar, HoverTool, LinearColorMapper  # noqa: PLC0415 - heavy
        from bokeh.palettes import Inferno256  # noqa: PLC0415

        plot = self._base()
        west, south, east, north, counts = self._counts
        most = int(counts.max())
        colours = LinearColorMapper(
            palette=Inferno256[::-1][20:], low=1, high=max(2, most), low_color="rgba(0, 0, 0, 0)"
        )
        picture = plot.image(
            [counts], x=west, y=south, dw=east - west, dh=north - south, color_mapper=colours, alpha=0.75
        )
        plot.add_tools(HoverTool(renderers=[picture], tooltips=[("products here", "@image{0}")]))
        plot.add_layout(ColorBar(color_mapper=colours, title=f"products, {most:,} at most"), "right")
        return plot

    def _base(self) -> figure:
        """An empty map: sea, land, borders, and the range that all maps share."""
        from bokeh.models import BoxZoomTool, PrintfTickFormatter  # noqa: PLC0415 - heavy
        from bokeh.plotting import figure  # noqa: PLC0415

        plot = figure(
            width=WIDTH,
            height=HEIGHT,
            sizing_mode="scale_width",
            x_range=self._range[0],
            y_range=self._range[1],
            tools="pan,wheel_zoom,reset",
            active_scroll="wheel_zoom",
            background_fill_color=SEA,
            output_backend="canvas",
        )
        plot.add_tools(BoxZoomTool(match_aspect=True))
        plot.toolbar.logo = None
        plot.multi_polygons(xs="xs", ys="ys", source=self._land, fill_color=LAND, line_color=BORDER, line_width=0.7)
        plot.multi_line(xs="xs", ys="ys", source=self._borders, line_color=BORDER, line_width=0.7, line_dash="dotted")
        if self._area is not None:
            outline = _lines(_edges(self._view.moved(self._area)))
            plot.multi_line(xs="xs", ys="ys", source=outline, line_color="#222222", line_width=1.5, line_dash="dashed")
        plot.grid.grid_line_color = "#8fa7ba"
        plot.grid.grid_line_alpha = 0.25
        plot.axis.formatter = PrintfTickFormatter(format="%.8g°")
        if self._view.first != -180.0:
            halves = (number / 2 for number in range(360, 1081))
            plot.xaxis.major_label_overrides = {degrees: self._view.meridian(degrees) for degrees in halves}
        return plot

    def _footprints(self, plot: figure, colour: Any, **more: Any) -> GlyphRenderer:
        return plot.multi_polygons(
            xs="xs",
            ys="ys",
            source=self._source,
            fill_color=colour,
            line_color=colour,
            fill_alpha=self._alpha,
            line_alpha=0.7,
            selection_fill_alpha=0.5,
            selection_line_color="#c51b7d",
            selection_line_width=2.5,
            nonselection_fill_alpha=self._alpha / 2,
            nonselection_line_alpha=0.25,
            **more,
        )

    def _list(self, **more: Any) -> Any:
        from bokeh.models import (  # noqa: PLC0415 - heavy
            DataTable,
            DateFormatter,
            HTMLTemplateFormatter,
            NumberFormatter,
            TableColumn,
        )

        # What stands in a link is escaped by `<%-`, and `web_link` has looked at its scheme.
        link = HTMLTemplateFormatter(
            template="<% if (value) { %><a href='<%- value %>' target='_blank' rel='noopener'>open</a><% } %>"
        )
        moment = DateFormatter(format="%Y-%m-%d %H:%M:%S", nan_format="", null_format="")
        number = NumberFormatter(format="0,0.0", nan_format="", text_align="right")
        columns = [
            TableColumn(field="name", title="Name", width=420),
            TableColumn(field="word", title=self._by, width=90),
            TableColumn(field="start", title="Acquired (UTC)", width=140, formatter=moment),
            TableColumn(field="megabytes", title="Size (MB)", width=80, formatter=number),
            TableColumn(field="clouds", title="Clouds (%)", width=80, formatter=number),
            TableColumn(field="quicklook", title="Quicklook", width=70, formatter=link),
        ]
        options = {
            "height": HEIGHT,
            "sizing_mode": "stretch_width",
            "index_position": None,
            "reorderable": False,
            "scroll_to_selection": True,
        }
        return DataTable(source=self._source, columns=columns, **(options | more))


_DAY = 86_400_000.0
"""Milliseconds."""


def _describe(plot: figure, drawn: list[GlyphRenderer]) -> None:
    """Tell facts at the pointer, and let products be chosen with a click."""
    from bokeh.models import HoverTool, TapTool  # noqa: PLC0415 - heavy

    plot.add_tools(TapTool(renderers=drawn))
    # Each kind of product speaks on a side of its own, or one would hide the other.
    for renderer, side in zip(drawn, itertools.cycle(("right", "left", "below", "above"))):
        tips = [("", "@name"), ("", "@facts")]
        plot.add_tools(
            HoverTool(
                renderers=[renderer], tooltips=tips, limit=MOST_TIPS, attachment=side, point_policy="follow_mouse"
            )
        )


def _columns(
    products: Sequence[Product],
    words: Sequence[tuple[str, str]],
    drawn: Sequence[tuple[Product, BaseGeometry | None]],
    view: View,
) -> dict[str, Any]:
    outlines = [_rings(view.moved(geometry)) if geometry is not None else ([], []) for _, geometry in drawn]
    return {
        "xs": [xs for xs, _ in outlines],
        "ys": [ys for _, ys in outlines],
        "name": [one_line(one.name) for one in products],
        "facts": [_facts(one) for one in products],
        "word": [word for word, _ in words],
        "start": [_milliseconds(one.start) if one.start else math.nan for one in products],
        "megabytes": [one.size / 1e6 if one.size else math.nan for one in products],
        "clouds": [math.nan if one.cloud_cover is None else one.cloud_cover for one in products],
        "quicklook": [web_link(one.quicklook_url) for one in products],
    }


def _facts(product: Product) -> str:
    """What the pointer tells beside the name."""
    facts = [
        f"{product.start:%Y-%m-%d %H:%M}" if product.start else None,
        str(product.tier),
        show_size(product.size) if product.size else None,
        product.product_type,
        product.platform,
        product.tile,
        f"orbit {product.relative_orbit} {product.orbit_direction or ''}".strip() if product.relative_orbit else None,
        f"{product.cloud_cover:.0f} % clouds" if product.cloud_cover is not None else None,
    ]
    return one_line(" · ".join(fact for fact in facts if fact))


def _milliseconds(moment: datetime) -> float:
    return moment.timestamp() * 1000


def _outlines(polygons: Sequence[BaseGeometry]) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource  # noqa: PLC0415 - heavy

    outlines = [_rings(polygon, 2) for polygon in polygons]
    return ColumnDataSource({"xs": [xs for xs, _ in outlines], "ys": [ys for _, ys in outlines]})


def _edges(area: BaseGeometry) -> list[BaseGeometry]:
    """The rings of polygons, and lines as they are."""
    import shapely  # noqa: PLC0415 - heavy

    parts = shapely.get_parts(area)
    rings = [ring for part in parts for ring in shapely.get_rings(part)]
    return rings + [part for part in parts if part.geom_type == "LineString"]


def _lines(lines: Sequence[BaseGeometry]) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource  # noqa: PLC0415 - heavy

    both = [_coordinates(line, 2) for line in lines]
    return ColumnDataSource({"xs": [xs for xs, _ in both], "ys": [ys for _, ys in both]})


def _rings(geometry: BaseGeometry, decimals: int = DECIMALS) -> tuple[list[list[list[float]]], list[list[list[float]]]]:
    """Longitudes and latitudes by polygon and ring, outer rings first, as bokeh wants them."""
    import shapely  # noqa: PLC0415 - heavy

    polygons = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    both = [[_coordinates(ring, decimals) for ring in shapely.get_rings(polygon)] for polygon in polygons]
    return [[xs for xs, _ in rings] for rings in both], [[ys for _, ys in rings] for rings in both]


def _coordinates(line: Any, decimals: int) -> tuple[list[float], list[float]]:
    import numpy as np  # noqa: PLC0415 - heavy
    import shapely  # noqa: PLC0415

    points = np.round(shapely.get_coordinates(line), decimals)
    return points[:, 0].tolist(), points[:, 1].tolist()
