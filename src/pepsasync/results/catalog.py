"""A static STAC catalogue of the products in a folder, with links from it to them; all of it blocks.

DIR/stac/catalog.json
DIR/stac/COLLECTION/collection.json
DIR/stac/COLLECTION/items/NAME.json   one a product; its assets are ../../../NAME.zip, ../../../NAME.SAFE/...
DIR/stac/items.parquet                all items as one table (STAC GeoParquet), with the extra `parquet`
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shapely.geometry import shape

from pepsasync.errors import ConfigError, DiskFullError
from pepsasync.folder.files import FULL, new_file, removed_on_error
from pepsasync.folder.names import safe_name
from pepsasync.results.stac import ZIP, describe_file, instant, load_pystac, make_item
from pepsasync.text import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pystac

    from pepsasync.model import Checksum, Product

FOLDER = "stac"
"""In the folder of the products."""

ROOT = "/catalogue"
"""Where pystac believes the catalogue to be: paths of users may look like addresses to it."""

LEGAL_NOTICE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"

EMPTY = ["type", "stac_version", "stac_extensions", "id", "geometry", "links", "assets", "bbox", "collection"]
"""Columns of a table without items."""

TIMES = {"datetime", "start_datetime", "end_datetime", "published", "pepsasync:came"}
"""Properties of an item that are instants."""

KINDS = {
    ".safe": "application/xml",
    ".jp2": "image/jp2",
    ".tiff": "image/tiff; application=geotiff",
    ".nc": "application/netcdf",
}
"""Media types."""

BAND = re.compile(r"_((?:B\d[\dA]|TCI|AOT|WVP|SCL)(?:_\d\dm)?)\.jp2$")
"""Images of Sentinel-2."""

CHANNEL = re.compile(r"^s1.-([a-z0-9]+)-(?:slc|grd|ocn|raw)-([vh]{2})-.*\.(?:tiff|nc)$")
"""Measurements of Sentinel-1: beam and polarisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """A verified product in a folder, and where it is from."""

    product: Product
    path: Path
    """The zip, or the unpacked folder."""
    source: str
    """Archive that its bytes came from."""
    checksum: Checksum | None = None
    """Of the zip, as its archive announced it."""
    came: float | None = None
    """Wall time, seconds since 1970."""
    query: str = ""
    """What it was found by, in words."""


def write_catalog(directory: Path, products: Sequence[OnDisk]) -> Path:
    """Write the catalogue anew; items of products that are not there any more are removed.

    Each file is replaced as a whole, the catalogue and its collections last, so that a reader never finds half a file
    or a link to nothing.

    Args:
        directory: Folder of the products.
        products: All that are there.

    Returns:
        Path of `catalog.json`.

    Raises:
        ConfigError: pystac is missing, or the folder cannot be written.
        DiskFullError: There is no room.
    """
    load_pystac()
    import pystac  # noqa: PLC0415 - an extra

    folder = directory / FOLDER
    catalog = pystac.Catalog("pepsasync", f"Products in {directory.absolute().name}", title="Products on disk")
    groups: dict[str, list[OnDisk]] = {}
    for one in products:
        groups.setdefault(one.product.collection or "unknown", []).append(one)
    for name in sorted(groups):
        catalog.add_child(_collection(name, groups[name], directory))
    catalog.normalize_hrefs(ROOT, strategy=_layout())
    try:
        if importlib.util.find_spec("pyarrow") is not None:
            _write(folder / "items.parquet", _table([*catalog.get_items(recursive=True)]))
        catalog.save(pystac.CatalogType.SELF_CONTAINED, stac_io=_files(folder))
        _remove_others(folder, {_path(folder, item) for item in catalog.get_items(recursive=True)})
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else ConfigError
        raise kind(f"cannot write the catalogue in {folder}: {error.strerror or error}") from error
    return folder / "catalog.json"


def _collection(name: str, products: Sequence[OnDisk], directory: Path) -> pystac.Collection:
    import pystac  # noqa: PLC0415

    items = [_item(one, directory) for one in products]
    times = [time for one in products for time in (one.product.start, one.product.end) if time]
    boxes = [shape(dict(one.product.footprint)).bounds for one in products if one.product.footprint]
    west, south, east, north = zip(*boxes or [(-180.0, -90.0, 180.0, 90.0)], strict=True)
    extent = pystac.Extent(
        pystac.SpatialExtent([[min(west), min(south), max(east), max(north)]]),
        pystac.TemporalExtent([[min(times, default=None), max(times, default=None)]]),
    )
    collection = pystac.Collection(name, f"Products of {name} in this folder", extent, license="other")
    collection.add_link(pystac.Link("license", LEGAL_NOTICE, title="Sentinel data legal notice"))
    collection.add_items(items)
    return collection


def _item(one: OnDisk, directory: Path) -> pystac.Item:
    """An item whose assets are on the disk, and which says where they are from."""
    import pystac  # noqa: PLC0415

    item = make_item(one.product)
    came = None if one.came is None else instant(datetime.fromtimestamp(one.came, UTC))
    origin = {"source": one.source, "query": one.query, "checksum": one.checksum and str(one.checksum), "came": came}
    item.properties |= {f"pepsasync:{name}": value for name, value in origin.items() if value}
    item.properties.pop("pepsasync:tier", None)  # of the archive, long ago
    if one.product.download_url:
        item.add_link(pystac.Link("via", one.product.download_url, media_type=ZIP, title="At the archive"))
    for key, path, kind, role in _files_of(one.path):
        href = f"../../../{quote(path.relative_to(directory).as_posix())}"
        item.add_asset(key, pystac.Asset(href, media_type=kind, roles=[role]))
        describe_file(item, key, path.stat().st_size, one.checksum if path == one.path else None)
    return item


def _files_of(product: Path) -> Iterator[tuple[str, Path, str, str]]:
    """Key, path, media type and role of what can be opened: the zip, or images and manifest of the folder."""
    if product.suffix == ".zip":
        yield "product", product, ZIP, "data"
        return
    known = set[str]()
    for folder, _, names in sorted(os.walk(product)):
        for name in sorted(names):
            path = Path(folder, name)
            key = "manifest" if name == "manifest.safe" else _image(name)
            if key and key not in known and not path.is_symlink():
                known.add(key)
                yield key, path, KINDS[path.suffix], "metadata" if key == "manifest" else "data"


def _image(name: str) -> str | None:
    """`B02_10m` or `iw-vv` for an image; None for other files."""
    if band := BAND.search(name):
        return band[1]
    channel = CHANNEL.match(name)
    return f"{channel[1]}-{channel[2]}" if channel else None


def _layout() -> pystac.layout.HrefLayoutStrategy:
    from pystac.layout import CustomLayoutStrategy  # noqa: PLC0415

    return CustomLayoutStrategy(
        catalog_func=lambda _catalog, _parent, _is_root: f"{ROOT}/catalog.json",
        collection_func=lambda collection, _parent, _is_root: f"{ROOT}/{safe_name(collection.id)}/collection.json",
        item_func=lambda item, parent: f"{parent}/items/{safe_name(item.id)}.json",
    )


def _path(folder: Path, item: pystac.Item) -> Path:
    return folder / posixpath.relpath(item.get_self_href() or ROOT, ROOT)


def _files(folder: Path) -> pystac.StacIO:
    """What pystac writes with."""
    import pystac  # noqa: PLC0415

    class Files(pystac.StacIO):
        def read_text(self, source: Any, *_: Any, **__: Any) -> str:
            raise FileNotFoundError(source)  # all of it is in memory

        def write_text(self, dest: Any, txt: str, *_: Any, **__: Any) -> None:
            _write(folder / posixpath.relpath(os.fspath(dest), ROOT), txt.encode())

        def json_dumps(self, json_dict: dict[str, Any], *_: Any, **__: Any) -> str:
            return f"{as_json(json_dict, indent=1)}\n"

    return Files()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = new_file(path)
    with removed_on_error(new):
        new.write_bytes(content)
        new.replace(path)


def _remove_others(folder: Path, written: set[Path]) -> None:
    """Remove items of ours that were not written now."""
    for path in {*folder.glob("*/items/*.json")} - written:
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # it is not ours
            if "pepsasync:source" in json.loads(path.read_bytes())["properties"]:
                path.unlink()


def _table(items: Iterable[pystac.Item]) -> bytes:
    """All items as one table: https://github.com/stac-utils/stac-geoparquet/blob/main/spec/stac-geoparquet-spec.md."""
    import geopandas  # noqa: PLC0415 - heavy
    import numpy as np  # noqa: PLC0415 - heavy
    import pandas as pd  # noqa: PLC0415 - heavy

    rows = [_row(item) for item in items]
    table = pd.DataFrame(rows, columns=None if rows else EMPTY)
    for name in TIMES & {*table.columns}:
        times = [None if pd.isna(time) else datetime.fromisoformat(time).replace(tzinfo=None) for time in table[name]]
        table[name] = pd.Series(np.array(times, "datetime64[us]"), table.index).dt.tz_localize("UTC")
    footprints = [shape(row["geometry"]) if row["geometry"] else None for row in rows]
    geometry = geopandas.GeoSeries(footprints, index=table.index, crs="EPSG:4326")
    file = io.BytesIO()
    geopandas.GeoDataFrame(table.drop(columns="geometry"), geometry=geometry).to_parquet(file)
    return file.getvalue()


def _row(item: pystac.Item) -> dict[str, Any]:
    """An item as a row: properties are columns, addresses begin where the table is."""
    row: dict[str, Any] = item.to_dict(include_self_link=False)
    here = posixpath.relpath(posixpath.dirname(item.get_self_href() or ROOT), ROOT)
    for asset in row["assets"].values():
        asset["href"] = posixpath.normpath(f"{here}/{asset['href']}")
    row["links"] = [link for link in row["links"] if link["rel"] == "via"]
    box = row.pop("bbox", None)
    row["bbox"] = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)) if box else None
    row |= row.pop("properties")
    return row
