"""Options of commands that bring products: how to wait for tape, where products go, what is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from pepsasync.cli.options import DELIVERY
from pepsasync.cli.units import check_unit, parse_duration, parse_quota, parse_size
from pepsasync.errors import ConfigError

_delivery = partial(Option, rich_help_panel=DELIVERY)

FIRST_PAUSE = 5.0
"""Seconds: a `--wait` below the usual first pause means to look that often from the start."""


@dataclass(frozen=True, kw_only=True)
class StagingOptions:
    """How to ask for tape and how long to wait for it."""

    staging_jobs: Annotated[int | None, _delivery("--staging-jobs", metavar="N", help="staging requests at once")] = (
        None
    )
    wait: Annotated[
        str | None, _delivery("--wait", metavar="MINUTES", help="longest pause between two looks at the tape queue")
    ] = None
    poll_interval: Annotated[
        str | None, _delivery("--poll-interval", metavar="SECONDS", help="first pause between two looks")
    ] = None
    trials: Annotated[
        int | None, _delivery("--trials", metavar="N", help="looks without movement before a product is given up")
    ] = None
    staging_timeout: Annotated[
        str | None, _delivery("--staging-timeout", metavar="TIME", help="longest wait for one product: 12h, 3d")
    ] = None

    staging_window: Annotated[
        str | None,
        _delivery("--staging-window", metavar="SIZE", help="asked for from tape and not downloaded yet: 500GB"),
    ] = None
    skip_tape: Annotated[
        bool, _delivery("--skip-tape", help="leave out what is on tape instead of waiting for it, and list it")
    ] = False
    restore: Annotated[
        bool, _delivery("--restore", help="geodes: let a REGARDS server restore from tape; the public one does not")
    ] = False

    def settings(self) -> dict[str, Any]:
        """Fields of `Config`; None where nothing was given.

        Raises:
            ConfigError: A duration that is none.
        """
        longest = _seconds(self.wait, "--wait", unit=60.0)
        first = _seconds(self.poll_interval, "--poll-interval")
        if longest == 0:
            raise ConfigError("--wait must be longer than 0 minutes")
        if longest is not None and first is None and longest < FIRST_PAUSE:
            first = longest
        return {
            "staging_jobs": self.staging_jobs,
            "poll_interval": first,
            "poll_interval_max": longest if first is None or longest is None else max(longest, first),
            "trials": self.trials,
            "staging_timeout": _seconds(self.staging_timeout, "--staging-timeout"),
            "staging_window": _size(self.staging_window, "--staging-window"),
            "skip_tape": self.skip_tape or None,
            "restore": self.restore or None,
        }


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions:
    """Where products go, how fast, and what is written about it."""

    write_dir: Annotated[
        Path, _delivery("-w", "--write-dir", "--write_dir", metavar="DIR", help="folder for the products")
    ] = Path()
    extract: Annotated[bool, _delivery("-x", "--extract", help="unzip, then remove the zip")] = False
    jobs: Annotated[int | None, _delivery("-j", "--jobs", metavar="N", help="downloads at once")] = None
    limit_rate: Annotated[
        str | None, _delivery("--limit-rate", metavar="SIZE", help="bytes a second for all together: 10m, 500k")
    ] = None
    min_rate: Annotated[
        str | None,
        _delivery("--min-rate", metavar="SIZE", help="slower downloads begin again on a new connection; 0: never"),
    ] = None
    quota: Annotated[
        str | None,
        _delivery("--quota", metavar="N/TIME", help="products that the account may download in a time: 50/1h"),
    ] = None
    segments: Annotated[
        int | None,
        _delivery("--segments", metavar="N", help="connections a product; else free ones are used where that helps"),
    ] = None
    report: Annotated[
        Path | None, _delivery("--report", metavar="FILE|-", help="write what became of each product, as JSON")
    ] = None
    events: Annotated[
        Path | None, _delivery("--events", metavar="FILE|-", help="write what happens, one JSON object a line")
    ] = None
    on_delivered: Annotated[
        str | None,
        _delivery(
            "--on-delivered",
            metavar="COMMAND",
            help="run for each product that arrived, at $PEPSASYNC_PATH; its output is not shown, failures are told",
        ),
    ] = None
    windows: Annotated[bool, Option("--windows", hidden=True, help="accepted and ignored")] = False

    def check_dry(self) -> None:
        """Refuse what has no meaning when nothing is fetched.

        Raises:
            ConfigError: Something was to be told, or done, about what is fetched.
        """
        options = {"--report": self.report, "--events": self.events, "--on-delivered": self.on_delivered}
        if given := [option for option, value in options.items() if value is not None]:
            raise ConfigError(f"-n fetches nothing: leave out {' and '.join(given)}")

    def settings(self) -> dict[str, Any]:
        """Fields of `Config`; None where nothing was given.

        Raises:
            ConfigError: A size that is none.
        """
        quota = None if self.quota is None else parse_quota(self.quota, "--quota")
        return {
            "jobs": self.jobs,
            "limit_rate": _size(self.limit_rate, "--limit-rate"),
            "min_rate": _size(self.min_rate, "--min-rate"),
            "quota": quota,
            "segments": self.segments,
        }


def _size(text: str | None, option: str) -> int | None:
    return None if text is None else check_unit(parse_size(text, option), text, option)


def _seconds(text: str | None, option: str, *, unit: float = 1.0) -> float | None:
    return None if text is None else parse_duration(text, option, unit=unit)
