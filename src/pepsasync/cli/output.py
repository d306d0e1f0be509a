"""Search results on standard output."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from pepsasync.cli.lines import TIER_WORDS
from pepsasync.cli.units import show_count, show_size
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pepsasync.model import Product

FORMATS = ("table", "geojson", "jsonl", "csv", "ids")
"""What `--format` takes; `ids` are names, as `--id @FILE` reads them, `jsonl` is one GeoJSON feature a line."""

HEADER = ("NAME", "SIZE", "TIER", "START", "CLOUDS")


def check_format(name: str) -> None:
    """Refuse an unknown format, before any work is done.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is unknown", hint=f"Use one of {', '.join(FORMATS)}")


def render(products: Sequence[Product], form: str) -> Iterator[str]:
    """Lines of a format, without line ends."""
    from pepsasync.results import tables  # noqa: PLC0415 - not needed for help

    match form:
        case "table":
            yield from table_lines(products)
        case "ids":
            yield from (product.name for product in products)
        case "jsonl":
            yield from (json.dumps(tables.to_feature(product), ensure_ascii=False) for product in products)
        case "csv":
            yield tables.to_csv(products).removesuffix("\n")
        case _:
            yield tables.to_geojson(products).removesuffix("\n")


def table_lines(products: Sequence[Product]) -> Iterator[str]:
    """A table for eyes and grep: names in full, no frames, nothing at all when there are no products."""
    if not products:
        return
    rows = [HEADER, *(_row(product) for product in products)]
    width, *others = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    size, tier, start, clouds = others
    for row in rows:
        yield f"{row[0]:<{width}}  {row[1]:>{size}}  {row[2]:<{tier}}  {row[3]:<{start}}  {row[4]:>{clouds}}".rstrip()


def totals(products: Sequence[Product]) -> str:
    """`12 products, 24.1 MB: 5 on disk, 7 on tape`."""
    if not products:
        return "nothing matches: no product fits these criteria"
    sizes = [product.size for product in products if product.size is not None]
    tiers = Counter(str(product.tier) for product in products)
    where = ", ".join(f"{count:,} {TIER_WORDS[tier]}" for tier, count in sorted(tiers.items()))
    more = "" if len(sizes) == len(products) else f" ({len(products) - len(sizes):,} without a size)"
    return f"{show_count(len(products))}, {show_size(sum(sizes))}{more}: {where}"


def _row(product: Product) -> tuple[str, ...]:
    return (
        product.name,
        show_size(product.size) if product.size is not None else "?",
        str(product.tier),
        f"{product.start:%Y-%m-%dT%H:%M:%SZ}" if product.start else "",
        f"{product.cloud_cover:.0f} %" if product.cloud_cover is not None else "",
    )
