"""Named products: `download`."""

from typing import Annotated

from typer import Argument, Exit

from pepsasync.cli.complete import complete_file_or_name
from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, OutputOptions, StagingOptions, flatten
from pepsasync.cli.session import Session
from pepsasync.errors import ConfigError
from pepsasync.paths import in_home

LIST_SUFFIXES = (".geojson", ".json", ".jsonl", ".txt", ".list", ".csv", ".tsv", ".parquet", ".gpkg")
"""Names of files that hold names of products; a product has none of these."""


@flatten()
def download(
    *,
    names: Annotated[
        list[str],
        Argument(
            metavar="FILE|NAME...",
            autocompletion=complete_file_or_name,
            help="saved search, text file of names, products by name, or - for standard input",
        ),
    ],
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
) -> None:
    """Download the products of a saved search, or products by name.

    A saved search is what `pepsasync search -o FILE` wrote, STAC items, eodag's GeoJSON, an archive's search reply, a
    table with a column `name`, or a text file with a name a line. `pepsasync search ... --format ids | pepsasync
    download -` reads the names from the pipe.
    """
    from pepsasync.cli.run import Run  # noqa: PLC0415 - not needed for help

    wanted = list(dict.fromkeys(name for argument in names for name in expand(argument)))
    raise Exit(Run(Session(output), archive, staging, delivery, lists_paths=True).perform(wanted, len(wanted)))


def expand(argument: str) -> list[str]:
    """Return the products that one argument stands for: those of a file, or the one it names.

    Raises:
        ConfigError: A file that is not there, cannot be read, or names nothing.
    """
    from pepsasync.query.saved_search import bare_name, read_saved  # noqa: PLC0415 - not needed for help

    path = in_home(argument.removeprefix("@"))
    if argument == "-" or argument.startswith("@") or path.suffix.lower() in LIST_SUFFIXES:
        return read_saved(path)
    if path.suffix not in (".zip", ".SAFE") and path.is_file():
        return read_saved(path)
    name = bare_name(argument)
    if not name:
        raise ConfigError(f"{argument!r} is neither a file nor a product's name")
    return [name]
