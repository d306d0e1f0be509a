"""The progress of a run in the output of a notebook's cell: Jupyter, VS Code, and whatever else shows HTML."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pepsasync.display.counters import Counters
from pepsasync.errors import ConfigError
from pepsasync.html import html_table, html_text
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pepsasync import blocking
    from pepsasync.client import Client
    from pepsasync.events import Event

EVERY = 0.5
"""Seconds between two drawings at least; each is sent to the browser."""

MOST_DOWNLOADS = 8
"""Downloads that get a line of their own."""


@contextlib.contextmanager
def show_progress(client: Client | blocking.Client) -> Iterator[Counters]:
    """Show what a client does in the output of this cell, as long as the block lasts; the last state stays.

    It is drawn as HTML that is replaced, which every notebook can do, without widgets.

    Args:
        client: Async or blocking.

    Yields:
        The counts.

    Raises:
        ConfigError: IPython is missing.
    """
    try:
        from IPython.display import HTML, display  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("show_progress() needs IPython", hint="Try: pip install 'pepsasync[notebook]'") from error
    handle = display(HTML("<p>waiting for the first product</p>"), display_id=True)
    view = _View(lambda page: handle.update(HTML(page)))
    with client.listen(view.take):
        try:
            yield view.counters
        finally:
            view.draw()


class _View:
    """Counts events, and draws now and then.

    Args:
        show: Takes HTML.
        clock: Monotonic seconds.
    """

    def __init__(self, show: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self.counters = Counters(clock=clock)
        self._show, self._clock = show, clock
        self._next = clock()

    def take(self, event: Event) -> None:
        """Count an event."""
        self.counters.take(event)
        if self._clock() >= self._next:
            self.draw()

    def draw(self) -> None:
        """Show what is known now."""
        self._show(progress_html(self.counters))
        self._next = self._clock() + EVERY


def progress_html(counters: Counters) -> str:
    """Return the state of a run: a bar, counts, and the downloads under way."""
    words = [
        f"{counters.finished:,} of {show_count(counters.total)}",
        f"{show_size(counters.present_bytes)} of {show_size(counters.total_bytes)}",
        f"{show_size(counters.speed())}/s" if counters.active and counters.speed() else "",
        f"{show_count(len(counters.waiting), 'product')} waiting for tape" if counters.waiting else "",
        f"{counters.failed:,} failed" if counters.failed else "",
        show_duration(counters.elapsed),
    ]
    share = counters.present_bytes / counters.total_bytes if counters.total_bytes else 0.0
    bar = f'<progress max="1" value="{min(share, 1.0):.3f}" style="width:20em"></progress>'
    head = f"<p>{bar} {html_text(' · '.join(word for word in words if word))}</p>"
    under_way = list(counters.active.values())[:MOST_DOWNLOADS]
    rows = [
        (one.name, one.phase, f"{show_size(one.received)}{f' of {show_size(one.size)}' if one.size else ''}")
        for one in under_way
    ]
    trouble = html_text(f"{counters.last_failure.message}") if counters.last_failure else ""
    return head + (html_table(("under way", "", ""), rows) if rows else "") + (f"<p>{trouble}</p>" if trouble else "")
