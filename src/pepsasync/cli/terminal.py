"""The two streams of a terminal: whatever is told or shown goes through here.

Names and messages come from archives, so that no line holds anything that a terminal would obey.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from pepsasync.decide.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator


def tell(line: str) -> None:
    """Write a line to standard error; that nobody listens any more ends nothing."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{one_line(line)}\n")
        sys.stderr.flush()


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
