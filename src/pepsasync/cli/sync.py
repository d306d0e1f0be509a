"""Orders that keep a folder up to date: `sync` and `order`, and `--save-order` of the commands that take a query."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option

from pepsasync.cli.options import (
    DELIVERY,
    RESULTS,
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
from pepsasync.cli.run import Run
from pepsasync.cli.session import Session
from pepsasync.config import given_settings
from pepsasync.display.lines import NORMAL, QUIET
from pepsasync.display.output import show, show_json
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

LAST = "last"
"""Word for the last time in place of a date."""

SaveOrder = Annotated[
    Path | None,
    Option("--save-order", metavar="FILE.toml", rich_help_panel=RESULTS, help="write the order for 'pepsasync sync'"),
]


def save_order(path: Path, query: QueryOptions, *groups: Any) -> None:
    """Write what was given on the command line as an order.

    Args:
        path: Of the file.
        query: What to look for.
        *groups: Other options.

    Raises:
        ConfigError: It has a limit, there is another file of this name, or it cannot be written.
    """
    from pepsasync.sync.order import write_order  # noqa: PLC0415 - not needed for help

    write_order(path, _order_of(dataclasses.replace(query, published_since=_since(query)), *groups))


def _since(query: QueryOptions) -> str | None:
    """Publication of the products of an order: since the last time is what `sync` does anyway."""
    return None if is_since_last(query) else query.published_since


def is_since_last(query: QueryOptions) -> bool:
    """Whether what was published since the last time is wanted."""
    return (query.published_since or "").strip().lower() == LAST


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
    order, wanted = _order_of(plain, *groups), plain.build()
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


def _order_of(query: QueryOptions, *groups: Any) -> Order:
    """What was given on the command line as an order.

    Raises:
        ConfigError: It has a limit, or is for a part only.
    """
    from pepsasync.settings import read_settings  # noqa: PLC0415 - not needed for help
    from pepsasync.sync.order import Order  # noqa: PLC0415
    from pepsasync.sync.run import check_query  # noqa: PLC0415

    check_query(query.build())
    for group in groups:
        _ = getattr(group, "selection", None)  # refuses bands that there are not
    criteria = {one.name: getattr(query, one.name) for one in dataclasses.fields(query)}
    criteria = {name: value for name, value in criteria.items() if not (value is None or value is False or value == [])}
    given = {name: value for group in groups for name, value in vars(group).items()}
    if given.get("shard"):
        raise ConfigError("an order for sync is carried out whole", hint="Leave out --shard")
    return Order(
        criteria={
            name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in criteria.items()
        },
        directory=given.get("write_dir", Path()),
        provider=",".join(read_settings(os.environ).choose_all(given.get("provider"))),
        base_url=given.get("base_url"),
        auth=given.get("auth"),
        extract=given.get("extract", False),
        include=tuple(given.get("include", ())),
        exclude=tuple(given.get("exclude", ())),
        bands=tuple(given.get("bands", ())),
        on_delivered=given.get("on_delivered"),
        settings=given_settings(*groups),
    )


@flatten(without=("--report", "--events", "-0", "--null", "--serve"))
def order(
    *,
    action: Annotated[str, Argument(metavar="new", help="new: write a new order")],
    file: Annotated[Path, Argument(metavar="FILE.toml", help="the order")],
    query: QueryOptions,
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
) -> None:
    """Write an order for `sync`: a query, the archive, the folder and the options, in a small TOML file.

    It can be edited. Nothing is searched or fetched.
    """
    if action != "new":
        raise ConfigError(f"order {action} is unknown", hint="Use: pepsasync order new FILE.toml")
    save_order(file, query.settled(archive, output), archive, staging, delivery)
    Session(output).say(f"written to {file}; 'pepsasync sync {file}' runs it")


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
        write_dir=wanted.directory,
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
