"""What a folder's journal knows: `status`."""

import json
import shlex
import time
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pepsasync.cli.flatten import flatten
from pepsasync.cli.options import OutputOptions
from pepsasync.cli.order_words import order_words
from pepsasync.cli.standing import Status, parse_wall, read_status
from pepsasync.cli.terminal import show
from pepsasync.cli.units import show_count, show_duration, show_size
from pepsasync.errors import ConfigError

BAR_WIDTH = 30
"""Characters."""

MOST_ORDERS = 3
"""Orders that are told one by one."""

WORDS = {
    "delivered": "delivered",
    "skipped": "already here",
    "downloading": "downloading",
    "staging": "waiting for tape",
    "found": "to do",
    "failed": "failed",
    "left_out": "left out, on tape",
}
"""In the order in which they are told."""


@flatten()
def status(
    *,
    directory: Annotated[Path, Argument(metavar="DIR", help="folder of the products", show_default=False)] = Path(),
    output: OutputOptions,  # noqa: ARG001 - every command takes these options
    form: Annotated[str, Option("--format", metavar="text|json", help="for people or for programs")] = "text",
    everything: Annotated[bool, Option("--all", help="list every failure, not only the latest 20")] = False,
) -> None:
    """Tell what a folder's journal knows: orders, counts, failures, the run under way.

    Sizes and times of what was delivered are looked at: what is gone, was changed since, or is not noted as verified
    any more does not count as here.
    Reads only, beside a running command as well as after a killed one.
    """
    if form not in ("text", "json"):
        raise ConfigError(f"--format {form!r} is unknown", hint="Use text or json")
    found = read_status(directory, all_failures=everything)
    for line in [json.dumps(found.as_dict(), indent=1)] if form == "json" else text_lines(found, time.time()):
        show(line)


def text_lines(found: Status, now: float) -> list[str]:
    """The status in lines for people.

    Args:
        found: What the journal says.
        now: Wall time, seconds since 1970.
    """
    size = f"{show_size(found.present_bytes)} of {show_size(found.total_bytes)}"
    here = f"{found.here:,} of {show_count(found.total)} are here, {size}  {_bar(found)}"
    lines = [*_order_lines(found), here, *_count_lines(found)]
    if found.searches_unfinished and found.owner is None:
        lines.append("the search was not finished: there may be more")
    lines += [*_run_lines(found, now), *_failure_lines(found)]
    is_open = found.here < found.total or found.searches_unfinished
    if found.owner is None and is_open:
        lines.append(f"'pepsasync resume {shlex.quote(str(found.directory))}' goes on")
    return lines


def _order_lines(found: Status) -> list[str]:
    """The latest orders, the last one at the end."""
    told = found.orders[-MOST_ORDERS:]
    earlier = len(found.orders) - len(told)
    lines = [f"{show_count(earlier, 'earlier order')}"] if earlier else []
    for order in told:
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
    if speed := found.figures["speed"]:
        left = found.seconds_left
        lines.append(f"  {show_size(speed)}/s{f', {show_duration(left)} left' if left else ''}")
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
        message = row.error_message or row.error_type or "nobody knows why"
        lines.append(f"  {message if row.name in message else f'{row.name}: {message}'}")
    more = found.counts["failed"].products - len(found.failures)
    return [*lines, f"  and {more:,} more; --all lists them"] if more > 0 else lines


def _bar(found: Status) -> str:
    filled = int(BAR_WIDTH * found.share)
    percent = f" {100 * found.share:.0f} %" if found.total else ""
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]{percent}"
