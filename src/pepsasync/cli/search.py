"""Looking without fetching: `search` and `collections`, and the search of `plan`, `stage` and `fetch -n`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - `flatten` evaluates the annotations
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from pepsasync.cli.options import (
    RESULTS,
    ArchiveOptions,
    OutputOptions,
    QueryOptions,
    Replies,
    flatten,
)
from pepsasync.cli.order import SaveOrder, save_order
from pepsasync.cli.session import Session
from pepsasync.display.output import (
    MOST_LISTED,
    QUIET,
    SPARE,
    VERBOSE,
    check_one_output,
    check_writable,
    is_output,
    totals,
)
from pepsasync.display.table import FORMATS, USUAL, check_format, parse_columns, show_products
from pepsasync.errors import ConfigError, IncompleteError
from pepsasync.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.client import Client
    from pepsasync.model import Product, Query, Quicklook


@flatten(without=("-o",))
def search(
    *,
    query: QueryOptions,
    archive: ArchiveOptions,
    output: OutputOptions,
    file: Annotated[
        Path | None,
        Option(
            "-o",
            "--output",
            metavar="FILE",
            rich_help_panel=RESULTS,
            help="write .geojson, .json (STAC), .csv, .parquet or .gpkg",
        ),
    ] = None,
    form: Annotated[
        str | None,
        Option("--format", metavar="FORMAT", rich_help_panel=RESULTS, help=f"to standard output: {', '.join(FORMATS)}"),
    ] = None,
    columns: Annotated[
        str | None,
        Option("--columns", metavar="NAMES", rich_help_panel=RESULTS, help="of the table: name,size,tile,clouds,..."),
    ] = None,
    html_map: Annotated[
        Path | None,
        Option(
            "--map",
            metavar="FILE",
            rich_help_panel=RESULTS,
            help="draw the footprints into one .html file that a browser shows without a network; needs the extra map",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        Option(
            "--plot", metavar="FILE", rich_help_panel=RESULTS, help="draw them as .png or .svg; needs the extra map"
        ),
    ] = None,
    quicklooks: Annotated[
        Path | None,
        Option(
            "--quicklooks",
            metavar="DIR",
            rich_help_panel=RESULTS,
            help="fetch the picture of each product into this folder, and write DIR/index.html that shows them all",
        ),
    ] = None,
    json: Replies = None,
    order: SaveOrder = None,
) -> None:
    """List matching products. Nothing is staged or downloaded.

    `pepsasync download` takes FILE of -o. In this command -o is the output file; the orbit is --orbit.
    """
    from pepsasync.results.tables import check_suffix, write_products  # noqa: PLC0415 - not needed for help

    query = query.settled(archive, output)
    session, wanted = Session(output), query.build()
    if order:
        save_order(order, query, archive)
    check_one_output({"--format": "-" if form else None, "--json": json})
    if form is not None:
        check_format(form)
    if columns is not None and form not in (None, "table"):
        raise ConfigError(f"--columns is for the table, not for --format {form}")
    chosen = USUAL if columns is None else parse_columns(columns)
    if file is not None:
        check_suffix(file)
        check_writable(file, "-o")
    check_pictures(html_map, plot)
    found = session.run(find, session, archive, wanted, json, quicklooks)
    products = found.products
    if file is not None:
        write_products(products, file)
    draw(products, wanted, html_map, plot)
    sheet = show_quicklooks(found.quicklooks, wanted, quicklooks, session) if quicklooks is not None else None
    files = [str(path) for path in (file, html_map, plot, sheet) if path is not None]
    if form is not None or columns is not None or not (files or is_output(json)):
        show_products(products, form or "table", chosen)
    session.say(totals(products) + (f"; written to {' and '.join(files)}" if files else ""))
    raise Exit(found.exit_code)


def check_pictures(html_map: Path | None, plot: Path | None) -> None:
    """Refuse pictures that cannot be made or written, before any work is done.

    Raises:
        ConfigError: A wrong suffix, a missing library, or no such folder.
    """
    if html_map is not None:
        from pepsasync.pictures.page import check_page  # noqa: PLC0415 - not needed for help

        check_page(html_map, "--map")
        check_writable(html_map, "--map")
    if plot is not None:
        from pepsasync.pictures.plot import check_plot  # noqa: PLC0415

        check_plot(plot, "--plot")
        check_writable(plot, "--plot")


def draw(products: Sequence[Product], wanted: Query, html_map: Path | None, plot: Path | None) -> None:
    """Write the pictures that are wanted, also of no product.

    Raises:
        ConfigError, DiskFullError: They cannot be written.
    """
    if html_map is None and plot is None:
        return
    title = title_of(wanted)
    if html_map is not None:
        from pepsasync.pictures.map import write_map  # noqa: PLC0415 - heavy

        write_map(products, html_map, title, wanted.area)
    if plot is not None:
        from pepsasync.pictures.plot import write_plot  # noqa: PLC0415 - heavy

        write_plot(products, plot, title, wanted.area)


def show_quicklooks(found: Sequence[Quicklook], wanted: Query, directory: Path, session: Session) -> Path:
    """Write the page of all quicklooks, and say which are missing; returns the page.

    Raises:
        ConfigError, DiskFullError: It cannot be written.
    """
    from pepsasync.pictures.contact_sheet import write_contact_sheet  # noqa: PLC0415 - not needed for help

    missing = [one for one in found if one.path is None]
    for one in missing[:MOST_LISTED]:
        session.say(f"no quicklook: {one.error}")
    if len(missing) > MOST_LISTED:
        session.say(f"and {len(missing) - MOST_LISTED:,} more without a quicklook")
    return write_contact_sheet(found, directory, title_of(wanted))


def title_of(wanted: Query) -> str:
    """The query in words."""
    from pepsasync.cli.status import order_words  # noqa: PLC0415 - not needed for help
    from pepsasync.query.saved import wanted_as_json  # noqa: PLC0415

    return one_line(order_words(wanted_as_json(wanted)))


async def find(
    session: Session, archive: ArchiveOptions, wanted: Query, json: Path | None = None, quicklooks: Path | None = None
) -> Found:
    """Return everything that matches.

    Args:
        session: Speaks with the user.
        archive: Where to look.
        wanted: What to look for.
        json: File for the archive's replies.
        quicklooks: Folder for the pictures of the products; None for none.

    Raises:
        PepsasyncError: The archive did not answer as it should, or cannot answer such a query.
    """
    from pepsasync.display.records import SearchReplies  # noqa: PLC0415 - not needed for help

    replies = SearchReplies(json) if json else None
    async with archive.client() as client:
        with client.raw_replies(replies.take) if replies else contextlib.nullcontext():
            found = await look_for(client, wanted, session)
        if quicklooks is not None:
            pictures = {one.product.id: one async for one in client.quicklooks(found.products, quicklooks)}
            found = replace(found, quicklooks=[pictures[product.id] for product in found.products])
    if replies:
        replies.write()
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Products, and whether they are all."""

    products: list[Product]
    is_complete: bool
    """False when a name is unknown, a record cannot be read, or fewer results came than were announced; it was said."""

    quicklooks: Sequence[Quicklook] = ()
    """Of each product, when they were wanted."""

    @property
    def exit_code(self) -> int:
        """1 when something is missing."""
        return 0 if self.is_complete else 1


async def look_for(client: Client, wanted: Query, session: Session) -> Found:
    """Return what matches, and print notices, each page with `--verbose`, and what is missing.

    Args:
        client: Of the archive.
        wanted: What to look for.
        session: Speaks with the user.

    Raises:
        PepsasyncError: The archive did not answer as it should, or cannot answer such a query.
    """
    products: list[Product] = []
    is_complete = True
    level = VERBOSE if session.output.verbose else min(SPARE, session.level)
    with session.watch(client, level=level) as view:
        try:
            async with contextlib.aclosing(client.search(wanted)) as found:
                async for product in found:
                    products.append(product)  # noqa: PERF401 - what came before an error counts
        except IncompleteError as error:
            session.say(f"error: {error}", level=QUIET)
            is_complete = False
        if len(products) != wanted.limit:
            for name in sorted({*wanted.names} - {product.name for product in products}):
                session.say(f"not found: {name}", level=QUIET)
                is_complete = False
    return Found(products, is_complete and not view.counters.is_incomplete)
