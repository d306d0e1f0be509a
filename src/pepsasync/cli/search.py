"""Looking without fetching: `search` and `collections`."""

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Context, Exit, Option

from pepsasync.cli.flatten import flatten
from pepsasync.cli.found import Found, look_for
from pepsasync.cli.lines import SPARE, VERBOSE
from pepsasync.cli.options import ArchiveOptions, OutputOptions, QueryOptions
from pepsasync.cli.output import FORMATS, check_format, show_products, totals
from pepsasync.cli.records import SearchReplies, check_one_output, check_writable, is_output
from pepsasync.cli.session import Session
from pepsasync.cli.terminal import show
from pepsasync.errors import ConfigError
from pepsasync.model import Query

RESULTS = "Results"


@flatten(without=("-o",))
def search(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    output: OutputOptions,
    file: Annotated[
        Path | None,
        Option(
            "-o", "--output", metavar="FILE", rich_help_panel=RESULTS, help="write .geojson, .csv, .parquet or .gpkg"
        ),
    ] = None,
    form: Annotated[
        str | None,
        Option("--format", metavar="FORMAT", rich_help_panel=RESULTS, help=f"to standard output: {', '.join(FORMATS)}"),
    ] = None,
    json: Annotated[
        Path | None,
        Option("--json", metavar="FILE|-", rich_help_panel=RESULTS, help="write the archive's search reply as it came"),
    ] = None,
) -> None:
    """List what matches. Nothing is staged or downloaded.

    -o FILE can be given to `pepsasync download` later. In this command -o is not the orbit; that is --orbit.
    """
    from pepsasync.results.tables import check_suffix, write_products  # noqa: PLC0415 - not needed for help

    session, wanted = Session(output), query.build()
    check_one_output({"--format": "-" if form else None, "--json": json})
    if form is not None:
        check_format(form)
    if file is not None:
        check_suffix(file)
        check_writable(file, "-o")
    found = session.run(find, session, archive, wanted, json)
    products = found.products
    if file is not None:
        write_products(products, file)
    if form is not None or (file is None and not is_output(json)):
        show_products(products, form or "table")
    session.say(totals(products) + (f"; written to {file}" if file else ""))
    raise Exit(found.exit_code)


async def find(session: Session, archive: ArchiveOptions, wanted: Query, json: Path | None = None) -> Found:
    """Return everything that matches.

    Args:
        session: Shows notices, and with `--verbose` each page.
        archive: Where to look.
        wanted: What to look for.
        json: File for the archive's replies.

    Raises:
        PepsasyncError: The archive did not answer as it should, or cannot answer such a query.
    """
    replies = SearchReplies(json) if json else None
    level = VERBOSE if session.output.verbose else min(SPARE, session.level)
    async with archive.client() as client:
        with contextlib.ExitStack() as around:
            view = around.enter_context(session.watch(client, level=level))
            if replies:
                around.enter_context(client.raw_replies(replies.take))
            found = await look_for(client, wanted, session, view.tally)
    if replies:
        replies.write()
    return found


@flatten()
def collections(
    *,
    context: Context,
    output: OutputOptions,  # noqa: ARG001 - every command takes these options
    archive: Annotated[str | None, Argument(metavar="PROVIDER", help="which archive")] = None,
    provider: Annotated[
        str | None, Option("--provider", metavar="NAME", envvar="PEPSASYNC_PROVIDER", help="the same, as elsewhere")
    ] = None,
) -> None:
    """Show collections, types and filters of an archive."""
    from pepsasync.cli.errands import named_provider  # noqa: PLC0415 - not needed for help
    from pepsasync.providers import public_url  # noqa: PLC0415
    from pepsasync.providers.collections import COLLECTIONS  # noqa: PLC0415
    from pepsasync.settings import read_settings  # noqa: PLC0415

    named = named_provider(ArchiveOptions(provider=provider), context)
    if archive and named and archive != named:
        raise ConfigError(f"{archive} or {named}? Name one archive")
    name = read_settings(os.environ).choose(archive or provider)
    public_url(name)  # refuses unknown names
    if name not in COLLECTIONS:
        raise ConfigError(f"the collections of {name} are not listed here", hint="Search with -c and its own names")
    rows: list[Any] = [("COLLECTION", "WHAT", "PRODUCT TYPES", "FILTERS"), *COLLECTIONS[name]]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        show("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
