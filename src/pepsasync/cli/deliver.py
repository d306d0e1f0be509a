"""Bring products to disk and tell about it: the common part of `fetch`, `download` and `demo`."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pepsasync.cli import READER_GONE
from pepsasync.cli.hook import make_hook
from pepsasync.cli.lines import QUIET, SPARE
from pepsasync.cli.records import EventLog, SearchReplies, check_one_output, check_writable, opened
from pepsasync.cli.summary import Outcomes, summary_lines
from pepsasync.cli.tally import Tally
from pepsasync.errors import ConfigError, DiskFullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pepsasync.cli.options import ArchiveOptions
    from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
    from pepsasync.cli.session import Session
    from pepsasync.client import Client
    from pepsasync.events import ProductFound
    from pepsasync.model import Wanted
    from pepsasync.report import ReportFile

ONE_CONNECTION = "note: --segments has no effect here: this archive gets one connection per product"


@dataclass(slots=True)
class Job:
    """One run: what is wanted, how, and what has become of it so far."""

    session: Session
    archive: ArchiveOptions
    staging: StagingOptions
    delivery: DeliveryOptions
    json: Path | None = None
    """Where the archive's search replies go."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    report: ReportFile | None = None
    log: EventLog | None = None
    tally: Tally = field(default_factory=Tally)
    provider: str = ""
    is_kept: bool = True
    """Whether the files stay where they are."""

    def run(self, wanted: Wanted, expected: int = 0) -> int:
        """Bring everything, tell the end, write the report, also when the run is ended early.

        Args:
            wanted: As `Client.fetch` takes it.
            expected: Products that are wanted at least, when that is known.

        Returns:
            The exit code: 1 when a product failed, 141 when nobody read the events any more.

        Raises:
            PepsasyncError: The run could not go on.
        """
        check_writable(self.delivery.report, "--report")
        check_one_output({"--report": self.delivery.report, "--events": self.delivery.events, "--json": self.json})
        with contextlib.ExitStack() as files:
            if self.delivery.report:
                from pepsasync.report import ReportFile  # noqa: PLC0415 - not needed for help

                self.report = files.enter_context(ReportFile(opened(self.delivery.report)))
            return self._run(wanted, expected)

    def _run(self, wanted: Wanted, expected: int) -> int:
        started, began = datetime.now(UTC), time.monotonic()
        ended_by: BaseException | None = None
        try:
            self.session.run(self._bring, wanted, expected)
        except BaseException as error:
            ended_by = error
            raise
        finally:
            seconds = time.monotonic() - began
            self._tell(seconds, is_over=ended_by is None)
            with self._told_only() if ended_by else contextlib.nullcontext():
                self._report(started, seconds, ended_by)
        if self.log and self.log.is_unread:
            return READER_GONE
        return max(self.outcomes.exit_code, int(bool(self.tally.fell_short)))

    async def _bring(self, wanted: Wanted, expected: int) -> None:
        replies = SearchReplies(self.json) if self.json else None
        with contextlib.ExitStack() as files:
            if self.delivery.events:
                self.log = files.enter_context(EventLog(self.delivery.events))
            async with self.archive.client(**self.staging.settings(), **self.delivery.settings()) as client:
                self.provider = client.provider.name
                if (self.delivery.segments or 1) > 1 and not client.provider.limits.bounded_ranges:
                    self.session.say(ONE_CONNECTION, level=SPARE)
                if client.provider.limits.sessions and sys.stdin.isatty():
                    await client.provider.account()  # may ask for a code, which the display would hide
                if replies:
                    files.enter_context(client.raw_replies(replies.take))
                    files.enter_context(client.listen(replies.watch))
                    files.callback(replies.write)
                await self._collect(client, wanted, expected)

    async def _collect(self, client: Client, wanted: Wanted, expected: int) -> None:
        directory, extract = self.delivery.write_dir, self.delivery.extract
        hook = make_hook(self.delivery.on_delivered) if self.delivery.on_delivered else None
        with contextlib.ExitStack() as listening:
            view = listening.enter_context(self.session.watch(client, self.log))
            self.tally = view.tally
            self.tally.expected = expected
            if self.report:
                self.tally.names_kept = sys.maxsize
                listening.enter_context(client.listen(self.report.watch))
            async with contextlib.aclosing(
                client.fetch(wanted, directory, extract=extract, on_delivered=hook)
            ) as outcomes:
                async for delivery in outcomes:
                    self.outcomes.take(delivery)
                    if self.report:
                        self.report.take(delivery)

    def _tell(self, seconds: float, *, is_over: bool) -> None:
        unfinished = (
            0
            if is_over
            else max(0, self.tally.total - len(self.outcomes) - self.tally.left_out - self.tally.superseded)
        )
        if not (is_over or self.outcomes or unfinished):
            return  # ended before anything was known; the error says it all
        lines = summary_lines(
            self.outcomes,
            seconds=seconds,
            received=self.tally.received_bytes,
            directory=self.delivery.write_dir if self.is_kept else None,
            left_out=self.tally.left_out,
            left_out_names=self.tally.left_out_names,
            unfinished=unfinished,
        )
        for line in lines:
            self.session.say(line)

    def _report(self, started: datetime, seconds: float, ended_by: BaseException | None) -> None:
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
                left_out=tuple(self.tally.left_out_names),
                superseded=tuple(self.tally.superseded_names),
                fell_short=tuple((event.announced, event.sent) for event in self.tally.fell_short),
                error=ended_by,
                matched=self.tally.total if ended_by else 0,
            )
        )

    @contextlib.contextmanager
    def _told_only(self) -> Iterator[None]:
        """Tell of a report that cannot be written; what has ended the run is worse."""
        try:
            yield
        except (ConfigError, DiskFullError) as error:
            self.session.say(f"error: {error}", level=QUIET)

    def _left_unfinished(self, since: float) -> Iterator[ProductFound]:
        """What this run has found and not finished, as the journal tells: it knows more than was begun."""
        from pepsasync.events import ProductFound  # noqa: PLC0415
        from pepsasync.folder.journal import JournalReader  # noqa: PLC0415

        with contextlib.suppress(ConfigError), JournalReader(self.delivery.write_dir) as reader:
            for row in (row for batch in reader.unfinished() for row in batch if row.updated >= since):
                yield ProductFound(id=row.id, name=row.name, tier=row.tier, size=row.size)
