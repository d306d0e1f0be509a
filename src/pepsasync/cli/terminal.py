"""The two streams of a terminal: whatever is told or shown goes through here.

Names and messages come from archives, so that no line holds anything that a terminal would obey.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from pepsasync.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator


MOST_WAITING = 10_000
"""Lines that wait for whoever reads standard error; further ones are only counted."""

SHORT = 4096
"""Bytes that a pipe takes whole when it takes any."""

SETTLE_SECONDS = 5.0
"""How long the end of the program waits for whoever reads standard error."""


def tell(line: str) -> None:
    """Write a line to standard error without waiting for its reader; that nobody listens any more ends nothing."""
    text = f"{one_line(line)}\n"
    with contextlib.suppress(OSError):
        if not _late.takes(text):
            sys.stderr.write(text)
            sys.stderr.flush()


def settle(seconds: float = SETTLE_SECONDS) -> None:
    """Wait until everything is told, for so long at most."""
    _late.settle(seconds)


class _Late:
    """Lines for a reader that is behind: a thread waits for it, so that nobody else has to."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._is_writing = False

    def takes(self, text: str) -> bool:
        """Take a line, unless it can be written at once."""
        try:
            number = sys.stderr.fileno()
        except (OSError, ValueError, AttributeError):  # no file of the system
            return False
        line = text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        with self._changed:
            if not self._is_writing and (_is_regular(number) or (len(line) <= SHORT and _has_room(number))):
                return False
            if len(self._lines) < MOST_WAITING:
                self._lines.append(line)
            else:
                self._lost += 1
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._write, args=(number,), name="late lines", daemon=True).start()
        return True

    def settle(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing, seconds)

    def _write(self, number: int) -> None:
        while line := self._next():
            # Past `sys.stderr`, whose lock nobody may hold when the interpreter ends.
            with contextlib.suppress(OSError):
                while line:
                    line = line[_written(number, line) :]

    def _next(self) -> bytes:
        with self._changed:
            if self._lines:
                return self._lines.popleft()
            lost, self._lost = self._lost, 0
            if not lost:
                self._is_writing = False
                self._changed.notify_all()
            return f"{lost:,} lines more were not told: nobody read them\n".encode() if lost else b""


def _is_regular(number: int) -> bool:
    return stat.S_ISREG(os.fstat(number).st_mode)


def _has_room(number: int) -> bool:
    if not hasattr(select, "poll"):  # Windows cannot ask
        return True
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(0))


def _written(number: int, line: bytes) -> int:
    try:
        return os.write(number, line)
    except BlockingIOError:  # whoever started us does not wait on this pipe either
        select.select([], [number], [])
        return 0


_late = _Late()


def show(line: str) -> None:
    """Write a line to standard output."""
    show_exactly(one_line(line))


def show_exactly(text: str) -> None:
    """Write text for programs, which want it unchanged, to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def log_as_lines() -> Iterator[None]:
    """Tell warnings and errors of the log as everything else is told."""
    root, handler = logging.getLogger(), _Handler(logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Handler(logging.Handler):
    """Of a traceback only its last line is told; `-vv` is for the others."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        more = f": {type(error).__name__}: {error}" if error else ""
        tell(f"pepsasync: {record.levelname.lower()}: {record.getMessage()}{more}")
