"""Look again at every product of a folder: `verify`."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - `flatten` evaluates the annotations
from typing import TYPE_CHECKING, Annotated, Any

from typer import Context, Exit, Option

from pepsasync.cli.options import (
    DELIVERY,
    ArchiveOptions,
    DeliveryOptions,
    Directory,
    OutputOptions,
    StagingOptions,
    flatten,
)
from pepsasync.cli.resume import (
    CommandLine,
    Job,
    JobOptions,
    OrderOptions,
    at_named_place,
    named_provider,
    run_jobs,
)
from pepsasync.cli.run import check_report, open_report
from pepsasync.cli.session import Session
from pepsasync.display.output import VERBOSE, show
from pepsasync.errors import ConfigError
from pepsasync.model import Report
from pepsasync.units import show_count, show_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.status import Status

    from pepsasync.folder.journal import JournalReader, Row
    from pepsasync.model import Delivery, Traced
    from pepsasync.transfer.reverify import Finding, Known

HERE = ("delivered", "skipped")
"""States of products that should stand in the folder."""

TRACES_AT_ONCE = 4
"""Products whose traces are asked for at the same time."""

TELL_EVERY = 100
"""Products between two lines of progress where there is no terminal."""


@flatten(without=("-0", "--null", "--serve"))
def verify(
    *,
    context: Context,
    directory: Directory = ".",
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    repair: Annotated[
        bool, Option("--repair", rich_help_panel=DELIVERY, help="fetch what is wrong or missing again")
    ] = False,
    trace: Annotated[
        bool, Option("--trace", rich_help_panel=DELIVERY, help="also compare products of CDSE with its signed traces")
    ] = False,
    trace_ca: Annotated[
        Path | None,
        Option(
            "--trace-ca",
            metavar="FILE",
            rich_help_panel=DELIVERY,
            help="PEM file of the authorities that may sign traces",
        ),
    ] = None,
) -> None:
    """Verify sizes, checksums and zip structure of all products in DIR again.

    Every byte is read; folders are compared with their manifests. Lists what is wrong, missing, or unknown because
    there is nothing to compare it with; correct products are listed with --verbose. Ends with 1 when something is wrong
    or missing; with --repair that is fetched again, and a wrong file is replaced when the new one is verified.

    With --trace, also with 1 when a trace is missing, its signature is wrong, or it tells of another file. Anybody may
    have signed it unless --trace-ca says who may. --report
    writes what was found of each product, unless something is repaired.
    """
    session = Session(output)
    delivery = at_named_place(directory, delivery, context)
    folder = delivery.target.refuse("verify")
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    check_report(delivery.report)
    if trace_ca and not trace:
        raise ConfigError("--trace-ca is for --trace", hint="Give both")
    authorities = _authorities(trace_ca) if trace_ca else None
    started, began = datetime.now(UTC), time.monotonic()
    found = session.run(audit, folder, session, trace or (delivery.report is not None and not repair))
    untraced = session.run(_trace_all, folder, found, archive, authorities) if trace else 0
    for finding in found.doubtful:
        show(f"{finding.verdict!s:<8} {finding.name}: {finding.reason}")
    for name, traced in sorted(found.traced.items()):
        if traced.reason and str(traced.verdict) != "wrong":  # wrong ones were listed
            show(f"{traced.verdict!s:<8} {name}: {traced.reason}")
    session.say(str(found))
    bad = found.bad
    if delivery.report and not (bad and repair):
        seconds = time.monotonic() - began
        report = Report(provider="", started=started, seconds=seconds)
        with open_report(delivery.report, folder) as file:
            for outcome in found.deliveries():
                file.take(outcome)
            file.write(report)
    if not bad or not repair:
        raise Exit(1 if bad or untraced else 0)
    jobs = repairs(folder, bad, named_provider(archive, context), skip_tape=staging.skip_tape)
    given = CommandLine(session, archive, staging, delivery)
    raise Exit(run_jobs(jobs, given, "fetching {} again"))


@dataclass(slots=True)
class Audit:
    """What was found so far."""

    total: int
    counts: Counter[str] = field(default_factory=Counter)
    """Products by verdict."""
    bytes: int = 0
    """Of zips that were looked at."""
    doubtful: list[Finding] = field(default_factory=list)
    """All that are not right."""
    keeps_all: bool = False
    """Whether the right ones are needed afterwards."""
    all: dict[str, Finding] = field(default_factory=dict)
    traced: dict[str, Traced] = field(default_factory=dict)
    """What traces say, by product name."""
    partial: int = 0
    """Folders that hold some members of their product."""

    @property
    def looked_at(self) -> int:
        """Products whose verdict is known."""
        return self.counts.total()

    @property
    def bad(self) -> list[Finding]:
        """What is wrong or missing, by name."""
        return [finding for finding in self.doubtful if str(finding.verdict) in ("wrong", "missing")]

    def take(self, finding: Finding) -> None:
        """Count a verdict."""
        self.counts[str(finding.verdict)] += 1
        self.bytes += finding.bytes
        self.partial += finding.partial is not None
        if str(finding.verdict) != "right":
            self.doubtful.append(finding)
        if self.keeps_all:
            self.all[finding.name] = finding

    def take_trace(self, name: str, traced: Traced) -> None:
        """Note what traces say; a product that they tell otherwise of is wrong, whatever was found before."""
        self.traced[name] = traced
        before = self.all[name]
        if str(traced.verdict) == "wrong" and str(before.verdict) != "wrong":
            self.counts[str(before.verdict)] -= 1
            self.bytes -= before.bytes
            self.doubtful = [finding for finding in self.doubtful if finding.name != name]
            self.take(replace(before, verdict=type(before.verdict)["WRONG"], reason=traced.reason))

    def deliveries(self) -> tuple[Delivery, ...]:
        """What was found, in the form of a report."""
        return tuple(_delivery(self.all[name], self.traced.get(name)) for name in sorted(self.all))

    def __str__(self) -> str:
        """`12 products, 9.4 GB: 11 right, 1 wrong`."""
        words = ("right", "unknown", "wrong", "missing")
        verdicts = ", ".join(f"{self.counts[word]:,} {word}" for word in words if self.counts[word])
        traces = Counter(str(traced.verdict) for traced in self.traced.values())
        told = ", ".join(f"{traces[word]:,} {word}" for word in ("right", "wrong", "forged", "missing") if traces[word])
        partial = f"; {self.partial:,} partial, with some members of the product" if self.partial else ""
        found = f"{show_count(self.looked_at)}{': ' + verdicts if verdicts else ''}{partial}"
        return f"{found}{'; traces: ' + told if told else ''}"


async def audit(directory: Path, session: Session, keeps_all: bool = False) -> Audit:
    """Read every product of a folder again, as many at once as there are processors.

    Nothing is written but the notes about what is wrong, where the folder can be written.

    Cancellation: the files being read are given up; notes stay.
    """
    from anyio import to_thread  # noqa: PLC0415 - not needed for help

    from pepsasync.groups import task_group  # noqa: PLC0415
    from pepsasync.transfer.reverify import recheck  # noqa: PLC0415

    known = await to_thread.run_sync(_known, directory, session)
    names, found = iter(sorted(known)), Audit(len(known), keeps_all=keeps_all)

    async def look(progress: Status | None) -> None:
        for name in names:
            work = functools.partial(recheck, directory, name, known[name])
            finding = await to_thread.run_sync(work, abandon_on_cancel=True)
            found.take(finding)
            _say_progress(found, finding, session, progress)

    with _progress(session) as progress:
        async with task_group() as readers:
            for _ in range(min(len(known), os.cpu_count() or 1)):
                readers.start_soon(look, progress)
    found.doubtful.sort(key=lambda finding: finding.name)
    return found


def _authorities(path: Path) -> Sequence[Any]:
    from pepsasync.providers.cdse.traces import read_authorities  # noqa: PLC0415 - not needed for help

    return read_authorities(path)


async def _trace_all(directory: Path, found: Audit, archive: ArchiveOptions, authorities: Sequence[Any] | None) -> int:
    """Compare what stands in a folder and came from CDSE with its traces.

    The folder does not say which service is asked: whoever can change products there could change that as well.

    Returns:
        How many could not be confirmed: their traces are missing, wrong or not to be believed.

    Raises:
        ConfigError: The library that checks signatures is missing.
        UnreachableError: The traceability service cannot be reached.
    """
    from anyio import to_thread  # noqa: PLC0415 - not needed for help

    from pepsasync.folder.layout import Folder  # noqa: PLC0415
    from pepsasync.groups import task_group  # noqa: PLC0415
    from pepsasync.model import TraceVerdict  # noqa: PLC0415
    from pepsasync.providers.cdse import Cdse  # noqa: PLC0415
    from pepsasync.transfer.traced import compare  # noqa: PLC0415
    from pepsasync.transfer.verified import distrust  # noqa: PLC0415

    ours = await to_thread.run_sync(_of_cdse, directory, found)
    own = ArchiveOptions(provider="cdse", base_url=archive.base_url, ca_bundle=archive.ca_bundle)
    async with own.client() as client:
        cdse = client.provider
        assert isinstance(cdse, Cdse)  # noqa: S101 - for the type checker
        names = iter(ours)

        async def look() -> None:
            for name in names:
                path = found.all[name].path
                traces = await cdse.traces(name, authorities)
                if path is None:
                    continue
                traced = await to_thread.run_sync(compare, path, traces, abandon_on_cancel=True)
                found.take_trace(name, traced)
                if traced.verdict is TraceVerdict.WRONG:
                    with contextlib.suppress(OSError):  # removed meanwhile
                        await to_thread.run_sync(distrust, path, Folder(directory))

        async with task_group() as readers:
            for _ in range(min(len(ours), TRACES_AT_ONCE)):
                readers.start_soon(look)
    return sum(traced.verdict is not TraceVerdict.RIGHT for traced in found.traced.values())


def _of_cdse(directory: Path, found: Audit) -> list[str]:
    """Products that stand in a folder and came from CDSE, or from nobody knows where."""
    with _reader(directory) as reader:
        ours = []
        for name, finding in found.all.items():
            row = reader.product(name) if reader else None
            source = finding.source or (row.source if row else "")
            if str(finding.verdict) != "missing" and source in ("", "cdse"):
                ours.append(name)
    return ours


def _delivery(finding: Finding, traced: Traced | None) -> Delivery:
    """What was found of a product as an outcome."""
    from pepsasync.errors import IntegrityError  # noqa: PLC0415 - not needed for help
    from pepsasync.model import Delivery, DeliveryStatus, Product  # noqa: PLC0415

    is_bad = str(finding.verdict) in ("wrong", "missing")
    return Delivery(
        product=Product(id=finding.name, name=finding.name, provider=finding.source, collection="", download_url=""),
        status=DeliveryStatus.FAILED if is_bad else DeliveryStatus.SKIPPED,
        path=None if is_bad else finding.path,
        bytes=finding.bytes,
        source=finding.source,
        error=IntegrityError(finding.reason) if is_bad else None,
        trace=traced,
    )


def repairs(directory: Path, findings: Sequence[Finding], provider: str | None, *, skip_tape: bool) -> list[Job]:
    """Jobs that bring again what is wrong or missing, each product as its order wanted it.

    Args:
        directory: The user's folder.
        findings: Of `audit`.
        provider: Archive instead of those of the orders; None for theirs.
        skip_tape: Whether what is on tape stays as it is; what the orders say of tape does not count.
    """
    wanted: dict[JobOptions, list[str]] = {}
    with _reader(directory) as reader:
        options_of = OrderOptions(reader.orders() if reader else [], provider)
        for finding in findings:
            row = reader.product(finding.name) if reader else None
            options = options_of.of_product(row) if row else options_of.of_source(finding.source)
            is_folder = finding.path is not None and finding.path.suffix == ".SAFE"
            options = replace(options, extract=is_folder, skip_tape=skip_tape)
            if str(finding.verdict) == "wrong":  # what stands there is brought again, and no less of it
                selections = finding.partial.selections if finding.partial else ()
                options = replace(options, selection=selections[-1] if selections else None)
            wanted.setdefault(options, []).append(finding.name)
    return [Job(options, names, count=len(names)) for options, names in wanted.items()]


def _known(directory: Path, session: Session) -> dict[str, Known | None]:
    """All names that should stand in a folder or do, with what the journal knows of them."""
    from pepsasync.folder.journal import State  # noqa: PLC0415
    from pepsasync.folder.names import safe_name  # noqa: PLC0415
    from pepsasync.transfer.reverify import names_in, noted_in  # noqa: PLC0415

    with _reader(directory, session) as reader:
        if reader is None:
            return noted_in(directory) | dict.fromkeys(names_in(directory))
        known: dict[str, Known | None] = {
            row.name: _known_of(row)
            for state in HERE
            for batch in reader.in_state(State(state))
            for row in batch
            if row.path != ""  # a command of `--on-delivered` has taken it away
        }
        for name in names_in(directory) - {safe_name(name) for name in known}:
            row = reader.product(name)
            known[name] = _known_of(row) if row else None
        return known


def _known_of(row: Row) -> Known:
    from pepsasync.transfer.manifest import parse_checksum  # noqa: PLC0415
    from pepsasync.transfer.reverify import Known  # noqa: PLC0415

    return Known(row.bytes or row.size, parse_checksum(row.checksum), row.path)


@contextlib.contextmanager
def _reader(directory: Path, session: Session | None = None) -> Iterator[JournalReader | None]:
    """The journal; None where there is none that can be read, which is said."""
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415

    try:
        reader = JournalReader(directory)
    except ConfigError as error:
        if session:
            session.say(f"note: {error.message}; files are compared with the notes beside them")
        yield None
        return
    with reader:
        yield reader


@contextlib.contextmanager
def _progress(session: Session) -> Iterator[Status | None]:
    """A line that changes, on a terminal."""
    if not session.has_terminal:
        yield None
        return
    with session.console().status("looking") as status:
        yield status


def _say_progress(found: Audit, finding: Finding, session: Session, progress: Status | None) -> None:
    words = f"looked at {found.looked_at:,} of {show_count(found.total)}, {show_size(found.bytes)}"
    bad = found.counts["wrong"] + found.counts["missing"]
    if progress is not None:
        progress.update(f"{words}, {bad:,} wrong or missing")
    elif session.level < VERBOSE and found.looked_at % TELL_EVERY == 0:
        session.say(f"{words}, {bad:,} wrong or missing")
    members = f", {finding.reason}" if finding.partial and str(finding.verdict) == "right" else ""
    session.say(f"{finding.verdict} {finding.name} ({found.looked_at:,}/{found.total:,}{members})", level=VERBOSE)
