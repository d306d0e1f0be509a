"""Progress on a terminal: one overall bar, a bar for each download, the tape queue in two lines.

The height is bounded whatever the number of products. Drawing happens on a thread of its own at a fixed pace, never
because of an event.
"""

from __future__ import annotations

import contextlib
import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pepsasync.cli.counters import Counters
from pepsasync.cli.lines import NORMAL, QUIET, VERBOSE, Lines, quota_words
from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.events import ProductFailed
from pepsasync.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pepsasync.cli.counters import Active
    from pepsasync.events import Event

REFRESHES = 5
"""Drawings a second."""

MOST_BARS = 8
"""Downloads that get a line of their own."""

MOST_NAMES = 3
"""Waiting products that are shown by name."""

NAME_WIDTH = 44
"""Characters of a product name on a terminal of 100 columns."""


_TILE = re.compile(r"_(T\d\d[A-Z]{3})(?=_|$)")


class Progress:
    """A live display; notices are printed above it, and with `--verbose` every outcome.

    Args:
        console: A terminal.
        counters: Counts of the run.
        level: As for `Lines`.
    """

    def __init__(self, console: Console, *, counters: Counters | None = None, level: int = NORMAL) -> None:
        self.counters = counters or Counters()
        self._lock = threading.RLock()
        self._is_verbose = level >= VERBOSE
        self._above = Lines(self._print, level=max(QUIET, level - 1), counters=self.counters)
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone; the work is not
            self._live.__exit__(None, None, None)

    def take(self, event: Event) -> None:
        """Count an event; it is drawn with the next refresh."""
        with self._lock:
            if isinstance(event, ProductFailed) and not self._is_verbose:
                self.counters.take(event)  # drawn below, and listed at the end
            else:
                self._above.take(event)

    def render(self) -> RenderableType:
        """Draw what is known now."""
        with self._lock:
            parts: list[RenderableType] = [self._overall()]
            if self.counters.active:
                parts.append(self._downloads())
            if self.counters.quota_until is not None and self.counters.quota_until > self.counters.clock():
                parts.append(self._quota(self.counters.quota_until))
            if self.counters.waiting:
                parts.append(self._queue())
            if self.counters.last_failure:
                parts.append(_failures(self.counters))
            return Group(*parts)

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._console.print(_text(line.partition(" ")[2]), soft_wrap=True)

    def _overall(self) -> RenderableType:
        counters = self.counters
        if not counters.total:
            return Text("searching ...", style="bold")
        more = "" if counters.searched else "+"
        words = [
            f"{counters.finished:,}/{counters.total:,}{more} products",
            f"{show_size(counters.present_bytes)} of {show_size(counters.total_bytes)}{more}",
        ]
        if speed := counters.speed():
            words.append(f"{show_size(speed)}/s")
        if (left := counters.seconds_left()) is not None:
            words.append(f"{show_duration(left)} left")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column()
        bar = ProgressBar(total=max(1, counters.total_bytes), completed=counters.present_bytes, width=20)
        grid.add_row(Text(" · ".join(words), style="bold"), bar)
        return grid

    def _downloads(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column(no_wrap=True)
        grid.add_column()
        grid.add_column(justify="right", no_wrap=True)
        shown = list(self.counters.active.values())[:MOST_BARS]
        for download in shown:
            bar = ProgressBar(
                total=max(1, download.size or 0), completed=download.received, width=12, pulse=not download.size
            )
            grid.add_row("", _text(shorten(download.name, self._name_width())), bar, _download_words(download))
        if len(self.counters.active) > len(shown):
            grid.add_row("", Text(f"and {len(self.counters.active) - len(shown)} more", style="dim"))
        return grid

    def _quota(self, until: float) -> RenderableType:
        left = until - self.counters.clock()
        words = quota_words(left, datetime.now(UTC), is_latest=self.counters.quota_is_asked)
        return Text.assemble(("quota ", "yellow"), words, no_wrap=True, overflow="ellipsis")

    def _queue(self) -> RenderableType:
        counters = self.counters
        oldest = show_duration(counters.oldest_wait())
        words = [f"{show_count(len(counters.waiting))} waiting for tape, oldest since {oldest}"]
        if counters.next_look is not None:
            left = round(counters.next_look - counters.clock())
            words.append(f"next look in {left} s" if left > 0 else "looking now")
        newest = list(reversed(counters.waiting))[:MOST_NAMES]
        width = max(12, (self._console.width - 14) // MOST_NAMES - 2)
        names = ", ".join(shorten(name, width) for name in newest)
        rest = len(counters.waiting) - len(newest)
        parts: list[RenderableType] = [
            Text.assemble(("tape  ", "cyan"), ", ".join(words), no_wrap=True, overflow="ellipsis"),
            _text(f"      {names}{f', {rest:,} more' if rest else ''}", style="dim", no_wrap=True, overflow="ellipsis"),
        ]
        if counters.trouble:
            trouble = f"      the last look failed: {counters.trouble}"
            parts.append(_text(trouble, style="yellow", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _name_width(self) -> int:
        return max(16, min(80, self._console.width - 100 + NAME_WIDTH))


def shorten(name: str, width: int) -> str:
    """A name cut in its middle: mission, type and time, and the tile or the last letters, tell products apart."""
    name = one_line(name)
    if len(name) <= width:
        return name
    tile = _TILE.search(name)
    tail = tile[1] if tile else name[-max(4, width // 4) :]
    return f"{name[: width - len(tail) - 1]}…{tail}"


def _text(words: str, **options: Any) -> Text:
    """Words that hold what an archive wrote; they are no markup either."""
    return Text(one_line(words), **options)


def _failures(counters: Counters) -> RenderableType:
    last = counters.last_failure
    reason = one_line(f", the last one {last.message}") if last else ""
    return Text.assemble((f"{counters.failed:,} failed", "red"), reason, no_wrap=True, overflow="ellipsis")


def _download_words(download: Active) -> str:
    if download.phase != "downloading":
        return download.phase
    size = f" of {show_size(download.size)}" if download.size else ""
    return f"{show_size(download.received)}{size}"
