"""The report of a run as a page: map, timeline, throughput, and failures with what to do."""

from __future__ import annotations

import math
import shlex
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from pepsasync.html import html_table
from pepsasync.model import Product
from pepsasync.pictures.history import HERE_BEFORE, LEFT_OUT, UNFINISHED, History
from pepsasync.pictures.map import WIDTH, Maps
from pepsasync.pictures.page import heading, note, page, write_picture
from pepsasync.text import one_line, shorten
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bokeh.models import LayoutDOM
    from bokeh.plotting import figure

    from pepsasync.events import Event, ProductFound
    from pepsasync.model import Delivery, Report
    from pepsasync.pictures.history import Entry

STATE_COLOURS = {
    "delivered": "#1b7837",
    HERE_BEFORE: "#5aae61",
    "failed": "#b2182b",
    UNFINISHED: "#e08214",
    LEFT_OUT: "#762a83",
}
WAIT, DOWNLOAD = "#9970ab", "#2166ac"
"""Of the timeline."""

MOST_SHOWN = 10_000
"""Products in a page: those of the run first, then those of earlier runs."""

MOST_NAMED = 50
"""Products whose names stand beside the timeline."""

MOST_FAILURES = 200
"""Products that are listed as failed."""

NAME_LENGTH = 48
"""Characters of a name beside the timeline; the pointer tells all of it."""


class ReportPage:
    """Takes outcomes and events of a run, and writes a page of them at the end.

    It also shows what the folder's journal knows of earlier runs, so that the page of a run that was cut and resumed
    is about the whole order.

    Args:
        path: Of the page; `~` is the home folder.
        directory: Folder of the products.
        now: Wall time, seconds since 1970.
    """

    def __init__(self, path: Path, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path, self._directory = path, directory
        self._history = History(now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is open."""

    def take(self, delivery: Delivery) -> None:
        """Note what became of a product."""
        self._history.take(delivery)

    def watch(self, event: Event) -> None:
        """Note what happens, and when."""
        self._history.watch(event)

    def take_unfinished(self, found: Iterable[ProductFound]) -> None:
        """Note products that have no outcome."""
        for product in found:
            if product.name not in self._history.entries:
                self._history.watch(product)

    def write(self, report: Report) -> None:
        """Write the page.

        Args:
            report: Everything but the deliveries, which were taken; the last call.

        Raises:
            ConfigError, DiskFullError: It cannot be written.
        """
        self._history.stop()
        self._history.add_journal(self._directory)
        write_picture(self._path, report_page(report, self._history, self._directory).encode())


def report_page(report: Report, history: History, directory: Path) -> str:
    """Return the report of a run as a page; all that archives wrote is plain text in it."""
    entries = sorted(history.entries.values(), key=lambda entry: entry.is_earlier)[:MOST_SHOWN]
    products = [entry.product or _without_record(entry) for entry in entries]
    words = [(entry.state, STATE_COLOURS[entry.state]) for entry in entries]
    maps = Maps(products, words, "State")
    title = f"Run of {report.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    parts: list[LayoutDOM] = [heading(title, *_summary(report, history, directory))]
    if failures := [entry for entry in entries if entry.error]:
        parts.append(_failures(failures))
    parts += [*_timeline(entries, history), maps.tabs(), *maps.table()]
    if len(history.entries) > len(entries):
        parts.append(note(f"{len(history.entries) - len(entries):,} products of earlier runs are not shown."))
    return page(title, parts)


def _summary(report: Report, history: History, directory: Path) -> list[str]:
    """The run in sentences, then what the folder held before it, then what to do."""
    this = [entry for entry in history.entries.values() if not entry.is_earlier]
    earlier = [entry for entry in history.entries.values() if entry.is_earlier]
    came = sum(history.throughput.bins.values())
    seconds = report.seconds
    speed = f", {show_size(came)} came ({show_size(came / seconds)}/s on average)" if came and seconds > 0 else ""
    source = f"From {report.provider} in" if report.provider else "In"
    lines = [f"{source} {show_duration(seconds)}{speed}. {_counted(this) or 'nothing matched'}."]
    if report.error is not None:
        lines.append(f"The run ended early: {str(report.error) or type(report.error).__name__}")
    for announced, sent in report.fell_short:
        lines.append(f"A search found {sent:,} products where the archive had announced {announced:,}.")
    if earlier:
        lines.append(f"Of earlier runs in this folder: {_counted(earlier)}.")
    open_ones = sum(entry.state in (UNFINISHED, "failed") for entry in history.entries.values())
    if open_ones:
        # As it was written: pages are sent to others, whom the folders of this machine do not concern.
        lines.append(f"'pepsasync resume {shlex.quote(str(directory))}' goes on with {show_count(open_ones)}.")
    return [one_line(line) for line in lines]


def _counted(entries: Sequence[Entry]) -> str:
    """`3 delivered (1.2 GB), 1 failed`."""
    counts = Counter(entry.state for entry in entries)
    sizes: Counter[str] = Counter()
    for entry in entries:
        sizes[entry.state] += entry.bytes
    named = [(state, counts[state], sizes[state]) for state in STATE_COLOURS if counts[state]]
    return ", ".join(f"{count:,} {state}{f' ({show_size(size)})' if size else ''}" for state, count, size in named)


def _failures(entries: Sequence[Entry]) -> Any:
    """Which products failed, why, and what to do."""
    from bokeh.models import Div  # noqa: PLC0415 - heavy

    shown = [(entry.name, _reason(entry)) for entry in entries[:MOST_FAILURES]]
    table = html_table(("Failed", "Why, and what to do"), shown)
    more = f"<p>and {len(entries) - MOST_FAILURES:,} more</p>" if len(entries) > MOST_FAILURES else ""
    style = "max-height:240px;overflow:auto;margin:.5em 0"
    return Div(text=f"<div style='{style}'>{table}{more}</div>", sizing_mode="stretch_width", disable_math=True)


def _no_math(text: str) -> str:
    """A label that bokeh does not take for a formula."""
    return text.replace("$$", "$ $").replace("\\", "\\ ")


def _reason(entry: Entry) -> str:
    return entry.error.removeprefix(f"{entry.name}: ")


def _timeline(entries: Sequence[Entry], history: History) -> list[LayoutDOM]:
    """Staging and downloads of each product, and the throughput over the same time below."""
    rows = sorted((entry for entry in entries if _begin(entry) < math.inf), key=_begin, reverse=True)
    if not rows:
        return []
    above = _bars(rows)
    return [above, _throughput(history, above)] if history.throughput.bins else [above]


def _begin(entry: Entry) -> float:
    moments = [entry.asked, entry.ended, *(begin for begin, _ in entry.downloads)]
    return min((moment for moment in moments if moment is not None), default=math.inf)


def _bars(rows: Sequence[Entry]) -> figure:
    from bokeh.models import HoverTool  # noqa: PLC0415 - heavy

    height = 110 + (max(100, 16 * len(rows)) if len(rows) <= MOST_NAMED else 420)
    plot = _time_figure(height, y_range=(-1, max(len(rows), 3)))
    waits = [(y, entry, entry.asked, _waited_until(entry)) for y, entry in enumerate(rows) if entry.asked]
    downloads = [(y, entry, begin, end) for y, entry in enumerate(rows) for begin, end in entry.downloads]
    kinds = [(waits, WAIT, "waiting for tape", 0.35), (downloads, DOWNLOAD, "downloading", 0.75)]
    drawn = [_stretches(plot, *kind) for kind in kinds if kind[0]]  # the legend shows no colour of what is not there
    for state, colour in STATE_COLOURS.items():
        ends = [(y, entry, entry.ended, entry.ended) for y, entry in enumerate(rows) if entry.state == state]
        if known := [end for end in ends if end[2] is not None]:
            marker = "x" if state == "failed" else "circle"
            size = 9 if len(rows) <= MOST_NAMED else 5
            drawn.append(
                plot.scatter(
                    "right", "y", source=_source(known), marker=marker, size=size, color=colour, legend_label=state
                )
            )
    tips = [("", "@name"), ("", "@what")]
    plot.add_tools(HoverTool(renderers=drawn, tooltips=tips, limit=3))
    plot.yaxis.ticker = list(range(len(rows))) if len(rows) <= MOST_NAMED else []
    plot.yaxis.major_label_overrides = {
        y: _no_math(shorten(entry.name, NAME_LENGTH)) for y, entry in enumerate(rows) if len(rows) <= MOST_NAMED
    }
    plot.ygrid.grid_line_color = None
    if len(rows) > MOST_NAMED:
        plot.yaxis.axis_label = f"{len(rows):,} products, in the order in which they began"
    plot.legend.click_policy = "hide"
    plot.legend.orientation = "horizontal"
    plot.add_layout(plot.legend[0], "above")
    return plot


def _waited_until(entry: Entry) -> float:
    """When the wait for tape was over; of earlier runs, when the product was here, since nobody noted more."""
    begun = min((begin for begin, _ in entry.downloads), default=None)
    return next(moment for moment in (entry.staged, begun, entry.ended, entry.asked) if moment is not None)


def _throughput(history: History, above: figure) -> figure:
    plot = _time_figure(170, x_range=above.x_range, x_axis_label="UTC", toolbar_location=None)
    width = history.throughput.width
    bins = sorted(history.throughput.bins.items())
    plot.quad(
        left=[number * width * 1000 for number, _ in bins],
        right=[(number + 1) * width * 1000 for number, _ in bins],
        top=[count / width / 1e6 for _, count in bins],
        bottom=0,
        color=DOWNLOAD,
        alpha=0.6,
        line_color=None,
    )
    plot.yaxis.axis_label = "MB/s"
    plot.y_range.start = 0
    return plot


def _time_figure(height: int, **more: Any) -> figure:
    from bokeh.plotting import figure  # noqa: PLC0415 - heavy

    plot = figure(
        width=WIDTH,
        height=height,
        sizing_mode="stretch_width",
        x_axis_type="datetime",
        tools="xpan,xwheel_zoom,ywheel_zoom,xbox_zoom,reset",
        active_scroll="xwheel_zoom",
        min_border_left=330,
        **more,
    )
    plot.toolbar.logo = None
    return plot


def _stretches(
    plot: figure, stretches: Sequence[tuple[int, Entry, float, float]], colour: str, label: str, height: float
) -> Any:
    return plot.hbar(
        y="y",
        left="left",
        right="right",
        height=height,
        source=_source(stretches),
        color=colour,
        alpha=0.8,
        line_color=colour,  # also what takes less than a pixel is seen
        legend_label=label,
    )


def _source(stretches: Sequence[tuple[int, Entry, float | None, float | None]]) -> Any:
    from bokeh.models import ColumnDataSource  # noqa: PLC0415 - heavy

    return ColumnDataSource(
        {
            "y": [y for y, *_ in stretches],
            "left": [(begin or 0) * 1000 for _, _, begin, _ in stretches],
            "right": [(end or 0) * 1000 for *_, end in stretches],
            "name": [one_line(entry.name) for _, entry, *_ in stretches],
            "what": [_what(entry, begin, end) for _, entry, begin, end in stretches],
        }
    )


def _what(entry: Entry, begin: float | None, end: float | None) -> str:
    """What the pointer tells of a stretch, or of an outcome."""
    took = (end or 0) - (begin or 0)
    words = [
        entry.state,
        f"{datetime.fromtimestamp(begin or 0, UTC):%Y-%m-%d %H:%M:%S}",
        f"for {show_duration(took)}" if took else "",
        show_size(entry.bytes) if entry.bytes else "",
        f"from {entry.source}" if entry.source else "",
        show_count(entry.tries, "request") if entry.tries else "",
        "earlier run" if entry.is_earlier else "",
        entry.error,
    ]
    return one_line(" · ".join(word for word in words if word))


def _without_record(entry: Entry) -> Product:
    """A product of which nothing but its name is known."""
    return Product(
        id=entry.id or entry.name,
        name=entry.name,
        provider=entry.source,
        collection="",
        download_url="",
        size=entry.bytes or None,
    )
