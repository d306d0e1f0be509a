"""Which products are processings of one acquisition, and which of them is the newest. Pure functions."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from pepsasync.area.footprint import as_geometry
from pepsasync.model import StorageTier
from pepsasync.query.select import orbit_of, platform_of, tile_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pepsasync.model import Product

_S1_NAME = re.compile(r"^(S1[A-Z]_.+_\d{6}_[0-9A-F]{6})_[0-9A-F]{4}(.*)$")
_S2_NAME = re.compile(r"^(S2[A-Z]_MSI\w+?_\d{8}T\d{6})_N(\d{4})_(R\d{3}_T\w{5})_(\d{8}T\d{6})(.*)$")
_S3_NAME = re.compile(
    r"^(S3[A-Z]_\w\w_\w_\w{6}_\d{8}T\d{6}_\d{8}T\d{6})_(\d{8}T\d{6})_(\w{17})_\w{3}_\w_(?:NR|ST|NT)_\w{3}$"
)
"""Sentinel-3: what, from when to when, when it was made, where; centre, platform and timeliness; processing."""
_OLD_S2_NAME = re.compile(r"^(S2[A-Z]_\w+_PRD_MSI\w+?)_\w{4}_(\d{8}T\d{6})_(R\d{3}_V\w+)$")
_SAME_PLACE = 0.5
"""Share of a footprint that a newer product of the same acquisition must cover to replace it. Tiles at the border of
two data strips come as two products of one acquisition that complete each other: they overlap little."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class _Processing(NamedTuple):
    """What a product is a processing of, and how new it is."""

    acquisition: Hashable
    age: tuple[int, str, datetime]
    """Baseline, processing time, publication: sorts from old to new."""


def latest(products: Iterable[Product]) -> list[Product]:
    """Of several processings of one acquisition keep the newest.

    Two products are processings of one acquisition when these agree:

    - Sentinel-2: the name but for baseline and processing time. The higher baseline is newer (`N0500` than `N0209`),
      then the later processing time, then the later publication.
    - Sentinel-1: the name but for the last four digits. The later publication is newer.
    - Sentinel-3: the name from mission to stop, and the frame. What was made later is newer, whatever its timeliness.
    - others: satellite, acquisition start, relative orbit, tile, product type, mode and polarisation. The later
      publication is newer. A product without an acquisition start is always kept.

    Products of one acquisition whose footprints hardly overlap complete each other: all are kept.

    Args:
        products: Of one or several acquisitions, any order.

    Returns:
        The newest ones, in the order in which they came; of equally new ones the first.
    """
    found = list(products)
    groups: dict[Hashable, list[Product]] = defaultdict(list)
    for product in found:
        groups[_processing(product).acquisition].append(product)
    kept = {id(product) for group in groups.values() for product in (_newest(group) if len(group) > 1 else group)}
    return [product for product in found if id(product) in kept]


def newness(product: Product) -> tuple[int, str, datetime]:
    """How new a processing is: baseline, processing time, publication. See `latest`."""
    return _processing(product).age


def newer_processings(here: Iterable[Product], shown: Iterable[Product]) -> dict[str, Product]:
    """Find products that newer processings of the same acquisition replace, see `latest`.

    Args:
        here: Products that may have been replaced.
        shown: Products that may replace them.

    Returns:
        The newest of `shown` that replaces it, by the name of a product of `here`.
    """
    groups: dict[Hashable, list[Product]] = defaultdict(list)
    for product in shown:
        groups[_processing(product).acquisition].append(product)
    found: dict[str, Product] = {}
    for older in here:
        acquisition, age = _processing(older)
        newer = [product for product in groups.get(acquisition, ()) if newness(product) > age]
        for product in sorted(newer, key=newness, reverse=True):
            if _replaces(product, older):
                found[older.name] = product
                break
    return found


def online_twins(products: Iterable[Product]) -> list[Product]:
    """Of a GRD product and its cloud-optimised copy keep one: the copy where only that one is online.

    CDSE has most GRD products offline after a year, and a copy online whose name ends with `_COG` (CDSE protocol notes,
    news of 2026-11-30). The two agree in their names but for the last four digits and that ending.

    Args:
        products: Of one or several acquisitions, any order.

    Returns:
        Those that are kept, in the order in which they came.
    """
    found = list(products)
    pairs: dict[str, list[Product]] = defaultdict(list)
    for product in found:
        if match := _S1_NAME.match(product.name):
            pairs[match[1]].append(product)
    dropped: set[int] = set()
    for pair in pairs.values():
        copies = [product for product in pair if product.name.endswith("_COG")]
        originals = [product for product in pair if not product.name.endswith("_COG")]
        if copies and originals:
            takes_copy = not any(map(_is_online, originals)) and any(map(_is_online, copies))
            dropped |= {id(product) for product in (originals if takes_copy else copies)}
    return [product for product in found if id(product) not in dropped]


def _is_online(product: Product) -> bool:
    return product.tier is StorageTier.DISK


def _newest(group: Iterable[Product]) -> list[Product]:
    """Products that no newer one of their acquisition replaces."""
    kept: list[Product] = []
    for product in sorted(group, key=newness, reverse=True):
        if not any(_replaces(newer, product) for newer in kept):
            kept.append(product)
    return kept


def _replaces(newer: Product, older: Product) -> bool:
    """Whether a newer processing shows the same place; unless footprints say otherwise, it does."""
    if not newer.footprint or not older.footprint or newer.footprint == older.footprint:
        return True
    new, old = as_geometry(newer.footprint), as_geometry(older.footprint)
    if new is None or old is None or old.area == 0:
        return True
    return bool(new.intersection(old).area >= _SAME_PLACE * old.area)


def _processing(product: Product) -> _Processing:
    published = product.published or _NEVER
    if match := _S2_NAME.match(product.name):
        return _Processing((match[1], match[3], match[5]), (int(match[2]), match[4], published))
    if match := _OLD_S2_NAME.match(product.name):
        return _Processing((match[1], match[3]), (0, match[2], published))
    if match := _S3_NAME.match(product.name):
        return _Processing((match[1], match[3]), (0, match[2], published))
    if match := _S1_NAME.match(product.name):
        return _Processing((match[1], match[2]), (0, "", published))
    return _Processing(_acquisition(product), (0, "", published))


def _acquisition(product: Product) -> Hashable:
    if product.start is None:
        return product.provider, product.id
    kind = (product.product_type, product.sensor_mode, product.polarisation)
    return platform_of(product), product.start, orbit_of(product), tile_of(product), *kind
