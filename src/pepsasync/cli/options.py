"""Every option that several commands share, declared once.

The fields of a group are options of each command that takes the group, see `flatten`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path  # noqa: TC003 - `flatten` evaluates the annotations
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

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
    bbox: Annotated[
        str | None,
        _query("--bbox", metavar="W,S,E,N", help="a box in one word: -5,43,2,44; W > E: across the antimeridian"),
    ] = None
    shape: Annotated[
        str | None,
        _query(
            "--shape",
            metavar="FILE",
            help="area from a vector file: .shp, .zip, .gpkg, .geojson, .fgb, .kml, .kmz, .parquet, .gdb",
        ),
    ] = None
    geometry: Annotated[str | None, _query("--geometry", metavar="WKT", help="area as WKT, longitude first")] = None
    orbit: Annotated[
        int | None, _query("-o", "--orbit", metavar="N", help="relative orbit: S1 1-175, S2 1-143, S3 1-385")
    ] = None
    clouds: Annotated[float | None, _query("--cc", "--clouds", metavar="PERCENT", help="highest cloud cover")] = None
    satellite: Annotated[str | None, _query("--sat", "--satellite", metavar="NAME", help="S1A, S2B, ...")] = None
    id: Annotated[
        list[str],
        _query(
            "--id",
            metavar="NAME|@FILE",
            help="a product by name (repeatable), or those in a file; @-: in standard input",
        ),
    ] = field(default_factory=list)
    latest: Annotated[bool, _query("--latest", help="of several processings of one acquisition only the newest")] = (
        False
    )
    limit: Annotated[int | None, _query("--limit", metavar="N", help="at most N products")] = None

    def build(self) -> Query:
        """Return the query.

        Raises:
            ConfigError: No criterion at all, or one that is empty or makes no sense.
        """
        from pepsasync.query.criteria import build_query  # noqa: PLC0415 - not needed for help

        criteria: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        criteria["id"] = [_name(text) for text in self.id] or None
        return build_query(**criteria)


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
        str | None, _archive("--base-url", metavar="URL", help="root of another instance; of several archives: URL,URL")
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
        roots = self._roots(names) or {name: root for name in names if (root := settings.root(name))}
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


def _name(text: str) -> str:
    """One `--id`: a name without the folder that shells complete it with, or `@FILE`."""
    from pepsasync.query.product_names import bare_name  # noqa: PLC0415 - not needed for help

    return text if text.strip().startswith("@") else bare_name(text)
