"""Go on with everything unfinished in a folder: `resume`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit

from pepsasync.cli.deliver import Job
from pepsasync.cli.flatten import flatten
from pepsasync.cli.leftover import find_left_over
from pepsasync.cli.options import ArchiveOptions, OutputOptions
from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
from pepsasync.cli.session import Session
from pepsasync.cli.units import show_count


@flatten()
def resume(
    *,
    directory: Annotated[Path, Argument(metavar="[DIR]", help="folder of the products", show_default=False)] = Path(),
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
) -> None:
    """Go on with everything unfinished in DIR: products, and searches that were cut short.

    Archive, --extract and --skip-tape are those of the run that began it, unless they are given.
    """
    session = Session(output)
    directory = directory if directory != Path() else delivery.write_dir
    left = find_left_over(directory)
    if not left.count and not left.queries:
        session.say(f"nothing is unfinished in {directory.absolute()}")
        raise Exit(0)
    searches = f", and {show_count(len(left.queries), 'search')} to finish" if left.queries else ""
    session.say(f"going on with {show_count(left.count)}{searches} from {archive.provider or left.provider}")
    archive = replace(archive, provider=archive.provider or left.provider, base_url=archive.base_url or left.base_url)
    staging = replace(staging, skip_tape=staging.skip_tape or left.skip_tape)
    delivery = replace(delivery, write_dir=directory, extract=delivery.extract or left.extract)
    wanted = left.wanted(with_tape=not staging.skip_tape)
    raise Exit(Job(session, archive, staging, delivery).run(wanted, expected=left.count))
