"""Catalogue records: the JSON description of one product (CDSE protocol notes, Product)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from shapely.geometry import mapping

from pepsasync.sandbox.catalogue import REMEMBERED
from pepsasync.sandbox.cdse.ids import identifier, quicklook
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Collection

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.cdse.service import Service

COLLECTIONS = {"S1": "SENTINEL-1", "S2": "SENTINEL-2", "S2ST": "SENTINEL-2", "S3": "SENTINEL-3"}
"""Names of the collections here by their names in the shared catalogue."""
NEVER = datetime.max.replace(tzinfo=UTC)
"""When products are evicted."""
EXPANSIONS = ("Attributes", "Assets", "Locations")
"""What `$expand` may ask for."""
PROPERTIES = (
    *("Id", "Name", "ContentType", "ContentLength", "OriginDate", "PublicationDate", "ModificationDate", "Online"),
    *("EvictionDate", "S3Path", "Checksum", "ContentDate", "Footprint", "GeoFootprint"),
)
"""What `$select` may ask for."""

NULLED, REMOVED = ("Footprint", "GeoFootprint"), ("EvictionDate", "Checksum")
"""Properties that the fault `missing-properties` makes null, and those that it takes away."""

_timestamp = partial(timestamp, decimals=6)
AttributeValue: TypeAlias = "str | float | datetime"


class Attribute(NamedTuple):
    """One attribute of a product."""

    kind: str
    """`String`, `Integer`, `Double` or `DateTimeOffset`."""
    name: str
    """Name."""
    value: AttributeValue
    """Value."""


@lru_cache(maxsize=REMEMBERED)
def file_name(product: CatalogueProduct) -> str:
    """Return the name of a product as this catalogue writes it."""
    return f"{product.name}.SAFE"


def collection(product: CatalogueProduct) -> str:
    """Return the collection of a product."""
    return COLLECTIONS.get(product.collection, product.collection)


def published(product: CatalogueProduct) -> datetime:
    """Return when a product was published here, UTC."""
    return (product.published or product.start) + timedelta(microseconds=105134)


def record(service: Service, product: CatalogueProduct, root: str, expand: Collection[str] = ()) -> dict[str, Any]:
    """Return the record of a product; the first time this reads the whole product for its checksum.

    Args:
        service: Where faults, checksums and tiers come from.
        product: The product.
        root: URL of the service.
        expand: Which of `EXPANSIONS` to add.
    """
    archive = service.archive
    described = {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": identifier(product.name),
        "Name": file_name(product),
        "ContentType": "application/octet-stream",
        "ContentLength": _length(archive, product),
        "OriginDate": _timestamp(published(product) - timedelta(hours=1)),
        "PublicationDate": _timestamp(published(product)),
        "ModificationDate": _timestamp(published(product) + timedelta(hours=1)),
        "Online": service.shown_online(product),
        "EvictionDate": _timestamp(NEVER),
        "S3Path": _path(product),
        "Checksum": _checksums(service, product),
        "ContentDate": {"Start": _timestamp(product.start), "End": _timestamp(product.end)},
        "Footprint": f"geography'SRID=4326;{product.footprint.wkt}'",
        "GeoFootprint": mapping(product.footprint),
    }
    if "Attributes" in expand:
        described["Attributes"] = [_attribute(attribute) for attribute in attributes(product)]
    if "Assets" in expand:
        described["Assets"] = [_quicklook(product, root)]
    if "Locations" in expand:
        told = {name: described[name] for name in ("ContentLength", "Checksum", "S3Path")}
        link = f"{root}/odata/v1/Products({described['Id']})/$value"
        described["Locations"] = [{"FormatType": "Extracted", "DownloadLink": link, **told}]
    return archive.shown(product, described, NULLED, REMOVED)


def attributes(product: CatalogueProduct) -> list[Attribute]:
    """Return the attributes of a product, those of both collections first."""
    mission = collection(product)
    return [
        Attribute("String", "origin", "ESA"),
        *(_sentinel1(product) if mission == "SENTINEL-1" else _sentinel2(product)),
        Attribute("Integer", "orbitNumber", product.orbit),
        Attribute("String", "operationalMode", product.sensor_mode),
        Attribute("String", "platformShortName", mission),
        Attribute("String", "instrumentShortName", "SAR" if mission == "SENTINEL-1" else "MSI"),
        Attribute("Integer", "relativeOrbitNumber", product.relative_orbit),
        Attribute("String", "platformSerialIdentifier", product.platform[-1:]),
        Attribute("String", "productType", product_type(product)),
        Attribute("DateTimeOffset", "beginningDateTime", product.start),
        Attribute("DateTimeOffset", "endingDateTime", product.end),
    ]


def product_type(product: CatalogueProduct) -> str:
    """Return the type of a product: for Sentinel-1 the part of its name from mode to class."""
    found = re.match(r"S1[A-D]_((?:IW|EW|SM|WV|S\d)_[A-Z]{3}[FHM_]_\d[SA])", product.name)
    return found[1] if found else product.product_type


def _sentinel1(product: CatalogueProduct) -> list[Attribute]:
    take = product.take_id if isinstance(product.take_id, int) else 0
    return [
        Attribute("Integer", "datatakeID", take),
        Attribute("String", "timeliness", product.realtime),
        Attribute("Integer", "cycleNumber", product.cycle),
        Attribute("String", "orbitDirection", product.orbit_direction.upper()),
        Attribute("DateTimeOffset", "processingDate", product.published or product.start),
        Attribute("String", "processingLevel", "LEVEL2" if product.product_type == "OCN" else "LEVEL1"),
        Attribute("String", "swathIdentifier", product.sensor_mode),
        Attribute("String", "polarisationChannels", product.polarisation.replace(" ", "&")),
    ]


def _sentinel2(product: CatalogueProduct) -> list[Attribute]:
    version, processed = _processing(product)
    stamps = f"{processed:%Y%m%dT%H%M%S}_S{product.start:%Y%m%dT%H%M%S}"
    cover = [] if product.cloud_cover is None else [Attribute("Double", "cloudCover", product.cloud_cover)]
    return [
        Attribute("String", "tileId", product.tile),
        *cover,
        Attribute("String", "datastripId", f"{product.platform}_OPER_MSI_L1C_DS_S2RP_{stamps}_N{version}"),
        Attribute("DateTimeOffset", "processingDate", processed),
        Attribute("String", "productGroupId", str(product.take_id)),
        Attribute("String", "processingLevel", product.product_type),
        Attribute("String", "processorVersion", version),
    ]


def _processing(product: CatalogueProduct) -> tuple[str, datetime]:
    """Return baseline and moment of processing as the name tells them; the acquisition if it does not."""
    found = re.search(r"_N(\d\d)(\d\d)_.*_(\d{8}T\d{6})$", product.name)
    if found is None:
        return "02.04", product.start
    return f"{found[1]}.{found[2]}", datetime.strptime(found[3], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _attribute(attribute: Attribute) -> dict[str, Any]:
    value = attribute.value
    return {
        "@odata.type": f"#OData.CSC.{attribute.kind}Attribute",
        "Name": attribute.name,
        "Value": _timestamp(value) if isinstance(value, datetime) else value,
        "ValueType": attribute.kind,
    }


def _path(product: CatalogueProduct) -> str:
    radar = collection(product) == "SENTINEL-1"
    folder = f"Sentinel-1/SAR/{product.product_type}" if radar else "Sentinel-2/MSI/L1C"
    return f"/eodata/{folder}/{product.start:%Y/%m/%d}/{file_name(product)}"


def _length(archive: Archive, product: CatalogueProduct) -> int:
    if archive.faults.strikes("size-zero", product.name):
        return 0
    return product.size + product.size // 4 * is_zipped_late(archive, product)


def is_zipped_late(archive: Archive, product: CatalogueProduct) -> bool:
    """Whether the archive has a folder, and makes the zip of it while it is sent: its length is not known before."""
    return archive.faults.strikes("zipped-late", product.name)


def _checksums(service: Service, product: CatalogueProduct) -> list[dict[str, Any]]:
    """Return the checksums of the file that a download gives, lower-case; an empty list if none is known."""
    md5 = service.archive.checksum(product)
    if md5 is None or is_zipped_late(service.archive, product):
        return []
    listed = [("MD5", md5.lower())]
    if service.options.cdse_blake3 and (blake3 := service.blake3(product)):
        listed.append(("BLAKE3", blake3))
    dated = _timestamp(published(product))
    return [{"Value": value, "Algorithm": algorithm, "ChecksumDate": dated} for algorithm, value in listed]


def _quicklook(product: CatalogueProduct, root: str) -> dict[str, str]:
    name = quicklook(product.name)
    link = f"{root}/odata/v1/Assets({name})/$value"
    return {"Type": "QUICKLOOK", "Id": name, "DownloadLink": link, "S3Path": _path(product)}
