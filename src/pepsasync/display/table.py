"""Products on standard output: as a table for people, or in the formats of programs."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pepsasync.display.output import show, show_exactly
from pepsasync.errors import ConfigError
from pepsasync.text import as_json, one_line, shorten
from pepsasync.units import show_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pepsasync.model import Product

FORMATS = ("table", "geojson", "jsonl", "csv", "ids")
"""What `--format` takes; `ids` are names, as `--id @FILE` reads them, `jsonl` is one GeoJSON feature a line."""

USUAL = ("name", "size", "tier", "start", "clouds")
"""Columns of a table when none are chosen."""

ALIASES = {"clouds": "cloud_cover", "product": "product_type"}
"""Columns by the names of the options that are about them."""

_TO_THE_RIGHT = ("size", "cloud_cover", "orbit", "relative_orbit")
LEAST_WIDTH = 12
"""Characters of a text that is cut to make a table fit."""


def check_format(name: str) -> None:
    """Refuse an unknown format, before any work is done.

    Raises:
        ConfigError: There is no such format.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is unknown", hint=f"Use one of {', '.join(FORMATS)}")


def parse_columns(text: str) -> tuple[str, ...]:
    """Return the columns that a user names, as written: `name,size,tile`.

    Raises:
        ConfigError: There is no such column, or a name is empty.
    """
    from pepsasync.nearest import meant  # noqa: PLC0415 - hardly ever
    from pepsasync.results.tables import COLUMNS  # noqa: PLC0415 - not needed for help

    names = tuple(name.strip().lower() for name in text.split(","))
    if "" in names:
        raise ConfigError(f"--columns: a value is empty in {text!r}", hint="Leave it out, or give it a value")
    for name in names:
        if ALIASES.get(name, name) not in COLUMNS:
            close = meant(name, (*COLUMNS, *ALIASES))
            hint = f"Did you mean {close}?" if close else f"There are {', '.join(COLUMNS)}"
            raise ConfigError(f"--columns: there is no column {name!r}", hint=hint)
    return names


def show_products(products: Sequence[Product], form: str, columns: Sequence[str] = USUAL) -> None:
    """Write products to standard output in a format.

    Args:
        products: From a search.
        form: One of `FORMATS`.
        columns: Of a table, as `parse_columns` returns them.
    """
    from pepsasync.results import tables  # noqa: PLC0415 - not needed for help

    match form:
        case "table":
            show_table(products, columns)
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


def show_table(products: Sequence[Product], columns: Sequence[str] = USUAL) -> None:
    """Write a table without frames, nothing at all when there are no products.

    For grep and files everything is there in full; on a terminal, long texts are cut in their middle so that a product
    takes one line.
    """
    if not products:
        return
    width = _terminal_width()
    for line in table_lines(products, columns, width):
        show(line)


def table_lines(products: Sequence[Product], columns: Sequence[str], width: int | None = None) -> list[str]:
    """Return a table, a line for its header and one for each product.

    Args:
        products: From a search.
        columns: As `parse_columns` returns them.
        width: Characters of the terminal; None for as many as it takes.
    """
    fields = [ALIASES.get(name, name) for name in columns]
    rows = [[_text(field, getattr(product, field)) for field in fields] for product in products]
    header = [name.upper() for name in columns]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if width is not None:
        _fit(widths, width - 2 * (len(widths) - 1), [len(text) for text in header])
    lines = []
    for row in (header, *rows):
        cells = (
            f"{text:>{size}}" if field in _TO_THE_RIGHT else f"{shorten(text, size):<{size}}"
            for field, text, size in zip(fields, row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return lines


def _fit(widths: list[int], room: int, headers: Sequence[int]) -> None:
    """Take from the widest columns, one character after the other, what is too much."""
    least = [max(LEAST_WIDTH, header) for header in headers]
    while sum(widths) > room:
        spare, widest = max((widths[column] - least[column], column) for column in range(len(widths)))
        if spare <= 0:
            return
        widths[widest] -= 1


def _terminal_width() -> int | None:
    """Characters of a line, when standard output is a terminal."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    except (OSError, ValueError, AttributeError):
        return None


def _text(field: str, value: Any) -> str:
    if field == "size":
        return show_size(value) if value is not None else "?"
    if value is None:
        return ""
    if field == "cloud_cover":
        return f"{value:.0f} %"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return one_line(str(value))
