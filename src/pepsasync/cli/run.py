"""One run: bring products to disk, print how it ends, write the report; the common part of `fetch`, `resume`, ..."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

from pepsasync.cli import READER_GONE
from pepsasync.display.counters import Counters
from pepsasync.display.figures import earlier
from pepsasync.display.output import MOST_LISTED, QUIET, SPARE, check_one_output, check_writable, is_output, opened
from pepsasync.display.records import EventLog, PathList, SearchReplies
from pepsasync.errors import ConfigError, DiskFullError, NotFoundError, RefusedError
from pepsasync.limits.estimate import TapePace
from pepsasync.model import DeliveryStatus
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import ByteReceiveStream, Process

    from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, StagingOptions
    from pepsasync.cli.session import Session
    from pepsasync.client import Client
    from pepsasync.display.serve.board import Board
    from pepsasync.events import ProductFound
    from pepsasync.model import Delivery, Wanted
    from pepsasync.pictures.report_page import ReportPage
    from pepsasync.report import ReportFile
    from pepsasync.target import Target

ONE_CONNECTION = "note: --segments has no effect here: this archive gets one connection per product"

MOST_KEPT = 4096
"""Bytes of each stream of an `--on-delivered` command in which its last line is looked for."""

_LAST_WORDS = 0.5
"""Seconds that a command of `--on-delivered` has to end when it is asked to; and for what it said to arrive when it has
failed."""

_SENSELESS = re.compile(r"[\x00\ufffd]+")
"""What binary output leaves in a line."""

_ACCOUNT = re.compile(r"PEPSASYNC_\w+_(?:USERNAME|PASSWORD|API_KEY|TOKEN)", re.IGNORECASE)


@dataclass(slots=True)
class Outcomes:
    """What became of the products, in numbers: of a million products nothing else is kept in memory."""

    products: Counter[DeliveryStatus] = field(default_factory=Counter)
    bytes: Counter[DeliveryStatus] = field(default_factory=Counter)
    resumed_bytes: int = 0
    from_tape: int = 0
    reasons: list[str] = field(default_factory=list)
    """Of the first failures."""
    hopeless: int = 0
    """Failures that another try will not mend."""

    def __len__(self) -> int:
        """Outcomes that are known."""
        return self.products.total()

    @property
    def exit_code(self) -> int:
        """1 when a product failed, else 0."""
        return int(self.products[DeliveryStatus.FAILED] > 0)

    def take(self, delivery: Delivery) -> None:
        """Count an outcome."""
        self.products[delivery.status] += 1
        self.bytes[delivery.status] += delivery.bytes
        if delivery.status is DeliveryStatus.DELIVERED:
            self.resumed_bytes += delivery.resumed_bytes
            self.from_tape += delivery.staged_seconds > 0
        elif delivery.status is DeliveryStatus.FAILED:
            self.hopeless += _is_hopeless(delivery)
            if len(self.reasons) < MOST_LISTED:
                self.reasons.append(_reason(delivery))


@dataclass(slots=True)
class Run:
    """One run: what is wanted, how, and what has become of it so far."""

    session: Session
    archive: ArchiveOptions
    staging: StagingOptions
    delivery: DeliveryOptions
    json: Path | None = None
    """Where the archive's search replies go."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    report: ReportFile | ReportPage | None = None
    log: EventLog | None = None
    counters: Counters = field(default_factory=Counters)
    provider: str = ""
    is_kept: bool = True
    """Whether the files stay where they are."""
    lists_paths: bool = False
    """Whether paths of delivered products go to standard output."""
    paths: PathList | None = None
    board: Board | None = None
    """What a page about this run shows, with `--serve`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Config` beside those of the options."""
    level: int | None = None
    """How much of what happens is printed; None for what the user has asked for."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of `Client.fetch`."""
    failures: int = 0
    """Of other things than deliveries."""
    known: tuple[float | None, TapePace] = (None, TapePace())
    """What an earlier run has measured: bytes a second, and how tape comes."""

    def perform(self, wanted: Wanted, expected: int = 0) -> int:
        """Bring everything, print the summary, write the report, also when the run is ended early.

        Args:
            wanted: As `Client.fetch` takes it.
            expected: Products that are wanted at least, when that is known.

        Returns:
            The exit code: 1 when a product failed, 141 when nobody read the events or paths any more.

        Raises:
            PepsasyncError: The run could not go on.
        """
        target = self.delivery.target
        target.check(extract=self.delivery.extract, selection=self.delivery.selection)
        if self.delivery.cluster is not None:  # which refuses what there is not
            target.refuse("--dask")
        check_report(self.delivery.report)
        outputs = {"--report": self.delivery.report, "--events": self.delivery.events, "--json": self.json}
        check_one_output(outputs | {"--null": "-" if self.delivery.null else None})
        is_taken = any(map(is_output, outputs.values()))
        self.known = earlier(target.folder)
        started, began = datetime.now(UTC), time.monotonic()
        ended_by: BaseException | None = None
        with contextlib.ExitStack() as files:
            # On a terminal the lines about deliveries say as much.
            if self.lists_paths and not is_taken and (self.delivery.null or not sys.stdout.isatty()):
                self.paths = files.enter_context(PathList(b"\0" if self.delivery.null else b"\n"))
            if self.delivery.report:
                self.report = open_report(self.delivery.report, target.folder)
                files.enter_context(self.report)
            if self.delivery.events:
                self.log = files.enter_context(EventLog(self.delivery.events))
            if self.delivery.serve is not None:
                self.board = files.enter_context(self._served(self.delivery.serve))
            try:
                self.session.run(self._bring, wanted, expected)
            except BaseException as error:
                ended_by = error
                raise
            finally:
                seconds = time.monotonic() - began
                self._say_summary(seconds, is_over=ended_by is None)
                try:
                    self._write_report(started, seconds, ended_by)
                except (ConfigError, DiskFullError) as error:
                    if ended_by is None:
                        raise
                    self.session.say(f"error: {error}", level=QUIET)  # what has ended the run is worse
        if (self.log and self.log.is_unread) or (self.paths and self.paths.is_unread):
            return READER_GONE
        return max(self.outcomes.exit_code, int(bool(self.counters.fell_short or self.failures)))

    async def _bring(self, wanted: Wanted, expected: int) -> None:
        replies = SearchReplies(self.json) if self.json else None
        with contextlib.ExitStack() as files:
            async with self.archive.client(self.staging, self.delivery, **self.settings) as client:
                self.provider = client.provider.name
                if (self.delivery.segments or 1) > 1 and not client.provider.limits.bounded_ranges:
                    self.session.say(ONE_CONNECTION, level=SPARE)
                if client.provider.limits.sessions and sys.stdin.isatty():
                    await client.provider.account()  # may ask for a code, which the display would hide
                if replies:
                    files.enter_context(client.raw_replies(replies.take))
                    files.enter_context(client.listen(replies.watch))
                    files.callback(replies.write)
                is_shared = self.paths is not None and sys.stdout.isatty()
                level = self.session.level if is_shared and self.level is None else self.level
                watching = self.session.watch(client, self.log, level=level)
                with watching as view, contextlib.ExitStack() as listening:
                    self.counters = view.counters
                    self.counters.expected = expected
                    self.counters.usual_rate, self.counters.pace = self.known
                    self.counters.quota = lambda: client.quota
                    if self.board:
                        self.board.follow(client, expected)
                        listening.enter_context(client.listen(self.board.take))
                    if self.report:
                        self.counters.names_kept = sys.maxsize
                        listening.enter_context(client.listen(self.report.watch))
                    await self._fetch(client, wanted)

    @contextlib.contextmanager
    def _served(self, port: int) -> Iterator[Board]:
        """Serve a page about this run."""
        try:
            from pepsasync.display.serve.board import Board  # noqa: PLC0415 - needs the extra
            from pepsasync.display.serve.server import serving  # noqa: PLC0415
        except ImportError as error:
            hint = "Try: pip install 'pepsasync[serve]'"
            raise ConfigError("--serve needs more packages", hint=hint) from error
        rate, pace = self.known
        board = Board(Counters(usual_rate=rate, pace=pace), self.delivery.target.folder)
        with serving(board, port) as url:
            self.session.say(f"progress page: {url} (for this machine only; the address is a secret)", level=QUIET)
            yield board

    async def _fetch(self, client: Client, wanted: Wanted) -> None:
        hook = make_hook(self.delivery.on_delivered) if self.delivery.on_delivered else None
        options, selection = self.delivery, self.delivery.selection
        some: dict[str, Any] = selection.as_dict() if selection else {}
        if (target := options.target).bucket:
            some |= {"state": options.state, "endpoint_url": options.endpoint_url}
        if (cluster := options.cluster) is not None:
            some["executor"] = cluster
        outcomes = client.fetch(
            wanted,
            options.write_dir if target.bucket else target.folder,
            extract=options.extract,
            on_delivered=hook,
            **some,
            **self.more,
        )
        async with contextlib.aclosing(outcomes):
            async for delivery in outcomes:
                self.outcomes.take(delivery)
                if self.paths:
                    self.paths.take(delivery)
                if self.report:
                    self.report.take(delivery)

    def _say_summary(self, seconds: float, *, is_over: bool) -> None:
        known = len(self.outcomes) + self.counters.left_out + self.counters.superseded
        unfinished = 0 if is_over else max(0, self.counters.total - known)
        if not (is_over or self.outcomes or unfinished):
            return  # ended before anything was known; the error says it all
        lines = summary_lines(
            self.outcomes,
            seconds=seconds,
            received=self.counters.received_bytes,
            target=self.delivery.target if self.is_kept else None,
            left_out=self.counters.left_out,
            left_out_names=self.counters.left_out_names,
            unfinished=unfinished,
        )
        for line in lines:
            self.session.say(line)

    def _write_report(self, started: datetime, seconds: float, ended_by: BaseException | None) -> None:
        if self.report is None or not self.provider:
            return
        from pepsasync.folder.journal import JournalBusyError  # noqa: PLC0415 - not needed for help
        from pepsasync.model import Report  # noqa: PLC0415

        if ended_by is not None and not isinstance(ended_by, JournalBusyError):  # else it is somebody else's journal
            self.report.take_unfinished(self._left_unfinished(started.timestamp()))
        self.report.write(
            Report(
                provider=self.provider,
                started=started,
                seconds=seconds,
                left_out=tuple(self.counters.left_out_names),
                superseded=tuple(self.counters.superseded_names),
                fell_short=tuple((event.announced, event.sent) for event in self.counters.fell_short),
                error=ended_by,
                matched=self.counters.total if ended_by else 0,
            )
        )

    def _left_unfinished(self, since: float) -> Iterator[ProductFound]:
        """What this run has found and not finished, as the journal tells: it knows more than was begun."""
        from pepsasync.events import ProductFound  # noqa: PLC0415
        from pepsasync.folder.journal import JournalReader  # noqa: PLC0415

        with contextlib.suppress(ConfigError), JournalReader(self.delivery.target.folder) as reader:
            for row in (row for batch in reader.unfinished() for row in batch if row.updated >= since):
                yield ProductFound(id=row.id, name=row.name, tier=row.tier, size=row.size)


def check_report(path: Path | None) -> None:
    """Refuse a report that cannot be written, before hours of work are done.

    Raises:
        ConfigError: No such folder, or a page without the library for it.
    """
    check_writable(path, "--report")
    if path is not None and is_page(path):
        from pepsasync.pictures.page import check_page  # noqa: PLC0415 - not needed for help

        check_page(path, "--report FILE.html")


def open_report(path: Path, directory: Path) -> ReportFile | ReportPage:
    """Return what takes the outcomes of a run: for a page, or for JSON.

    Args:
        path: Of the report; `-` is standard output.
        directory: Folder of the products.
    """
    if is_page(path):
        from pepsasync.pictures.report_page import ReportPage  # noqa: PLC0415 - not needed for help

        return ReportPage(path, directory)
    from pepsasync.report import ReportFile  # noqa: PLC0415 - not needed for help

    return ReportFile(opened(path))


def is_page(path: Path) -> bool:
    """Whether a report is to be a page."""
    return path.suffix.lower() in (".html", ".htm")


def summary_lines(
    outcomes: Outcomes,
    *,
    seconds: float,
    received: int,
    target: Target | None,
    left_out: int = 0,
    left_out_names: Sequence[str] = (),
    unfinished: int = 0,
) -> list[str]:
    """Return the end of a run in a few lines.

    Args:
        outcomes: All of them.
        seconds: How long the run took.
        received: Bytes that came over the network.
        target: Where the files are; None when they will not stay there.
        left_out: Products on tape that were not waited for.
        left_out_names: The first of them.
        unfinished: Products without an outcome, when the run was ended early.
    """
    delivered, skipped = outcomes.products[DeliveryStatus.DELIVERED], outcomes.products[DeliveryStatus.SKIPPED]
    if not outcomes and not left_out and not unfinished:
        return ["nothing matches: no product fits these criteria"]
    lines = [_delivered(outcomes, seconds, received)] if delivered else []
    if skipped:
        lines.append(f"already here: {show_count(skipped)}, {show_size(outcomes.bytes[DeliveryStatus.SKIPPED])}")
    if target and (delivered or skipped):
        lines.append(f"files are in {target}")
    lines += _failed(outcomes)
    if left_out:
        lines += [f"left out, on tape: {show_count(left_out)}", *_listed(left_out_names, left_out)]
    if unfinished:
        lines.append(f"not finished: {show_count(unfinished)}; what was received is kept")
    return lines


def _delivered(outcomes: Outcomes, seconds: float, received: int) -> str:
    count, size = outcomes.products[DeliveryStatus.DELIVERED], outcomes.bytes[DeliveryStatus.DELIVERED]
    tape = f", {outcomes.from_tape:,} of them from tape" if outcomes.from_tape else ""
    came = f"; {show_size(received)} of it came" if outcomes.resumed_bytes and received < size else ""
    speed = f" ({show_size(received / seconds)}/s on average)" if seconds > 0 else ""
    return f"delivered: {show_count(count)}, {show_size(size)}{came} in {show_duration(seconds)}{speed}{tape}"


def _failed(outcomes: Outcomes) -> list[str]:
    count = outcomes.products[DeliveryStatus.FAILED]
    if not count:
        return []
    again = ["run the same command again to try the failed ones once more"] if count > outcomes.hopeless else []
    return [f"failed: {show_count(count)}", *_listed(outcomes.reasons, count), *again]


def _listed(texts: Sequence[str], count: int) -> list[str]:
    listed = [f"  {text}" for text in texts[:MOST_LISTED]]
    if count > MOST_LISTED:
        listed.append(f"  and {count - MOST_LISTED:,} more; --report FILE names them all")
    return listed


def _is_hopeless(delivery: Delivery) -> bool:
    """Whether the archive does not know the name, or refuses the request."""
    is_unknown = isinstance(delivery.error, NotFoundError) and not delivery.product.download_url
    return is_unknown or isinstance(delivery.error, RefusedError)


def _reason(delivery: Delivery) -> str:
    text = str(delivery.error)
    return text if delivery.product.name in text else f"{delivery.product.name}: {text}"


def make_hook(command: str) -> Callable[[Delivery], Awaitable[None]]:
    """Return a hook that runs a command.

    Its environment is ours without the accounts, and holds `PEPSASYNC_PATH` (absolute), `PEPSASYNC_NAME`,
    `PEPSASYNC_ID` and `PEPSASYNC_SOURCE`. Its output is thrown away. What it leaves running is not waited for.

    Args:
        command: For the shell.

    Raises by the hook:
        RuntimeError: The command ended with another code than 0; holds its last words.

    Cancellation of the hook ends the command and what it has started.
    """

    async def run(delivery: Delivery) -> None:
        import anyio  # noqa: PLC0415 - not needed for help

        from pepsasync.groups import task_group  # noqa: PLC0415

        facts = {
            "PEPSASYNC_PATH": str(delivery.path.absolute()) if delivery.path else delivery.url or "",
            "PEPSASYNC_NAME": delivery.product.name,
            "PEPSASYNC_ID": delivery.product.id,
            "PEPSASYNC_SOURCE": delivery.source,
        }
        errors, output = bytearray(), bytearray()
        with anyio.CancelScope(shield=True):  # else nobody would know what has just been started
            process = await anyio.open_process(
                command, stdin=DEVNULL, env=_without_accounts(os.environ) | facts, start_new_session=True
            )
        async with process:
            try:
                async with task_group() as readers:
                    readers.start_soon(_keep_end, process.stderr, errors)
                    readers.start_soon(_keep_end, process.stdout, output)
                    code = await process.wait()
                    # What the command left running keeps its streams open.
                    readers.cancel_scope.deadline = anyio.current_time() + (_LAST_WORDS if code else 0)
            except BaseException:
                await _end_group(process)
                raise
        if code != 0:
            said = _last_line(errors) or _last_line(output)
            raise RuntimeError(f"the command ended with {code}{said and f': {said}'}")

    return run


async def _end_group(process: Process) -> None:
    """End a command that still runs, and all that it has started: asked to at first, then killed."""
    import anyio  # noqa: PLC0415

    if process.returncode is not None:
        return
    if os.name == "nt":  # which has no process groups; the shell alone
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or of another user (sudo)
        os.killpg(process.pid, signal.SIGTERM)
    with anyio.move_on_after(_LAST_WORDS, shield=True):
        await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _without_accounts(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without user names (half a pair is refused), passwords and keys of archives."""
    return {name: text for name, text in environ.items() if not _ACCOUNT.fullmatch(name)}


async def _keep_end(stream: ByteReceiveStream | None, end: bytearray) -> None:
    """Read to the end, and keep no more than the last words may need."""
    if stream is not None:
        async for chunk in stream:
            end += chunk
            del end[:-MOST_KEPT]


def _last_line(output: bytearray) -> str:
    """The end of the last line that says anything."""
    lines = _SENSELESS.sub("", output.decode(errors="replace")).strip().splitlines()
    return lines[-1][-200:] if lines else ""
