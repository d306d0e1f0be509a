"""Progress on a terminal: how far the run is and how long it takes, a line for each download, the tape queue.

The height is bounded whatever the number of products. Drawing happens on a thread of its own at a fixed pace, never
because of an event.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pepsasync.display.counters import Counters
from pepsasync.display.lines import Lines, quota_words
from pepsasync.display.output import NORMAL, told_above
from pepsasync.display.region import EVERY, Region
from pepsasync.display.view import STATES, view_of
from pepsasync.text import one_line, shorten
from pepsasync.units import show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from pepsasync.display.region import Size
    from pepsasync.display.view import Download, View
    from pepsasync.events import Event

MOST_BARS = 8
"""Downloads that get a line of their own, at most."""

OTHER_ROWS = 12
"""Rows that are kept for everything else, so that the display fits the terminal."""

WIDEST_BAR, WIDE = 40, 72
"""Columns of the bar above, at most; and of a terminal from which downloads have a bar, too."""

FIGURES = (5, 10, 12)
"""Columns of percent, speed and time left of a download."""

LONGEST_NAME = 80

USUAL = (80, 24)
"""Columns and rows of a terminal that does not tell them."""

WORDS = {"done": "done", "waiting": "waiting for tape", "under way": "under way", "queued": "queued"}


class _Paper(io.StringIO):
    """What is drawn before it goes to the terminal, with its encoding: some have no lines and dots."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


class Display:
    """A view of a run at the bottom of a terminal, drawn anew until the block is left.

    Args:
        console: A terminal.
        look: Returns what is known now; called from a thread.
        size: Returns the size of the terminal; None for that of the console's file.
        every: Seconds between two drawings; None for only those that `draw` asks for.
    """

    def __init__(
        self,
        console: Console,
        look: Callable[[], View],
        *,
        size: Callable[[], Size] | None = None,
        every: float | None = EVERY,
    ) -> None:
        self._console = console
        self._look = look
        self._region = Region(console.file, self.lines, size or self._size, every=every)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._region)
        self._stack.enter_context(told_above(self.print_above))
        if hasattr(signal, "SIGCONT") and threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGCONT, lambda *_: self._region.lose_place())
            self._stack.callback(signal.signal, signal.SIGCONT, before)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def draw(self) -> None:
        """Draw once."""
        self._region.draw()

    def print_above(self, line: str) -> None:
        """Let a line scroll by above the view; never waits."""
        self._region.print_above(self._fit(one_line(line)))

    def lines(self, columns: int, rows: int) -> list[str]:
        """What is shown now, in lines for the terminal."""
        like, paper = self._console, _Paper(self._console.encoding)
        painter = Console(
            file=paper,
            width=columns,
            height=rows,
            force_terminal=True,
            color_system=like.color_system,  # type: ignore[arg-type]  # it is one of those that are allowed
            no_color=like.no_color,
            legacy_windows=False,
            highlight=False,
        )
        painter.print(draw(self._look(), columns, rows))
        return self._fit(paper.getvalue()).splitlines()[:rows]

    def _fit(self, text: str) -> str:
        """Without characters that the terminal's encoding lacks: their escapes would be wider than they are."""
        encoding = self._console.encoding
        return text.encode(encoding, "replace").decode(encoding)

    def _size(self) -> Size:
        # Asked anew each time: variables such as COLUMNS are those of the shell, from before a change of size.
        try:
            columns, rows = os.get_terminal_size(self._console.file.fileno())
        except (OSError, ValueError):
            columns = rows = 0
        return columns or USUAL[0], rows or USUAL[1]  # some terminals do not know it themselves


class Progress(Display):
    """A live display of a run; what becomes of each product, and notices, are printed above it.

    Args:
        console: A terminal.
        counters: Counts of the run.
        level: As for `Lines`.
        size: As for `Display`.
        every: As for `Display`.
    """

    def __init__(
        self,
        console: Console,
        *,
        counters: Counters | None = None,
        level: int = NORMAL,
        size: Callable[[], Size] | None = None,
        every: float | None = EVERY,
    ) -> None:
        super().__init__(console, self.view, size=size, every=every)
        self.counters = counters or Counters()
        self._lock = threading.Lock()
        self._above = Lines(self._print, level=level, counters=self.counters, is_summed_up=False)

    def take(self, event: Event) -> None:
        """Count an event; it is drawn with the next refresh."""
        with self._lock:
            self._above.take(event)

    def view(self) -> View:
        """What is known now."""
        with self._lock:
            return view_of(self.counters)

    def _print(self, line: str) -> None:
        self.print_above(line.partition(" ")[2])


def draw(view: View, columns: int, rows: int) -> RenderableType:
    """Draw a view.

    Args:
        view: What is shown.
        columns: Of the terminal.
        rows: Of the terminal; less important parts are left out where they do not fit.
    """
    parts: list[RenderableType] = []
    if view.note:
        parts.append(_text(view.note, style="yellow", no_wrap=True, overflow="ellipsis"))
    if not view.total.products:
        return Group(*parts, _flow(["searching ...", *_elapsed(view)], columns, style="bold"))
    parts += [_overall(view, columns), _states(view)]
    if view.downloads:
        parts.append(_downloads(view.downloads, columns, max(1, min(MOST_BARS, rows - OTHER_ROWS))))
    if view.quota_wait is not None:
        words = quota_words(view.quota_wait, datetime.now(UTC), is_latest=view.quota_is_asked)
        parts.append(Text.assemble(("quota ", "yellow"), words, no_wrap=True, overflow="ellipsis"))
    if view.amounts["waiting"].products:
        parts.append(_queue(view, columns))
    if view.failed:
        reason = one_line(f", the last one {view.last_failure}") if view.last_failure else ""
        parts.append(Text.assemble((f"{view.failed:,} failed", "red"), reason, no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _overall(view: View, columns: int) -> RenderableType:
    more = "" if view.is_searched else "+"
    size = f"{show_size(view.present_bytes)} of {show_size(view.total.bytes)}{more}"
    width = max(4, min(WIDEST_BAR, columns - len(size) - 7))
    head = Table.grid(padding=(0, 1))
    head.add_column(justify="right", no_wrap=True)
    head.add_column(width=width, no_wrap=True)
    head.add_column(no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=1.0, completed=view.share, width=width)
    head.add_row(Text(_percent(view.share), style="bold"), bar, Text(size, style="bold"))
    speed = [f"{show_size(view.speed)}/s"] if view.speed else []
    products = f"{view.finished:,}/{view.total.products:,}{more} products"
    return Group(head, _flow([*speed, products, *_elapsed(view), str(view.time_left)], columns))


def _elapsed(view: View) -> list[str]:
    return [] if view.elapsed is None else [f"{show_duration(view.elapsed)} elapsed"]


def _states(view: View) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "right", "right"):
        grid.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
    for state in STATES:
        amount = view.amounts[state]
        if amount.products:
            share = _percent(view.share_of(amount)) if view.total.bytes else ""
            size = show_size(amount.bytes) if view.total.bytes else ""
            grid.add_row(f"  {WORDS[state]}", f"{amount.products:,}", size, share)
    return grid


def _downloads(downloads: Sequence[Download], columns: int, most: int) -> RenderableType:
    bar = 12 if columns >= WIDE else 0
    names = max(8, min(LONGEST_NAME, columns - sum(FIGURES) - len(FIGURES) - bar - (1 if bar else 0)))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=names, no_wrap=True)
    if bar:
        grid.add_column(width=bar)
    for width in FIGURES:
        grid.add_column(justify="right", no_wrap=True, width=width)
    for download in downloads[:most]:
        row: list[RenderableType] = [_text(shorten(download.name, names))]
        if bar:
            done, size = download.received, max(1, download.size or 0)
            row.append(ProgressBar(total=size, completed=done, width=bar, pulse=not download.size))
        grid.add_row(*row, *_figures(download))
    more = len(downloads) - most
    return Group(grid, Text(f"and {more} more", style="dim", no_wrap=True)) if more > 0 else grid


def _figures(download: Download) -> list[str]:
    """Percent, or bytes of a product whose size is not known; speed; time left."""
    done = _percent(min(1.0, download.received / download.size)) if download.size else ""
    if download.phase != "downloading":
        return [done, "", download.phase]
    speed = f"{show_size(download.speed)}/s" if download.speed else ""
    if (left := download.seconds_left) is not None:
        return [done, speed, show_duration(left)]
    return [done, speed, "" if download.size else show_size(download.received)]


def _queue(view: View, columns: int) -> RenderableType:
    words = [f"oldest since {show_duration(view.oldest_wait)}"]
    if view.next_look is not None:
        words.insert(0, f"next look in {show_duration(view.next_look)}" if view.next_look > 0 else "looking now")
    width = max(12, (columns - 14) // max(1, len(view.waiting_names)) - 2)
    names = ", ".join(shorten(name, width) for name in view.waiting_names)
    rest = view.amounts["waiting"].products - len(view.waiting_names)
    parts: list[RenderableType] = [
        Text.assemble(("tape  ", "cyan"), ", ".join(words), no_wrap=True, overflow="ellipsis")
    ]
    if names:
        more = f", {rest:,} more" if rest else ""
        parts.append(_text(f"      {names}{more}", style="dim", no_wrap=True, overflow="ellipsis"))
    if view.trouble:
        trouble = f"      the last look failed: {view.trouble}"
        parts.append(_text(trouble, style="yellow", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _flow(words: Sequence[str], columns: int, *, style: str = "") -> RenderableType:
    """Words in as many lines as they need, none of them cut."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 3 + len(word) <= columns:
            lines[-1] += f" · {word}"
        else:
            lines.append(word)
    return Group(*(Text(line, style=style, no_wrap=True, overflow="ellipsis") for line in lines))


def _percent(share: float) -> str:
    """Whole percent; 100 only when nothing is missing."""
    return f"{100 if share >= 1 else min(99, round(100 * share))} %"


def _text(words: str, **options: Any) -> Text:
    """Words that hold what an archive wrote; they are no markup either."""
    return Text(one_line(words), **options)
