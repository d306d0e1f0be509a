"""What a folder's journal knows: `status`."""

from __future__ import annotations

import itertools
import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from pepsasync.cli.options import BucketOptions, Directory, OutputOptions, flatten
from pepsasync.display.figures import pace_of
from pepsasync.display.output import show, show_exactly, show_json
from pepsasync.errors import ConfigError
from pepsasync.folder.layout import Folder
from pepsasync.limits.estimate import Work, time_left, transfer_seconds
from pepsasync.model import Query, Quota
from pepsasync.text import as_cell
from pepsasync.units import show_count, show_duration, show_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.folder.journal import Count, JournalReader, Order, Owner, Row
    from pepsasync.limits.estimate import TimeLeft
    from pepsasync.target import Target

BAR_WIDTH = 30
"""Characters."""

MOST_ORDERS = 3
"""Orders that are listed one by one."""

WORDS = {
    "delivered": "delivered",
    "skipped": "already here",
    "downloading": "downloading",
    "staging": "waiting for tape",
    "found": "to do",
    "failed": "failed",
    "left_out": "left out, on tape",
}
"""In the order in which they are listed."""

MOST_FAILURES = 20
"""Failures that are listed unless all are asked for."""

MOST_WAITING = 1_000
"""Products waiting for tape among which the oldest is looked for: they wait in the order in which they were found."""

CURRENT = 30.0
"""Seconds after which the speed of a run is no longer reported as that of now."""

MIDNIGHT = "T00:00:00+00:00"

UNREADABLE = "unreadable"


@flatten()
def status(
    *,
    directory: Directory = ".",
    bucket: BucketOptions,
    output: OutputOptions,  # noqa: ARG001 - every command takes these options
    form: Annotated[
        str, Option("--format", metavar="text|json|csv", help="text, json, or csv with the origin of each product")
    ] = "text",
    everything: Annotated[bool, Option("--all", help="list every failure, not only the latest 20")] = False,
) -> None:
    """Show the state of a folder from its journal: orders, counts, failures, the run in progress.

    Sizes and times of delivered files are compared: a file that is missing, was changed, or has no record of its
    verification does not count as present. Reads only; works beside a running command and after a killed one.
    """
    if form not in ("text", "json", "csv"):
        raise ConfigError(f"--format {form!r} is unknown", hint="Use text, json or csv")
    target = bucket.target_of(directory)
    folder = target.folder
    if form == "csv":
        for row in csv_rows(folder):
            show_exactly(row)
        return
    found = read_status(folder, all_failures=everything)
    if form == "json":
        document = found.as_dict() | {"products": list(provenance(folder))}
        show_json(document)
        return
    for line in text_lines(found, time.time(), target):
        show(line)


PROVENANCE = ("name", "source", "checksum", "came", "bytes", "path", "query", "members")
"""What `status` tells of each product in the folder."""


def provenance(directory: Path) -> Iterator[dict[str, Any]]:
    """Where each product in a folder is from, ready for JSON, with the keys of `PROVENANCE`.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    folder = Folder(directory)
    with JournalReader(directory) as reader:
        queries = {order.id: found_by(order) for order in reader.orders()}
        for one in (one for batch in reader.provenance() for one in batch):
            known = one._asdict() | {"came": _instant(one.came), "query": queries.get(one.order or 0)}
            known["members"] = _members(folder, one.path)
            yield {name: known[name] for name in PROVENANCE}


def _members(folder: Folder, path: str | None) -> int | None:
    """How many members of a product are in its folder, where these are not all of them."""
    from pepsasync.transfer.verified import members_of, partial_of  # noqa: PLC0415 - not needed for help

    if not path or not path.endswith(".SAFE") or partial_of(Path(path), folder) is None:
        return None
    return len(members_of(Path(path), folder))


def csv_rows(directory: Path) -> Iterator[str]:
    """The same as lines of CSV, with a header.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    import csv  # noqa: PLC0415 - not needed for help
    import io  # noqa: PLC0415

    products = provenance(directory)
    first = next(products, None)  # before the header: there may be no journal
    yield ",".join(PROVENANCE)
    for product in itertools.chain([first] if first else [], products):
        text = io.StringIO()
        row = {key: as_cell(value) if isinstance(value, str) else value for key, value in product.items()}
        csv.DictWriter(text, PROVENANCE, lineterminator="").writerow(row)
        yield text.getvalue()


def found_by(order: Order) -> str:
    """The query of an order, or of the products that it lists, in words."""
    options = order.options if isinstance(order.options, Mapping) else {}
    return order_words(options.get("found_by") or order.wanted)


def text_lines(found: Status, now: float, target: Target | None = None) -> list[str]:
    """The status in lines for people.

    Args:
        found: What the journal says.
        now: Wall time, seconds since 1970.
        target: Where the products go; None for the folder of the journal.
    """
    size = f"{show_size(found.present_bytes)} of {show_size(found.total_bytes)}"
    here = (
        f"{found.here:,} of {show_count(found.total)} {'is' if found.total == 1 else 'are'} here, {size}  {_bar(found)}"
    )
    lines = [*_order_lines(found), here, *_count_lines(found)]
    if found.partial_products:
        lines.append(f"  partial: {show_count(found.partial_products)}, with some members each")
    if found.searches_unfinished and found.owner is None:
        lines.append("the search was not finished: there may be more")
    lines += [*_run_lines(found, now), *_failure_lines(found)]
    is_open = found.here < found.total or found.searches_unfinished
    if found.owner is None and is_open:
        command = f"pepsasync resume {shlex.quote(str(found.directory))}"
        if target and target.bucket:
            store = ["--endpoint-url", target.endpoint_url] if target.endpoint_url else []
            command = shlex.join(["pepsasync", "resume", str(target), "--state", str(found.directory), *store])
        if found.needed_root:
            trust = "continues; your account is sent to that address: give it only if you trust it"
            lines.append(f"'{command} --base-url {shlex.quote(found.needed_root)}' {trust}")
        else:
            lines.append(f"'{command}' continues")
        if found.time_left.most is not None and found.work.products:
            lines.append(f"what is left takes {str(found.time_left).removesuffix(' left')}")
    return lines


def _order_lines(found: Status) -> list[str]:
    """The latest orders, the last one at the end."""
    latest = found.orders[-MOST_ORDERS:]
    earlier = len(found.orders) - len(latest)
    lines = [f"{show_count(earlier, 'earlier order')}"] if earlier else []
    for order in latest:
        created = parse_wall(order.created)
        when = f", {created:%Y-%m-%d %H:%M} UTC" if created else ""
        lines.append(f"{order_words(order.wanted)}; from {', '.join(map(str, order.providers))}{when}")
    return lines


def _count_lines(found: Status) -> list[str]:
    all_words = WORDS if found.owner else WORDS | {"downloading": "begun"}
    counts = [(words, found.counts[state]) for state, words in all_words.items()] + [
        ("gone, changed or unchecked", found.gone)
    ]
    width = max(len(words) for words, _ in counts)
    lines = [(words, count, show_size(count.bytes)) for words, count in counts if count.products]
    return [f"  {words:<{width}}  {count.products:>9,}  {size:>9}" for words, count, size in lines]


def _run_lines(found: Status, now: float) -> list[str]:
    lines = [f"a run is under way: {found.owner}"] if found.owner else []
    speed = f"{show_size(found.figures['speed'])}/s, " if found.figures["speed"] else ""
    if found.owner and found.work.products:
        lines.append(f"  {speed}{found.time_left}")
    if (poll := found.figures["next_poll"]) is not None:
        lines.append(f"  next look at the tape queue in {show_duration(poll - now)}")
    if (until := found.figures["quota_until"]) is not None:
        wait = show_duration(until - now)
        lines.append(f"  the quota is used up: the next download may begin in {wait}, at the latest")
    if (oldest := found.waiting_longest) and oldest.first_asked_at is not None:
        lines.append(f"  waiting longest: {oldest.name}, {show_duration(max(0.0, now - oldest.first_asked_at))}")
    return lines


def _failure_lines(found: Status) -> list[str]:
    lines = ["failed:"] if found.failures else []
    for row in found.failures:
        message = row.error_message or row.error_type or "the cause is unknown"
        lines.append(f"  {message if row.name in message else f'{row.name}: {message}'}")
    more = found.counts["failed"].products - len(found.failures)
    return [*lines, f"  and {more:,} more; --all lists them"] if more > 0 else lines


def _bar(found: Status) -> str:
    filled = int(BAR_WIDTH * found.share)
    percent = f" {100 * found.share:.0f} %" if found.total else ""
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]{percent}"


@dataclass(frozen=True, slots=True)
class Status:
    """What the journal says at one moment. Times are wall times in seconds since 1970."""

    directory: Path
    counts: dict[str, Count]
    orders: list[Order]
    """Oldest first; of the same order given several times the last."""
    failures: list[Row]
    waiting_longest: Row | None
    """Of the products that wait for tape, as far as it is known when they were asked for."""
    owner: str | None
    """Who works in the folder now."""
    figures: dict[str, float | None]
    """Of the run under way, as far as they hold now."""
    part_bytes: int
    """Bytes of products that are not complete yet."""
    gone: Count
    """Products that were delivered and are not there any more, or not as they were noted; in no state of `counts`."""
    partial_products: int = 0
    """Folders here that hold some members of their product."""
    needed_root: str | None = None
    """What `resume` must be given as `--base-url`."""
    work: Work = field(default_factory=partial(Work, products=0, size=0))
    """What is still to be done."""
    noted: Mapping[str, float | None] = field(default_factory=dict)
    """Figures of the latest run, whether they hold now or not."""
    quota_wait: float = 0.0
    """Seconds until its account may have the next product, as far as is known."""

    @property
    def here(self) -> int:
        """Products that are on disk and verified."""
        return self.counts["delivered"].products + self.counts["skipped"].products

    @property
    def here_bytes(self) -> int:
        """Bytes of these."""
        return self.counts["delivered"].bytes + self.counts["skipped"].bytes

    @property
    def present_bytes(self) -> int:
        """Bytes that are on the disk, verified or not."""
        return min(self.here_bytes + self.part_bytes, self.total_bytes)

    @property
    def share(self) -> float:
        """Part of what is wanted that is here, by bytes where sizes are known; below 1 until everything is verified."""
        here, total = (self.present_bytes, self.total_bytes) if self.total_bytes else (self.here, self.total)
        return min(here / total, 1.0 if self.here == self.total else 0.99) if total else 0.0

    @property
    def total(self) -> int:
        """Products that were ever wanted here, but those that were left out."""
        return self.gone.products + sum(one.products for state, one in self.counts.items() if state != "left_out")

    @property
    def total_bytes(self) -> int:
        """Bytes of these."""
        return self.gone.bytes + sum(one.bytes for state, one in self.counts.items() if state != "left_out")

    @property
    def searches_unfinished(self) -> int:
        """Orders whose search was cut short."""
        return sum(not order.is_searched for order in self.orders)

    @property
    def is_complete(self) -> bool:
        """Whether all searches are finished, and everything wanted is here; also where nothing matched."""
        return self.here == self.total and bool(self.total or self.orders) and not self.searches_unfinished

    @property
    def seconds_left(self) -> float | None:
        """That the downloads take at least at the speed of now; None while it depends on tape or nothing moves."""
        if self.counts["staging"].products or self.searches_unfinished:
            return None
        to_come = self.counts["found"].bytes + self.counts["downloading"].bytes - self.part_bytes
        return transfer_seconds(max(0, to_come), self.figures["speed"])

    @property
    def time_left(self) -> TimeLeft:
        """Until everything is here; of an ended run what its measurements make likely for the next one."""
        products, seconds = self.noted.get("quota_products"), self.noted.get("quota_seconds")
        return time_left(
            self.work,
            rate=self.figures["speed"] or self.noted.get("speed") or None,
            pace=pace_of(self.noted),
            quota=Quota(int(products), seconds) if products and seconds else None,
            quota_wait=self.quota_wait,
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; the keys are explained in `docs/journal.md`."""
        waiting = self.waiting_longest
        return {
            "schema": 1,
            "directory": str(self.directory.absolute()),
            "orders": [_order(order) for order in self.orders],
            "states": {state: {"products": one.products, "bytes": one.bytes} for state, one in self.counts.items()},
            "partial": self.partial_products,
            "gone": {"products": self.gone.products, "bytes": self.gone.bytes},
            "part_bytes": self.part_bytes,
            "is_complete": self.is_complete,
            "searches_unfinished": self.searches_unfinished,
            "owner": self.owner,
            "speed": self.figures["speed"],
            "seconds_left": self.seconds_left,
            "time_left": self.time_left.as_dict(),
            "next_poll": _instant(self.figures["next_poll"]),
            "quota_until": _instant(self.figures["quota_until"]),
            "waiting_longest": waiting and {"name": waiting.name, "since": _instant(waiting.first_asked_at)},
            "failures": [
                {"name": row.name, "source": row.source, "type": row.error_type, "message": row.error_message}
                for row in self.failures
            ],
        }


def read_status(directory: Path, now: float | None = None, *, all_failures: bool = False) -> Status:
    """Read the journal of a folder.

    Args:
        directory: The user's folder.
        now: Wall time, seconds since 1970.
        all_failures: Not only the latest.

    Raises:
        ConfigError: There is no journal, or it cannot be read.
    """
    from pepsasync.cli.resume import needed_root  # noqa: PLC0415
    from pepsasync.folder.journal import JournalReader  # noqa: PLC0415 - not needed for help

    now = time.time() if now is None else now
    with JournalReader(directory) as reader:
        owner, counts = reader.owner(), {state.value: count for state, count in reader.counts().items()}
        counts, lost = _without_gone(reader, counts)
        orders, noted = reader.orders(), reader.now()
        latest = _latest(orders)
        part_bytes = sum(Folder(directory).unfinished_lengths().values())
        figures = current(noted, owner, now, is_downloading=counts["downloading"].products > 0)
        return Status(
            directory,
            counts,
            latest,
            _all_failures(reader) if all_failures else reader.failures(MOST_FAILURES),
            _waiting_longest(reader),
            str(owner) if owner else None,
            figures,
            part_bytes,
            lost,
            _partial(directory),
            needed_root(orders),
            work_of(reader, counts, lost, part_bytes, now, is_searched=all(order.is_searched for order in latest)),
            noted,
            max(0.0, (figures["quota_until"] or now) - now),
        )


def work_of(
    reader: JournalReader, counts: dict[str, Count], lost: Count, part_bytes: int, now: float, *, is_searched: bool
) -> Work:
    """What is still to be done, from the journal.

    Args:
        reader: Of the journal.
        counts: Products by state, of what is there.
        lost: What was delivered and is not there any more.
        part_bytes: Bytes of products that are not complete yet.
        now: Wall time, seconds since 1970.
        is_searched: Whether no further product will be found.
    """
    todo = [counts[state] for state in ("found", "staging", "downloading")]
    oldest, latest = reader.waits()
    arrival = reader.now().get("arrival")
    since = max(filter(None, (oldest, arrival)), default=now)
    may_be = math.ceil(counts["found"].products * reader.tape_share())
    return Work(
        products=lost.products + sum(count.products for count in todo),
        size=max(0, lost.bytes + sum(count.bytes for count in todo) - part_bytes),
        on_tape=counts["staging"].products,
        maybe_on_tape=may_be,
        waited=max(0.0, now - latest) if latest and not may_be else 0.0,
        idle=max(0.0, now - since),
        is_searched=is_searched,
    )


def _without_gone(reader: JournalReader, counts: dict[str, Count]) -> tuple[dict[str, Count], Count]:
    """Counts of what is there as the journal says, and of what is not."""
    from pepsasync.cli.resume import gone  # noqa: PLC0415
    from pepsasync.folder.journal import Count  # noqa: PLC0415

    products, size = 0, 0
    for one in gone(reader):
        products, size = products + 1, size + one.counted
        count = counts[one.state]
        counts[one.state.value] = Count(max(0, count.products - 1), max(0, count.bytes - one.counted))
    return counts, Count(products, size)


def _partial(directory: Path) -> int:
    """How many products stand in a folder of which some members are here, and no more."""
    from pepsasync.transfer.existing import is_partial  # noqa: PLC0415 - not needed for help

    folder = Folder(directory)
    return sum(is_partial(path.stem, folder) for path in directory.glob("*.SAFE"))


def current(
    noted: dict[str, float | None], owner: Owner | None, now: float, *, is_downloading: bool
) -> dict[str, float | None]:
    """Figures that hold now: those of the run under way, a fresh speed, instants that are still to come."""
    figures: dict[str, float | None] = dict.fromkeys(("speed", "next_poll", "quota_until"))
    updated = noted.get("updated")
    if owner is None or updated is None or updated < owner.since:
        return figures
    if is_downloading and abs(now - updated) < CURRENT:
        figures["speed"] = noted.get("speed")
    for name in ("next_poll", "quota_until"):
        value = noted.get(name)
        figures[name] = value if value is not None and value > now else None
    return figures


def _latest(orders: list[Order]) -> list[Order]:
    """Of orders that ask the same archives for the same, the last; finished when one of them is."""
    latest: dict[tuple[str, tuple[str, ...]], Order] = {}
    for order in orders:
        key = str(order.wanted), order.providers
        before = latest.pop(key, order)
        latest[key] = replace(order, is_searched=order.is_searched or before.is_searched)
    return list(latest.values())


def _all_failures(reader: JournalReader) -> list[Row]:
    """Every product that failed, the latest recorded first, without what only a run needs."""
    from pepsasync.folder.journal import State  # noqa: PLC0415

    rows = [replace(row, product=None) for batch in reader.in_state(State.FAILED) for row in batch]
    return rows[::-1]


def _waiting_longest(reader: JournalReader) -> Row | None:
    from pepsasync.folder.journal import State  # noqa: PLC0415

    batch = next(reader.in_state(State.STAGING, batch=MOST_WAITING), [])
    asked = [row for row in batch if parse_wall(row.first_asked_at) is not None]
    return min(asked, key=lambda row: row.first_asked_at or 0.0, default=None)


def _order(order: Order) -> dict[str, Any]:
    return {
        "words": order_words(order.wanted),
        "providers": [str(name) for name in order.providers],
        "created": _instant(order.created),
        "is_searched": order.is_searched,
    }


def parse_wall(wall: Any) -> datetime | None:
    """A wall time of the journal as an instant; None where it holds none, also because it is damaged."""
    try:
        return None if wall is None else datetime.fromtimestamp(wall, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _instant(wall: float | None) -> str | None:
    instant = parse_wall(wall)
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}" if instant else None


def order_words(wanted: Any) -> str:
    """`S1 GRD IW, from 2015-11-01 to 2015-12-01, tile 31TCJ`, or `12 products by name`.

    Args:
        wanted: As the journal holds it: a query as a mapping, or a list of names; anything else is damage.
    """
    try:
        if isinstance(wanted, Mapping):
            return ", ".join(_parts(wanted)) or "everything"
        if isinstance(wanted, Sequence) and not isinstance(wanted, str):
            return _names(wanted)
    except (TypeError, ValueError, AttributeError):
        return UNREADABLE
    return UNREADABLE


def _parts(query: Mapping[str, Any]) -> list[str]:
    kind = " ".join(_told(query[name]) for name in _KIND if query.get(name))
    parts = [kind] if kind else []
    if query.get("names"):
        parts.append(_names(query["names"]))
    period = [f"{word} {_date(query[name])}" for word, name in (("from", "start"), ("to", "end")) if query.get(name)]
    parts += [" ".join(period)] if period else []
    for name in (one.name for one in fields(Query) if one.name not in (*_KIND, "names", "start", "end")):
        value = query.get(name)
        if value is not None:
            parts.append(criterion_words(name, value))
    return parts


def criterion_words(name: str, value: Any) -> str:
    """A criterion with words of its own, else its name and value: `orbit direction ascending`."""
    if name == "limit":
        return f"at most {show_count(value)}"
    if name in _WORDS:
        return _WORDS[name].format(_told(value) if isinstance(value, list | tuple) else value)
    return f"{name.replace('_', ' ')}{'' if value is True else f' {_told(value)}'}"


def _told(value: Any) -> str:
    """One value, or several: `31TCJ,31TDJ`; of many the first ones, and how many there are."""
    if not isinstance(value, list | tuple):
        return _date(str(value))
    shown = ",".join(map(str, value[:MOST_TOLD]))
    return shown if len(value) <= MOST_TOLD else f"{shown},... ({len(value):,})"


MOST_TOLD = 5
"""Values of a criterion that are written out."""

_KIND = ("collection", "product_type", "sensor_mode")

_WORDS = {
    "tile": "tile {}",
    "location": "{}",
    "area": "an area",
    "relative_orbit": "orbit {}",
    "cloud_cover": "clouds up to {:g} %",
    "min_cloud_cover": "clouds from {:g} %",
    "cover": "at least {:g} % of the area",
    "sort": "by {}",
    "per": "the best per {}",
    "property": "{}",
    "buffer": "with {:g} m around",
    "platform": "{}",
    "latest": "newest processing only",
}


def _names(names: Sequence[Any]) -> str:
    return str(names[0]) if len(names) == 1 else f"{show_count(len(names))} by name"


def _date(text: str) -> str:
    """`2015-11-01`, with the time of day only where there is one."""
    return text.removesuffix(MIDNIGHT).removesuffix("+00:00")
