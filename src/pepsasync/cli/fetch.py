"""The main job: `fetch`."""

from typing import Annotated

from typer import Exit, Option

from pepsasync.cli.options import (
    DELIVERY,
    ArchiveOptions,
    DeliveryOptions,
    OutputOptions,
    QueryOptions,
    Replies,
    StagingOptions,
    flatten,
)
from pepsasync.cli.order import SaveOrder, is_since_last, save_order
from pepsasync.cli.session import Session
from pepsasync.config import Config, given_settings
from pepsasync.display.output import is_output, totals
from pepsasync.errors import ConfigError

DRY_RUN = ("-n", "--dry-run", "--no-download", "--no_download")


@flatten()
def fetch(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    dry_run: Annotated[
        bool, Option(*DRY_RUN, rich_help_panel=DELIVERY, help="list what would be fetched; write nothing")
    ] = False,
    json: Replies = None,
    order: SaveOrder = None,
) -> None:
    """Search, stage, wait, download and verify.

    Files that are already here are not fetched again, and parts are continued: the same command run again continues
    where it stopped.
    """
    query = query.settled(archive, output)
    session = Session(output)
    if order:
        save_order(order, query, archive, staging, delivery)
    if is_since_last(query) and not (dry_run or json):
        from pepsasync.cli.sync import fetch_since_last  # noqa: PLC0415 - not needed for help

        raise Exit(fetch_since_last(session, query, archive, staging, delivery))
    wanted = query.build()
    if not dry_run:
        from pepsasync.cli.run import Run  # noqa: PLC0415 - not needed for help

        raise Exit(Run(session, archive, staging, delivery, json, lists_paths=True).perform(wanted, len(wanted.names)))
    useless = {
        "--report": delivery.report,
        "--events": delivery.events,
        "--on-delivered": delivery.on_delivered,
        "--null": delivery.null or None,
        "--serve": delivery.serve,
    }
    if given := [option for option, value in useless.items() if value is not None]:
        raise ConfigError(f"-n fetches nothing: leave out {' and '.join(given)}")
    Config(**given_settings(archive, staging, delivery))  # refuses what the run itself would
    from pepsasync.cli.search import find  # noqa: PLC0415 - not needed for help
    from pepsasync.display.table import show_table  # noqa: PLC0415

    found = session.run(find, session, archive, wanted, json)
    if not is_output(json):
        show_table(found.products)
    session.say(totals(found.products))
    raise Exit(found.exit_code)
