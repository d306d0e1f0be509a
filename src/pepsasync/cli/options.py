"""Every option that several commands share, declared once, as a field of a group of options.

A command takes groups as arguments; `flatten` turns each field of a group into an option of the command.

A query option is a field of `QueryOptions` with the name of a criterion of `build_query`. With the type `list[str]` it
may be given several times, and the criterion gets the texts as they are. `status` knows its words from the field of
`Query`.

A run option is a field with the name of a field of `Config`, declared by `_setting`: that field says what the option is
and what its help is, and is its key in the config file as well.

The tables of `docs/reference.md` are made from both: `PYTHONPATH=tests python tests/unit/test_reference.py`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from typer import Argument, Option

from pepsasync.cli.complete import (
    complete_attribute,
    complete_collection,
    complete_name,
    complete_provider,
    complete_tile,
    complete_type,
    words,
)
from pepsasync.config import SETTINGS, Kind, given_settings
from pepsasync.errors import ConfigError
from pepsasync.model import Quota, Shard  # noqa: TC001 - `flatten` evaluates the annotations
from pepsasync.paths import in_home
from pepsasync.query.values import parse_number, parse_whole
from pepsasync.units import check_unit, parse_duration, parse_quota, parse_shard, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pepsasync.client import Client
    from pepsasync.cluster import Dask
    from pepsasync.credentials import Credentials
    from pepsasync.model import Query
    from pepsasync.query.members import Selection
    from pepsasync.target import Target

ALSO_SEVERAL = "several with commas, repeated, or as @FILE"

QUERY = "Search criteria"
ARCHIVE = "Archive and account"
DELIVERY = "Download and staging"
RESULTS = "Results"
OUTPUT = "General"

PROVIDER_VARIABLE = "PEPSASYNC_PROVIDER"
"""Environment variable for the archive to take when none is named."""

FIRST_PAUSE = 5.0
"""Seconds: a `--wait` below the usual first pause means to look that often from the start."""

_query, _archive, _delivery, _output = (
    functools.partial(Option, rich_help_panel=panel) for panel in (QUERY, ARCHIVE, DELIVERY, OUTPUT)
)


_BY_KIND: dict[Kind, tuple[str | None, Callable[..., Any] | None]] = {
    Kind.COUNT: ("N", parse_whole),
    Kind.SIZE: ("SIZE", lambda option, text: check_unit(parse_size(text, option), text, option)),
    Kind.TIME: ("TIME", lambda option, text, unit=1.0: parse_duration(text, option, unit=unit)),
    Kind.QUOTA: ("N/TIME", lambda option, text: parse_quota(text, option)),
    Kind.SHARD: ("I/N", lambda option, text: parse_shard(text, option)),
    Kind.FLAG: (None, None),
    Kind.PATH: ("FILE", lambda option, text: in_home(text, option)),
}
"""What `--help` calls the value of a setting, and who reads it: takes the option's name and the value."""

_BY_TYPE: dict[type, Callable[[str, Any], Any]] = {
    int: parse_whole,
    float: parse_number,
    Path: lambda option, text: in_home(text, option),
}
"""Who reads the value of any other option."""


def _setting(*names: str, panel: str = DELIVERY, of: str = "", metavar: str | None = None, **more: Any) -> Any:
    """Declare an option that is a field of `Config`.

    Args:
        *names: Spellings; the longest is the field's name, unless `of` says it.
        panel: Where `--help` lists it.
        of: Name of the field.
        metavar: Instead of that for settings of its kind.
        **more: For who reads it.
    """
    longest = max(names, key=len)
    setting = SETTINGS[of or longest.removeprefix("--").replace("-", "_")]
    usual, read = _BY_KIND[setting.kind]
    parser = read and functools.partial(read, longest, **more)
    return Option(*names, rich_help_panel=panel, metavar=metavar or usual, help=setting.help, parser=parser)


Auth = Annotated[
    Path | None,
    _archive("-a", "--auth", metavar="FILE", help="file with one line: e-mail, space, password; or an API key"),
]

Include = Annotated[
    list[str],
    _delivery("--include", metavar="PATTERN", help="only members that match: '*_B0[248]*.jp2'; also several"),
]

Exclude = Annotated[
    list[str], _delivery("--exclude", metavar="PATTERN", help="no members that match: 'preview/'; also several")
]

Bands = Annotated[
    list[str],
    _delivery("--bands", metavar="BANDS", help="only these bands and their metadata: B02,B04 or VV or Oa08"),
]

ReportTarget = Annotated[
    Path | None,
    _delivery(
        "--report", metavar="FILE|-", help="write the outcome of each product: a page if it ends with .html, else JSON"
    ),
]

EventsTarget = Annotated[
    Path | None, _delivery("--events", metavar="FILE|-", help="write all events, one JSON object per line")
]

Directory = Annotated[
    str, Argument(metavar="DIR", help="folder of the products, or s3://BUCKET/PREFIX", show_default=False)
]

ProviderName = Annotated[
    str | None,
    Argument(metavar="PROVIDER", autocompletion=complete_provider, envvar=PROVIDER_VARIABLE, help="which archive"),
]


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """What to look for: the criteria of `build_query`, under their names."""

    collection: Annotated[
        list[str],
        _query(
            "-c",
            "--collection",
            metavar="NAME",
            autocompletion=complete_collection,
            help=f"S1, S2, S2ST, S3, or the archive's own name; {ALSO_SEVERAL}",
        ),
    ] = field(default_factory=list)
    product: Annotated[
        list[str],
        _query(
            "-p",
            "--product",
            "--product-type",
            "--product_type",
            metavar="TYPE",
            autocompletion=complete_type,
            help="GRD, SLC, OCN, S2MSI1C, S2MSI2A, ...; also several",
        ),
    ] = field(default_factory=list)
    sensor_mode: Annotated[
        list[str],
        _query(
            "-m",
            "--sensor-mode",
            "--sensor_mode",
            metavar="MODE",
            autocompletion=words("IW", "EW", "SM", "WV", "INS-NOBS"),
            help="IW, EW, SM, WV, INS-NOBS; also several",
        ),
    ] = field(default_factory=list)
    start: Annotated[
        str | None,
        _query(
            "-d",
            "--start",
            "--start-date",
            "--start_date",
            metavar="DATE",
            help="start; a date alone is 00:00:00 UTC; also 2017-03, today, -3d, P1M before the end or today",
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
            help="end, not included: one day is -d 2015-11-01 -f 2015-11-02; or P1M after the start",
        ),
    ] = None
    published_since: Annotated[
        str | None,
        _query(
            "--published-since",
            metavar="DATE",
            help="published by the archive since this date, whenever it was acquired",
        ),
    ] = None
    months: Annotated[
        list[str], _query("--months", metavar="M-M", help="only these months of any year: 6-8, 11-2 or 3,9")
    ] = field(default_factory=list)
    tile: Annotated[
        list[str],
        _query(
            "-t",
            "--tile",
            metavar="TILE",
            autocompletion=complete_tile,
            help=f"MGRS tile: 31TCJ or T31TCJ; {ALSO_SEVERAL}",
        ),
    ] = field(default_factory=list)
    location: Annotated[
        list[str],
        _query("-l", "--location", metavar="PLACE", help="place name: Toulouse or Paris, Texas; also several"),
    ] = field(default_factory=list)
    lon: Annotated[float | None, _query("--lon", metavar="DEG", help="longitude of a point")] = None
    lat: Annotated[float | None, _query("--lat", metavar="DEG", help="latitude of a point")] = None
    lonmin: Annotated[float | None, _query("--lonmin", metavar="DEG", help="west side of a box")] = None
    lonmax: Annotated[float | None, _query("--lonmax", metavar="DEG", help="east side of a box")] = None
    latmin: Annotated[float | None, _query("--latmin", metavar="DEG", help="south side of a box")] = None
    latmax: Annotated[float | None, _query("--latmax", metavar="DEG", help="north side of a box")] = None
    bbox: Annotated[
        str | None,
        _query("--bbox", metavar="W,S,E,N", help="a box as one value: -5,43,2,44; W > E: across the antimeridian"),
    ] = None
    shape: Annotated[
        list[str],
        _query(
            "--shape",
            metavar="FILE",
            help="area from a vector file: .shp, .zip, .gpkg, .geojson, .fgb, .kml, .kmz, .parquet, .gdb; also several",
        ),
    ] = field(default_factory=list)
    geometry: Annotated[str | None, _query("--geometry", metavar="WKT", help="area as WKT, longitude first")] = None
    buffer: Annotated[
        str | None, _query("--buffer", metavar="DISTANCE", help="widen the area, also of tiles and places: 5km, 500m")
    ] = None
    cover: Annotated[
        str | None,
        _query("--cover", metavar="PERCENT", help="least share of the area that a footprint covers"),
    ] = None
    orbit: Annotated[
        list[str],
        _query("-o", "--orbit", metavar="N", help="relative orbit: S1 1-175, S2 1-143, S3 1-385; also several"),
    ] = field(default_factory=list)
    orbit_direction: Annotated[
        str | None,
        _query(
            "--orbit-direction",
            metavar="WORD",
            autocompletion=words("ascending", "descending"),
            help="ascending or descending",
        ),
    ] = None
    polarisation: Annotated[
        str | None,
        _query(
            "--polarisation",
            "--polarization",
            metavar="CHANNELS",
            autocompletion=words("VV", "VH", "HH", "HV", "VV+VH", "HH+HV"),
            help="channels of radar products: VV+VH",
        ),
    ] = None
    timeliness: Annotated[
        str | None,
        _query(
            "--timeliness",
            metavar="WORD",
            autocompletion=words("Fast-24h", "NRT-3h", "Nominal"),
            help="Fast-24h, NRT-3h, ...",
        ),
    ] = None
    clouds: Annotated[
        str | None,
        _query("--cc", "--clouds", metavar="PERCENT", help="highest cloud cover, or lowest and highest: 5..20"),
    ] = None
    property: Annotated[
        list[str],
        _query(
            "--property",
            metavar="NAME=VALUE",
            help="an attribute as the archive names it, also 'NAME<9', 'NAME>9', NAME=1..9; repeated; see collections",
            autocompletion=complete_attribute,
        ),
    ] = field(default_factory=list)
    satellite: Annotated[
        list[str],
        _query(
            "--sat",
            "--satellite",
            metavar="NAME",
            autocompletion=words("S1A", "S1B", "S1C", "S2A", "S2B", "S2C", "S3A", "S3B"),
            help="S1A, S2B, ...; also several",
        ),
    ] = field(default_factory=list)
    id: Annotated[
        list[str],
        _query(
            "--id",
            metavar="NAME|@FILE",
            autocompletion=complete_name,
            help="a product by name, or those in a file; @-: in standard input; also several",
        ),
    ] = field(default_factory=list)
    latest: Annotated[bool, _query("--latest", help="only the newest processing of each acquisition")] = False
    twins: Annotated[bool, _query("--twins", help="the COG copy of a GRD product that is offline, at CDSE")] = False
    sort: Annotated[
        str | None,
        _query(
            "--sort",
            metavar="WORD",
            autocompletion=words("date", "clouds", "size", "cover"),
            help="date (newest first), clouds (clearest), size (largest) or cover (most)",
        ),
    ] = None
    per: Annotated[
        list[str],
        _query(
            "--per",
            metavar="WORD",
            autocompletion=words("day", "tile"),
            help="day, tile or day,tile: only the best of each, by --sort, else the clearest",
        ),
    ] = field(default_factory=list)
    limit: Annotated[int | None, _query("--limit", metavar="N", help="at most N products")] = None

    def settled(self, archive: ArchiveOptions, output: OutputOptions) -> QueryOptions:
        """Return the same with places that only one town can be: where several may be meant, the user is asked.

        Args:
            archive: That is searched: some know places themselves.
            output: How much is said.

        Raises:
            AreaError: There is no such place; or several, and nobody can be asked.
            ConfigError: A value is empty, or the answer is none of those.
        """
        if not self.location:
            return self
        from pepsasync.cli.places import settle  # noqa: PLC0415 - loads the gazetteer, and needed only with a place

        places = settle(self.location, archive.provider, with_area=bool(self.buffer), is_quiet=output.quiet)
        return dataclasses.replace(self, location=places)

    def build(self) -> Query:
        """Return the query.

        Raises:
            ConfigError: No criterion at all, or one that is empty or makes no sense.
        """
        from pepsasync.query.criteria import build_query  # noqa: PLC0415 - not needed for help
        from pepsasync.query.product_names import bare_name  # noqa: PLC0415

        criteria = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        # Shells complete a name with its folder.
        criteria["id"] = [
            text if text.strip().startswith("@") else ",".join(map(bare_name, text.split(","))) for text in self.id
        ]
        return build_query(**{name: None if value == [] else value for name, value in criteria.items()})


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """Which archive, as whom."""

    auth: Auth = None
    provider: Annotated[
        str | None,
        _archive(
            "--provider",
            metavar="NAME",
            autocompletion=complete_provider,
            envvar=PROVIDER_VARIABLE,
            help="archive, or several: geodes,cdse",
        ),
    ] = None
    base_url: Annotated[
        str | None, _archive("--base-url", metavar="URL", help="root of another instance; of several: URL,URL or ,URL")
    ] = None
    ca_bundle: Annotated[Path | None, _setting("--ca-bundle", panel=ARCHIVE)] = None

    def client(self, *groups: object, credentials: Credentials | None = None, **given: Any) -> Client:
        """Return a client for this archive; what was not given comes from the config file.

        Args:
            *groups: Further options, of which some are fields of `Config`.
            credentials: Instead of those that `--auth` or the usual places hold.
            **given: Fields of `Config`.

        Raises:
            ConfigError: No such provider, a bad setting, or a file that cannot be used.
        """
        from pepsasync.client import Client  # noqa: PLC0415 - loads the network stack
        from pepsasync.credentials import read_auth_file  # noqa: PLC0415
        from pepsasync.display.output import ask_code  # noqa: PLC0415
        from pepsasync.settings import read_settings  # noqa: PLC0415

        settings = read_settings(os.environ)
        config = settings.config(**given_settings(self, *groups) | given)
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
        """Root by provider; in the same order, an empty one for the usual one; or none at all."""
        roots = [root.strip() for root in self.base_url.split(",")] if self.base_url else []
        if roots and len(roots) != len(names):
            raise ConfigError(f"--base-url has {len(roots)} roots for {len(names)} archives", hint="Give one for each")
        return {name: root for name, root in zip(names, roots, strict=False) if root}


@dataclass(frozen=True, kw_only=True)
class StagingOptions:
    """How to ask for tape and how long to wait for it."""

    staging_jobs: Annotated[int | None, _setting("--staging-jobs")] = None
    poll_interval_max: Annotated[
        float | None, _setting("--wait", of="poll_interval_max", metavar="MINUTES", unit=60.0)
    ] = None
    poll_interval: Annotated[float | None, _setting("--poll-interval", metavar="SECONDS")] = None
    trials: Annotated[int | None, _setting("--trials")] = None
    staging_timeout: Annotated[float | None, _setting("--staging-timeout")] = None
    staging_window: Annotated[int | None, _setting("--staging-window")] = None
    skip_tape: Annotated[bool, _setting("--skip-tape")] = False
    restore: Annotated[bool, _setting("--restore")] = False

    def __post_init__(self) -> None:
        first, longest = self.poll_interval, self.poll_interval_max
        if longest is None:
            return
        if longest == 0:
            raise ConfigError("--wait must be longer than 0 minutes")
        if first is None and longest < FIRST_PAUSE:
            object.__setattr__(self, "poll_interval", longest)
        elif first is not None and longest < first:
            object.__setattr__(self, "poll_interval_max", first)


@dataclass(frozen=True, kw_only=True)
class BucketOptions:
    """What is said of a bucket beside its address."""

    endpoint_url: Annotated[
        str | None,
        _delivery("--endpoint-url", metavar="URL", help="store of the bucket; default: where S3 tools look for it"),
    ] = None
    state: Annotated[
        Path | None,
        _delivery(
            "--state",
            metavar="DIR",
            help="folder for the journal of a bucket; default: one in your state folder",
            show_default=False,
        ),
    ] = None

    def target_of(self, where: str, option: str = "DIR") -> Target:
        """A folder or a bucket, as the user says it.

        Args:
            where: What was given.
            option: Where it was given.

        Raises:
            ConfigError: It is neither.
        """
        from pepsasync.target import as_target  # noqa: PLC0415 - not needed for help

        return as_target(where, self.state, self.endpoint_url, what=option)


@dataclass(frozen=True, kw_only=True)
class DeliveryOptions(BucketOptions):
    """Where products go, how fast, and what is written about it."""

    write_dir: Annotated[
        str,
        _delivery(
            "-w",
            "--write-dir",
            "--write_dir",
            metavar="DIR",
            help="folder for the products, or s3://BUCKET/PREFIX; extra s3",
        ),
    ] = "."
    extract: Annotated[bool, _delivery("-x", "--extract", help="unpack zips, tars and gzips, then remove them")] = False
    include: Include = field(default_factory=list)
    exclude: Exclude = field(default_factory=list)
    bands: Bands = field(default_factory=list)
    jobs: Annotated[int | None, _setting("-j", "--jobs")] = None
    limit_rate: Annotated[int | None, _setting("--limit-rate")] = None
    min_rate: Annotated[int | None, _setting("--min-rate")] = None
    quota: Annotated[Quota | None, _setting("--quota")] = None
    segments: Annotated[int | None, _setting("--segments")] = None
    shard: Annotated[Shard | None, _setting("--shard")] = None
    share_limits: Annotated[Path | None, _setting("--share-limits", metavar="DIR")] = None
    report: ReportTarget = None
    events: EventsTarget = None
    on_delivered: Annotated[
        str | None,
        _delivery(
            "--on-delivered",
            metavar="COMMAND",
            help="run for each delivered product, which is at $PEPSASYNC_PATH; output is hidden, failures are reported",
        ),
    ] = None
    null: Annotated[
        bool,
        _delivery("-0", "--null", help="end each delivered path on standard output with a zero byte, for xargs -0"),
    ] = False
    serve: Annotated[
        int | None,
        _delivery(
            "--serve", metavar="PORT", help="show the run on a page of this machine; 0 for a free port; extra serve"
        ),
    ] = None
    dask: Annotated[
        str | None,
        _delivery(
            "--dask",
            metavar="ADDRESS",
            help="download on the workers of a Dask cluster: tls://scheduler:8786, or local:4; extra dask",
        ),
    ] = None
    insecure_cluster: Annotated[
        bool,
        _delivery("--insecure-cluster", help="let workers of other machines get credentials without TLS"),
    ] = False
    windows: Annotated[bool, Option("--windows", hidden=True, help="accepted and ignored")] = False

    @property
    def cluster(self) -> Dask | None:
        """Whose workers download; None for this process.

        Raises:
            ConfigError: It is no cluster.
        """
        if self.dask is None:
            if self.insecure_cluster:
                raise ConfigError("--insecure-cluster says something about --dask, which is not there")
            return None
        from pepsasync.cluster import Dask  # noqa: PLC0415 - hardly ever

        return Dask(self.dask, insecure_cluster=self.insecure_cluster)

    @property
    def target(self) -> Target:
        """Where products go.

        Raises:
            ConfigError: It is neither a folder nor a bucket.
        """
        return self.target_of(self.write_dir, "--write-dir")

    @property
    def selection(self) -> Selection | None:
        """Which members are wanted; None for all.

        Raises:
            ConfigError: There is no such band, or a pattern makes no sense.
        """
        if not (self.include or self.exclude or self.bands):
            return None
        from pepsasync.query.members import build_selection  # noqa: PLC0415 - not needed for help

        return build_selection(self.include, self.exclude, self.bands)

    def with_selection(self, selection: Selection | None) -> DeliveryOptions:
        """The same for other members."""
        some = selection.as_dict() if selection else {}
        include, exclude, bands = (some.get(name, []) for name in ("include", "exclude", "bands"))
        return dataclasses.replace(self, include=include, exclude=exclude, bands=bands)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How much is said, and how."""

    quiet: Annotated[bool, _output("-q", "--quiet", help="print errors only")] = False
    verbose: Annotated[
        int, _output("-v", "--verbose", count=True, show_default=False, help="print more; twice: tracebacks")
    ] = 0
    no_color: Annotated[bool, _output("--no-color", help="no colours, also with NO_COLOR set")] = False
    backend: Annotated[str, Option("--backend", hidden=True, envvar="PEPSASYNC_BACKEND", help="asyncio or trio")] = (
        "asyncio"
    )

    @property
    def is_plain(self) -> bool:
        """Whether colours are unwanted."""
        return self.no_color or bool(os.environ.get("NO_COLOR"))


def _text_or_json(form: str) -> str:
    if form not in ("text", "json"):
        raise ConfigError(f"--format {form!r} is unknown", hint="Use text or json")
    return form


Replies = Annotated[
    Path | None,
    Option("--json", metavar="FILE|-", rich_help_panel=RESULTS, help="write the archive's search reply as it came"),
]

TextOrJson = Annotated[
    str, Option("--format", metavar="text|json", parser=_text_or_json, help="text for people, json for programs")
]


def flatten(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take groups: each field becomes an option, and the command gets the values back in groups.

    Args:
        without: Spellings that this command uses for something else.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        groups: dict[str, list[inspect.Parameter]] = {}
        everything: list[inspect.Parameter] = []
        for name, own in inspect.signature(command).parameters.items():
            if dataclasses.is_dataclass(hints[name]):
                groups[name] = _group_parameters(hints[name], without)
                everything += groups[name]
            else:
                everything.append(_parameter(name, hints[name], own.default))

        def run(**values: Any) -> None:
            for name, parameters in groups.items():
                values[name] = hints[name](**{option.name: values.pop(option.name) for option in parameters})
            command(**values)

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        run.__annotations__ = {}
        run.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
        return run

    return decorate


def _group_parameters(group: Any, without: tuple[str, ...]) -> list[inspect.Parameter]:
    """One parameter a field, but for those that have no spelling left."""
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for one in dataclasses.fields(group):
        kind, option = get_args(hints[one.name])
        kept = [name for name in _spellings(option) if name not in without]
        if kept:
            option = copy.copy(option)
            option.default, option.param_decls = kept[0], tuple(kept[1:])
            default = one.default_factory() if callable(one.default_factory) else one.default
            parameters.append(_parameter(one.name, Annotated[kind, option], default))
    return parameters


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter for typer, whose number or path we read, and speak of, ourselves."""
    kind, option = get_args(annotation)[:2] if hasattr(annotation, "__metadata__") else (annotation, None)
    read = next((read for type_, read in _BY_TYPE.items() if type_ in (kind, *get_args(kind))), None)
    if read and option and not option.parser and not getattr(option, "count", False):
        option = copy.copy(option)
        option.parser = functools.partial(read, max(_spellings(option), key=len, default="") or option.metavar)
        annotation = Annotated[kind, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _spellings(option: Any) -> list[str]:
    """All names of an option: in Annotated, typer keeps the first where a default would stand."""
    return [name for name in (option.default, *(option.param_decls or ())) if isinstance(name, str)]
