"""The streams of a terminal: whatever is printed or asked goes through here, reports as well as search results.

Names and messages come from archives, so that no line holds anything that a terminal would obey.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import stat
import sys
import threading
from collections import Counter, deque
from typing import IO, TYPE_CHECKING

from pepsasync.errors import ConfigError
from pepsasync.text import as_json, one_line
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pepsasync.model import Product

QUIET, SPARE, NORMAL, VERBOSE = range(4)
"""What is reported: failures; notices too; every outcome and all waiting; every step."""

MOST_LISTED = 20
"""Failures, and products left out, that are listed one by one; `--report` names them all."""

ON_TAPE = ("tape", "staging")
"""Tiers from which a product must be brought online."""

MOST_WAITING = 10_000
"""Lines that wait for whoever reads standard error; further ones are only counted."""

SHORT = 4096
"""Bytes that a pipe takes whole when it takes any."""

SETTLE_SECONDS = 5.0
"""How long the end of the program waits for whoever reads standard error."""


_displays: list[Callable[[str], None]] = []
"""Those that draw on the terminal now, and let lines scroll by above them."""


@contextlib.contextmanager
def told_above(write: Callable[[str], None]) -> Iterator[None]:
    """Let a display write what is told, where it does not draw over it."""
    _displays.append(write)
    try:
        yield
    finally:
        _displays.remove(write)


def tell(line: str) -> None:
    """Write a line to standard error without waiting for its reader; that nobody listens any more ends nothing."""
    if _displays:
        _displays[-1](line)
        return
    text = f"{one_line(line)}\n"
    with contextlib.suppress(OSError):
        if not _late.takes(sys.stderr, text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")):
            sys.stderr.write(text)
            sys.stderr.flush()


def settle(seconds: float = SETTLE_SECONDS) -> None:
    """Wait until everything is printed, for so long at most."""
    _late.settle(seconds)


def _untold(count: int) -> str:
    return f"{count:,} further lines were dropped: the output was not read\n"


class Late:
    """Lines for a reader that is behind: a thread waits for it, so that nobody else has to.

    Args:
        most: Lines that wait for it; further ones are only counted.
        untold: The line that says how many were left out.
    """

    def __init__(self, most: float = math.inf, untold: Callable[[int], str] = _untold) -> None:
        self._most = most
        self._untold = untold
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._is_writing = False
        self.error: OSError | None = None
        """Why nothing can be written any more."""

    @property
    def is_behind(self) -> bool:
        """Whether lines wait."""
        return self._is_writing

    def takes(self, stream: IO[str], line: bytes) -> bool:
        """Take a line, unless it can be written at once."""
        try:
            number = stream.fileno()
        except (OSError, ValueError, AttributeError):  # no file of the system
            return False
        with self._changed:
            if not self._is_writing and (_is_regular(number) or (len(line) <= SHORT and _has_room(number))):
                return False
            if len(self._lines) < self._most:
                self._lines.append(line)
            else:
                self._lost += 1
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._write, args=(number,), name="late lines", daemon=True).start()
        return True

    def settle(self, seconds: float | None) -> None:
        """Wait until everything is written, for so long at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing, seconds)

    def _write(self, number: int) -> None:
        while line := self._next():
            # Past the stream, whose lock nobody may hold when the interpreter ends.
            try:
                while line:
                    line = line[_written(number, line) :]
            except OSError as error:
                self.error = error

    def _next(self) -> bytes:
        with self._changed:
            if self._lines:
                return self._lines.popleft()
            lost, self._lost = self._lost, 0
            if not lost:
                self._is_writing = False
                self._changed.notify_all()
            return self._untold(lost).encode() if lost else b""


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


_late = Late(MOST_WAITING)


def show(line: str) -> None:
    """Write a line to standard output."""
    show_exactly(one_line(line))


def show_exactly(text: str) -> None:
    """Write text for programs, which want it unchanged, to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show_json(value: object) -> None:
    """Write a value as JSON to standard output, indented."""
    show_exactly(as_json(value, indent=1))


@contextlib.contextmanager
def log_as_lines() -> Iterator[None]:
    """Print warnings and errors of the log as all other lines."""
    root, handler = logging.getLogger(), _Handler(logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Handler(logging.Handler):
    """Of a traceback only its last line is printed; `-vv` is for the others."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        more = f": {type(error).__name__}: {error}" if error else ""
        tell(f"pepsasync: {record.levelname.lower()}: {record.getMessage()}{more}")


def answer(what: str, *, is_secret: bool = False) -> str:
    """Ask for one line on the terminal, where secrets are not shown, or read one of standard input.

    Raises:
        ConfigError: There is no such line, or it is empty.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal and not is_secret:
        sys.stderr.write(f"{what}: ")
        sys.stderr.flush()
    text = _hidden(f"{what}: ") if is_terminal and is_secret else sys.stdin.readline().rstrip("\r\n")
    if not text.strip():
        hint = "Without a terminal, standard input holds a line for each question"
        raise ConfigError(f"no answer to: {what}", hint=hint)
    return text


def _hidden(question: str) -> str:
    from getpass import getpass  # noqa: PLC0415 - hardly ever

    try:
        return getpass(question)
    except EOFError:
        return ""


async def ask_code() -> str:
    """Ask for the code of a second factor, away from the event loop."""
    from anyio import to_thread  # noqa: PLC0415 - not needed for help

    return await to_thread.run_sync(lambda: answer("Code of the second factor"), abandon_on_cancel=True)


def check_writable(path: Path | None, option: str) -> None:
    """Refuse a file that cannot be written, before hours of work are done.

    Raises:
        ConfigError: Its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option}: {path} is a folder, not a file")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{option}: the folder of {path} does not exist")


def check_one_output(options: Mapping[str, object]) -> None:
    """Refuse several things on standard output, which nobody could tell apart.

    Args:
        options: What was given, `-` for standard output, by option.

    Raises:
        ConfigError: More than one of them is `-`.
    """
    there = [option for option, target in options.items() if is_output(target)]
    if len(there) > 1:
        raise ConfigError(f"{' and '.join(there)} cannot both be standard output", hint="Give one of them a file")


def is_output(target: object) -> bool:
    """Whether `-` was given for a file."""
    return str(target) == "-"


def opened(path: Path) -> Path | IO[str]:
    """Standard output for `-`, else the path."""
    return sys.stdout if is_output(path) else path


TIER_WORDS = {"disk": "on disk", "tape": "on tape", "staging": "on the way from tape", "unknown": "somewhere"}


def totals(products: Sequence[Product]) -> str:
    """`12 products, 24.1 MB: 5 on disk, 7 on tape`."""
    if not products:
        return "nothing matches: no product fits these criteria"
    sizes = [product.size for product in products if product.size is not None]
    tiers = Counter(str(product.tier) for product in products)
    where = ", ".join(f"{count:,} {TIER_WORDS[tier]}" for tier, count in sorted(tiers.items()))
    more = "" if len(sizes) == len(products) else f" ({len(products) - len(sizes):,} without a size)"
    return f"{show_count(len(products))}, {show_size(sum(sizes))}{more}: {where}"
