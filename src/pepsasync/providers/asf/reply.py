"""From granule records of CMR (UMM-G JSON) to neutral words (ASF notes, section 4).

Any value may be missing, null, `NA` or of another type: nothing is indexed blindly.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pepsasync.errors import ProtocolError
from pepsasync.model import Product, StorageTier
from pepsasync.providers.asf.query import BURST, BURSTS
from pepsasync.providers.base import SearchPage
from pepsasync.providers.reading import (
    as_footprint,
    as_instant,
    as_integer,
    as_list,
    as_lower,
    as_mapping,
    as_md5,
    as_platform,
    as_polarisation,
    as_size,
    as_text,
    as_word,
    unclear,
)
from pepsasync.query.attributes import kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pepsasync.model import Query

_log = logging.getLogger(__name__)

_LEVEL = re.compile(r"-(GRD_[A-Z]{2}|SLC|OCN|RAW|BURST)$")
"""End of the id of a product, behind its name."""
_NOTHING = {"NA", "N/A", "NULL", "NONE"}


def parse_page(reply: Any, query: Query | None = None, *, is_last: bool) -> SearchPage:
    """Parse a search reply.

    Args:
        reply: Decoded JSON.
        query: What was asked; of attributes only those that it names are kept.
        is_last: Whether no page follows.

    Raises:
        ProtocolError: The reply is not a list of products.
    """
    reply = as_mapping(reply)
    items = reply.get("items")
    if not isinstance(items, list):
        raise ProtocolError("the search reply is not a list of products")
    parsed = [(item, parse_item(item, query)) for item in items]
    return SearchPage(
        tuple(product for _, product in parsed if product),
        is_last,
        as_integer(reply.get("hits")),
        sent=tuple(_id(item) or "" for item, _ in parsed),
        unread=tuple(_name(item) for item, product in parsed if not product and not _is_metadata(item)),
        unclear={product.id: words for item, product in parsed if product and (words := _unclear(item, product))},
    )


def _umm(item: Any) -> Mapping[str, Any]:
    return as_mapping(as_mapping(item).get("umm"))


def _id(item: Any) -> str | None:
    return as_text(_umm(item).get("GranuleUR")) or as_text(as_mapping(as_mapping(item).get("meta")).get("native-id"))


def _name(item: Any) -> str:
    """Name of the product, the same in every archive; of a burst that of the file that is made of it."""
    identity = _id(item) or ""
    if identity.endswith(f"-{BURST}"):
        return f"{identity}.tiff"
    return _producer_name(_umm(item)) or _LEVEL.sub("", identity)


def _is_metadata(item: Any) -> bool:
    """Whether it is the description of a product, which is a product of its own there."""
    return "-METADATA_" in (_id(item) or "")


def _unclear(item: Any, product: Product) -> tuple[str, ...]:
    umm = _umm(item)
    return unclear(product, _period(umm)[0], _geometry(umm))


def parse_item(item: Any, query: Query | None = None) -> Product | None:
    """Parse one product; None for metadata, and for what has no id or no address to go by."""
    umm, identity = _umm(item), _id(item)
    if identity is None or _is_metadata(item):
        return None
    a = _attributes(umm)
    addresses = [as_mapping(link) for link in as_list(umm.get("RelatedUrls"))]
    address = _address(addresses, "GET DATA") or _address(addresses, "USE SERVICE API")
    if address is None:
        _log.warning("left out a search result without address")
        return None
    collection = as_word(as_mapping(umm.get("CollectionReference")).get("ShortName")) or "unknown"
    is_burst = collection == BURSTS or identity.endswith(f"-{BURST}")
    name = _name(item)
    start, end = _period(umm)
    checksum = as_md5(a.get("MD5SUM"))
    size = as_size(a.get("BYTES")) or as_size(a.get("BYTE_LENGTH"))
    return Product(
        id=identity,
        name=name,
        provider="asf",
        collection=collection,
        download_url=address,
        tier=StorageTier.UNKNOWN if is_burst else StorageTier.DISK,
        size=size,
        size_is_estimate=is_burst,  # that of the burst in its product, not of the file that is made of it
        checksum=checksum,
        product_type=BURST if is_burst else _product_type(a.get("PROCESSING_TYPE"), identity),
        sensor_mode=_sensor_mode(a.get("BEAM_MODE_TYPE") or a.get("BEAM_MODE")),
        platform=as_platform(name, a.get("ASF_PLATFORM") or _short_name(umm)),
        start=as_instant(start),
        end=as_instant(end),
        orbit=_orbit(umm),
        relative_orbit=as_integer(a.get("PATH_NUMBER")),
        orbit_direction=as_lower(a.get("ASCENDING_DESCENDING")),
        polarisation=as_polarisation(a.get("POLARIZATION")),
        published=_published(item),
        quicklook_url=_address(addresses, "GET RELATED VISUALIZATION"),
        footprint=as_footprint(_geometry(umm)),
        attributes=kept(query, a),
    )


def _attributes(umm: Mapping[str, Any]) -> dict[str, str]:
    """First value of each attribute, without those that stand for nothing."""
    found = {}
    for attribute in map(as_mapping, as_list(umm.get("AdditionalAttributes"))):
        value = as_text(next(iter(as_list(attribute.get("Values"))), None))
        if value is not None and value.upper() not in _NOTHING:
            found[str(attribute.get("Name"))] = value
    return found


def _address(links: list[Mapping[str, Any]], kind: str) -> str | None:
    """First web address of a kind; older records hold addresses of the object store under the same kind."""
    texts = (as_text(link.get("URL")) for link in links if link.get("Type") == kind)
    return next((text for text in texts if text and _is_web(text)), None)


def _is_web(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


def _producer_name(umm: Mapping[str, Any]) -> str | None:
    granule = as_mapping(umm.get("DataGranule"))
    for each in map(as_mapping, as_list(granule.get("Identifiers"))):
        if each.get("IdentifierType") == "ProducerGranuleId" and (name := as_text(each.get("Identifier"))):
            return name.removesuffix(".zip").removesuffix(".SAFE")
    return None


def _period(umm: Mapping[str, Any]) -> tuple[Any, Any]:
    extent = as_mapping(umm.get("TemporalExtent"))
    period = as_mapping(extent.get("RangeDateTime"))
    single = extent.get("SingleDateTime")
    return period.get("BeginningDateTime", single), period.get("EndingDateTime", single)


def _geometry(umm: Mapping[str, Any]) -> dict[str, Any] | None:
    """GeoJSON of the outlines; None without any."""
    spatial = as_mapping(as_mapping(umm.get("SpatialExtent")).get("HorizontalSpatialDomain"))
    outlines = as_list(as_mapping(spatial.get("Geometry")).get("GPolygons"))
    polygons = []
    for outline in map(as_mapping, outlines):
        points = as_list(as_mapping(outline.get("Boundary")).get("Points"))
        ring = [[as_mapping(point).get("Longitude"), as_mapping(point).get("Latitude")] for point in points]
        polygons.append([ring])
    if not polygons:
        return None
    is_single = len(polygons) == 1
    return {"type": "Polygon" if is_single else "MultiPolygon", "coordinates": polygons[0] if is_single else polygons}


def _orbit(umm: Mapping[str, Any]) -> int | None:
    domains = as_list(umm.get("OrbitCalculatedSpatialDomains"))
    return as_integer(as_mapping(next(iter(domains), None)).get("OrbitNumber"))


def _product_type(kind: str | None, identity: str) -> str | None:
    """`GRD_HD` is `GRD` for everybody else."""
    match = _LEVEL.search(identity)
    text = kind or (match[1] if match else None)
    return sys.intern(text.partition("_")[0]) if text else None


def _sensor_mode(beam: str | None) -> str | None:
    """Stripmap is named by its beam there."""
    if beam is None:
        return None
    return "SM" if re.fullmatch(r"S[1-6]", beam) else sys.intern(beam)


def _short_name(umm: Mapping[str, Any]) -> Any:
    """`Sentinel-1A`, which is written in any case."""
    return as_mapping(next(iter(as_list(umm.get("Platforms"))), None)).get("ShortName")


def _published(item: Any) -> Any:
    """When it came into the catalogue; else when its record was last changed."""
    dates = {each.get("Type"): each.get("Date") for each in map(as_mapping, as_list(_umm(item).get("ProviderDates")))}
    changed = as_mapping(as_mapping(item).get("meta")).get("revision-date")
    return as_instant(dates.get("Insert") or dates.get("Create") or changed)
