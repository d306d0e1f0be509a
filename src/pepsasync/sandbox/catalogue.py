"""Products of the embedded archive: what they are, and how a catalogue of them grows from a seed."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import TYPE_CHECKING

from shapely.geometry import box

from pepsasync.sandbox import sentinel1, sentinel2

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

ID_NAMESPACE = uuid.UUID("92708059-2077-45a3-a4f3-1eb428789cff")
"""Namespace of feature ids (PEPS protocol notes, section 3.2)."""
REMEMBERED = 1 << 16
"""Products whose ids and properties the protocols keep: a search looks at all of them."""
TRUE_MD5 = "md5"
"""Value of `CatalogueProduct.checksum` that stands for the real digest of the content."""

Area = tuple[float, float, float, float]
DEFAULT_AREA: Area = (0.0, 42.6, 3.0, 44.6)
"""West, south, east, north in degrees (EPSG:4326): around Toulouse."""
DEFAULT_PERIODS = {
    "S1": (datetime(2015, 11, 1, tzinfo=UTC), datetime(2015, 12, 1, tzinfo=UTC)),
    "S2ST": (datetime(2017, 1, 1, tzinfo=UTC), datetime(2017, 2, 1, tzinfo=UTC)),
}
"""Acquisition period of each collection when none is asked for."""


def feature_id(collection: str, name: str) -> str:
    """Return the archive's id of a product (PEPS protocol notes, section 3.2)."""
    return str(uuid.uuid5(ID_NAMESPACE, f"{collection}:{name.upper()}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueProduct:
    """One product of the archive, as its database knows it."""

    name: str
    """Product name without extension."""
    collection: str
    """`S1` or `S2ST`."""
    product_type: str
    """`GRD`, `SLC`, `OCN`, `S2MSI1C`."""
    platform: str
    """`S1A`, `S1B`, `S2A`, `S2B`."""
    start: datetime
    """Start of acquisition, UTC."""
    end: datetime
    """End of acquisition, UTC; equal to the start for Sentinel-2."""
    orbit: int
    """Absolute orbit number."""
    relative_orbit: int
    """Relative orbit number."""
    footprint: BaseGeometry
    """Outline, EPSG:4326 (longitude, latitude)."""
    size: int
    """Length of the zip file in bytes."""
    orbit_direction: str = "descending"
    """`ascending` or `descending`."""
    sensor_mode: str = "INS-NOBS"
    """`IW`, `EW`, `SM`, `WV`; `INS-NOBS` for Sentinel-2."""
    polarisation: str = ""
    """`VV VH`, `VV`, ...; empty for Sentinel-2."""
    tile: str = ""
    """MGRS tile without the leading T; empty for Sentinel-1."""
    cloud_cover: float | None = 0
    """Percent; None is published as null."""
    mode: str = "disk"
    """Where the product is when the archive opens: one of `robot.MODES`."""
    id: str = ""
    """Feature id; computed from collection and name when empty."""
    take_id: int | str | None = None
    """Mission take: a number for Sentinel-1, a string for Sentinel-2."""
    cycle: int = 0
    """Sentinel-1 cycle number."""
    published: datetime | None = None
    """Publication; six hours after acquisition when None."""
    realtime: str = "Nominal"
    """Timeliness: `Nominal`, `Fast-24h`, ..."""
    nrt: bool = False
    """Near real time: always on disk."""
    visible: bool = True
    """False: replaced by another feature."""
    new_version: str | None = None
    """Id of the replacing feature."""
    checksum: str | None = TRUE_MD5
    """Announced checksum: `TRUE_MD5`, another string taken as it is, or None for null."""
    keywords: bool = field(default=True)
    """False publishes an empty keyword list."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", feature_id(self.collection, self.name))
        if self.published is None:
            object.__setattr__(self, "published", self.start + timedelta(hours=6))


def generate(
    count: int,
    *,
    size: int,
    vary: bool = True,
    tape_fraction: float = 0.5,
    seed: int = 1,
    area: Area | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> tuple[CatalogueProduct, ...]:
    """Return a catalogue of Sentinel-1 and Sentinel-2 products, the same for the same arguments.

    Args:
        count: Number of products, half of them of each collection.
        size: Bytes of a product.
        vary: Let sizes differ by up to 20 % from `size`.
        tape_fraction: Part of each collection that is on tape, 0 to 1.
        seed: Seed of everything random.
        area: West, south, east, north in degrees (EPSG:4326); around Toulouse by default.
        start: First acquisition (UTC).
        end: Acquisitions are before this moment (UTC). Without a period, `DEFAULT_PERIODS` holds.

    Raises:
        ValueError: No satellite passes over the area in the period.
    """
    outline = box(*(area or DEFAULT_AREA))
    shares = {"S2ST": count - count // 2, "S1": count // 2}
    sources = {
        collection: _passes(collection, outline, start, end, random.Random(f"{seed}:{collection}"))
        for collection in shares
    }
    _move_shares(shares, sources)
    products = [
        product
        for collection, number in shares.items()
        for product in _collect(
            sources[collection],
            number,
            size=size,
            vary=vary,
            tape_fraction=tape_fraction,
            seed=f"{seed}:{collection}:sizes",
        )
    ]
    return tuple(sorted(products, key=lambda product: (product.start, product.name)))


def _passes(
    collection: str, area: BaseGeometry, start: datetime | None, end: datetime | None, rng: random.Random
) -> list[CatalogueProduct]:
    first, last = DEFAULT_PERIODS[collection]
    if start is not None or end is not None:
        first = start or (end or last) - timedelta(days=31)
        last = end or first + timedelta(days=31)
    module = sentinel1 if collection == "S1" else sentinel2
    return [CatalogueProduct(**values) for values in module.acquisitions(area, first, last, rng)]


def _move_shares(shares: dict[str, int], sources: dict[str, list[CatalogueProduct]]) -> None:
    """Let the other collection take the share of one that has nothing in the period."""
    if sum(shares.values()) and not any(sources.values()):
        raise ValueError("no satellite passes over the area in the period: widen one of them")
    for collection, other in (("S1", "S2ST"), ("S2ST", "S1")):
        if not sources[collection]:
            shares[other] += shares.pop(collection, 0)


def _collect(
    found: Sequence[CatalogueProduct], number: int, *, size: int, vary: bool, tape_fraction: float, seed: str
) -> list[CatalogueProduct]:
    rng = random.Random(seed)
    chosen = list(islice(_with_versions(found), number))
    taped = set(rng.sample(range(len(chosen)), round(tape_fraction * len(chosen))))
    return [
        replace(
            product,
            size=round(size * rng.uniform(0.8, 1.2)) if vary else size,
            mode="tape" if at in taped else "disk",
        )
        for at, product in enumerate(chosen)
    ]


def _with_versions(found: Sequence[CatalogueProduct]) -> Iterator[CatalogueProduct]:
    """Yield the acquisitions, then the same reprocessed again and again."""
    yield from found
    for version in count(1) if found else ():
        for product in found:
            yield _processing(product, version)


def next_processing(product: CatalogueProduct, taken: Collection[str]) -> CatalogueProduct:
    """Return the same acquisition processed anew, under the first later name that is not taken."""
    return next(newer for version in count(1) if (newer := _processing(product, version)).name not in taken)


def _processing(product: CatalogueProduct, version: int) -> CatalogueProduct:
    module = sentinel1 if product.collection == "S1" else sentinel2
    return reprocessed(product, module.reprocessed_name(product.name, version))


def reprocessed(product: CatalogueProduct, name: str) -> CatalogueProduct:
    """Return the same acquisition under another name, with the id that goes with it."""
    return replace(product, name=name, id="")
