"""Every option that several commands share, declared once.

The fields of a group are options of each command that takes the group, see `flatten`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from pepsasync.cli.units import parse_duration, parse_quota, parse_size
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pepsasync.client import Client
    from pepsasync.credentials import Credentials
    from pepsasync.model import Query

QUERY = "What to look for"
ARCHIVE = "Where to look"
DELIVERY = "How to bring it"
OUTPUT = "General"

_query, _archive, _delivery, _output = (
    partial(Option, rich_help_panel=panel) for panel in (QUERY, ARCHIVE, DELIVERY, OUTPUT)
)

FIRST_PAUSE = 5.0
"""Seconds: a `--wait` below the usual first pause means to look that often from the start."""


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """What to look for: the criteria of `build_query`, under their names."""

    collection: Annotated[
        str | None, _query("-c", "--collection", metavar="NAME", help="S1, S2, S2ST, S3, or the archive's own name")
    ] = None
    product: Annotated[
        str | None,
        _query(
            "-p",
            "--product",
            "--product-type",
            "--product_type",
            metavar="TYPE",
            help="GRD, SLC, OCN, S2MSI1C, S2MSI2A, ...",
        ),
    ] = None
    sensor_mode: Annotated[
        str | None, _query("-m", "--sensor-mode", "--sensor_mode", metavar="MODE", help="IW, EW, SM, WV, INS-NOBS")
    ] = None
    start: Annotated[
        str | None,
        _query(
            "-d",
            "--start",
            "--start-date",
            "--start_date",
            metavar="DATE",
            help="first instant; a bare date is 00:00:00 UTC",
        ),
    ] = None
    end: Annotated[
        str | None,
        _query(
            "-f",
            "--end",
            "--end-date",
            "--end_date",
            metavar="DATE",
            help="end, not included: one day is -d 2015-11-01 -f 2015-11-02",
        ),
    ] = None
    tile: Annotated[str | None, _query("-t", "--tile", metavar="TILE", help="MGRS tile: 31TCJ or T31TCJ")] = None
    location: Annotated[str | None, _query("-l", "--location", metavar="PLACE", help="place name: Toulouse")] = None
    lon: Annotated[float | None, _query("--lon", metavar="DEG", help="longitude of a point")] = None
    lat: Annotated[float | None, _query("--lat", metavar="DEG", help="latitude of a point")] = None
    lonmin: Annotated[float | None, _query("--lonmin", metavar="DEG", help="west side of a box")] = None
    lonmax: Annotated[float | None, _query("--lonmax", metavar="DEG", help="east side of a box")] = None
    latmin: Annotated[float | None, _query("--latmin", metavar="DEG", help="south side of a box")] = None
    latmax: Annotated[float | None, _query("--latmax", metavar="DEG", help="north side of a box")] = None
    bbox: Annotated[str | None, _query("--bbox", metavar="W,S,E,N", help="a box in one word: -5,43,2,44")] = None
    shape: Annotated[
        Path | None, _query("--shape", metavar="FILE", help="area from a vector file that geopandas reads")
    ] = None
    geometry: Annotated[str | None, _query("--geometry", metavar="WKT", help="area as WKT, longitude first")] = None
    orbit: Annotated[int | None, _query("-o", "--orbit", metavar="N", help="relative orbit, 1-175")] = None
    clouds: Annotated[float | None, _query("--cc", "--clouds", metavar="PERCENT", help="highest cloud cover")] = None
    satellite: Annotated[str | None, _query("--sat", "--satellite", metavar="NAME", help="S1A, S2B, ...")] = None
    id: Annotated[
        list[str], _query("--id", metavar="NAME|@FILE", help="a product by name (repeatable), or a file of names")
    ] = field(default_factory=list)
    latest: Annotated[bool, _query("--latest", help="of several processings of one acquisition only the newest")] = (
        False
    )
    limit: Annotated[int | None, _query("--limit", metavar="N", help="at most N products")] = None

    def build(self) -> Query:
        """Return the query.

        Raises:
            ConfigError: No criterion at all, or one that makes no sense.
        """
        from pepsasync.criteria import build_query  # noqa: PLC0415 - not needed for help

        criteria: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        criteria["id"] = [name for text in self.id for name in _names(text)]
        given = {name: value for name, value in criteria.items() if value not in (None, False, [])}
        if not given.keys() - {"latest", "limit"}:
            raise ConfigError(
                "say what to look for: a query without any criterion would mean the whole archive",
                hint="For example: -c S2ST -t 31TCJ -d 2017-01-01 -f 2017-02-01",
            )
        return build_query(**given)


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """Which archive, as whom."""

    auth: Annotated[
        Path | None,
        _archive("-a", "--auth", metavar="FILE", help="file with one line: e-mail, space, password; or an API key"),
    ] = None
    provider: Annotated[
        str | None,
        _archive(
            "--provider", metavar="NAME", envvar="PEPSASYNC_PROVIDER", help="which archive, or several: geodes,cdse"
        ),
    ] = None
    base_url: Annotated[
        str | None, _archive("--base-url", metavar="URL", help="root of another instance of the archive")
    ] = None
    ca_bundle: Annotated[
        Path | None, _archive("--ca-bundle", metavar="FILE", help="PEM file with a further certificate authority")
    ] = None

    def client(
        self,
        *,
        credentials: Credentials | None = None,
        **given: Any,
    ) -> Client:
        """Return a client for this archive; what was not given comes from the config file.

        Args:
            credentials: Instead of those that `--auth` or the usual places hold.
            **given: Fields of `Config`; None leaves the default.

        Raises:
            ConfigError: No such provider, a bad setting, or a file that cannot be used.
        """
        from pepsasync.cli.login import ask_code  # noqa: PLC0415
        from pepsasync.client import Client  # noqa: PLC0415 - loads the network stack
        from pepsasync.credentials import read_auth_file  # noqa: PLC0415
        from pepsasync.settings import read_settings  # noqa: PLC0415

        settings = read_settings(os.environ)
        given["ca_bundle"] = self.ca_bundle
        config = settings.config(**{name: value for name, value in given.items() if value is not None})
        names = settings.choose_all(self.provider)
        if self.auth and len(names) > 1:
            raise ConfigError("-a is for one archive", hint="With several, run 'pepsasync login' for each of them")
        if self.auth:
            credentials = read_auth_file(self.auth, names[0])
        more: dict[str, Any] = {"ask_code": ask_code} if sys.stdin.isatty() else {}
        roots = self._roots(names) or settings.base_urls
        if len(names) > 1:
            return Client(names, config=config, base_url=roots, **more)
        return Client(names[0], credentials=credentials, config=config, base_url=roots.get(names[0]), **more)

    def _roots(self, names: Sequence[str]) -> Mapping[str, str]:
        """Root by provider; one for each, in the same order, or none at all."""
        roots = [root.strip() for root in self.base_url.split(",")] if self.base_url else []
        if roots and len(roots) != len(names):
            raise ConfigError(f"--base-url has {len(roots)} roots for {len(names)} archives", hint="Give one for each")
        return dict(zip(names, roots, strict=False))


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
        if longest is not None and first is None and longest < FIRST_PAUSE:
            first = longest
        return {
            "staging_jobs": self.staging_jobs,
            "poll_interval": first,
            "poll_interval_max": longest if first is None or longest is None else max(longest, first),
            "trials": self.trials,
            "staging_timeout": _seconds(self.staging_timeout, "--staging-timeout"),
            "staging_window": None
            if self.staging_window is None
            else parse_size(self.staging_window, "--staging-window"),
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
        int, _delivery("--segments", metavar="N", help="connections a product, where the archive bears it")
    ] = 1
    report: Annotated[
        Path | None, _delivery("--report", metavar="FILE", help="write what became of each product, as JSON")
    ] = None
    events: Annotated[
        str | None, _delivery("--events", metavar="FILE|-", help="write what happens, one JSON object a line")
    ] = None
    on_delivered: Annotated[
        str | None,
        _delivery(
            "--on-delivered", metavar="COMMAND", help="run for each product that arrived; its path is $PEPSASYNC_PATH"
        ),
    ] = None
    windows: Annotated[bool, Option("--windows", hidden=True, help="accepted and ignored")] = False

    def settings(self) -> dict[str, Any]:
        """Fields of `Config`; None where nothing was given.

        Raises:
            ConfigError: A size that is none, or less than one segment.
        """
        if self.segments < 1:
            raise ConfigError(f"--segments must be at least 1, not {self.segments}")
        limit = None if self.limit_rate is None else parse_size(self.limit_rate, "--limit-rate")
        quota = None if self.quota is None else parse_quota(self.quota, "--quota")
        slowest = None if self.min_rate is None else parse_size(self.min_rate, "--min-rate")
        return {"jobs": self.jobs, "limit_rate": limit, "min_rate": slowest, "quota": quota}


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How much is said, and how."""

    quiet: Annotated[bool, _output("-q", "--quiet", help="say only what went wrong")] = False
    verbose: Annotated[
        int, _output("-v", "--verbose", count=True, show_default=False, help="say more; twice: tracebacks")
    ] = 0
    no_color: Annotated[bool, _output("--no-color", help="no colours, also with NO_COLOR set")] = False
    backend: Annotated[str, Option("--backend", hidden=True, envvar="PEPSASYNC_BACKEND", help="asyncio or trio")] = (
        "asyncio"
    )

    @property
    def is_plain(self) -> bool:
        """Whether colours are unwanted."""
        return self.no_color or bool(os.environ.get("NO_COLOR"))


def _seconds(text: str | None, option: str, *, unit: float = 1.0) -> float | None:
    return None if text is None else parse_duration(text, option, unit=unit)


def _names(text: str) -> list[str]:
    """One `--id`: a name, or all names of a file."""
    from pepsasync.results.saved import bare_name, read_saved  # noqa: PLC0415 - not needed for help

    return read_saved(text[1:]) if text.startswith("@") else [bare_name(text)]
