"""Features: the JSON description of one product, in the archive's order (PEPS protocol notes, section 3.2)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from shapely.geometry import mapping

from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct

MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
PUBLIC = "https://peps.cnes.fr"
"""Where quicklooks and maps are, whatever host answers."""
NULLED = ("cloudCover", "relativeOrbitNumber", "orbitDirection", "resourceChecksum", "quicklook")
"""Properties that the fault `missing-properties` makes null."""
REMOVED = ("storage", "sensorMode", "realtime", "isNrt")
"""Properties that the fault `missing-properties` takes away."""


class Keyword(NamedTuple):
    """One entry of a feature's `keywords`."""

    key: str
    """Hash under which it is listed."""
    name: str
    """Shown text."""
    type: str
    """Kind: `platform`, `month`, ..."""
    parent: str | None
    """Hash of the keyword above it."""


def feature(archive: Archive, product: CatalogueProduct, root: str, mode: str) -> dict[str, Any]:
    """Return the feature of a product; the first time this reads the whole product for its checksum.

    Args:
        archive: Where faults and checksums come from.
        product: The product.
        root: URL of the service, `http://host/resto`.
        mode: Where the product is.
    """
    link = f"{root}/collections/{product.collection}/{product.id}"
    checksum = archive.checksum(product)
    properties = {
        **_common(product, checksum),
        "keywords": _keyword_map(product, root),
        **_state(product),
        **(_sentinel1(product) if product.collection == "S1" else _sentinel2(product)),
        "services": _services(product, link, checksum),
        "links": [_alternate(product, link, *kind) for kind in (("json", "GeoJSON"), ("atom", "ATOM"))],
        "storage": {"mode": mode},
    }
    if archive.faults.strikes("size-text", product.name):
        properties["resourceSize"] = str(product.size)
    properties = archive.shown(product, properties, NULLED, REMOVED)
    outline = mapping(product.footprint)
    geometry = {"type": outline["type"], "coordinates": _coordinates(outline["coordinates"])}
    return {"type": "Feature", "id": product.id, "geometry": geometry, "properties": properties}


def keywords(product: CatalogueProduct) -> list[Keyword]:
    """Return the keywords of a product in the archive's order."""
    if not product.keywords:
        return []
    radar = product.collection == "S1"
    platform = _keyword("platform", product.platform[0].lower() + product.platform[1:])
    instrument = _keyword("instrument", "SAR-C SAR" if radar else "msi", platform)
    mode = _keyword("sensorMode", product.sensor_mode, instrument)
    year = _keyword("year", f"{product.start:%Y}")
    month = _keyword("month", MONTHS[product.start.month - 1], year, value=f"{product.start:%m}")
    day = _keyword("day", f"{product.start:%d}")._replace(parent=month.key)
    return [
        _keyword("collection", product.collection),
        _keyword("productType", product.product_type),
        _keyword("processingLevel", processing_level(product)),
        platform,
        instrument,
        mode,
        *([_keyword("polarisation", product.polarisation, mode)] if radar else []),
        _keyword("orbitDirection", product.orbit_direction.capitalize()),
        *([_keyword("swath", product.sensor_mode)] if radar else []),
        _keyword("realtime", product.realtime),
        year,
        month,
        day,
    ]


def processing_level(product: CatalogueProduct) -> str:
    """Return the level as the archive writes it."""
    if product.collection != "S1":
        return "LEVEL1C"
    return "LEVEL2" if product.product_type == "OCN" else "LEVEL1"


def _keyword(kind: str, name: str, parent: Keyword | None = None, value: str | None = None) -> Keyword:
    text = f"{kind}:{(value or name).lower()}" + (f",{parent.key}" if parent else "")
    key = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:15]
    return Keyword(key, name, kind, parent.key if parent else None)


def _keyword_map(product: CatalogueProduct, root: str) -> dict[str, Any] | list[Any]:
    listed: dict[str, Any] = {}
    for keyword in keywords(product):
        words = f'"{keyword.name}"' if " " in keyword.name else keyword.name
        href = f"{root}/api/collections/{product.collection}/search.json?&lang=en&q={quote(words, safe='')}"
        parent = {"parentHash": keyword.parent} if keyword.parent else {}
        listed[keyword.key] = {"name": keyword.name, "type": keyword.type, **parent, "href": href}
    return listed or []


def _common(product: CatalogueProduct, checksum: str | None) -> dict[str, Any]:
    radar = product.collection == "S1"
    return {
        "collection": product.collection,
        "productIdentifier": product.name,
        "parentIdentifier": f"urn:ogc:def:EOP:ESA::SENTINEL-{1 if radar else 2}:",
        "title": product.name,
        "description": None,
        "organisationName": "ESA",
        "startDate": timestamp(product.start),
        "completionDate": timestamp(product.end),
        "productType": product.product_type,
        "processingLevel": processing_level(product),
        "platform": product.platform,
        "instrument": "SAR-C SAR" if radar else "MSI",
        "resolution": None,
        "sensorMode": product.sensor_mode,
        "orbitNumber": product.orbit,
        "quicklook": f"{PUBLIC}/quicklook/{_folder(product)}_quicklook.jpg",
        "thumbnail": None,
        "resourceSize": product.size,
        "resourceChecksum": checksum,
        "updated": timestamp(product.published),
        "published": timestamp(product.published),
        "snowCover": None,
        "cloudCover": _plain(product.cloud_cover),
    }


def _state(product: CatalogueProduct) -> dict[str, Any]:
    ingested = product.start + timedelta(hours=4 if product.collection == "S1" else 2)
    return {
        "visible": int(product.visible),
        "orbitDirection": product.orbit_direction,
        "newVersion": product.new_version,
        "isNrt": int(product.nrt),
        "realtime": product.realtime,
        "dhusIngestDate": timestamp(ingested),
        "relativeOrbitNumber": product.relative_orbit,
    }


def _sentinel1(product: CatalogueProduct) -> dict[str, Any]:
    return {
        "swath": product.sensor_mode,
        "polarisation": product.polarisation,
        "missionTakeId": product.take_id,
        "cycleNumber": product.cycle,
    }


def _sentinel2(product: CatalogueProduct) -> dict[str, Any]:
    classes = ("bareSoil", "highProbaClouds", "mediumProbaClouds", "lowProbaClouds", "snowIce", "vegetation", "water")
    return {"s2TakeId": product.take_id, "mgrs": product.tile, **dict.fromkeys(classes)}


def _services(product: CatalogueProduct, link: str, checksum: str | None) -> dict[str, Any]:
    layer = {
        "type": "WMS",
        "url": f"{PUBLIC}/cgi-bin/mapserver?map=WMS_{product.collection}&data={_folder(product)}",
        "layers": "",
    }
    browse = {"title": "Display full resolution product on map", "layer": layer}
    download = {"url": f"{link}/download", "mimeType": "application/zip", "size": product.size}
    if checksum is not None:
        download["checksum"] = checksum
    return {**({"browse": browse} if product.collection == "S1" else {}), "download": download}


def _alternate(product: CatalogueProduct, link: str, extension: str, title: str) -> dict[str, Any]:
    return {
        "rel": "alternate",
        "type": "application/json" if extension == "json" else "application/atom+xml",
        "title": f"{title} link for {product.id}",
        "href": f"{link}.{extension}?&lang=en",
    }


def _folder(product: CatalogueProduct) -> str:
    return f"{product.start:%Y/%m/%d}/{product.platform}/{product.name}"


def _plain(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


def _coordinates(value: Any) -> Any:
    """Return coordinates as PHP writes them: whole numbers without a fraction."""
    return _plain(value) if isinstance(value, float) else [_coordinates(item) for item in value]
