"""What an order would take, without doing it: `plan`."""

import json
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from pepsasync.cli.flatten import flatten
from pepsasync.cli.found import Found, look_for
from pepsasync.cli.lines import SPARE, VERBOSE
from pepsasync.cli.options import ArchiveOptions, OutputOptions, QueryOptions
from pepsasync.cli.outlook import look_out
from pepsasync.cli.run_options import DeliveryOptions
from pepsasync.cli.session import Session
from pepsasync.cli.standing import last_speed
from pepsasync.cli.terminal import show
from pepsasync.errors import ConfigError
from pepsasync.folder.layout import Folder
from pepsasync.model import Query, Quota

DISK_FULL = 5
"""Exit code for an order that does not fit."""


@flatten(without=("--report", "--events", "--on-delivered"))
def plan(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    form: Annotated[str, Option("--format", metavar="text|json", help="for people or for programs")] = "text",
) -> None:
    """Tell what an order would take: products, tape, room on the disk, time. Nothing is staged, fetched or written.

    Ends with 5 when the disk is too small.
    """
    if form not in ("text", "json"):
        raise ConfigError(f"--format {form!r} is unknown", hint="Use text or json")
    session, wanted, folder = Session(output), query.build(), Path(delivery.write_dir)
    Folder(folder).check()
    found, quota = session.run(_find, session, archive, wanted, delivery)
    rate = last_speed(folder)
    outlook = look_out(found.products, Folder(folder), extract=delivery.extract, quota=quota, rate=rate)
    for line in [json.dumps(outlook.as_dict(), indent=1)] if form == "json" else outlook.lines():
        show(line)
    if not outlook.fits:
        session.say("the disk is too small: free some space, choose another folder with -w, or ask for less")
        raise Exit(DISK_FULL)
    raise Exit(found.exit_code)


async def _find(
    session: Session, archive: ArchiveOptions, wanted: Query, delivery: DeliveryOptions
) -> tuple[Found, Quota | None]:
    """What matches, and the quota of the account that would fetch it."""
    level = VERBOSE if session.output.verbose else min(SPARE, session.level)
    async with archive.client(**delivery.settings()) as client:
        with session.watch(client, level=level) as view:
            return await look_for(client, wanted, session, view.tally), client.quota
