"""What earlier orders left to do, one run for each manner of doing it: the common part of `resume` and `verify`."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pepsasync.cli.deliver import Job
from pepsasync.cli.records import is_output
from pepsasync.cli.units import show_count
from pepsasync.errors import AuthError, ConfigError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pepsasync.cli.options import ArchiveOptions
    from pepsasync.cli.run_options import DeliveryOptions, StagingOptions
    from pepsasync.cli.session import Session
    from pepsasync.model import Product, Wanted


@dataclass(frozen=True, slots=True)
class Manner:
    """How an order is carried out."""

    provider: str = ""
    """Names with commas between them; empty when nobody knows."""
    base_url: str | None = None
    extract: bool = False
    skip_tape: bool = False

    def elsewhere(self, provider: str) -> Manner:
        """The same at other archives; their roots are known as far as they are among these."""
        roots = dict(zip(self.provider.split(","), (self.base_url or "").split(","), strict=False))
        known = [roots.get(name) or "" for name in provider.split(",")]
        return replace(self, provider=provider, base_url=",".join(known) if all(known) else None)

    def knows(self, product: Product) -> bool:
        """Whether one of the archives described a product: id and address mean nothing to others."""
        return not self.provider or product.provider in self.provider.split(",")


@dataclass(frozen=True, slots=True)
class Errand:
    """One run."""

    manner: Manner
    wanted: Wanted
    count: int
    """Products that are wanted at least."""
    searches: int = 0
    """Searches among what is wanted."""

    def __str__(self) -> str:
        """`12 products, and 1 search to finish`."""
        searches = f", and {show_count(self.searches, 'search')} to finish" if self.searches == 1 else ""
        if self.searches > 1:
            searches = f", and {self.searches:,} searches to finish"
        return f"{show_count(self.count)}{searches}"


@dataclass(frozen=True, slots=True)
class Helpers:
    """What the command line says; it comes before what the orders say."""

    session: Session
    archive: ArchiveOptions
    staging: StagingOptions
    delivery: DeliveryOptions


def named_provider(archive: ArchiveOptions, context: Any) -> str | None:
    """The archives that the command line names; the environment only says what to do without an order."""
    source = context.get_parameter_source("provider")
    if source is None or source.name != "COMMANDLINE" or archive.provider is None:
        return None
    return ",".join(name.strip() for name in archive.provider.split(","))


def named_folder(directory: Path, delivery: DeliveryOptions, context: Any) -> Path:
    """The folder that an argument or `-w` names.

    Raises:
        ConfigError: They name two.
    """
    paths = {"directory": directory, "write_dir": delivery.write_dir}
    named = [path for name, path in paths.items() if context.get_parameter_source(name).name == "COMMANDLINE"]
    if len({path.resolve() for path in named}) > 1:
        raise ConfigError(f"{' or '.join(map(str, named))}? Name one folder")
    return named[0] if named else directory


def run_errands(errands: Sequence[Errand], told: Helpers, words: str) -> int:
    """Do one errand after the other; an archive that cannot be used keeps no other errand from being done.

    Args:
        errands: At least one.
        told: What the command line says.
        words: `{}` is the errand, in what is told before each: `going on with {}`.

    Returns:
        The exit code: 1 when a product failed.

    Raises:
        ConfigError: One account or root was given for several archives, or only the folder names a root.
        PepsasyncError: A run could not go on; of several the first.
    """
    _check_one_archive(errands, told.archive)
    _check_roots(errands, told.archive)
    if len(errands) > 1 and is_output(told.delivery.report):
        raise ConfigError(
            f"--report - is for one run, and these are {len(errands)}", hint="Give it a file; the others get numbers"
        )
    code, trouble = 0, None
    for number, errand in enumerate(errands, 1):
        job = _job(errand.manner, told, number)
        of = f" ({number} of {len(errands)})" if len(errands) > 1 else ""
        place = f" from {job.archive.provider}" if job.archive.provider else ""
        told.session.say(f"{words.format(errand)}{place}{of}")
        try:
            code = max(code, job.run(errand.wanted, expected=errand.count))
        except (AuthError, ServerError) as error:
            if number == len(errands):
                raise trouble or error from None
            told.session.say(f"error: {error}; the others go on")
            trouble = trouble or error
    if trouble:
        raise trouble
    return code


def _job(manner: Manner, told: Helpers, number: int) -> Job:
    archive, staging, delivery = told.archive, told.staging, told.delivery
    return Job(
        told.session,
        replace(archive, provider=manner.provider or archive.provider, base_url=archive.base_url or manner.base_url),
        replace(staging, skip_tape=manner.skip_tape),
        replace(
            delivery,
            extract=delivery.extract or manner.extract,
            report=delivery.report and _numbered(delivery.report, number),
            events=delivery.events and _numbered(delivery.events, number),
        ),
    )


def _numbered(file: Path, number: int) -> Path:
    """The file of one of several runs: `report.json`, `report-2.json`."""
    return file if number == 1 or is_output(file) else file.with_stem(f"{file.stem}-{number}")


def _check_one_archive(errands: Sequence[Errand], archive: ArchiveOptions) -> None:
    """Refuse to show one account to several archives, and to look for several archives at one root."""
    given = "-a" if archive.auth else "--base-url"
    names = {errand.manner.provider or archive.provider or "" for errand in errands}
    if len(names) > 1 and (archive.auth or archive.base_url):
        raise ConfigError(
            f"{given} is for one archive, and this is about {_listed(name or 'an unknown archive' for name in names)}",
            hint="Choose one with --provider, or run 'pepsasync login' for each of them",
        )
    roots = {errand.manner.base_url or "its public service" for errand in errands}
    if len(roots) > 1 and archive.auth and not archive.base_url:
        raise ConfigError(
            f"-a is for one archive, and this is about {_listed(names)} at {_listed(roots)}",
            hint="Choose one of them with --base-url",
        )


def _check_roots(errands: Sequence[Errand], archive: ArchiveOptions) -> None:
    """Refuse roots that nobody but the folder names: whoever made the folder would get the user's account."""
    from pepsasync.credentials import host_of  # noqa: PLC0415 - not needed for help
    from pepsasync.settings import read_settings  # noqa: PLC0415

    if archive.base_url:
        return
    settings = read_settings(os.environ)
    for manner in dict.fromkeys(errand.manner for errand in errands):
        roots = (manner.base_url or "").split(",")
        for name, root in zip(manner.provider.split(","), roots, strict=False):
            if root and not settings.names_root(name, root):
                raise ConfigError(
                    f"this folder takes {name} from {host_of(root)}, which neither the command line, the environment "
                    "nor your config file names: it gets no account of yours",
                    hint=f"If you trust it, give --base-url {shlex.quote(root)}, or set "
                    f"PEPSASYNC_{name.upper()}_BASE_URL, or base_url under [{name}] in the config file",
                )


def _listed(words: Iterable[str]) -> str:
    return " and ".join(sorted(words))
