"""Read a saved search back, as names of products."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    import os

NAME_KEYS = ("name", "identifier", "productIdentifier", "title")
"""Properties that hold the product's name: ours first, then those of STAC catalogues, resto and its clients."""


def read_saved(path: str | os.PathLike[str]) -> list[str]:
    """Return the products that a file names, each once, in its order.

    Args:
        path: GeoJSON or CSV as written by `search -o`, or text with a name a line; empty lines and
            those that begin with `#` do not count.

    Raises:
        ConfigError: The file cannot be read, or names nothing.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text", hint="It holds GeoJSON, or names of products") from error
    names = _from_geojson(text, path) if text.lstrip().startswith(("{", "[")) else _from_lines(text)
    if not names:
        raise ConfigError(f"{path} names no products")
    return list(dict.fromkeys(names))


def bare_name(name: str) -> str:
    """Return a product's name without folder and without `.zip` or `.SAFE`."""
    name = name.strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
    for suffix in (".zip", ".SAFE"):
        name = name.removesuffix(suffix)
    return name


def _from_lines(text: str) -> list[str]:
    if text.startswith("name,"):  # our own CSV
        return [row["name"] for row in csv.DictReader(io.StringIO(text)) if row["name"]]
    return [bare_name(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _from_geojson(text: str, path: str | os.PathLike[str]) -> list[str]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise ConfigError(f"{path} is JSON, but not a GeoJSON feature collection")
    return [_feature_name(feature, number, path) for number, feature in enumerate(features, 1)]


def _feature_name(feature: Any, number: int, path: str | os.PathLike[str]) -> str:
    properties = (feature.get("properties") or {}) if isinstance(feature, dict) else {}
    for key in NAME_KEYS:
        if isinstance(name := properties.get(key), str) and name:
            return bare_name(name)
    identity = feature.get("id") if isinstance(feature, dict) else None
    if isinstance(identity, str) and identity:
        return bare_name(identity)
    raise ConfigError(f"feature {number} of {path} has no product name")
