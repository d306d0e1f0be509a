"""Search results on standard output."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pepsasync.cli.lines import TIER_WORDS
from pepsasync.cli.terminal import show, show_exactly
from pepsasync.cli.units import show_count, show_size
from pepsasync.errors import ConfigError
from pepsasync.text import as_json, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def show_products(products: Sequence[Product], form: str) -> None:
    """Write products to standard output in a format."""
    from pepsasync.results import tables  # noqa: PLC0415 - not needed for help

    match form:
        case "table":
            show_table(products)
        case "ids":
            for product in products:
                show(product.name)
        case "jsonl":
            for product in products:
                show_exactly(as_json(tables.to_feature(product)))
        case "csv":
            show_exactly(tables.to_csv(products).removesuffix("\n"))
        case _:
            show_exactly(tables.to_geojson(products).removesuffix("\n"))


def show_table(products: Sequence[Product]) -> None:
    """Write a table for eyes and grep: names in full, no frames, nothing at all when there are no products."""
    if not products:
        return
    rows = [HEADER, *(_row(product) for product in products)]
    width, *others = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    size, tier, start, clouds = others
    for row in rows:
        show(f"{row[0]:<{width}}  {row[1]:>{size}}  {row[2]:<{tier}}  {row[3]:<{start}}  {row[4]:>{clouds}}".rstrip())


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
        one_line(product.name),
        show_size(product.size) if product.size is not None else "?",
        str(product.tier),
        f"{product.start:%Y-%m-%dT%H:%M:%SZ}" if product.start else "",
        f"{product.cloud_cover:.0f} %" if product.cloud_cover is not None else "",
    )
