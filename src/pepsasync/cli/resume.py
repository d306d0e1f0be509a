"""Go on with everything unfinished in a folder: `resume`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Exit

from pepsasync.cli.errands import Helpers, named_folder, named_provider, run_errands
from pepsasync.cli.flatten import flatten
from pepsasync.cli.leftover import find_left_over
from pepsasync.cli.options import ArchiveOptions, OutputOptions
from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
from pepsasync.cli.session import Session


@flatten()
def resume(
    *,
    context: Context,
    directory: Annotated[
        Path, Argument(metavar="DIR", help="folder of the products; -w is the same", show_default=False)
    ] = Path(),
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
) -> None:
    """Go on with everything unfinished in DIR: products, and searches that were cut short.

    What was delivered and is not there any more is fetched again; what was only changed is looked at before.
    Archive, --extract and --skip-tape are those of the order that wanted a product, unless they are given. Orders to
    different archives are gone on with one after the other.
    """
    session = Session(output)
    directory = named_folder(directory, delivery, context)
    errands = find_left_over(directory, named_provider(archive, context), skip_tape=staging.skip_tape)
    if not errands:
        session.say(f"nothing is unfinished in {directory.absolute()}")
        raise Exit(0)
    told = Helpers(session, archive, staging, replace(delivery, write_dir=directory))
    raise Exit(run_errands(errands, told, "going on with {}"))
