"""Go on with everything unfinished in a folder: `resume`, and what `verify --repair` shares with it."""

from __future__ import annotations

import itertools
import os
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typer import Context, Exit

from pepsasync.cli.options import ArchiveOptions, DeliveryOptions, Directory, OutputOptions, StagingOptions, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import is_output
from pepsasync.errors import AuthError, ConfigError, ServerError
from pepsasync.units import parse_shard, show_count

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from pepsasync.cli.run import Run
    from pepsasync.folder.journal import Here, JournalReader, Order, Row
    from pepsasync.model import Product, Query, Wanted
    from pepsasync.query.members import Selection
    from pepsasync.target import Target


AGAIN = ("downloading", "staging", "found", "failed")
"""States of products that are tried again; `left_out` joins them when the order waits for tape."""


@flatten()
def resume(
    *,
    context: Context,
    directory: Directory = ".",
    archive: ArchiveOptions,
    staging: StagingOptions,
    delivery: DeliveryOptions,
    output: OutputOptions,
) -> None:
    """Continue everything unfinished in DIR: products, and searches that were cut short.

    A delivered product that is missing now is fetched again; one that was changed is verified first. Archive,
    --extract, --skip-tape and the members (--bands, --include, --exclude) are those of the order that wanted a
    product, unless they are given. Orders to different archives are continued one after the other.
    """
    session = Session(output)
    delivery = at_named_place(directory, delivery, context)
    target = delivery.target
    there = session.run(keys_in, target)
    jobs = find_unfinished(target.folder, named_provider(archive, context), skip_tape=staging.skip_tape, there=there)
    if not jobs:
        session.say(f"nothing is unfinished in {target}")
        raise Exit(0)
    given = CommandLine(session, archive, staging, delivery, lists_paths=True)
    raise Exit(run_jobs(jobs, given, "continuing {}"))


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How an order is carried out."""

    provider: str = ""
    """Names with commas between them; empty when nobody knows."""
    base_url: str | None = None
    """Roots with commas between them, for each archive in its order; an empty one stands for the usual one."""
    extract: bool = False
    skip_tape: bool = False
    shard: str = ""
    """Which part of the order it is; empty for all of it."""
    selection: Selection | None = None
    """Members that are wanted of each product; None for all."""

    def elsewhere(self, provider: str) -> JobOptions:
        """The same at other archives; their roots are known as far as they are among these."""
        return replace(self, provider=provider, base_url=_joined(provider.split(","), self.roots))

    @property
    def roots(self) -> dict[str, str]:
        """Root by provider; of those that are known."""
        roots = zip(self.provider.split(","), (self.base_url or "").split(","), strict=False)
        return {name: root for name, root in roots if root}

    def knows(self, product: Product) -> bool:
        """Whether one of the archives described a product: id and address mean nothing to others."""
        return not self.provider or product.provider in self.provider.split(",")


@dataclass(frozen=True, slots=True)
class Job:
    """What one run has to do."""

    options: JobOptions
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
class CommandLine:
    """What the command line says; it comes before what the orders say."""

    session: Session
    archive: ArchiveOptions
    staging: StagingOptions
    delivery: DeliveryOptions
    lists_paths: bool = False
    """Whether paths of delivered products go to standard output."""


class OrderOptions:
    """How the orders of a folder are carried out, and which of that is meant for a product.

    Args:
        orders: Of the folder, oldest first.
        provider: Archive that takes the place of those of the orders; None for theirs.
        skip_tape: Whether nothing waits for tape, whatever the orders say.
    """

    def __init__(self, orders: Sequence[Order], provider: str | None = None, *, skip_tape: bool = False) -> None:
        self._provider, self._skip_tape = provider, skip_tape
        self._by_order = {order.id: self._changed(_order_options(order)) for order in orders}
        self._by_source = {name: self._by_order[order.id] for order in orders for name in order.providers}
        self._latest = self._by_order[orders[-1].id] if orders else None

    def of_order(self, order: Order) -> JobOptions:
        """How an order is carried out."""
        return self._by_order[order.id]

    def of_product(self, row: Row) -> JobOptions:
        """How a product's order is carried out; of a product without, the latest order to its archive."""
        known = self._by_order.get(row.order or 0) or self._by_source.get(row.source) or self._latest
        return known or self._changed(JobOptions(row.source))

    def of_source(self, source: str) -> JobOptions:
        """How the latest order to an archive is carried out; an archive that is not noted is that of the last order."""
        known = self._by_source.get(source) if source else self._latest
        return known or self._changed(JobOptions(source))

    def everything(self) -> list[JobOptions]:
        """All that occur, oldest first."""
        return list(dict.fromkeys(self._by_order.values()))

    def _changed(self, options: JobOptions) -> JobOptions:
        if self._skip_tape:
            options = replace(options, skip_tape=True)
        return options.elsewhere(self._provider) if self._provider else options


def find_unfinished(
    directory: Path,
    provider: str | None = None,
    *,
    skip_tape: bool = False,
    there: Container[str] | None = None,
) -> list[Job]:
    """Work out what is unfinished in a folder: what the journal says, and what is not there any more.

    A list of names whose look-up was cut short is given again as it was; everything else is gone on with.

    Args:
        directory: The user's folder.
        provider: Archive instead of those of the orders.
        skip_tape: Whether nothing waits for tape, whatever the orders say.
        there: Addresses of what is in the bucket; None for a folder.

    Returns:
        Jobs, one for each way of carrying them out and one for each of those lists.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    with JournalReader(directory) as reader:
        orders = reader.orders()
        options_of = OrderOptions(orders, provider, skip_tape=skip_tape)
        open_lists = {order.id: order for order in orders if not order.is_searched and isinstance(order.wanted, list)}
        counts = _counts(reader, options_of, open_lists.keys())
        lost: dict[JobOptions, list[str]] = {}
        for one in gone(reader, there):
            row = reader.product(one.name)
            if row is not None and row.order not in open_lists:
                lost.setdefault(options_of.of_product(row), []).append(one.name)
    for options, names in lost.items():
        counts[options] += len(names)
    lists: dict[tuple[JobOptions, tuple[str, ...]], Job] = {}
    for order in open_lists.values():
        key = options_of.of_order(order), tuple(order.wanted)
        lists[key] = Job(key[0], list(order.wanted), count=len(order.wanted))
    queries = _open_queries(orders, options_of)
    going_on = [
        Job(
            options,
            _wanted(directory, options, options_of, open_lists.keys(), lost.get(options, []), queries.get(options, [])),
            count=counts[options],
            searches=len(queries.get(options, [])),
        )
        for options in dict.fromkeys((*counts, *queries))
    ]
    return [job for job in going_on if job.count or job.searches] + list(lists.values())


async def keys_in(target: Target) -> Container[str] | None:
    """Addresses of what is in a bucket; None for a folder.

    Raises:
        PepsasyncError: It cannot be listed.
    """
    store = await target.open_store()
    if store is None:
        return None
    from pepsasync.bucket.store import call  # noqa: PLC0415 - an extra

    address = store.address
    return await call(lambda: {address.url(found.key) for found in store.listed(address.prefix)})


def gone(reader: JournalReader, there: Container[str] | None = None) -> Iterator[Here]:
    """Products that the journal takes for delivered and that are not there any more, or not as they were noted.

    What a command of `--on-delivered` has taken away is where the user wants it.

    Args:
        reader: Of the journal.
        there: Addresses of what is in the bucket; when it was not asked, what is in a bucket counts as there.
    """
    from pepsasync.bucket.address import is_address  # noqa: PLC0415
    from pepsasync.folder.layout import Folder  # noqa: PLC0415
    from pepsasync.transfer.existing import stands  # noqa: PLC0415

    folder = Folder(reader.directory)
    for batch in reader.here():
        for one in batch:
            if one.path and is_address(one.path):
                if there is not None and one.path not in there:
                    yield one
            elif one.path and not stands(one.name, folder, one.path):
                yield one


def _states(options: JobOptions) -> tuple[str, ...]:
    return AGAIN if options.skip_tape else (*AGAIN, "left_out")


def _counts(reader: JournalReader, options_of: OrderOptions, without: Any) -> Counter[JobOptions]:
    """Unfinished products by the options of their job; where there is only one, nobody has to look at the products."""
    from pepsasync.folder.journal import State  # noqa: PLC0415

    known, counts = options_of.everything(), reader.counts()
    if len(known) == 1 and not without:
        return Counter({known[0]: sum(counts[State(state)].products for state in _states(known[0]))})
    found: Counter[JobOptions] = Counter()
    for row in _rows(reader, (*AGAIN, "left_out")):
        options = options_of.of_product(row)
        if row.state in _states(options) and row.order not in without:
            found[options] += 1
    return found


def _rows(reader: JournalReader, states: Sequence[str]) -> Iterator[Row]:
    from pepsasync.folder.journal import State  # noqa: PLC0415

    for state in states:
        for batch in reader.in_state(State(state)):
            yield from batch


def _wanted(
    directory: Path,
    options: JobOptions,
    options_of: OrderOptions,
    without: Any,
    lost: Sequence[str],
    queries: Sequence[Query],
) -> Iterator[Product | str | Query]:
    """Products, by name where the journal or the archive does not know more, then queries.

    Read from the journal as they go, while the run changes it: a product that comes by name comes once.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415

    names: set[str] = set()
    with JournalReader(directory) as reader:
        again = (row for name in lost if (row := reader.product(name)))
        open_ones = (
            row
            for row in _rows(reader, _states(options))
            if row.order not in without and options_of.of_product(row) == options
        )
        for row in itertools.chain(again, open_ones):
            if row.name in names:
                continue
            if row.product is not None and options.knows(row.product):
                yield row.product
            else:
                names.add(row.name)
                yield row.name
    yield from queries


def _open_queries(orders: Sequence[Order], options_of: OrderOptions) -> dict[JobOptions, list[Query]]:
    """Queries whose search was cut short, each once for each way of carrying them out."""
    from pepsasync.query.saved import query_from_json  # noqa: PLC0415

    found: dict[JobOptions, list[Any]] = {}
    for order in orders:
        if not order.is_searched and isinstance(order.wanted, dict):
            of_these = found.setdefault(options_of.of_order(order), [])
            if order.wanted not in of_these:
                of_these.append(order.wanted)
    return {options: [query_from_json(wanted) for wanted in several] for options, several in found.items()}


def _joined(names: Sequence[str], roots: Mapping[str, object]) -> str | None:
    """Roots as `JobOptions.base_url` holds them; those that are no text, as damage makes them, count for nothing."""
    known = [root if isinstance(root := roots.get(name), str) else "" for name in names]
    return ",".join(known) if any(known) else None


def _order_options(order: Order) -> JobOptions:
    """How an order is carried out; options that nobody wrote, as damage makes them, count for nothing."""
    from pepsasync.query.members import selection_from  # noqa: PLC0415 - not needed for help

    options = order.options if isinstance(order.options, Mapping) else {}
    given, roots = options.get("provider"), options.get("base_url")
    names = given.split(",") if isinstance(given, str) and given else [str(name) for name in order.providers]
    roots = roots if isinstance(roots, Mapping) else {}
    return JobOptions(
        ",".join(names),
        _joined(names, roots),
        extract=bool(options.get("extract")),
        skip_tape=bool(options.get("skip_tape")),
        shard=str(options.get("shard") or ""),
        selection=selection_from(options.get("members")),
    )


def named_provider(archive: ArchiveOptions, context: Any) -> str | None:
    """The archives that the command line names; the environment only says what to do without an order."""
    source = context.get_parameter_source("provider")
    if source is None or source.name != "COMMANDLINE" or archive.provider is None:
        return None
    return ",".join(name.strip() for name in archive.provider.split(","))


def at_named_place(directory: str, delivery: DeliveryOptions, context: Any) -> DeliveryOptions:
    """The options, with the folder or bucket that an argument or `-w` names.

    Raises:
        ConfigError: They name two.
    """
    places = {"directory": directory, "write_dir": delivery.write_dir}
    named = [place for name, place in places.items() if context.get_parameter_source(name).name == "COMMANDLINE"]
    targets = [delivery.target_of(place) for place in named]
    if len({str(target.bucket or target.folder.resolve()) for target in targets}) > 1:
        raise ConfigError(f"{' or '.join(named)}? Name one folder")
    return replace(delivery, write_dir=named[0] if named else directory)


def run_jobs(jobs: Sequence[Job], given: CommandLine, words: str) -> int:
    """Do one job after the other; an archive that cannot be used keeps no other job from being done.

    Args:
        jobs: At least one.
        given: What the command line says.
        words: `{}` is the job, in the line before each: `continuing {}`.

    Returns:
        The exit code: 1 when a product failed.

    Raises:
        ConfigError: One account or root was given for several archives, or only the folder names a root.
        PepsasyncError: A run could not go on; of several the first.
    """
    _check_one_archive(jobs, given.archive)
    _check_roots(jobs, given.archive)
    if len(jobs) > 1 and is_output(given.delivery.report):
        raise ConfigError(
            f"--report - is for one run, and these are {len(jobs)}", hint="Give it a file; the others get numbers"
        )
    code, trouble = 0, None
    for number, job in enumerate(jobs, 1):
        run = _run(job.options, given, number)
        of = f" ({number} of {len(jobs)})" if len(jobs) > 1 else ""
        place = f" from {run.archive.provider}" if run.archive.provider else ""
        given.session.say(f"{words.format(job)}{place}{of}")
        try:
            code = max(code, run.perform(job.wanted, expected=job.count))
        except (AuthError, ServerError) as error:
            if number == len(jobs):
                raise trouble or error from None
            given.session.say(f"error: {error}; the others continue")
            trouble = trouble or error
    if trouble:
        raise trouble
    return code


def _run(options: JobOptions, given: CommandLine, number: int) -> Run:
    archive, staging, delivery = given.archive, given.staging, given.delivery
    if delivery.selection is None:
        delivery = delivery.with_selection(options.selection)
    from pepsasync.cli.run import Run  # noqa: PLC0415 - not needed for help

    return Run(
        given.session,
        replace(archive, provider=options.provider or archive.provider, base_url=archive.base_url or options.base_url),
        replace(staging, skip_tape=options.skip_tape),
        replace(
            delivery,
            extract=delivery.extract or options.extract,
            shard=delivery.shard or (parse_shard(options.shard) if options.shard else None),
            report=delivery.report and _numbered(delivery.report, number),
            events=delivery.events and _numbered(delivery.events, number),
        ),
        lists_paths=given.lists_paths,
    )


def _numbered(file: Path, number: int) -> Path:
    """The file of one of several runs: `report.json`, `report-2.json`."""
    return file if number == 1 or is_output(file) else file.with_stem(f"{file.stem}-{number}")


def _check_one_archive(jobs: Sequence[Job], archive: ArchiveOptions) -> None:
    """Refuse to show one account to several archives, and to look for several archives at one root."""
    given = "-a" if archive.auth else "--base-url"
    names = {job.options.provider or archive.provider or "" for job in jobs}
    if len(names) > 1 and (archive.auth or archive.base_url):
        raise ConfigError(
            f"{given} is for one archive, and these orders use "
            f"{_listed(name or 'an unknown archive' for name in names)}",
            hint="Choose one with --provider, or run 'pepsasync login' for each of them",
        )
    roots = {job.options.base_url or "its public service" for job in jobs}
    if len(roots) > 1 and archive.auth and not archive.base_url:
        raise ConfigError(
            f"-a is for one archive, and these orders use {_listed(names)} at {_listed(roots)}",
            hint="Choose one of them with --base-url",
        )


def _check_roots(jobs: Sequence[Job], archive: ArchiveOptions) -> None:
    """Refuse roots that nobody but the folder names: whoever made the folder would get the user's account."""
    from pepsasync.credentials import host_of  # noqa: PLC0415 - not needed for help
    from pepsasync.settings import read_settings  # noqa: PLC0415

    if archive.base_url:
        return
    settings = read_settings(os.environ)
    every = dict.fromkeys((job.options.provider, job.options.base_url) for job in jobs)
    for options in dict.fromkeys(job.options for job in jobs):
        for name, root in options.roots.items():
            if not settings.names_root(name, root):
                given = f"give --base-url {shlex.quote(options.base_url or '')}, or " if len(every) == 1 else ""
                raise ConfigError(
                    f"the journal of this folder names {host_of(root)} for {name}; neither the command line, the "
                    "environment nor your config file does: your account is not sent there",
                    hint=f"If you trust it, {given}set PEPSASYNC_{name.upper()}_BASE_URL to {shlex.quote(root)}, or "
                    f"base_url under [{name}] in the config file",
                )


def needed_root(orders: Sequence[Order]) -> str | None:
    """What `resume` needs as `--base-url`, since only the orders of the folder name it.

    None when it needs nothing, when orders differ so that one value cannot do, and when they name unknown archives.
    """
    from pepsasync.settings import read_settings  # noqa: PLC0415 - not needed for help

    every = {(options.provider, options.base_url): options for options in map(_order_options, orders)}
    if len(every) != 1:
        return None
    [options] = every.values()
    try:
        settings = read_settings(os.environ)
        is_known = all(settings.names_root(name, root) for name, root in options.roots.items())
    except ConfigError:
        return None
    return None if is_known else options.base_url


def _listed(words: Iterable[str]) -> str:
    return " and ".join(sorted(words))
