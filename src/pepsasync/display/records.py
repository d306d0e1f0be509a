"""What a run writes about itself: events as JSON lines, paths of products, the archive's search replies."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TextIO

from pepsasync.display.output import SETTLE_SECONDS, Late, check_writable, is_output
from pepsasync.errors import ConfigError, DiskFullError, PepsasyncError
from pepsasync.events import DownloadProgressed, Noticed, SearchFinished
from pepsasync.folder.files import FULL
from pepsasync.model import DeliveryStatus
from pepsasync.text import as_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pepsasync.events import Event
    from pepsasync.model import Delivery


MOST_EVENTS = 100_000
"""Events that wait for whoever reads them; further ones are only counted."""


class EventLog:
    """Writes each event as one JSON object a line.

    A slow reader holds up nothing; the end waits for it. Progress is not told while it is behind.

    Args:
        target: A file, which is written anew, or `-` for standard output.
        now: Time of day.

    Raises:
        ConfigError, DiskFullError: The file cannot be opened, or at the end, not everything was written.
    """

    def __init__(self, target: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._target = target
        self._error: OSError | None = None
        self._file: TextIO | None = sys.stdout
        self._late = Late(MOST_EVENTS, self._untold)
        self._is_ours = not is_output(target)
        if self._is_ours:
            check_writable(target, "--events")
            try:
                self._file = target.open("w", encoding="utf-8")
            except OSError as error:
                raise _unwritable("--events", target, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._late.settle(None if kind is None else SETTLE_SECONDS)
        if self._file is not None:
            self._attempt(self._file.close if self._is_ours else self._file.flush)
        if self.error is not None and kind is None and not self.is_unread:
            raise _unwritable("--events", self._target, self.error)

    @property
    def error(self) -> OSError | None:
        """Why nothing can be written any more."""
        return self._error or self._late.error

    @property
    def is_unread(self) -> bool:
        """Whether its reader went away."""
        return isinstance(self.error, BrokenPipeError)

    def is_on(self, stream: object) -> bool:
        """Whether events are written to this stream."""
        return self._file is stream

    def take(self, event: Event) -> None:
        """Write one event, or have it written; never waits.

        A reader that went away ends the log, not the run, and so does a full disk until the end.
        """
        if self._file is None or self.error is not None:
            return
        if not (isinstance(event, DownloadProgressed) and self._late.is_behind):
            self._attempt(self._write, self._file, self._line(event))

    def _line(self, event: Event) -> str:
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return as_json({"time": moment} | event.as_dict(), default=str) + "\n"

    def _untold(self, count: int) -> str:
        return self._line(Noticed(message=f"{count:,} further events were dropped: the output was not read"))

    def _write(self, file: TextIO, line: str) -> None:
        if not self._late.takes(file, line.encode(file.encoding or "utf-8", "backslashreplace")):
            file.write(line)
            file.flush()

    def _attempt(self, work: Callable[..., None], *arguments: object) -> None:
        """Write, and never again when that went wrong."""
        try:
            work(*arguments)
        except ValueError:  # somebody closed the file
            self._file = None
        except OSError as error:
            self._file, self._error = None, error


class PathList:
    """Writes the path of each delivered product to standard output, as the user named the folder.

    A slow reader holds up nothing; the end waits for it.

    Args:
        end: Of each path: a line end, or a zero byte.

    Raises:
        OSError: At the end: not everything could be written.
    """

    def __init__(self, end: bytes = b"\n") -> None:
        self._end = end
        self._late = Late()
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._late.settle(None if kind is None else SETTLE_SECONDS)
        if kind is None and self.error is not None and not self.is_unread:
            raise self.error

    @property
    def error(self) -> OSError | None:
        """Why nothing can be written any more."""
        return self._error or self._late.error

    @property
    def is_unread(self) -> bool:
        """Whether its reader went away."""
        return isinstance(self.error, BrokenPipeError)

    def take(self, delivery: Delivery) -> None:
        """Write where a product is that this run has brought; never waits."""
        if delivery.status is not DeliveryStatus.DELIVERED or delivery.final_name is None or self.error is not None:
            return
        line = os.fsencode(delivery.final_name) + self._end
        try:
            if not self._late.takes(sys.stdout, line):
                self._write(line)
        except OSError as error:
            self._error = error

    def _write(self, line: bytes) -> None:
        try:
            sys.stdout.fileno()
        except (OSError, ValueError, AttributeError):  # whoever runs us has put another stream there
            sys.stdout.write(line.decode("utf-8", "backslashreplace"))
        else:
            sys.stdout.buffer.write(line)
        sys.stdout.flush()


class SearchReplies:
    """Keeps the archive's search replies for `--json FILE`.

    One reply is written byte for byte as it came. Of several pages the first is written, with the features of the
    others added to its own.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        from pepsasync.report import is_stream  # noqa: PLC0415 - not needed for help

        check_writable(path, "--json")
        self._path = path
        self._is_stream = is_output(path) or is_stream(path)
        self._bodies: list[bytes] = []

    def take(self, url: str, body: bytes) -> None:  # noqa: ARG002 - the URL is of no use here
        """Keep one reply."""
        self._bodies.append(body)

    def watch(self, event: Event) -> None:
        """Write as soon as the search is over: the run may go on for days, and may be killed."""
        if isinstance(event, SearchFinished) and not self._is_stream:
            with contextlib.suppress(ConfigError, DiskFullError):  # the end writes it once more, and reports
                self.write()

    def write(self) -> None:
        """Write what came; nothing when nothing came.

        Raises:
            ConfigError, DiskFullError: The file cannot be written.
        """
        if not self._bodies:
            return
        try:
            if is_output(self._path):
                sys.stdout.buffer.write(_merged(self._bodies))
                sys.stdout.flush()
            else:
                self._path.write_bytes(_merged(self._bodies))
        except BrokenPipeError:  # nobody reads any more, which is nobody's fault
            raise
        except OSError as error:
            raise _unwritable("--json", self._path, error) from error


def _unwritable(option: str, target: object, error: OSError) -> PepsasyncError:
    kind = DiskFullError if error.errno in FULL else ConfigError
    return kind(f"{option}: cannot write {target}: {error.strerror or error}")


def _merged(bodies: list[bytes]) -> bytes:
    if len(bodies) == 1:
        return bodies[0]
    pages: list[Any] = [json.loads(body) for body in bodies]
    for key in ("features", "value"):  # GeoJSON, OData
        if all(isinstance(page, dict) and isinstance(page.get(key), list) for page in pages):
            pages[0][key] = [feature for page in pages for feature in page[key]]
            return as_json(pages[0]).encode()
    return as_json(pages).encode()
