"""The main job: `fetch`."""

from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from pepsasync.cli.deliver import Job
from pepsasync.cli.flatten import flatten
from pepsasync.cli.options import DELIVERY, ArchiveOptions, OutputOptions, QueryOptions
from pepsasync.cli.output import show_table, totals
from pepsasync.cli.records import is_output
from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
from pepsasync.cli.search import find
from pepsasync.cli.session import Session

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
    json: Annotated[
        Path | None,
        Option(
            "--json", metavar="FILE|-", rich_help_panel=DELIVERY, help="write the archive's search reply as it came"
        ),
    ] = None,
) -> None:
    """Search, stage, wait, download and verify.

    Files that are already here are not fetched again and parts are continued, so the same command run again goes on
    where it stopped.
    """
    session, wanted = Session(output), query.build()
    if not dry_run:
        job = Job(session, archive, staging, delivery, json)
        raise Exit(job.run(wanted, len(wanted.names)))
    delivery.check_dry()
    found = session.run(find, session, archive, wanted, json)
    if not is_output(json):
        show_table(found.products)
    session.say(totals(found.products))
    raise Exit(found.exit_code)
