"""Orders carried out: `sync`, and `fetch --published-since last`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path  # noqa: TC003 - the parser looks at types of options
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option

from pepsasync.cli.options import (
    DELIVERY,
    ArchiveOptions,
    Auth,
    DeliveryOptions,
    EventsTarget,
    OutputOptions,
    QueryOptions,
    ReportTarget,
    StagingOptions,
    TextOrJson,
    flatten,
)
from pepsasync.cli.order import order_of
from pepsasync.cli.run import Run
from pepsasync.cli.session import Session
from pepsasync.display.output import NORMAL, QUIET, show, show_json
from pepsasync.errors import ConfigError
from pepsasync.events import TiersWatched
from pepsasync.model import DeliveryStatus
from pepsasync.units import show_count

if TYPE_CHECKING:
    from pepsasync.client import Client
    from pepsasync.events import Event
    from pepsasync.model import Wanted
    from pepsasync.sync.changes import Changes
    from pepsasync.sync.order import Order
    from pepsasync.sync.run import Sync

WAITS = "{}: waiting for products on tape, maybe for days; skip_tape = true under [settings] leaves them for later runs"


def fetch_since_last(session: Session, query: QueryOptions, *groups: Any) -> int:
    """Bring what was published since the same query was last fetched into the same folder; returns the exit code.

    Args:
        session: Speaks with the user.
        query: What to look for.
        *groups: Archive, staging, delivery.

    Raises:
        ConfigError: It has a limit.
    """
    from pepsasync.query.saved import wanted_as_json  # noqa: PLC0415 - not needed for help

    archive, staging, delivery = groups
    plain = dataclasses.replace(query, published_since=None)
    order, wanted = order_of(plain, *groups), plain.build()
    text = json.dumps(wanted_as_json(wanted), sort_keys=True, default=str)
    name = f"last-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    work = _SyncRun(
        session,
        archive,
        staging,
        delivery,
        more={"found_by": wanted},
        order=order,
        name=name,
        title="since the last time",
        empty="nothing new",
        replaces=False,
        prunes=False,
    )
    return work.perform(())


@flatten()
def sync(
    *,
    file: Annotated[Path, Argument(metavar="FILE.toml", help="the order, made by 'order new' or --save-order")],
    plan: Annotated[bool, Option("--plan", help="show what has changed; do nothing")] = False,
    replace: Annotated[
        bool,
        Option("--replace", rich_help_panel=DELIVERY, help="download newer processings and set the older ones aside"),
    ] = False,
    prune: Annotated[
        bool,
        Option("--prune", rich_help_panel=DELIVERY, help="remove what was withdrawn and, with --replace, replaced"),
    ] = False,
    form: TextOrJson = "text",
    auth: Auth = None,
    report: ReportTarget = None,
    events: EventsTarget = None,
    output: OutputOptions,
) -> None:
    """Download what an archive has published since the last run of an order.

    Prints one line when something happened, nothing otherwise. Products are set aside or removed only with --replace
    or --prune. The exit codes are those of `fetch`.
    """
    from pepsasync.sync.order import read_order, state_name  # noqa: PLC0415 - not needed for help

    session, wanted = Session(output), read_order(file)
    if form == "json" and not plan:
        raise ConfigError("--format json is for --plan", hint="For what a sync does use --report or --events")
    archive = ArchiveOptions(provider=wanted.provider, base_url=wanted.base_url, auth=auth or wanted.auth)
    if plan:
        changes = session.run(_plan, session, archive, file, wanted)
        if form == "json":
            show_json(changes.as_json())
        for line in _plan_lines(changes) if form == "text" else ():
            show(line)
        return
    delivery = DeliveryOptions(
        write_dir=str(wanted.directory),
        extract=wanted.extract,
        include=[*wanted.include],
        exclude=[*wanted.exclude],
        bands=[*wanted.bands],
        on_delivered=wanted.on_delivered,
        report=report,
        events=events,
    )
    work = _SyncRun(
        session,
        archive,
        StagingOptions(),
        delivery,
        settings=wanted.settings,
        more={"found_by": wanted.query},
        level=None if session.level > NORMAL else QUIET,
        order=wanted,
        name=state_name(file),
        former_name=file.stem,
        title=file.stem,
        replaces=replace,
        prunes=prune,
    )
    raise Exit(work.perform(()))


async def _plan(session: Session, archive: ArchiveOptions, file: Path, wanted: Order) -> Changes:
    from pepsasync.sync.order import state_name  # noqa: PLC0415 - not needed for help
    from pepsasync.sync.run import look_only  # noqa: PLC0415

    async with archive.client(**wanted.settings) as client:
        found = await look_only(
            client,
            wanted.query,
            wanted.directory,
            name=state_name(file),
            former_name=file.stem,
            selection=wanted.selection,
        )
    for notice in found.notices:
        session.say(notice, level=QUIET)
    return found.changes


def _plan_lines(changes: Changes) -> list[str]:
    return [
        *(f"add      {product.name}" for product in changes.add),
        *(f"replace  {old} by {new.name}" for old, new in changes.replace),
        *(f"gone     {name}" for name in changes.gone),
    ] or ["nothing has changed"]


@dataclass(slots=True)
class _SyncRun(Run):
    """A run that asks the archive first, and takes out afterwards."""

    order: Order = field(kw_only=True)
    name: str = field(kw_only=True)
    replaces: bool = field(kw_only=True)
    prunes: bool = field(kw_only=True)
    title: str = field(kw_only=True)
    """What the summary begins with."""
    former_name: str = ""
    """Under which earlier versions remembered the order."""
    empty: str = ""
    """What is said when nothing happened."""
    done: Sync | None = None
    has_waited: bool = False

    async def _fetch(self, client: Client, _: Wanted) -> None:
        from pepsasync.sync.run import opened  # noqa: PLC0415 - not needed for help

        back = timedelta(seconds=self.order.look_back)
        order = self.order
        async with opened(
            client,
            order.query,
            order.directory,
            name=self.name,
            former_name=self.former_name,
            look_back=back,
            selection=order.selection,
        ) as one:
            self.done = one
            try:
                with client.listen(self._note_wait):
                    await one.perform(
                        lambda wanted: Run._fetch(self, client, wanted),  # noqa: SLF001 - slots leave no super()
                        replaces=self.replaces,
                        prunes=self.prunes,
                    )
            finally:
                self.failures += one.failures

    def _note_wait(self, event: Event) -> None:
        """Say once that the run waits for tape, where nothing else shows it."""
        if self.level == QUIET and isinstance(event, TiersWatched) and not self.has_waited:
            self.has_waited = True
            self.session.say(WAITS.format(self.title))

    def _say_summary(self, seconds: float, *, is_over: bool) -> None:  # noqa: ARG002 - as for every run
        for notice in self.done.notices if self.done else ():
            self.session.say(notice, level=QUIET)
        line = summary(self.done, self.outcomes.products, replaces=self.replaces, is_over=is_over)
        if line or (self.empty and is_over):
            self.session.say(f"{self.title}: {line or self.empty}")


def summary(done: Sync | None, products: Any, *, replaces: bool, is_over: bool) -> str:
    """What happened, in one line; empty when nothing did.

    Args:
        done: None when it was ended before the end.
        products: How many came, were here and failed.
        replaces: Whether newer processings were brought.
        is_over: Whether all was done.
    """
    delivered, failed = products[DeliveryStatus.DELIVERED], products[DeliveryStatus.FAILED]
    parts = [f"{show_count(delivered)} delivered"] if delivered else []
    parts += [f"{failed:,} failed"] if failed else []
    if done and done.removed:
        parts.append(f"{len(done.removed):,} set aside or removed")
    if done and done.changes.replace and not replaces:
        parts.append(f"{len(done.changes.replace):,} with a newer processing, which --replace brings")
    if parts and not is_over:
        parts.append("ended early")
    return ", ".join(parts)
