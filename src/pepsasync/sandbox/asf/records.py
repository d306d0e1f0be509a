"""Granule records in the form of CMR's UMM-G JSON, and what the search API makes of them (sections 3 and 4)."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from shapely.geometry import mapping

from pepsasync.sandbox.asf import hosts
from pepsasync.sandbox.catalogue import REMEMBERED
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

_DETAIL = {"F": "FULL", "H": "HIGH", "M": "MEDIUM"}
BURST_INDEX = 5
"""Place of the one burst of each SLC product that the catalogue has."""


class Granule(NamedTuple):
    """One record: a product, the description of one, or a burst."""

    product: CatalogueProduct
    kind: str
    """`data`, `metadata` or `burst`."""

    @property
    def id(self) -> str:
        """Name of the record, which no other has."""
        if self.kind == "burst":
            return burst_id(self.product)
        meta = "METADATA_" if self.kind == "metadata" else ""
        return f"{self.product.name}-{meta}{level(self.product)}"

    @property
    def scene(self) -> str:
        """Name of the product it belongs to."""
        return self.id if self.kind == "burst" else self.product.name

    @property
    def collection(self) -> str:
        """Short name of its collection."""
        if self.kind == "burst":
            return "SENTINEL-1_BURSTS"
        platform, kind = f"SENTINEL-1{self.product.platform[-1]}", self.product.product_type
        meta = "META_" if self.kind == "metadata" else ""
        if kind != "GRD":
            return f"{platform}_{meta}{kind}"
        grd = level(self.product)
        return f"{platform}_{grd[-1]}P_{meta}GRD_{_DETAIL[grd[-2]]}"

    @property
    def number(self) -> int:
        """Number of its record."""
        return 1_000_000_000 + zlib.crc32(self.id.encode())


@lru_cache(maxsize=REMEMBERED)
def level(product: CatalogueProduct) -> str:
    """Return the processing level: `GRD_HD` for dual polarisation and high resolution."""
    if product.product_type != "GRD":
        return product.product_type
    return f"GRD_{product.name[10]}{product.name[14]}"


def file_id(product: CatalogueProduct) -> str:
    """Return the name of the record of a product."""
    return f"{product.name}-{level(product)}"


def burst_id(product: CatalogueProduct) -> str:
    """Return the name of the burst of an SLC product."""
    number = product.relative_orbit * 2_000 % 400_000
    return f"S1_{number:06d}_IW3_{product.start:%Y%m%dT%H%M%S}_VV_{product.name[-4:]}-BURST"


def granules(archive: Archive) -> list[Granule]:
    """Return every record: two for each product, and a burst for each SLC of the interferometric mode."""
    found = []
    for product in archive.products:
        if product.collection != "S1":
            continue
        found += [Granule(product, "data"), Granule(product, "metadata")]
        if product.product_type == "SLC" and product.sensor_mode == "IW":
            found.append(Granule(product, "burst"))
    return found


def end(product: CatalogueProduct) -> datetime:
    """Return the end of the acquisition, which is behind its start."""
    return max(product.end, product.start + timedelta(milliseconds=1))


def path(product: CatalogueProduct) -> str:
    """Return the path of a product's file."""
    return f"/{level(product)}/S{product.platform[-1]}/{product.name}.zip"


def attributes(granule: Granule) -> dict[str, str]:
    """Return the additional attributes that do not need the content of the product."""
    product = granule.product
    kind = "BURST" if granule.kind == "burst" else level(product)
    found = {
        "ASCENDING_DESCENDING": product.orbit_direction.upper(),
        "ASF_PLATFORM": f"Sentinel-1{product.platform[-1]}",
        "BEAM_MODE": product.sensor_mode,
        "BEAM_MODE_TYPE": product.sensor_mode,
        "CENTER_LAT": f"{product.footprint.centroid.y:.4f}",
        "CENTER_LON": f"{product.footprint.centroid.x:.4f}",
        "FARADAY_ROTATION": "NA",
        "FRAME_NUMBER": "210",
        "GROUP_ID": f"{product.platform}_{product.sensor_mode}_{product.orbit:06d}",
        "MISSION_NAME": "NA",
        "PATH_NUMBER": str(product.relative_orbit),
        "POLARIZATION": product.polarisation.replace(" ", "+"),
        "PROCESSING_TYPE": f"METADATA_{kind}" if granule.kind == "metadata" else kind,
        "PROCESSING_LEVEL": "L1",
    }
    if granule.kind == "burst":
        number = burst_id(product).split("_")[1]
        found |= {
            "POLARIZATION": "VV",
            "SUBSWATH_NAME": "IW3",
            "BURST_INDEX": str(BURST_INDEX),
            "BURST_ID_RELATIVE": str(int(number)),
            "BURST_ID_ABSOLUTE": str(int(number) * 71),
            "BURST_ID_FULL": f"{product.relative_orbit:03d}_{number}_IW3",
            "AZIMUTH_TIME": f"{product.start:%Y-%m-%dT%H:%M:%S.%f}",
            "AZIMUTH_ANX_TIME": "2026.218343215",
            "SAMPLES_PER_BURST": "24229",
            "BYTE_LENGTH": "147215404",
            "BYTE_OFFSET": "736186703",
        }
        del found["PROCESSING_TYPE"]
    return found


def record(archive: Archive, granule: Granule, root: str) -> dict[str, Any]:
    """Return the record of a granule; reads the whole product the first time, for its checksum.

    Args:
        archive: Where the content is.
        granule: What is described.
        root: URL under which the hosts stand.
    """
    product, published = granule.product, granule.product.published or granule.product.start
    values = attributes(granule)
    if granule.kind == "data":
        values["BYTES"] = str(product.size)
        values["PROCESSING_DATE"] = _moment(published, 6).removesuffix("Z")
        if digest := archive.checksum(product):
            values["MD5SUM"] = digest.lower()
    values = archive.shown(product, values, (), ("BYTES", "MD5SUM", "PATH_NUMBER", "ASCENDING_DESCENDING"))
    first, last = _moment(product.start), _moment(end(product))
    return {
        "meta": {
            "concept-type": "granule",
            "concept-id": f"G{granule.number}-ASF",
            "revision-id": 3,
            "native-id": granule.id,
            "provider-id": "ASF",
            "format": "application/echo10+xml",
            "revision-date": _moment(published),
        },
        "umm": {
            "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": first, "EndingDateTime": last}},
            "OrbitCalculatedSpatialDomains": [{"OrbitNumber": product.orbit}],
            "GranuleUR": granule.id,
            "AdditionalAttributes": [{"Name": name, "Values": [value]} for name, value in sorted(values.items())],
            "SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": {"GPolygons": [_outline(product)]}}},
            "ProviderDates": [
                {"Date": _moment(published), "Type": "Insert"},
                {"Date": _moment(published), "Type": "Update"},
            ],
            "CollectionReference": {"ShortName": granule.collection, "Version": "1"},
            "PGEVersionClass": {"PGEName": "Sentinel-1 IPF", "PGEVersion": "003.40"},
            "RelatedUrls": list(_links(granule, root)),
            "DataGranule": {
                "DayNightFlag": "Unspecified",
                "Identifiers": [{"Identifier": granule.scene, "IdentifierType": "ProducerGranuleId"}],
                "ProductionDateTime": first,  # of Sentinel-1 this is the acquisition
            },
            "Platforms": [{"ShortName": f"SENTINEL-1{product.platform[-1]}", "Instruments": [{"ShortName": "C-SAR"}]}],
        },
    }


def _links(granule: Granule, root: str) -> list[dict[str, str]]:
    product, name = granule.product, granule.product.name
    if granule.kind == "burst":
        base = f"{root}/{hosts.BURSTS}/{name}/IW3/VV/{BURST_INDEX}"
        return [
            {"Type": "USE SERVICE API", "Format": "GeoTIFF", "URL": f"{base}.tiff"},
            {"Type": "USE SERVICE API", "Format": "XML", "URL": f"{base}.xml"},
        ]
    pool = f"{root}/{hosts.DATAPOOL}"
    if granule.kind == "metadata":
        where = f"{pool}/METADATA_{level(product)}/S{product.platform[-1]}/{name}.iso.xml"
        return [{"Type": "GET DATA", "URL": where}]
    links = [
        {
            "Description": "This link provides direct download access to the granule.",
            "Format": "Not provided",
            "Type": "GET DATA",
            "URL": f"{pool}{path(product)}",
        },
        # Older records hold the address of the store under the same type.
        {"Type": "GET DATA", "URL": f"s3://asf-ngap2w-p-s1-{product.product_type.lower()}-7b420b89/{name}.zip"},
        {"Type": "VIEW RELATED INFORMATION", "URL": "www.asf.alaska.edu/sar-data-sets/sentinel-1"},
    ]
    if product.product_type == "GRD":
        where = f"{pool}/BROWSE/S{product.platform[-1]}/{name}.jpg"
        links.append({"Format": "Not provided", "Type": "GET RELATED VISUALIZATION", "URL": where})
    return links


def _outline(product: CatalogueProduct) -> dict[str, Any]:
    ring = mapping(product.footprint)["coordinates"][0]
    return {"Boundary": {"Points": [{"Longitude": x, "Latitude": y} for x, y, *_ in ring]}}


def _moment(moment: datetime, decimals: int = 3) -> str:
    return timestamp(moment, decimals=decimals) or ""
