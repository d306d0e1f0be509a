"""Read a saved search back, as names of products: the archive is asked again for everything else."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.decide.values import parse_name
from pepsasync.errors import ConfigError
from pepsasync.results.names import bare_name, product_name

if TYPE_CHECKING:
    import os

__all__ = ["bare_name", "read_saved"]

LISTS = ("features", "value")
"""Members that hold the records of a document: of GeoJSON and STAC, of OData."""

FORMATS = "It should be GeoJSON (of `search -o`, of STAC, of eodag), or text with a product name a line"


def read_saved(path: str | os.PathLike[str]) -> list[str]:
    """Return the products that a file names, each once, in its order.

    Args:
        path: GeoJSON or CSV as written by `search -o`, JSON lines; STAC items; features of eodag; replies of an
            archive, as `--json` writes them; or text with a name a line, where `#` begins a comment. `~` is the home
            folder.

    Raises:
        ConfigError: The file cannot be read, names nothing, or holds something else.
    """
    try:
        text = Path(path).expanduser().read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text", hint=FORMATS) from error
    except (OSError, RuntimeError, ValueError) as error:  # no such home, a null in the path
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    names = _from_json(text, path) if text.lstrip().startswith(("{", "[")) else _from_lines(text, path)
    if not names:
        raise ConfigError(f"{path} names no products", hint=FORMATS)
    return list(dict.fromkeys(names))


def _from_lines(text: str, path: str | os.PathLike[str]) -> list[str]:
    if text.startswith("name,"):  # our own CSV
        try:
            lines = [row["name"] or "" for row in csv.DictReader(io.StringIO(text))]
        except csv.Error as error:
            raise ConfigError(f"{path} is not valid CSV: {error}", hint=FORMATS) from error
    else:
        lines = [line.partition("#")[0] for line in text.splitlines()]
    return [_checked(line.strip(), path) for line in lines if line.strip()]


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
            raise ConfigError(f"{path} is not valid JSON: {error}", hint=FORMATS) from error


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
