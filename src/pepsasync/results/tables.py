"""Products as GeoDataFrame, GeoJSON, CSV and the files made of them.

All shapes hold the same columns:

| column | type | |
|---|---|---|
| `name` | text | product name without extension |
| `id` | text | the archive's own id |
| `provider`, `collection` | text | where it was found |
| `product_type`, `sensor_mode`, `platform` | text | `GRD`, `IW`, `S1A` |
| `start`, `end`, `published` | UTC instant | ISO 8601 with Z in text files, `datetime64[us, UTC]` in a GeoDataFrame |
| `orbit`, `relative_orbit` | integer | `Int64`, may be missing |
| `orbit_direction` | text | `ascending`, `descending` |
| `cloud_cover` | number | percent, may be missing |
| `tile`, `polarisation` | text | `31TCJ`, `VV VH` |
| `tier` | text | `disk`, `tape`, `staging`, `unknown` when the catalogue was asked |
| `size` | integer | bytes, `Int64`, may be missing |
| `checksum` | text | `md5:...` |
| `download_url`, `quicklook_url` | text | absolute |
| `geometry` | footprint | EPSG:4326, longitude first, degrees; WKT in CSV |
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError, DiskFullError
from pepsasync.folder.files import FULL
from pepsasync.paths import in_home
from pepsasync.results.stac import load_pystac, to_item_collection
from pepsasync.text import as_cell, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import geopandas

    from pepsasync.model import Product

COLUMNS = (
    "name",
    "id",
    "provider",
    "collection",
    "product_type",
    "sensor_mode",
    "platform",
    "start",
    "end",
    "published",
    "orbit",
    "relative_orbit",
    "orbit_direction",
    "cloud_cover",
    "tile",
    "polarisation",
    "tier",
    "size",
    "checksum",
    "download_url",
    "quicklook_url",
)
"""Columns besides `geometry`, in the order of every table."""

SUFFIXES = (".geojson", ".json", ".csv", ".parquet", ".gpkg")
"""What `write_products` can write; `.json` is a STAC ItemCollection."""

_INSTANTS = ("start", "end", "published")
_INTEGERS = ("orbit", "relative_orbit", "size")


def to_geodataframe(products: Iterable[Product]) -> geopandas.GeoDataFrame:
    """Return products as a GeoDataFrame in EPSG:4326, one row each, in the order given.

    Args:
        products: From a search.

    Returns:
        The columns of this module's table, then `geometry` (None without a footprint); index 0, 1, 2, ...
    """
    import geopandas  # noqa: PLC0415 - heavy
    import pandas as pd  # noqa: PLC0415 - heavy
    from shapely.geometry import shape  # noqa: PLC0415 - heavy

    rows = list(products)
    table = pd.DataFrame({name: [_value(product, name) for product in rows] for name in COLUMNS})
    for name in _INSTANTS:
        table[name] = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]")
    for name in _INTEGERS:
        table[name] = table[name].astype("Int64")
    table["cloud_cover"] = table["cloud_cover"].astype("float64")
    footprints = [shape(dict(product.footprint)) if product.footprint else None for product in rows]
    geometry = geopandas.GeoSeries(footprints, index=table.index, crs="EPSG:4326")
    return geopandas.GeoDataFrame(table, geometry=geometry)


def to_feature(product: Product) -> dict[str, Any]:
    """Return a product as a GeoJSON feature."""
    return {
        "type": "Feature",
        "id": product.id,
        "geometry": dict(product.footprint) if product.footprint else None,
        "properties": {name: _text(_value(product, name)) for name in COLUMNS},
    }


def to_geojson(products: Iterable[Product]) -> str:
    """Return products as a GeoJSON feature collection."""
    collection = {"type": "FeatureCollection", "features": [to_feature(product) for product in products]}
    return as_json(collection) + "\n"


def to_csv(products: Iterable[Product]) -> str:
    """Return products as CSV with a header; the footprint is WKT in the column `geometry`.

    Text that a spreadsheet would take for a formula has an apostrophe in front.
    """
    from shapely.geometry import shape  # noqa: PLC0415 - heavy

    text = io.StringIO(newline="")
    # Cells are quoted for a line end of either system, and lines end in the plain one.
    row = csv.writer(_CutLineEnds(text), lineterminator="\r\n").writerow
    row((*COLUMNS, "geometry"))
    for product in products:
        footprint = shape(dict(product.footprint)).wkt if product.footprint else None
        row([*(_cell(_value(product, name)) for name in COLUMNS), footprint])
    return text.getvalue()


class _CutLineEnds:
    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    def write(self, row: str) -> None:
        self._text.write(row.removesuffix("\r\n") + "\n")


def write_products(products: Sequence[Product], path: str | os.PathLike[str]) -> None:
    """Write products to a file in the format that its suffix names, whole or not at all.

    Args:
        products: From a search.
        path: One of `SUFFIXES`; `~` is the home folder.

    Raises:
        ConfigError: Unknown suffix, a missing library, or the file cannot be written.
        DiskFullError: There is no room for it.
    """
    target = in_home(path)
    check_suffix(target)
    new = target.with_name(f".{target.stem}.{os.getpid()}.new{target.suffix}")
    try:
        new.write_bytes(_content(products, target.suffix.lower()))
        new.replace(target)
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else ConfigError
        raise kind(f"cannot write {target}: {error.strerror or error}") from error
    except RuntimeError as error:  # of pyogrio
        raise ConfigError(f"cannot write {target}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def check_suffix(path: Path) -> None:
    """Refuse a format that cannot be written, before any work is done.

    Raises:
        ConfigError: Unknown suffix, or the library for it is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"cannot tell the format of {path}", hint=f"Use one of {', '.join(SUFFIXES)}")
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("writing GeoParquet needs pyarrow", hint="Try: pip install 'pepsasync[parquet]'")
    if path.suffix.lower() == ".json":
        load_pystac()


def _content(products: Sequence[Product], suffix: str) -> bytes:
    """The whole file: libraries write it into memory, since paths with `!` or odd bytes mean something else to them."""
    if suffix == ".csv":
        return to_csv(products).encode()
    if suffix == ".geojson":
        return to_geojson(products).encode()
    if suffix == ".json":
        return f"{as_json(to_item_collection(products))}\n".encode()
    file, table = io.BytesIO(), to_geodataframe(products)
    if suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_file(file, layer="products", driver="GPKG")
    return file.getvalue()


def _value(product: Product, column: str) -> Any:
    value = getattr(product, column)
    return str(value) if column in ("tier", "checksum") and value is not None else value


def _cell(value: Any) -> Any:
    return as_cell(value) if isinstance(value, str) else _text(value)


def _text(value: Any) -> Any:
    """What JSON and CSV hold: instants as text, the rest as it is."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
