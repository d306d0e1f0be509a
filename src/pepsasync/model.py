"""The words of the field as frozen values: products, queries, deliveries, reports.

Leaf module: it imports nothing of this package but the errors and what notebooks show.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pepsasync.errors import ConfigError
from pepsasync.html import Link, html_table, html_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from shapely.geometry.base import BaseGeometry

    from pepsasync.errors import PepsasyncError


_V = TypeVar("_V")

FinalName: TypeAlias = "Path | str"
"""Of a product that is complete and verified: a file or folder on a disk, or the address of an object: `s3://...`."""


class StorageTier(StrEnum):
    """Where the archive has a product at the moment it was asked."""

    DISK = "disk"
    """Can be downloaded now."""
    TAPE = "tape"
    """Has to be staged first."""
    STAGING = "staging"
    """Is on its way from tape to disk."""
    UNKNOWN = "unknown"
    """The archive did not say; only a download request can tell."""


class DeliveryStatus(StrEnum):
    """What became of one product."""

    DELIVERED = "delivered"
    """Downloaded, verified and under its final name."""
    SKIPPED = "skipped"
    """Was already there, complete and verified."""
    FAILED = "failed"
    """Not there; `Delivery.error` says why."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest that the archive announces for a product."""

    algorithm: str
    """Lower case, as hashlib names it: `md5`; or `blake3`."""
    value: str
    """Hexadecimal digits, lower case. Archives write either case; compare only through this class."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "algorithm", self.algorithm.lower())
        object.__setattr__(self, "value", self.value.lower())

    def __str__(self) -> str:
        """`md5:9fc3...`, the form used in reports."""
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True, slots=True)
class Quota:
    """Products that one account may download in a sliding window of time."""

    products: int
    seconds: float

    def __post_init__(self) -> None:
        if self.products < 1 or not self.seconds > 0:
            raise ConfigError(f"a quota of {self.products} products in {self.seconds:g} s is invalid")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of an order, each carried out by a program of its own: the second of eight.

    A product belongs to the part that its name says, in every program and on every machine.
    """

    number: int
    """From 1 on."""
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"there is no part {self.number} of {self.count}", hint="Parts are 1/8, 2/8, ... 8/8")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, name: str) -> bool:
        """Whether a product belongs to this part."""
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) % self.count == self.number - 1

    def share(self, total: int) -> int:
        """This part's share of something that all parts have together."""
        return total // self.count + (self.number <= total % self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One downloadable unit of an archive: usually a zip that holds one `.SAFE` folder."""

    id: str
    """The archive's own id, from its reply; unique within one provider."""
    name: str
    """Product name without extension, the same in every archive."""
    provider: str
    """Name of the archive that described it, as `--provider` takes it."""
    collection: str
    """The archive's own collection name."""
    download_url: str
    """Absolute URL of the bytes."""
    tier: StorageTier = StorageTier.UNKNOWN
    """Storage tier when the catalogue was asked."""
    size: int | None = None
    """Bytes of the zip; None when the catalogue does not say."""
    size_is_estimate: bool = False
    """Whether the archive makes the zip while it sends it, so that it may be longer or shorter."""
    checksum: Checksum | None = None
    """Digest of the zip, with which it is compared; None when the catalogue does not say."""
    checksums: tuple[Checksum, ...] = ()
    """All digests of the zip that the catalogue announces, `checksum` among them."""
    product_type: str | None = None
    """`GRD`, `SLC`, `S2MSI1C`, ..."""
    sensor_mode: str | None = None
    """`IW`, `EW`, `INS-NOBS`, ..."""
    platform: str | None = None
    """`S1A`, `S2B`, ..."""
    start: datetime | None = None
    """Acquisition start, UTC, aware."""
    end: datetime | None = None
    """Acquisition end, UTC, aware."""
    orbit: int | None = None
    """Absolute orbit number."""
    relative_orbit: int | None = None
    """1-175 for Sentinel-1, 1-143 for Sentinel-2."""
    orbit_direction: str | None = None
    """`ascending` or `descending`."""
    cloud_cover: float | None = None
    """Percent; None when unknown or meaningless (radar)."""
    tile: str | None = None
    """MGRS tile without T, `31TCJ`."""
    polarisation: str | None = None
    """`VV VH`, ..."""
    timeliness: str | None = None
    """`Fast-24h`, `NRT-3h`, `Nominal`, ..., as the archive writes it."""
    published: datetime | None = None
    """When the archive published it, UTC, aware."""
    quicklook_url: str | None = None
    """Preview image."""
    storage_url: str | None = None
    """Address in the archive's object store, where the archive wants to be asked by it."""
    order: str | None = None
    """What the archive calls the order of this product, where products are ordered before they can be downloaded."""
    attributes: Mapping[str, Any] | None = field(default=None, hash=False)
    """Of the archive's own attributes those that the query asked for; None when it asked for none."""
    footprint: Mapping[str, Any] | None = field(default=None, hash=False)
    """GeoJSON geometry, EPSG:4326, longitude before latitude, degrees."""

    def __post_init__(self) -> None:
        if self.checksum is not None and self.checksum not in self.checksums:
            object.__setattr__(self, "checksums", (self.checksum,))

    def _repr_html_(self) -> str:
        """All that is known, as notebooks show it."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        rows: list[tuple[str | Link, ...]] = [
            (name, Link(value, value) if name in ("download_url", "quicklook_url") else str(value))
            for name, value in facts.items()
            if value not in (None, (), False) and name != "footprint"
        ]
        return html_table((self.name,), rows)

    @property
    def exact_size(self) -> int | None:
        """Bytes that the zip has for sure; None when nobody knows before it is there."""
        return None if self.size_is_estimate else self.size


class AttributeKind(StrEnum):
    """What the values of an attribute are."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole number"
    INSTANT = "instant"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of products that an archive can be asked for."""

    name: str
    """As the archive names it."""
    kind: AttributeKind = AttributeKind.TEXT
    values: tuple[str, ...] = ()
    """Usual values, as far as the archive tells them."""
    lowest: float | None = None
    highest: float | None = None


MOST_SHOWN = 50
"""Rows of a table in a notebook."""


def products_as_html(products: Sequence[Product]) -> str:
    """Return a table of products as notebooks show it: the first `MOST_SHOWN`, and how many there are."""
    rows = [
        (
            one.name,
            str(one.tier),
            _megabytes(one.size),
            f"{one.start:%Y-%m-%d %H:%M:%S}" if one.start else "",
            f"{one.cloud_cover:.0f} %" if one.cloud_cover is not None else "",
            Link("open" if one.quicklook_url else "", one.quicklook_url),
        )
        for one in products[:MOST_SHOWN]
    ]
    return html_table(("name", "tier", "size", "start", "clouds", "quicklook"), rows) + _count(len(products), "product")


def deliveries_as_html(deliveries: Sequence[Delivery]) -> str:
    """Return a table of outcomes as notebooks show it: the first `MOST_SHOWN`, and how many there are."""
    rows = [
        (one.product.name, str(one.status), _megabytes(one.bytes or None), str(one.path or ""), str(one.error or ""))
        for one in deliveries[:MOST_SHOWN]
    ]
    return html_table(("name", "status", "size", "path", "error"), rows) + _count(len(deliveries), "outcome")


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:,.1f} MB" if size is not None else ""


def _count(number: int, word: str) -> str:
    shown = f", the first {MOST_SHOWN} are shown" if number > MOST_SHOWN else ""
    return f"<p>{number:,} {word}{'' if number == 1 else 's'}{shown}</p>"


_TILE = re.compile(r"^T?(\d{2})([C-HJ-NP-X])([A-HJ-NP-Z]{2})$", re.IGNORECASE)


def parse_tile(text: str) -> str:
    """Return an MGRS tile id in the canonical form `31TCJ`.

    Args:
        text: Five characters, any case, with or without the leading T: `t31tcj`.

    Raises:
        ConfigError: Not a tile id.
    """
    match = _TILE.match(text.strip())
    if match is None or not 1 <= int(match[1]) <= 60:
        raise ConfigError(f"{text!r} is not an MGRS tile", hint="Tiles look like 31TCJ or T31TCJ")
    return (match[1] + match[2] + match[3]).upper()


def several(value: _V | tuple[_V, ...] | None) -> tuple[_V, ...]:
    """Return the values of a criterion of a `Query`, however many there are: none, one, or a tuple of them."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def only(value: _V | tuple[_V, ...] | None) -> _V | None:
    """Return the value of a criterion of a `Query` that has one at most.

    Raises:
        ValueError: It has several.
    """
    if isinstance(value, tuple):
        raise ValueError(f"one value was expected, not {value!r}")  # noqa: TRY004 - the value, not its kind
    return value


SEVERAL = ("collection", "product_type", "sensor_mode", "tile", "location", "relative_orbit", "platform")
"""Criteria of a `Query` that may have several values."""


FARTHEST = 20_000_000.0
"""Metres from one end of the earth to the other."""

CHOICES = {
    "orbit_direction": ("ascending", "descending"),
    "sort": ("date", "clouds", "size", "cover"),
    "per": ("day", "tile"),
}
"""Words that these criteria of a `Query` know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for, in words that mean the same in every archive.

    `pepsasync.query.criteria.build_query()` makes one from text as users write it; the constructor takes clean values
    and refuses impossible ones with `ConfigError`. The criteria of `SEVERAL` hold one value, or a tuple of at least two
    of which a product needs one; several areas are one geometry.
    """

    collection: str | tuple[str, ...] | None = None
    """`S1`, `S2`, `S2ST`, `S3`, or the archive's own collection name."""
    product_type: str | tuple[str, ...] | None = None
    """`GRD`, `SLC`, `OCN`, `S2MSI1C`, ..."""
    sensor_mode: str | tuple[str, ...] | None = None
    """`IW`, `EW`, `INS-NOBS`, ..."""
    start: datetime | None = None
    """First acquisition instant, inclusive, UTC, aware."""
    end: datetime | None = None
    """End of the acquisition period, exclusive, UTC, aware."""
    tile: str | tuple[str, ...] | None = None
    """MGRS tile, canonical (`31TCJ`)."""
    location: str | tuple[str, ...] | None = None
    """Place name."""
    area: BaseGeometry | None = None
    """Area of interest, EPSG:4326, longitude first, degrees; already split at the antimeridian."""
    buffer: float | None = None
    """Metres on the ground by which the area is widened, or that of the tiles or places, which are searched as an area
    then."""
    relative_orbit: int | tuple[int, ...] | None = None
    """1-175 for Sentinel-1, 1-143 for Sentinel-2, 1-385 for Sentinel-3."""
    cloud_cover: float | None = None
    """Highest cloud cover, percent. Radar products are wanted whatever it is."""
    min_cloud_cover: float | None = None
    """Lowest cloud cover, percent."""
    orbit_direction: str | None = None
    """`ascending` or `descending`."""
    polarisation: str | None = None
    """Channels that a radar product must have: `VV VH`, or one of them. Other products are wanted whatever it is."""
    timeliness: str | None = None
    """`Fast-24h`, `NRT-3h`, ...; of products whose archive tells it."""
    months: tuple[int, ...] = ()
    """Months of the acquisition, 1-12, of any year."""
    cover: float | None = None
    """Least share of the area, percent, that the footprint covers; of a tile where products have one."""
    sort: str | None = None
    """What comes first: `date` the newest, `clouds` the clearest, `size` the largest, `cover` what covers most of the
    area. All products are found before the first one comes, and `limit` counts from there."""
    per: tuple[str, ...] = ()
    """`day`, `tile` or both: of each only the first one, as `sort` tells; without it the clearest, then the newest."""
    platform: str | tuple[str, ...] | None = None
    """`S1A`, ..."""
    published_since: datetime | None = None
    """Published by the archive at this instant or later, UTC, aware. Acquisition is another matter: see `start`."""
    property: tuple[str, ...] = ()
    """Conditions on attributes as the archive names them: `cloudCover<20`; `query.attributes` reads them. Several
    values of one attribute are alternatives, everything else has to be true."""
    names: tuple[str, ...] = ()
    """Products by name, without extension; when given, the other criteria only narrow them."""
    latest: bool = False
    """Of several processings of one acquisition keep the newest."""
    twins: bool = False
    """Of a Sentinel-1 GRD product and its cloud-optimised copy (`_COG`) take the copy when only that one is online."""
    limit: int | None = None
    """At most this many products."""

    def __post_init__(self) -> None:
        for name in SEVERAL:
            if isinstance(values := getattr(self, name), tuple | list):
                different = tuple(dict.fromkeys(values))
                object.__setattr__(self, name, different if len(different) > 1 else next(iter(different), None))
        for name in ("start", "end", "published_since"):
            instant = getattr(self, name)
            if instant is not None and getattr(instant, "tzinfo", None) is None:
                raise ConfigError(
                    f"the {name.replace('_', ' ')} {instant} has no time zone",
                    hint="Give one, as in datetime(2017, 1, 1, tzinfo=UTC); build_query() takes a time without as UTC",
                )
        if self.start and self.end and self.start >= self.end:
            raise ConfigError(
                f"the period from {self.start:%Y-%m-%dT%H:%M:%SZ} to {self.end:%Y-%m-%dT%H:%M:%SZ} is empty",
                hint="The end is exclusive: for one day use -d 2015-11-01 -f 2015-11-02",
            )
        object.__setattr__(self, "months", tuple(dict.fromkeys(self.months)))
        object.__setattr__(self, "per", tuple(dict.fromkeys(self.per)))
        object.__setattr__(self, "property", tuple(dict.fromkeys(self.property)))
        self._check_percentages()
        self._check_choices()
        for orbit in several(self.relative_orbit):
            if not 1 <= orbit <= 385:
                hint = "Sentinel-1 has 1-175, Sentinel-2 1-143, Sentinel-3 1-385"
                raise ConfigError(f"relative orbit {orbit} does not exist", hint=hint)
        if self.buffer is not None and not 0 < self.buffer < FARTHEST:
            raise ConfigError(f"a buffer of {self.buffer:g} metres is no distance", hint="Write 5km or 500m")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit} is not a positive number")

    def _check_percentages(self) -> None:
        percentages = {"cloud cover": self.cloud_cover, "lowest cloud cover": self.min_cloud_cover, "cover": self.cover}
        for what, percent in percentages.items():
            if percent is not None and not 0 <= percent <= 100:
                raise ConfigError(f"{what} {percent:g} is not a percentage between 0 and 100")
        most = 100 if self.cloud_cover is None else self.cloud_cover
        if self.min_cloud_cover is not None and self.min_cloud_cover > most:
            raise ConfigError(f"the lowest cloud cover {self.min_cloud_cover:g} is above the highest, {most:g} percent")

    def _check_choices(self) -> None:
        if wrong := [month for month in self.months if month not in range(1, 13)]:
            raise ConfigError(f"there is no month {wrong[0]}", hint="Months are 1 to 12")
        for criterion, words in CHOICES.items():
            for word in several(getattr(self, criterion)):
                if word not in words:
                    what = f"{criterion.replace('_', ' ')} cannot be {word!r}"
                    raise ConfigError(what, hint=f"Use one of {', '.join(words)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a traceability service says of the file of a product, and whether its signature is right."""

    event: str
    """`CREATE`, `COPY`, `DELETE` or `OBSOLETE`."""
    algorithm: str
    """Of its checksums, as `Checksum` writes it."""
    checksum: str
    """Of the file, hexadecimal digits, lower case."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """Checksums of files in it, by their paths, as far as they were signed."""
    origin: str = ""
    """Who registered it, as the service says."""
    registered: datetime | None = None
    """UTC, aware."""
    signer: str = ""
    """Name in the certificate of the signature."""
    obsolete: str = ""
    """Why the product should not be used any more."""
    problem: str = ""
    """What is wrong with the signature; empty when it is right."""


class TraceVerdict(StrEnum):
    """What the traces of a product say of a file."""

    RIGHT = "right"
    """A trace whose signature is right has its checksum."""
    WRONG = "wrong"
    """Traces whose signatures are right have other checksums."""
    FORGED = "forged"
    """No signature of its traces is right."""
    MISSING = "missing"
    """There is no trace that could be compared."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A file compared with its traces."""

    verdict: TraceVerdict
    reason: str = ""
    trace: Trace | None = None
    """The one that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The outcome of one product."""

    product: Product
    status: DeliveryStatus
    path: Path | None = None
    """Where it is: `NAME.zip`, or the folder `NAME.SAFE` when extracted; None when it failed, or is in a bucket."""
    bytes: int = 0
    """Size of the verified zip in bytes; of the members, where some were asked for."""
    checksum: Checksum | None = None
    """What the archive of the bytes announced, and they have; None when it announced none."""
    staged_seconds: float = 0.0
    """Seconds from the staging request until the product was online."""
    download_seconds: float = 0.0
    """Seconds from the first byte of this run until it was verified and promoted."""
    attempts: int = 0
    """Download requests sent in this run."""
    resumed_bytes: int = 0
    """Bytes that were here when the download began and were not fetched again."""
    data_path: str | None = None
    """How they came: `drained`, past the event loop, or `plain`, over it; None when nothing came in this run."""
    source: str = ""
    """Name of the archive that the bytes came from."""
    members: tuple[str, ...] | None = None
    """Members that were asked for and are here, by path in the folder of the product; None for a whole product."""
    worker: str | None = None
    """Address of the worker that brought it; None when it was this process."""
    error: PepsasyncError | None = None
    """Why it failed."""

    def _repr_html_(self) -> str:
        """What became of the product, as notebooks show it."""
        return deliveries_as_html((self,))

    trace: Traced | None = None
    """Compared with the traces of the archive; None when that was not asked for."""
    url: str | None = None
    """Where it is in a bucket: `s3://bucket/prefix/NAME.zip`; None on a disk."""

    @property
    def final_name(self) -> FinalName | None:
        """Where it is, on a disk or in a bucket."""
        return self.path or self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Quicklook:
    """The picture that an archive shows of a product."""

    product: Product
    path: Path | None = None
    """Where it is; None when there is none."""
    error: PepsasyncError | None = None
    """Why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a whole run did."""

    provider: str
    started: datetime
    """UTC, aware."""
    seconds: float
    deliveries: tuple[Delivery, ...] = ()
    """In the order in which the outcomes were known."""
    left_out: tuple[str, ...] = ()
    """Names of products on tape that the run was told not to wait for."""
    superseded: tuple[tuple[str, str], ...] = ()
    """Id and name of products in whose place another of the same name was brought."""
    fell_short: tuple[tuple[int, int], ...] = ()
    """Results that an archive had estimated, and those that came, of searches that found far fewer."""
    error: BaseException | None = None
    """What ended the run early."""
    matched: int = 0
    """Products that were wanted, as far as was known when the run was ended early."""

    def _repr_html_(self) -> str:
        """The run in a sentence and its outcomes, as notebooks show them."""
        counts = Counter(one.status for one in self.deliveries)
        words = ", ".join(f"{counts[status]:,} {status}" for status in DeliveryStatus if counts[status])
        left = f", {len(self.left_out):,} left out" if self.left_out else ""
        ended = f" It ended early: {html_text(str(self.error) or type(self.error).__name__)}." if self.error else ""
        head = f"<p>{html_text(self.provider)}, {self.seconds:,.0f} s: {words or 'nothing'}{left}.{ended}</p>"
        return head + deliveries_as_html(self.deliveries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a product, as the directory of its zip lists it."""

    path: str
    """In the folder of the product."""
    size: int
    """Bytes of the file."""
    packed_size: int
    """Bytes in the zip."""
    crc: int | None
    """CRC-32; None where the archive does not tell it."""
    is_packed: bool
    """Whether it is compressed in the zip; of one that is not, any part can be read without the rest."""


@dataclass(frozen=True, slots=True)
class Account:
    """What an archive tells of the account whose credentials are used."""

    quota_left: int | None = None
    """Products that may be downloaded now; None when the archive does not tell."""
    quota_products: int | None = None
    """Products of the whole window; None when the archive does not tell."""
    is_share: bool = False
    """Whether this is a share for one of several programs: what it has counted itself, it has used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive bears; each value comes from its protocol notes."""

    page_size: int
    """Products a catalogue page."""
    downloads: int
    """Concurrent downloads of one account."""
    staging_requests: int
    """Concurrent staging requests."""
    poll_batch: int
    """Products that one call of `tiers` takes."""
    bounded_ranges: bool
    """Whether `Range: bytes=A-B` is safe, so that one file can come over several connections."""
    search_pages: int = 1
    """Concurrent requests for pages of one search."""
    sessions: bool = False
    """Whether the account logs in to a session, for which a code may be asked from the user."""
    stages: bool = True
    """Whether programs can ask for staging; otherwise tape products are only awaited."""
    orders: bool = False
    """Whether every product has to be asked for before its download, wherever it is."""
    tiers_in_search: bool = True
    """Whether catalogue results tell where products are; otherwise `tiers` is asked for each page of them."""
    knows_places: bool = False
    """Whether the archive searches by place name itself; otherwise the embedded gazetteer is asked."""
    poll_interval: float = 5.0
    """Seconds between two looks at waiting products when things move."""
    quota: Quota | None = None
    """Products that an account may download in a window of time."""


Wanted = Query | Iterable[Product | str | Query]
"""What a run brings: a query, or products, names and queries."""
