"""Look again at every product of a folder: `verify`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Exit, Option

from pepsasync.cli.audit import audit, repairs
from pepsasync.cli.errands import Helpers, named_folder, named_provider, run_errands
from pepsasync.cli.flatten import flatten
from pepsasync.cli.options import DELIVERY, ArchiveOptions, OutputOptions
from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
from pepsasync.cli.session import Session
from pepsasync.cli.terminal import show
from pepsasync.errors import ConfigError


@flatten()
def verify(
    *,
    context: Context,
    directory: Annotated[
        Path, Argument(metavar="DIR", help="folder of the products; -w is the same", show_default=False)
    ] = Path(),
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    repair: Annotated[
        bool, Option("--repair", rich_help_panel=DELIVERY, help="fetch what is wrong or missing again")
    ] = False,
) -> None:
    """Check sizes, checksums and zip structure of everything in DIR again.

    Every byte is read; folders are compared with their manifests. Lists what is wrong, missing, or unknown because
    there is nothing to compare it with; what is right is listed with --verbose. Ends with 1 when something is wrong
    or missing; with --repair that is fetched again, and a wrong file is replaced when the new one is verified.
    """
    session = Session(output)
    directory = named_folder(directory, delivery, context)
    if not directory.is_dir():
        raise ConfigError(f"there is no folder {directory}")
    found = session.run(audit, directory, session)
    for finding in found.doubtful:
        show(f"{finding.verdict!s:<8} {finding.name}: {finding.reason}")
    session.say(str(found))
    bad = found.bad
    if not bad or not repair:
        raise Exit(1 if bad else 0)
    errands = repairs(directory, bad, named_provider(archive, context), skip_tape=staging.skip_tape)
    told = Helpers(session, archive, staging, replace(delivery, write_dir=directory))
    raise Exit(run_errands(errands, told, "fetching {} again"))
