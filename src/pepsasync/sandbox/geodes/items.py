"""Items: the STAC description of one product, in the archive's order (GEODES protocol notes, section 4)."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import mapping

from pepsasync.sandbox.catalogue import REMEMBERED, TRUE_MD5
from pepsasync.sandbox.geodes.service import urn
from pepsasync.sandbox.quicklooks import MEDIA_TYPE, picture
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shapely.geometry.base import BaseGeometry

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.geodes.service import Service

COLLECTIONS = {
    "PEPS_S1_L1": "Sentinel-1 level 1 (GRD, SLC)",
    "PEPS_S1_L2": "Sentinel-1 level 2 (OCN)",
    "PEPS_S2_L1C": "Sentinel-2 level 1C",
    "PEPS_S3_L1": "Sentinel-3 level 1",
}
"""Title by collection."""
LICENCE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"
EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        "product/v0.1.0",
        "processing/v1.2.0",
        "projection/v2.0.0",
        "sat/v1.1.0",
        "scientific/v1.0.0",
        "sar/v1.1.0",
        "eo/v2.0.0",
        "sentinel-2/v1.0.0",
        "view/v1.0.0",
        "grid/v1.1.0",
        "raster/v2.0.0",
    )
]
"""STAC extensions that every item declares, in the archive's order."""
NULLED = ("eo:cloud_cover", "sat:relative_orbit", "sat:orbit_state")
"""Properties that the fault `missing-properties` makes null."""
REMOVED = ("sar:instrument_mode", "product:timeliness", "area")
"""Properties that the fault `missing-properties` takes away."""
MULTIHASH_MD5 = "d50110"
"""What an MD5 begins with as a multihash."""
_SEASONS = ("winter", "spring", "summer", "autumn")
_SQUARE_KM = 111.32**2


@dataclass(frozen=True, slots=True)
class File:
    """One file of an item."""

    key: str
    """Key of the asset: file name, for a quicklook with folders."""
    kind: str
    """Media type."""
    datatype: str
    """What REGARDS calls its kind: `RAWDATA`, `QUICKLOOK_SD`."""
    size: int
    """Bytes."""
    md5: str
    """Lower-case hexadecimal."""
    data: bytes | None = None
    """Content; None for the product itself."""


def collection_of(product: CatalogueProduct) -> str:
    """Return the collection that holds a product here."""
    if product.collection == "S1":
        return "PEPS_S1_L2" if product.product_type == "OCN" else "PEPS_S1_L1"
    return "PEPS_S3_L1" if product.collection == "S3" else "PEPS_S2_L1C"


def files(archive: Archive, product: CatalogueProduct) -> Iterator[File]:
    """Yield the files of a product; the first time this reads the whole product for its checksum."""
    folder = f"{product.start:%Y/%m/%d}/{product.platform}"
    yield _small_file(f"{folder}/{product.name}_quicklook.jpg", MEDIA_TYPE, "QUICKLOOK_SD", picture(product.name))
    if archive.faults.strikes("xml-asset", product.name):
        document = f"<product><identifier>{product.name}</identifier></product>\n".encode()
        yield _small_file(f"{product.name}.xml", "application/xml", "RAWDATA", document)
    given = product.checksum if product.checksum not in {TRUE_MD5, None} else None
    md5 = (given or archive.content(product.name).md5).lower()
    yield File(f"{product.name}.zip", "application/zip", "RAWDATA", product.size, md5)


def item(service: Service, product: CatalogueProduct, root: str, sign: Callable[[str], str]) -> dict[str, Any]:
    """Return the item of a product.

    Args:
        service: Where faults, checksums and the version come from.
        product: The product.
        root: URL of the service, `http://host/geodes`.
        sign: What is done to links: the session token of a caller with a key is appended to each.
    """
    identity, collection = urn(product), collection_of(product)
    stac = f"{root}/api/stac"
    above = f"{stac}/collections/{collection}"
    centre = product.footprint.centroid
    return {
        "stac_version": "1.1.0" if service.options.geodes_version == "2.2" else "1.0.0-beta.2",
        "stac_extensions": EXTENSIONS,
        "id": identity,
        "bbox": list(product.footprint.bounds),
        "geometry": _geometry(product.footprint),
        "centroid": {"lon": centre.x, "lat": centre.y},
        "type": "Feature",
        "collection": collection,
        "properties": service.archive.shown(product, dict(properties(product)), NULLED, REMOVED),
        "links": [
            link("root", sign(stac), "STAC gdh root"),
            link("collection", sign(above), "Item collection"),
            link("self", sign(f"{above}/items/{identity}"), identity, "application/geo+json"),
            link("license", LICENCE, "Copernicus Sentinel data", "application/html"),
        ],
        "assets": {file.key: _asset(service, product, file, root, sign) for file in files(service.archive, product)},
    }


def link(relation: str, href: str, title: str, kind: str = "application/json") -> dict[str, str]:
    """Return a STAC link."""
    return {"href": href, "rel": relation, "type": kind, "title": title}


@lru_cache(maxsize=REMEMBERED)
def properties(product: CatalogueProduct) -> Mapping[str, Any]:
    """Return the properties of an item; searches look into the same ones."""
    return {**_common(product), **(_sentinel1(product) if product.platform.startswith("S1") else _sentinel2(product))}


def _common(product: CatalogueProduct) -> dict[str, Any]:
    outline = product.footprint
    return {
        "product:type": product.product_type,
        "sar:instrument_mode": product.sensor_mode,
        "endpoint_url": f"https://s3.datalake.cnes.fr/{_bucket(product)}/{product.name}.zip",
        "latest": product.visible,
        "references": [
            {
                "url": "https://www.naturalearthdata.com/downloads/",
                "author": "Natural Earth",
                "dataset": "Coastline",
                "license": "Public domain",
            }
        ],
        "sat:orbit_state": product.orbit_direction.capitalize(),
        "identifier": product.name,
        "keywords": _keywords(product),
        "sat:relative_orbit": product.relative_orbit,
        "product:timeliness": product.realtime.replace("-", ""),
        "area": round(outline.area * _SQUARE_KM * math.cos(math.radians(outline.centroid.y)), 4),
        "endpoint_description": "Link to product in datalake",
        "platform": product.platform,
        "sat:absolute_orbit": product.orbit,
        "dataset": collection_of(product),
        "continent_code": [],
        "start_datetime": timestamp(product.start),
        "datetime": timestamp(product.published),
        "eo:cloud_cover": None if product.cloud_cover is None else float(product.cloud_cover),
        "sci:doi": "[]",
        "political": {"continents": []},
        "end_datetime": timestamp(product.end),
    }


def _sentinel1(product: CatalogueProduct) -> dict[str, Any]:
    return {
        "mission_take_id": product.take_id,
        "hydrology": {"rivers": []},
        "proj:bbox": "",
        "instrument": "SAR-C SAR",
        "swath": product.sensor_mode,
        "sar:polarizations": product.polarisation,
        "processing:level": "L2" if product.product_type == "OCN" else "L1",
        "sat:orbit_cycle": product.cycle,
    }


def _sentinel2(product: CatalogueProduct) -> dict[str, Any]:
    (west, north), (east, south) = shapely.get_coordinates(product.footprint)[[0, 2]].tolist()
    baseline = re.search(r"_N(\d{2})(\d{2})_", product.name)
    return {
        "grid:code": f"T{product.tile}" if product.tile else "",
        "proj:bbox": f"{west},{north},{east},{south}",
        "instrument": "MSI",
        "s2:datatake_id": product.take_id,
        "processing:version": ".".join(baseline.groups()) if baseline else "",
        "version": "00.00",
        "processing:level": "L1C",
    }


def _bucket(product: CatalogueProduct) -> str:
    day = f"{product.start:%Y/%m/%d}"
    if product.platform.startswith("S1"):
        return f"sentinel1-{product.product_type.lower()}/{day}"
    tile = product.tile or "00AAA"
    return f"sentinel2-l1c/{tile[:2]}/{tile[2]}/{tile[3:]}/{day}"


def _keywords(product: CatalogueProduct) -> list[str]:
    latitude = product.footprint.centroid.y
    tropical = ["location:tropical"] if abs(latitude) < 23.5 else []
    season = (product.start.month % 12 // 3 + (0 if latitude >= 0 else 2)) % 4
    return [*tropical, f"location:{'northern' if latitude >= 0 else 'southern'}", f"season:{_SEASONS[season]}"]


def _asset(
    service: Service, product: CatalogueProduct, file: File, root: str, sign: Callable[[str], str]
) -> dict[str, Any]:
    is_picture = file.kind == MEDIA_TYPE
    address = f"{root}/api/{'quicklook' if is_picture else 'download'}/{urn(product)}/files/{file.md5}"
    href = sign(address)
    md5 = _announced(service.archive, product, file)
    asset: dict[str, Any] = {
        # To callers without a session only pictures are linked with the name of the tenant.
        "href": f"{href}?scope=gdh" if is_picture and href == address else href,
        "title": file.key,
        "description": _description(file, md5, online=is_picture),
        "type": file.kind,
        "roles": ["overview" if is_picture else "data"],
    }
    if service.options.geodes_version == "2.2":
        asset |= {"file:size": file.size} | ({"file:checksum": MULTIHASH_MD5 + md5} if md5 else {})
    return asset


def _announced(archive: Archive, product: CatalogueProduct, file: File) -> str | None:
    if file.data is None and (product.checksum is None or archive.faults.strikes("checksum-null", product.name)):
        return None
    return file.md5.upper() if archive.faults.strikes("checksum-upper", product.name) else file.md5


def _description(file: File, md5: str | None, *, online: bool) -> str:
    lines = [f"File size: {file.size} bytes", "Is reference: false", f"Is online: {str(online).lower()}"]
    lines += [f"Datatype: {file.datatype}", *([f"Checksum MD5: {md5}"] if md5 else [])]
    return "\n\n".join(lines)


def _small_file(key: str, kind: str, datatype: str, data: bytes) -> File:
    return File(key, kind, datatype, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest(), data)


def _geometry(outline: BaseGeometry) -> dict[str, Any]:
    shape = mapping(outline)
    return {"coordinates": shape["coordinates"], "type": shape["type"]}
