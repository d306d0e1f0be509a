"""From OData replies of the Copernicus Data Space to neutral words (CDSE notes, Product).

Any property may be null, missing or of another type: nothing is indexed blindly.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pepsasync.errors import ProtocolError
from pepsasync.hashes import fastest
from pepsasync.model import Attribute, Product, StorageTier, only
from pepsasync.providers.base import SearchPage
from pepsasync.providers.cdse.query import ATTRIBUTE_KINDS, LAST_PAGE, PAGE_SIZE, collection_name, rest_of
from pepsasync.providers.reading import (
    as_checksum,
    as_footprint,
    as_instant,
    as_integer,
    as_list,
    as_lower,
    as_mapping,
    as_percent,
    as_platform,
    as_polarisation,
    as_size,
    as_text,
    as_word,
    name_of,
    unclear,
)
from pepsasync.query.attributes import kept
from pepsasync.query.orbits import relative_orbit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pepsasync.model import Checksum, Query

_log = logging.getLogger(__name__)

_TIERS = {True: StorageTier.DISK, False: StorageTier.TAPE}
_RADAR = re.compile(r"^\w\w_(GRD|SLC|OCN|RAW)")


def parse_page(reply: Any, query: Query, page: int, root: str) -> SearchPage:
    """Parse a search reply.

    Args:
        reply: Decoded JSON.
        query: What was asked.
        page: Which page (1-based) of it.
        root: `https://host`, under which downloads stand.

    Raises:
        ProtocolError: The reply is not a list of products, or the last page does not tell what follows it.
    """
    reply = as_mapping(reply)
    records = reply.get("value")
    if not isinstance(records, list):
        raise ProtocolError("the search reply is not a list of products")
    collection = collection_name(only(query.collection))
    parsed = [(record, parse_record(record, collection, root, query)) for record in records]
    products = tuple(product for _, product in parsed if product)
    goes_on = len(records) >= PAGE_SIZE or bool(reply.get("@odata.nextLink"))
    is_last = page >= LAST_PAGE or not goes_on
    rest = rest_of(query, products) if goes_on and is_last else None
    return SearchPage(
        products,
        is_last,
        as_integer(reply.get("@odata.count")),
        rest=rest,
        sent=tuple(as_text(as_mapping(record).get("Id")) or "" for record in records),
        unread=tuple(_name(name_of(record, "Name")) or "" for record, product in parsed if not product),
        unclear={product.id: words for record, product in parsed if product and (words := _unclear(record, product))},
    )


def _unclear(record: Any, product: Product) -> tuple[str, ...]:
    period = record.get("ContentDate")
    start = period.get("Start") if isinstance(period, dict) else period
    return unclear(product, start, record.get("GeoFootprint"))


def parse_record(record: Any, collection: str | None, root: str, query: Query | None = None) -> Product | None:
    """Parse one product; None, with a warning in the log, when it has no id to go by."""
    record = as_mapping(record)
    identity = as_text(record.get("Id"))
    if identity is None:
        _log.warning("left out a search result without id")
        return None
    name = _name(record.get("Name")) or identity
    a = _attributes(record.get("Attributes"))
    platform = as_platform(name, a.get("platformShortName"), a.get("platformSerialIdentifier"))
    orbit = as_integer(a.get("orbitNumber"))
    period = as_mapping(record.get("ContentDate"))
    start, checksums = as_instant(period.get("Start")), _checksums(record.get("Checksum"))
    return Product(
        id=identity,
        name=name,
        provider="cdse",
        collection=collection or as_word(a.get("platformShortName")) or "unknown",
        download_url=f"{product_url(root, identity)}/$value",
        tier=parse_tier(record),
        size=as_size(record.get("ContentLength")),  # 0 in older records
        size_is_estimate=not as_list(record.get("Checksum")),  # it is the folder's then, which is zipped on the way
        checksum=fastest(checksums),
        checksums=checksums,
        product_type=_product_type(a.get("productType")),
        sensor_mode=as_word(a.get("operationalMode")),
        platform=platform,
        start=start,
        end=as_instant(period.get("End")),
        orbit=orbit,
        relative_orbit=as_integer(a.get("relativeOrbitNumber")) or relative_orbit(name, platform, orbit, start),
        orbit_direction=as_lower(a.get("orbitDirection")),
        cloud_cover=as_percent(a.get("cloudCover")),
        tile=as_word(a.get("tileId")),
        polarisation=as_polarisation(a.get("polarisationChannels")),
        timeliness=as_word(a.get("timeliness")),
        published=as_instant(record.get("PublicationDate")),
        quicklook_url=_quicklook(record.get("Assets")),
        footprint=as_footprint(record.get("GeoFootprint")),
        attributes=kept(query, a),
    )


def parse_attributes(reply: Any) -> dict[str, Attribute]:
    """Attributes of a collection; those of an unknown type, or in a form that cannot be read, are left out."""
    told = [as_mapping(entry) for entry in as_list(reply)]
    kinds = {as_text(entry.get("Name")): ATTRIBUTE_KINDS.get(str(entry.get("ValueType"))) for entry in told}
    return {name: Attribute(name, kind) for name, kind in kinds.items() if name and kind}


def product_url(root: str, identity: str) -> str:
    """Address of a product's record; its bytes stand under `$value`."""
    return f"{root}/odata/v1/Products({quote(identity, safe='')})"


def parse_nodes(reply: Any) -> Iterator[tuple[str, int, bool]]:
    """Name and size of what is in a folder of a product, and whether it is a folder itself (CDSE notes, News).

    Raises:
        ProtocolError: One has no name that a path can have, or no size.
    """
    for node in map(as_mapping, as_list(as_mapping(reply).get("result"))):
        name, children = as_text(node.get("Name")), as_integer(node.get("ChildrenNumber"))
        size = as_integer(node.get("ContentLength"))
        if not name or name in (".", "..") or set(name) & set("/()") or size is None or size < 0:
            raise ProtocolError(f"the archive lists a file {name!r} of {size} bytes")
        yield name, size, bool(children)


def parse_tier(record: Any) -> StorageTier:
    """Storage tier of one product."""
    online = as_mapping(record).get("Online")
    return _TIERS[online] if isinstance(online, bool) else StorageTier.UNKNOWN


def _name(value: Any) -> str | None:
    """Product name without the extension of its folder; other extensions belong to other files than folders."""
    name = as_text(value)
    return name.removesuffix(".SAFE").removesuffix(".SEN3") or None if name else None


def _attributes(value: Any) -> Mapping[str, Any]:
    """Attributes by name."""
    pairs = [as_mapping(item) for item in as_list(value)]
    return {str(pair.get("Name")): pair.get("Value") for pair in pairs}


def _checksums(value: Any) -> tuple[Checksum, ...]:
    """MD5 and BLAKE3, whichever are there."""
    digests = [as_mapping(item) for item in as_list(value)]
    found = (as_checksum(as_lower(digest.get("Algorithm")) or "", digest.get("Value")) for digest in digests)
    return tuple(checksum for checksum in found if checksum)


def _product_type(value: Any) -> str | None:
    """`IW_GRDH_1S` is `GRD` for everybody else; other types as they are."""
    text = as_word(value)
    match = _RADAR.search(text or "")
    return sys.intern(match[1]) if match else text


def _quicklook(value: Any) -> str | None:
    assets = [as_mapping(item) for item in as_list(value)]
    links = (as_text(asset.get("DownloadLink")) for asset in assets if asset.get("Type") == "QUICKLOOK")
    return next((link for link in links if link), None)
