"""Look again at every product of a folder: `verify`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option, echo

from pepsasync.cli.audit import audit, summary
from pepsasync.cli.deliver import Job
from pepsasync.cli.flatten import flatten
from pepsasync.cli.leftover import find_left_over
from pepsasync.cli.options import DELIVERY, ArchiveOptions, OutputOptions
from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
from pepsasync.cli.session import Session
from pepsasync.cli.units import show_count
from pepsasync.errors import ConfigError


@flatten()
def verify(
    *,
    directory: Annotated[Path, Argument(metavar="[DIR]", help="folder of the products", show_default=False)] = Path(),
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
    repair: Annotated[
        bool, Option("--repair", rich_help_panel=DELIVERY, help="fetch what is wrong or missing again")
    ] = False,
) -> None:
    """Check sizes, checksums and zip structure of everything in DIR again.

    Every byte is read. Ends with 1 when something is wrong or missing; with --repair that is fetched again, and a
    wrong file is replaced when the new one is verified.
    """
    session = Session(output)
    if not directory.is_dir():
        raise ConfigError(f"there is no folder {directory}")
    findings = session.run(audit, directory, session)
    bad = [finding.name for finding in findings if finding.verdict in ("wrong", "missing")]
    for finding in findings:
        if finding.verdict != "right":
            echo(f"{finding.verdict:<8} {finding.name}: {finding.reason}")
    session.say(summary(findings))
    if not bad or not repair:
        raise Exit(1 if bad else 0)
    left = find_left_over(directory)
    session.say(f"fetching {show_count(len(bad))} again from {archive.provider or left.provider}")
    archive = replace(archive, provider=archive.provider or left.provider, base_url=archive.base_url or left.base_url)
    delivery = replace(delivery, write_dir=directory, extract=delivery.extract or left.extract)
    raise Exit(Job(session, archive, staging, delivery).run(bad, expected=len(bad)))
