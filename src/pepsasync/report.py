"""The report of a run as JSON: what became of every product."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from pepsasync.errors import ConfigError, DiskFullError
from pepsasync.events import ProductDelivered, ProductFailed, ProductFound, ProductLeftOut, ProductSkipped
from pepsasync.folder.files import FULL
from pepsasync.model import DeliveryStatus
from pepsasync.paths import in_home
from pepsasync.text import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pepsasync.events import Event
    from pepsasync.model import Delivery, Report, Traced

SCHEMA = 1
"""Version of the report's shape; grows when a reader of the old shape would go wrong."""

UNFINISHED = "unfinished"
"""Status of a product that was begun and has no outcome, since the run ended early."""


def report_as_dict(report: Report) -> dict[str, Any]:
    """Return a report ready for JSON, in the promised order of fields."""
    counts, entries = _Counts(), []
    for delivery in report.deliveries:
        entries.append(_product(delivery))
        counts.take(entries[-1])
    return _fields(report, counts) | {"products": entries} | _ending(report)


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report so that a reader finds the old or the new one, never a half.

    Raises:
        ConfigError: The file cannot be written.
    """
    with ReportFile(path) as file:
        for delivery in report.deliveries:
            file.take(delivery)
        file.write(report)


class ReportFile:
    """Takes outcomes as they are known and writes a report of them at the end; memory does not grow with their number.

    Args:
        target: Path of the report, where `~` is the home folder, or an open file.
    """

    def __init__(self, target: str | os.PathLike[str] | IO[str]) -> None:
        self._target = in_home(target) if isinstance(target, str | os.PathLike) else target
        self._counts = _Counts()
        self._begun: dict[str, dict[str, Any]] = {}
        self._taken = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._taken.close()

    def take(self, delivery: Delivery) -> None:
        """Note what became of a product; that it cannot be noted is told by `write`, and ends no run."""
        self._begun.pop(delivery.product.id, None)
        self._take(_product(delivery))

    def watch(self, event: Event) -> None:
        """Note what is begun, and outcomes that may never be taken: a run that ends early names them all the same."""
        match event:
            case ProductFound():
                self._begun[event.id] = _product_begun(event)
            case ProductLeftOut():
                self._begun.pop(event.id, None)
            case ProductDelivered() | ProductSkipped() if entry := self._begun.get(event.id):
                status = DeliveryStatus.SKIPPED if isinstance(event, ProductSkipped) else DeliveryStatus.DELIVERED
                entry |= {"status": str(status), "path": _as_posix(event.path), "bytes": event.bytes}
            case ProductFailed() if entry := self._begun.get(event.id):
                entry["status"] = str(DeliveryStatus.FAILED)
                entry["error"] = {"type": event.error, "message": event.message}

    def take_unfinished(self, found: Iterable[ProductFound]) -> None:
        """Name products that have no outcome, but for those that are known anyway."""
        self._taken.seek(0)
        known = {*self._begun, *(json.loads(line)["id"] for line in self._taken)}
        for product in found:
            if product.id not in known:
                self._take(_product_begun(product))

    def write(self, report: Report) -> None:
        """Write the report; a reader of its file finds the old or the new one, never a half.

        Args:
            report: Everything but the deliveries, which were taken; the last call.

        Raises:
            ConfigError, DiskFullError: The file cannot be written.
            BrokenPipeError: Nobody reads any more.
        """
        for entry in self._begun.values():
            self._take(entry)
        try:
            if self._error is not None:
                raise self._error
            with _opened(self._target) as file:
                self._write(report, file)
                file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            kind = DiskFullError if error.errno in FULL else ConfigError
            name = self._target if isinstance(self._target, Path) else "to standard output"
            raise kind(f"cannot write the report {name}: {error.strerror or error}") from error

    def _take(self, entry: dict[str, Any]) -> None:
        self._counts.take(entry)
        try:
            self._taken.write(as_json(entry) + "\n")
        except OSError as error:
            self._error = error

    def _write(self, report: Report, file: IO[str]) -> None:
        for name, value in _fields(report, self._counts).items():
            file.write(f"{',' if name != 'schema' else '{'}\n {json.dumps(name)}: {json.dumps(value)}")
        file.write(',\n "products": [')
        self._taken.seek(0)
        for number, line in enumerate(self._taken):
            file.write(f"{',' if number else ''}\n  {line.rstrip()}")
        file.write("\n ]")
        for name, value in _ending(report).items():
            file.write(f",\n {json.dumps(name)}: {as_json(value, indent=1)}")
        file.write("\n}\n")


def is_stream(path: Path) -> bool:
    """Whether a file takes what is written as it comes: a pipe, a device, or what is open already."""
    return (path.exists() and not path.is_file()) or path.is_relative_to("/dev")


@contextlib.contextmanager
def _opened(target: Path | IO[str]) -> Iterator[IO[str]]:
    """A file to write to; one that can be replaced is, when everything is written, and links to it stay."""
    if not isinstance(target, Path):
        yield target
    elif is_stream(target):
        with target.open("w", encoding="utf-8") as file:
            yield file
    else:
        path = target.resolve()
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                yield file
            new.replace(path)
        finally:
            with contextlib.suppress(OSError):
                new.unlink()


class _Counts:
    """The summary of outcomes."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()
        self.bytes = 0

    def take(self, entry: dict[str, Any]) -> None:
        self.by_status[entry["status"]] += 1
        self.bytes += entry["bytes"] if entry["status"] == DeliveryStatus.DELIVERED else 0


def _fields(report: Report, counts: _Counts) -> dict[str, Any]:
    """Everything that comes before the products."""
    known = counts.by_status.total() + len(report.left_out) + len(report.superseded)
    matched = max(known, report.matched)
    unfinished = matched - known + counts.by_status[UNFINISHED]
    return {
        "schema": SCHEMA,
        "provider": report.provider,
        "started": _instant(report.started),
        "seconds": round(report.seconds, 3),
        "summary": {
            "matched": matched,
            "delivered": counts.by_status[DeliveryStatus.DELIVERED],
            "skipped": counts.by_status[DeliveryStatus.SKIPPED],
            "failed": counts.by_status[DeliveryStatus.FAILED],
            **({"unfinished": unfinished} if report.error or unfinished else {}),
            "bytes": counts.bytes,
        },
    }


def _ending(report: Report) -> dict[str, Any]:
    """What comes after the products; not there when there is nothing to say."""
    told = {
        "left_out": list(report.left_out),
        "superseded": [{"id": identity, "name": name} for identity, name in report.superseded],
        "fell_short": [{"announced": announced, "sent": sent} for announced, sent in report.fell_short],
        "error": _error(report.error) if report.error else None,
    }
    return {name: value for name, value in told.items() if value}


def _product(delivery: Delivery) -> dict[str, Any]:
    product, error = delivery.product, delivery.error
    return {
        "id": product.id,
        "name": product.name,
        "status": str(delivery.status),
        "path": delivery.path.as_posix() if delivery.path else delivery.url,
        "bytes": delivery.bytes,
        "checksum": str(delivery.checksum) if delivery.checksum else None,
        "algorithm": delivery.checksum.algorithm if delivery.checksum else None,
        "tier_at_start": str(product.tier),
        "staged_seconds": round(delivery.staged_seconds, 3),
        "download_seconds": round(delivery.download_seconds, 3),
        "attempts": delivery.attempts,
        "resumed_bytes": delivery.resumed_bytes,
        "data_path": delivery.data_path,
        "source": delivery.source or None,
        "trace": _trace(delivery.trace) if delivery.trace else None,
        "members": None if delivery.members is None else list(delivery.members),
        "worker": delivery.worker,
        "error": _error(error) if error else None,
    }


def _product_begun(event: ProductFound) -> dict[str, Any]:
    """A product without an outcome, with the fields of one that has one."""
    return {
        "id": event.id,
        "name": event.name,
        "status": UNFINISHED,
        "path": None,
        "bytes": 0,
        "checksum": None,
        "algorithm": None,
        "tier_at_start": event.tier,
        "staged_seconds": 0.0,
        "download_seconds": 0.0,
        "attempts": 0,
        "resumed_bytes": 0,
        "data_path": None,
        "source": None,
        "trace": None,
        "members": None,
        "worker": None,
        "error": None,
    }


def _as_posix(path: str) -> str:
    """A path with slashes; the address of an object as it is."""
    return path if path.startswith("s3://") else Path(path).as_posix()


def _trace(traced: Traced) -> dict[str, Any]:
    trace = traced.trace
    told = {"verdict": str(traced.verdict), "reason": traced.reason or None}
    if trace is None:
        return told
    return told | {
        "event": trace.event,
        "checksum": f"{trace.algorithm}:{trace.checksum}",
        "origin": trace.origin or None,
        "registered": _instant(trace.registered) if trace.registered else None,
        "signer": trace.signer or None,
        "obsolete": trace.obsolete or None,
    }


def _error(error: BaseException) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
