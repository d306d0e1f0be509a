"""Read a saved search back, as names of products: the archive is asked again for everything else."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.paths import in_home
from pepsasync.query.product_names import NAME_KEYS, TOP_KEYS, bare_name, product_name
from pepsasync.query.values import parse_name
from pepsasync.text import decoded_text, reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["bare_name", "read_saved"]

LISTS = ("features", "value")
"""Members that hold the records of a document: of GeoJSON and STAC, of OData."""

FORMATS = (
    "It should be what `search -o` writes, GeoJSON of STAC or eodag, a table with a column `name`, "
    "or text with a product name a line"
)

_PARQUET, _SQLITE = b"PAR1", b"SQLite format 3\0"
"""How these files begin."""

_WORDS = (*NAME_KEYS, *TOP_KEYS, "names", "product", "products", "product name", "scene", "filename")
_HEADERS = {re.sub("[^a-z0-9]", "", word.lower()): word for word in _WORDS}
"""Words of a header over product names, by the same without capitals and signs."""


def read_saved(path: str | os.PathLike[str]) -> list[str]:
    """Return the products that a file names, each once, in its order.

    Args:
        path: What `search -o` or `search --format` wrote; JSON lines; STAC items; features of eodag; replies of an
            archive, as `--json` writes them; tables with a column of names, as CSV with any separator, GeoParquet or
            GeoPackage; or text with a name a line, where `#` begins a comment. UTF-8 or UTF-16. `~` is the home
            folder, `-` is standard input.

    Raises:
        ConfigError: The file cannot be read, names nothing, or holds something else.
    """
    file = None if str(path) == "-" else in_home(path, f"cannot read {path}")
    path = path if file else "standard input"
    try:
        names = _from_file(file, path) if file else _from_text(sys.stdin.buffer.read(), path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text", hint=FORMATS) from error
    except (OSError, ValueError) as error:  # the last for a null in the path
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not names:
        raise ConfigError(f"{path} names no products", hint=FORMATS)
    return list(dict.fromkeys(names))


def _from_file(file: Path, path: str | os.PathLike[str]) -> list[str]:
    with file.open("rb") as opened:
        begin = opened.read(len(_SQLITE))
        if begin.startswith(_PARQUET):
            return _from_rows(_parquet_rows(file), path)
        if begin == _SQLITE:
            return _from_rows(_geopackage_rows(file), path)
        return _from_text(begin + opened.read(), path)


def _from_text(data: bytes, path: str | os.PathLike[str]) -> list[str]:
    text = decoded_text(data)
    return _from_json(text, path) if text.lstrip().startswith(("{", "[")) else _from_lines(text, path)


def _from_lines(text: str, path: str | os.PathLike[str]) -> list[str]:
    lines = text.splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.partition("#")[0].strip()), len(lines))
    head = lines[first].strip() if first < len(lines) else ""
    if re.match(r"NAME {2,}SIZE\b", head):  # our own table
        lines = [line.partition(" ")[0] for line in lines[first + 1 :]]
    elif (separator := _separator(head)) is not None:
        rows = csv.DictReader(io.StringIO("".join(lines[first:]), newline=""), delimiter=separator)
        try:
            return _from_rows((row for row in rows if any(row.values())), path)
        except csv.Error as error:
            raise ConfigError(f"{path} is not valid CSV: {error}", hint=FORMATS) from error
    names = (line.partition("#")[0].strip() for line in lines)
    return [_checked(name, path) for name in names if name]


def _separator(head: str) -> str | None:
    """What stands between the cells of a table with a column of names; None when a line is not its header."""
    separator = max(",;\t", key=head.count)
    with contextlib.suppress(csv.Error, StopIteration):
        return separator if any(map(_key, next(csv.reader([head], delimiter=separator)))) else None
    return None


def _key(column: str) -> str | None:
    """The usual word for what a column holds, when it may be names."""
    return _HEADERS.get(re.sub("[^a-z0-9]", "", column.lower()))


def _from_rows(rows: Iterable[dict[Any, Any]], path: str | os.PathLike[str]) -> list[str]:
    """Names in a table, in its column `name` or whichever else may hold them."""
    names = []
    for number, row in enumerate(rows, 1):
        cells = {key: value for column, value in row.items() if isinstance(column, str) and (key := _key(column))}
        if cells.get("name"):
            names.append(_checked(str(cells["name"]), path))
        elif name := product_name({"properties": cells, **cells}) or next(filter(None, cells.values()), None):
            names.append(_checked(str(name), path))
        else:
            raise ConfigError(f"product {number} of {path} has no name", hint=FORMATS)
    return names


def _parquet_rows(file: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("reading GeoParquet needs pyarrow", hint="Try: pip install 'pepsasync[parquet]'") from error
    try:
        with file.open("rb") as opened:
            table = parquet.ParquetFile(opened)
            columns = [column for column in table.schema_arrow.names if _key(column)]
            if columns:
                rows: list[dict[str, Any]] = table.read(columns=columns).to_pylist()
                return rows
    except pa.ArrowException as error:
        raise ConfigError(f"{file} is not valid GeoParquet: {error}", hint=FORMATS) from error
    raise ConfigError(f"{file} has no column of product names", hint=FORMATS)


def _geopackage_rows(file: Path) -> list[dict[str, Any]]:
    import sqlite3  # noqa: PLC0415 - hardly ever needed

    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            tables = connection.execute(
                "SELECT table_name FROM gpkg_contents WHERE data_type IN ('features', 'attributes')"
            )
            for (table,) in tables.fetchall():
                quoted = str(table).replace('"', '""')
                told = connection.execute(f'PRAGMA table_info("{quoted}")').fetchall()
                columns = [row["name"] for row in told if _key(row["name"])]
                if columns:
                    chosen = ", ".join('"{}"'.format(column.replace('"', '""')) for column in columns)
                    rows = connection.execute(f'SELECT {chosen} FROM "{quoted}" ORDER BY rowid')  # noqa: S608 - quoted names
                    return [dict(row) for row in rows]
    except sqlite3.Error as error:
        raise ConfigError(f"{file} is not a valid GeoPackage: {error}", hint=FORMATS) from error
    raise ConfigError(f"{file} has no column of product names", hint=FORMATS)


def _from_json(text: str, path: str | os.PathLike[str]) -> list[str]:
    records = _records(_decoded(text, path))
    if records is None:
        raise ConfigError(f"{path} is JSON, but holds no products", hint=FORMATS)
    return [_name(record, number, path) for number, record in enumerate(records, 1)]


def _decoded(text: str, path: str | os.PathLike[str]) -> Any:
    """The document, or the list of those that stand one a line."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            raise ConfigError(f"{path} is not valid JSON: {reason(error)}", hint=FORMATS) from error


def _records(document: Any) -> list[Any] | None:
    """What a document lists; None when it is no such document."""
    if isinstance(document, list):
        pages = [_records(page) if isinstance(page, dict) else [page] for page in document]
        return None if None in pages else [record for page in pages for record in page or ()]
    if not isinstance(document, dict):
        return None
    for key in LISTS:
        if isinstance(document.get(key), list):
            return list(document[key])
    return [document] if product_name(document) else None


def _name(record: Any, number: int, path: str | os.PathLike[str]) -> str:
    if isinstance(record, str):
        return _checked(record, path)
    name = product_name(record)
    if name is None:
        raise ConfigError(f"product {number} of {path} has no name", hint=FORMATS)
    return name


def _checked(text: str, path: str | os.PathLike[str]) -> str:
    name = bare_name(text)
    try:
        return parse_name("name", name)
    except ConfigError as error:
        raise ConfigError(f"{path}: {text[:80]!r} is not a product name", hint=FORMATS) from error
