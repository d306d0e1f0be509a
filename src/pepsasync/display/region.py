"""The last lines of a terminal, which are drawn anew again and again, while other lines scroll by above them.

A thread does all the writing, so that a terminal that is paused or slow holds up nothing else. After a change of size
nobody knows where the lines stand now, since some terminals wrap them anew and others do not, nor after the program was
stopped (Ctrl-Z): the screen is cleared, and the latest lines are written once more.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

Size = tuple[int, int]
"""Columns and rows."""

EVERY = 0.2
"""Seconds between two drawings."""

KEPT = 200
"""Lines above that are written once more after a change of size, at most."""

PATIENCE = 5.0
"""Seconds that the end waits for a terminal that takes nothing."""

UP, ERASE_LINE, ERASE_BELOW, CLEAR = "\x1b[{}A", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


class Region:
    """Draws lines at the bottom of a terminal; a context manager, after which they are gone.

    Args:
        file: The terminal.
        render: Returns the lines, none wider than the columns that it gets and no more than the rows; called from a
            thread.
        size: Returns the size of the terminal.
        every: Seconds between two drawings; None for only those that are asked for by `draw`.
    """

    def __init__(
        self,
        file: IO[str],
        render: Callable[[int, int], list[str]],
        size: Callable[[], Size],
        *,
        every: float | None = EVERY,
    ) -> None:
        self._file = file
        self._render = render
        self._size_now = size
        self._every = every
        self._size: Size | None = None
        self._is_lost = False
        self._rows = 0
        self._to_write: deque[str] = deque()
        self._written: deque[str] = deque(maxlen=KEPT)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="progress display", daemon=True)

    def __enter__(self) -> Self:
        if self._every is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        if not self._thread.is_alive():
            self._write(self._frame([]))

    def lose_place(self) -> None:
        """Know that others have written to the terminal, so that nobody knows where the region stands."""
        self._is_lost = True

    def print_above(self, line: str) -> None:
        """Write a line above the region, with the next drawing; never waits."""
        self._to_write.append(line)

    def draw(self) -> None:
        """Draw once."""
        columns, rows = self._size_now()
        self._write(self._frame(self._render(max(1, columns - 1), max(1, rows - 1))))

    def _keep_drawing(self) -> None:
        while not self._is_over.wait(self._every):
            self.draw()

    def _frame(self, lines: list[str]) -> str:
        """What brings the terminal from the last drawing to this one."""
        size, before = self._size_now(), self._size
        above = [self._to_write.popleft() for _ in range(len(self._to_write))]
        start = UP.format(self._rows) if self._rows else ""
        self._written.extend(above)
        is_lost, self._is_lost = self._is_lost, False
        if before is not None and (size != before or is_lost) and self._rows:
            start, above = CLEAR, list(self._written)[-size[1] :]
        self._size, self._rows = size, len(lines)
        return "\r" + start + "".join(f"{line}{ERASE_LINE}\n" for line in [*above, *lines]) + ERASE_BELOW

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone; the work is not
            self._file.write(text)
            self._file.flush()
