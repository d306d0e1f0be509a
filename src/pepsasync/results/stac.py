"""Products as STAC items (1.1.0), by pystac, the extra `stac`.

An item's id is the product name, the same in every archive. What no extension of STAC has words for begins with
`pepsasync:`. Facts about the extensions: https://github.com/stac-extensions.
"""

from __future__ import annotations

import mimetypes
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pepsasync.errors import ConfigError
from pepsasync.query.missions import mission_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pystac

    from pepsasync.model import Checksum, Product

ZIP = "application/zip"

INSTRUMENTS = {"1": "c-sar", "2": "msi"}
"""By mission; Sentinel-3 has several, which a product's name does not tell apart for sure."""

OWN = ("provider", "collection", "id", "product_type", "sensor_mode", "timeliness", "tier")
"""Fields of a product that stand in an item as `pepsasync:NAME`."""

MULTIHASH = {"md5": 0xD5, "sha1": 0x11, "sha256": 0x12, "sha512": 0x13, "sha3_256": 0x16, "blake3": 0x1E}
"""Codes of https://github.com/multiformats/multicodec, by the names of `Checksum`."""


def load_pystac() -> None:
    """Raise a ConfigError that says what to install when pystac is missing."""
    try:
        import pystac  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        hint = "Try: pip install 'pepsasync[stac]'; GeoJSON (.geojson) needs nothing"
        raise ConfigError("writing STAC needs pystac", hint=hint) from error


def to_item_collection(products: Iterable[Product]) -> dict[str, Any]:
    """Return products as a STAC ItemCollection, decoded, whose assets are at the archive."""
    load_pystac()
    import pystac  # noqa: PLC0415

    items = [to_item(product) for product in products]
    return pystac.ItemCollection(items, clone_items=False).to_dict()


def to_item(product: Product) -> pystac.Item:
    """Return a product as a STAC item, with its zip and its quicklook at the archive as assets."""
    import pystac  # noqa: PLC0415

    item = make_item(product)
    if product.download_url:
        item.add_asset("product", pystac.Asset(product.download_url, media_type=ZIP, roles=["data"]))
        describe_file(item, "product", product.exact_size, product.checksum)
    if product.quicklook_url:
        kind = mimetypes.guess_type(urlsplit(product.quicklook_url).path)[0]
        item.add_asset("quicklook", pystac.Asset(product.quicklook_url, media_type=kind, roles=["overview"]))
    return item


def make_item(product: Product) -> pystac.Item:
    """Return a product as a STAC item without assets."""
    import pystac  # noqa: PLC0415

    own = {f"pepsasync:{name}": getattr(product, name) for name in OWN if getattr(product, name)}
    if "pepsasync:tier" in own:
        own["pepsasync:tier"] = str(product.tier)
    start, end = product.start, product.end
    if start is None:  # STAC wants a time, or a period; this is the one that says nothing
        start, end = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    item = pystac.Item(
        id=product.name,
        geometry=dict(product.footprint) if product.footprint else None,
        bbox=bbox_of(product),
        datetime=product.start,
        start_datetime=start if end else None,
        end_datetime=end,
        properties=_mission(product) | own,
    )
    _describe(item, product)
    return item


def describe_file(item: pystac.Item, asset: str, size: int | None, checksum: Checksum | None) -> None:
    """Note size in bytes and multihash of an asset, as far as they are known."""
    from pystac.extensions import file  # noqa: PLC0415

    known: dict[str, Any] = {} if size is None else {"file:size": size}
    if checksum is not None and (digest := multihash(checksum)):
        known["file:checksum"] = digest
    if known:
        item.assets[asset].extra_fields |= known
        _declare(item, file.SCHEMA_URI)


def multihash(checksum: Checksum) -> str | None:
    """Return a digest with its algorithm and length in front, hexadecimal; None where the algorithm has no code.

    For MD5: `d50110` and the digits, since codes above 127 take two bytes.
    """
    code = MULTIHASH.get(checksum.algorithm)
    if code is None:
        return None
    prefix = bytes([code]) if code < 0x80 else bytes([code & 0x7F | 0x80, code >> 7])
    return f"{prefix.hex()}{len(checksum.value) // 2:02x}{checksum.value}"


def bbox_of(product: Product) -> list[float] | None:
    """West, south, east, north of the footprint in degrees; across the antimeridian the west is greater (RFC 7946)."""
    if not product.footprint:
        return None
    from shapely.geometry import shape  # noqa: PLC0415 - heavy

    geometry = shape(dict(product.footprint))
    west, south, east, north = geometry.bounds
    parts = [part.bounds for part in getattr(geometry, "geoms", ())]
    eastern, western = [part for part in parts if part[0] > 0], [part for part in parts if part[2] < 0]
    if (west, east) == (-180.0, 180.0) and len(eastern) + len(western) == len(parts) > 1:
        west, east = min(part[0] for part in eastern), max(part[2] for part in western)
    return [west, south, east, north]


def _mission(product: Product) -> dict[str, Any]:
    """Platform, constellation and instrument, as other catalogues of these missions write them."""
    platform = product.platform or ""
    if not re.fullmatch(r"S\d[A-Z]", platform):
        return {"platform": platform.lower()} if platform else {}
    number = platform[1]
    known: dict[str, Any] = {"platform": f"sentinel-{platform[1:].lower()}", "constellation": f"sentinel-{number}"}
    return known | ({"instruments": [INSTRUMENTS[number]]} if number in INSTRUMENTS else {})


def _describe(item: pystac.Item, product: Product) -> None:
    """Add what the extensions of STAC have words for."""
    from pystac.extensions import eo, grid, sar, sat, timestamps  # noqa: PLC0415

    if product.cloud_cover is not None:
        item.properties["eo:cloud_cover"] = product.cloud_cover
        _declare(item, eo.SCHEMA_URI)
    if product.orbit_direction or product.relative_orbit:
        orbit = {
            "sat:orbit_state": product.orbit_direction,
            "sat:relative_orbit": product.relative_orbit,
            "sat:absolute_orbit": product.orbit,
        }
        item.properties |= {name: value for name, value in orbit.items() if value is not None}
        _declare(item, sat.SCHEMA_URI)
    if product.tile:
        item.properties["grid:code"] = f"MGRS-{product.tile}"
        _declare(item, grid.SCHEMA_URI)
    if product.published:
        item.properties["published"] = instant(product.published)
        _declare(item, timestamps.SCHEMA_URI)
    if mission_of(product.platform) == "1" and product.sensor_mode and product.product_type and product.polarisation:
        item.properties |= {
            "sar:instrument_mode": product.sensor_mode,
            "sar:frequency_band": "C",
            "sar:polarizations": product.polarisation.split(),
            "sar:product_type": product.product_type,
        }
        _declare(item, sar.SCHEMA_URI)


def instant(when: datetime) -> str:
    """An instant as STAC writes it, in UTC."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _declare(item: pystac.Item, extension: str) -> None:
    if extension not in item.stac_extensions:
        item.stac_extensions.append(extension)
