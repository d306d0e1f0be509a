"""From the replies of GEODES to neutral words (GEODES notes, sections 4 and 5).

Any property may be null, missing or of another type: nothing is indexed blindly.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx

from pepsasync.errors import ProtocolError
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.providers.base import SearchPage
from pepsasync.providers.reading import (
    as_footprint,
    as_instant,
    as_integer,
    as_list,
    as_mapping,
    as_md5,
    as_number,
    as_size,
    as_text,
    as_word,
    name_of,
    unclear,
)
from pepsasync.query.attributes import kept
from pepsasync.query.orbits import relative_orbit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pepsasync.model import Query

_log = logging.getLogger(__name__)

_SIZE_LINE = re.compile(r"^\s*File size:\s*(\d+)", re.MULTILINE | re.IGNORECASE)
_MD5_LINE = re.compile(r"^\s*Checksum MD5:\s*([0-9a-f]{32})\s*$", re.MULTILINE | re.IGNORECASE)
_MD5_IN_URL = re.compile(r"/files/([0-9a-f]{32})$", re.IGNORECASE)
_MULTIHASH_MD5 = "d50110"
"""Prefix of an MD5 in a multihash: code and length (section 4)."""
SESSION = ("token",)
"""Parameters of links that name the caller's session (section 2)."""
PRIVATE = (*SESSION, "scope")
"""Those that name the tenant, too, which whoever has no key must tell (section 4)."""
_PLAIN = re.compile(
    r"https?://(?:127\.0\.0\.1|[a-z][a-z0-9.-]*)(?!:80/|:443/)(?::[1-9]\d{0,4})?(?:/[\w~:@-][\w.~:@-]*)+", re.ASCII
)
"""An absolute address that httpx leaves as it is: nothing to escape, no dots to resolve."""
_ELSEWHERE = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""The start of an address that no web client can have, such as that in an object store."""
_TENANT = re.compile(r"scope=\w+", re.ASCII)
"""A query that httpx leaves as it is."""


def parse_page(reply: Any, root: str, query: Query | None = None) -> SearchPage:
    """Parse a search reply.

    The end is where as many different items came as the archive says it matched: its `next` links lead in circles,
    short pages happen, and a server that serves fewer a page than were asked for may name another limit than its own.

    Args:
        reply: Decoded JSON.
        root: Root URL of the archive.
        query: What was asked; of attributes only those that it names are kept.

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    document = as_mapping(reply)
    features = document.get("features")
    if not isinstance(features, list):
        raise ProtocolError("the search reply is not a feature collection")
    context = as_mapping(document.get("context"))
    total = as_integer(context.get("matched", document.get("numberMatched")))
    parsed = [(feature, parse_item(feature, root, query)) for feature in features]
    return SearchPage(
        tuple(product for _, product in parsed if product),
        is_last=None if features else True,
        total=total,
        sent=tuple(as_text(as_mapping(feature).get("id")) or "" for feature in features),
        unread=tuple(_name(feature) for feature, product in parsed if not product and not _is_old(feature)),
        unclear={product.id: words for feature, product in parsed if product and (words := _unclear(feature, product))},
    )


def _is_old(item: Any) -> bool:
    """Whether a newer version took the place of an item."""
    return as_mapping(as_mapping(item).get("properties")).get("latest") is False


def _unclear(item: Any, product: Product) -> tuple[str, ...]:
    p = as_mapping(item.get("properties"))
    return unclear(product, p.get("start_datetime") or p.get("datetime"), item.get("geometry"))


def _name(item: Any) -> str:
    """What to call an item that cannot be read."""
    return _named(as_mapping(item)) or name_of(item, "id")


def _named(item: Mapping[str, Any]) -> str | None:
    """The name of a product; items of STAC 1.1 have it as their id (section 12)."""
    identity = as_text(item.get("id"))
    is_name = identity is not None and not identity.upper().startswith("URN:")
    return as_text(as_mapping(item.get("properties")).get("identifier")) or (identity if is_name else None)


def _file_name(key: str) -> str | None:
    """The name of a product from the key of its asset, which is the name of its file (section 4), or a mere role."""
    stem, dot, _ = key.rpartition("/")[2].rpartition(".")
    return stem if dot and stem else None


def parse_item(item: Any, root: str, query: Query | None = None) -> Product | None:
    """Parse one item; None for an old version, and, with a warning in the log, for one without id, name or data."""
    fields = as_mapping(item)
    p = as_mapping(fields.get("properties"))
    identity = as_text(fields.get("id"))
    if _is_old(item):
        return None
    found = _data_asset(fields.get("assets"))
    name = _named(fields) or (_file_name(found[0]) if found else None)
    if identity is None or found is None or name is None:
        _log.warning("left out a search result without id, name or data")
        return None
    asset = found[1]
    platform, orbit = as_word(p.get("platform")), as_integer(p.get("sat:absolute_orbit"))
    # Where only one instant is told, it is that of the acquisition (section 12).
    start, told = as_instant(p.get("start_datetime")), as_instant(p.get("datetime"))
    start, published = (start, told) if p.get("start_datetime") else (told, None)
    is_radar = (platform or name).startswith("S1")
    return Product(
        id=identity,
        name=name,
        provider="geodes",
        collection=as_word(p.get("dataset")) or as_word(fields.get("collection")) or "",
        download_url=_link(asset.get("href"), root),
        tier=StorageTier.UNKNOWN,  # `Is online` is false for nearly everything (section 4)
        size=_size(asset),
        checksum=_checksum(asset),
        product_type=as_word(p.get("product:type")),
        sensor_mode=as_word(p.get("sar:instrument_mode")),
        platform=platform,
        start=start,
        end=as_instant(p.get("end_datetime")),
        orbit=orbit,
        relative_orbit=as_integer(p.get("sat:relative_orbit")) or relative_orbit(name, platform, orbit, start),
        orbit_direction=(as_word(p.get("sat:orbit_state")) or "").lower() or None,
        cloud_cover=None if is_radar else as_number(p.get("eo:cloud_cover")),
        tile=(as_word(p.get("grid:code")) or "").removeprefix("T") or None,
        polarisation=as_word(p.get("sar:polarizations")),
        timeliness=as_word(p.get("product:timeliness")),
        published=published,
        quicklook_url=_quicklook(fields.get("assets"), root),
        storage_url=as_text(p.get("endpoint_url")),
        footprint=as_footprint(fields.get("geometry")),
        attributes=kept(query, p),
    )


def parse_availability(reply: Any, products: Iterable[Product]) -> dict[str, StorageTier]:
    """Parse a reply about many products (section 5.1).

    Args:
        reply: Decoded JSON.
        products: What was asked for.

    Returns:
        Tier by product id, of the products that the reply tells about.
    """
    asked, found = {product.id: product for product in products}, {}
    for entry in as_list(as_mapping(reply).get("products")):
        product = asked.get(as_text(as_mapping(entry).get("id")) or "")
        if product is not None and (tier := parse_files(entry, product)) is not None:
            found[product.id] = tier
    return found


def parse_files(entry: Any, product: Product) -> StorageTier | None:
    """Tier of a product from the list of its files, in which its data file goes by its MD5, or the end of its link.

    None when that is not listed: quicklooks are, too. Of a product without MD5 all files tell when they agree.
    """
    files = [as_mapping(file) for file in as_list(as_mapping(entry).get("files"))]
    end = product.download_url.partition("?")[0].rpartition("/")[2].lower()
    name = product.checksum.value if product.checksum else end
    own = [file for file in files if str(file.get("checksum")).lower() == name]
    told = [file.get("available") for file in own or (() if product.checksum else files)]
    for is_online, tier in ((True, StorageTier.DISK), (False, StorageTier.TAPE)):
        if told and all(available is is_online for available in told):
            return tier
    return None


def _assets(value: Any, role: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """File name and description of what has a role and a link to it."""
    for key, asset in as_mapping(value).items():
        fields = as_mapping(asset)
        href = as_text(fields.get("href"))
        if role in as_list(fields.get("roles")) and href and not _ELSEWHERE.match(href):
            yield key, fields


def _data_asset(value: Any) -> tuple[str, Mapping[str, Any]] | None:
    """File name and description of the zip; some items list XML files as data, too (section 4)."""
    data = list(_assets(value, "data"))
    zips = [found for found in data if found[0].endswith(".zip") or as_text(found[1].get("type")) == "application/zip"]
    others = [found for found in data if "xml" not in str(found[1].get("type"))]
    return next(iter(zips or others), None)


def _quicklook(value: Any, root: str) -> str | None:
    """Needs no key, and so the tenant in its link."""
    return next((_link(asset.get("href"), root, SESSION) for _, asset in _assets(value, "overview")), None)


def _link(value: Any, root: str, private: Sequence[str] = PRIVATE) -> str:
    """An absolute link without the caller's session in it."""
    text = as_text(value) or ""
    address, _, query = text.partition("?")
    if _PLAIN.fullmatch(address):  # nearly all: httpx takes 100 times as long
        if _is_private(query, private):
            return address
        if _TENANT.fullmatch(query):
            return text
    return _cleaned(text, root, private)


def _is_private(query: str, private: Sequence[str]) -> bool:
    """Whether nothing is left of a query without the caller's session."""
    return "#" not in query and all(part.partition("=")[0] in private for part in query.split("&") if part)


def _cleaned(text: str, root: str, private: Sequence[str]) -> str:
    """Any link, read by httpx."""
    try:
        url = httpx.URL(urljoin(f"{root}/", text))
    except (ValueError, httpx.InvalidURL):
        return root
    for name in private:
        url = url.copy_remove_param(name)
    return str(url)


def _size(asset: Mapping[str, Any]) -> int | None:
    if size := as_size(asset.get("file:size")):
        return size
    match = _SIZE_LINE.search(as_text(asset.get("description")) or "")
    return as_size(match[1]) if match else None


def _checksum(asset: Mapping[str, Any]) -> Checksum | None:
    """MD5 from the multihash, the description, or the last part of the URL, whichever is there."""
    multihash = (as_text(asset.get("file:checksum")) or "").lower()
    if multihash.startswith(_MULTIHASH_MD5):
        return as_md5(multihash.removeprefix(_MULTIHASH_MD5))
    path = (as_text(asset.get("href")) or "").partition("?")[0]
    match = _MD5_LINE.search(as_text(asset.get("description")) or "") or _MD5_IN_URL.search(path)
    return as_md5(match[1]) if match else None
