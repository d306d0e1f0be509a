"""Orders that keep a folder up to date: `order`, and `--save-order` of the commands that take a query."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from pepsasync.cli.options import (
    RESULTS,
    ArchiveOptions,
    DeliveryOptions,
    OutputOptions,
    QueryOptions,
    StagingOptions,
    flatten,
)
from pepsasync.cli.session import Session
from pepsasync.config import given_settings
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from pepsasync.sync.order import Order

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

    write_order(path, order_of(dataclasses.replace(query, published_since=_since(query)), *groups))


def _since(query: QueryOptions) -> str | None:
    """Publication of the products of an order: since the last time is what `sync` does anyway."""
    return None if is_since_last(query) else query.published_since


def is_since_last(query: QueryOptions) -> bool:
    """Whether what was published since the last time is wanted."""
    return (query.published_since or "").strip().lower() == LAST


def order_of(query: QueryOptions, *groups: Any) -> Order:
    """What was given on the command line as an order.

    Raises:
        ConfigError: It has a limit, or is for a part only.
    """
    from pepsasync.settings import read_settings  # noqa: PLC0415 - not needed for help
    from pepsasync.sync.order import Order  # noqa: PLC0415
    from pepsasync.sync.run import check_query  # noqa: PLC0415
    from pepsasync.target import as_target  # noqa: PLC0415

    check_query(query.build())
    for group in groups:
        _ = getattr(group, "selection", None)  # refuses bands that there are not
    criteria = {one.name: getattr(query, one.name) for one in dataclasses.fields(query)}
    criteria = {name: value for name, value in criteria.items() if not (value is None or value is False or value == [])}
    given = {name: value for group in groups for name, value in vars(group).items()}
    target = as_target(given.get("write_dir", "."), given.get("state"), given.get("endpoint_url"))
    if given.get("shard"):
        raise ConfigError("an order for sync is carried out whole", hint="Leave out --shard")
    return Order(
        criteria={
            name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in criteria.items()
        },
        directory=target.refuse("an order for sync"),
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
