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

from pepsasync.cli.lines import NORMAL, QUIET, VERBOSE, Lines, quota_words
from pepsasync.cli.tally import Tally
from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.events import ProductFailed
from pepsasync.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pepsasync.cli.tally import Active
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
        tally: Counts of the run.
        level: As for `Lines`.
    """

    def __init__(self, console: Console, *, tally: Tally | None = None, level: int = NORMAL) -> None:
        self.tally = tally or Tally()
        self._lock = threading.RLock()
        self._is_verbose = level >= VERBOSE
        self._above = Lines(self._print, level=max(QUIET, level - 1), tally=self.tally)
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
                self.tally.take(event)  # drawn below, and listed at the end
            else:
                self._above.take(event)

    def render(self) -> RenderableType:
        """Draw what is known now."""
        with self._lock:
            parts: list[RenderableType] = [self._overall()]
            if self.tally.active:
                parts.append(self._downloads())
            if self.tally.quota_until is not None and self.tally.quota_until > self.tally.clock():
                parts.append(self._quota(self.tally.quota_until))
            if self.tally.waiting:
                parts.append(self._queue())
            if self.tally.last_failure:
                parts.append(_failures(self.tally))
            return Group(*parts)

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self._console.print(_text(line.partition(" ")[2]), soft_wrap=True)

    def _overall(self) -> RenderableType:
        tally = self.tally
        if not tally.total:
            return Text("searching ...", style="bold")
        more = "" if tally.searched else "+"
        words = [
            f"{tally.finished:,}/{tally.total:,}{more} products",
            f"{show_size(tally.present_bytes)} of {show_size(tally.total_bytes)}{more}",
        ]
        if speed := tally.speed():
            words.append(f"{show_size(speed)}/s")
        if (left := tally.seconds_left()) is not None:
            words.append(f"{show_duration(left)} left")
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_column()
        bar = ProgressBar(total=max(1, tally.total_bytes), completed=tally.present_bytes, width=20)
        grid.add_row(Text(" · ".join(words), style="bold"), bar)
        return grid

    def _downloads(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        grid.add_column(no_wrap=True)
        grid.add_column()
        grid.add_column(justify="right", no_wrap=True)
        shown = list(self.tally.active.values())[:MOST_BARS]
        for download in shown:
            bar = ProgressBar(
                total=max(1, download.size or 0), completed=download.received, width=12, pulse=not download.size
            )
            grid.add_row("", _text(shorten(download.name, self._name_width())), bar, _download_words(download))
        if len(self.tally.active) > len(shown):
            grid.add_row("", Text(f"and {len(self.tally.active) - len(shown)} more", style="dim"))
        return grid

    def _quota(self, until: float) -> RenderableType:
        left = until - self.tally.clock()
        words = quota_words(left, datetime.now(UTC), is_latest=self.tally.quota_is_asked)
        return Text.assemble(("quota ", "yellow"), words, no_wrap=True, overflow="ellipsis")

    def _queue(self) -> RenderableType:
        tally = self.tally
        words = [
            f"{show_count(len(tally.waiting))} waiting for tape, oldest since {show_duration(tally.oldest_wait())}"
        ]
        if tally.next_look is not None:
            left = round(tally.next_look - tally.clock())
            words.append(f"next look in {left} s" if left > 0 else "looking now")
        newest = list(reversed(tally.waiting.values()))[:MOST_NAMES]
        width = max(12, (self._console.width - 14) // MOST_NAMES - 2)
        names = ", ".join(shorten(one.name, width) for one in newest)
        rest = len(tally.waiting) - len(newest)
        parts: list[RenderableType] = [
            Text.assemble(("tape  ", "cyan"), ", ".join(words), no_wrap=True, overflow="ellipsis"),
            _text(f"      {names}{f', {rest:,} more' if rest else ''}", style="dim", no_wrap=True, overflow="ellipsis"),
        ]
        if tally.trouble:
            parts.append(
                _text(f"      the last look failed: {tally.trouble}", style="yellow", no_wrap=True, overflow="ellipsis")
            )
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


def _failures(tally: Tally) -> RenderableType:
    last = tally.last_failure
    reason = one_line(f", the last one {last.message}") if last else ""
    return Text.assemble((f"{tally.failed:,} failed", "red"), reason, no_wrap=True, overflow="ellipsis")


def _download_words(download: Active) -> str:
    if download.phase != "downloading":
        return download.phase
    size = f" of {show_size(download.size)}" if download.size else ""
    return f"{show_size(download.received)}{size}"
