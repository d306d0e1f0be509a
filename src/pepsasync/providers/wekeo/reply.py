"""From replies of WEkEO to neutral words (WEkEO notes, section 5).

No reply for Sentinels is kept publicly: any property may be missing, null or of another type, and what the metadata do
not tell is read from the name.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ProtocolError
from pepsasync.model import Product
from pepsasync.providers.base import SearchPage
from pepsasync.providers.reading import (
    as_footprint,
    as_instant,
    as_integer,
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
from pepsasync.providers.wekeo.query import PAGE_SIZE, RADAR, dataset_of
from pepsasync.query.attributes import kept
from pepsasync.query.orbits import relative_orbit

if TYPE_CHECKING:
    from pepsasync.model import Query

_log = logging.getLogger(__name__)

_S1_NAME = re.compile(r"S1[A-Z]_(IW|EW|WV|SM|S\d)_(GRD|SLC|OCN|RAW)")
_S2_NAME = re.compile(r"S2[A-Z]_MSIL(\d[A-Z])_")
_TILE = re.compile(r"_T(\d{2}[A-Z]{3})(?=_|$)")


def parse_page(reply: Any, query: Query, start_index: int, download_url: str) -> tuple[SearchPage, int | None]:
    """Parse a search reply.

    Args:
        reply: Decoded JSON.
        query: What was asked.
        start_index: Of the first result.
        download_url: Under which ordered files stand.

    Returns:
        The page, and where the next one begins; None when it is the last. After a full page that tells neither a total
        nor where to go on, there may be another.

    Raises:
        ProtocolError: The reply is not a list of products.
    """
    reply = as_mapping(reply)
    features = reply.get("features")
    if not isinstance(features, list):
        raise ProtocolError("the search reply is not a list of products")
    parsed = [(feature, parse_feature(feature, query, download_url)) for feature in features]
    about = as_mapping(reply.get("properties"))
    total, following = as_integer(about.get("totalResults")), as_integer(about.get("nextIndex"))
    if not following:
        after, full = start_index + len(features), as_size(about.get("itemsPerPage")) or PAGE_SIZE
        is_more = after < total if total is not None else len(features) >= min(full, PAGE_SIZE)
        following = after if features and is_more else None
    page = SearchPage(
        tuple(product for _, product in parsed if product),
        not following,
        total,
        sent=tuple(as_text(as_mapping(feature).get("id")) or "" for feature, _ in parsed),
        unread=tuple(_bare(name_of(feature, "id")) for feature, product in parsed if not product),
        unclear={product.id: words for feature, product in parsed if product and (words := _unclear(feature, product))},
    )
    return page, following or None


def _unclear(feature: Any, product: Product) -> tuple[str, ...]:
    return unclear(product, as_mapping(feature.get("properties")).get("startdate"), feature.get("geometry"))


def _bare(name: str) -> str:
    """Product name without the extension of its folder; other extensions belong to other files than folders."""
    return name.removesuffix(".SAFE").removesuffix(".SEN3")


def parse_feature(feature: Any, query: Query, download_url: str) -> Product | None:
    """Parse one product; None, with a warning in the log, when it cannot be ordered."""
    feature = as_mapping(feature)
    p = as_mapping(feature.get("properties"))
    identity, location = as_text(feature.get("id")), as_text(p.get("location"))
    if identity is None or location is None:
        _log.warning("left out a search result without id or location")
        return None
    m, name = as_mapping(p.get("metadata")), _bare(identity)
    radar, optical = _S1_NAME.match(name), _S2_NAME.match(name)
    platform = as_platform(name, m.get("platformShortName"), m.get("platformSerialIdentifier"))
    start = as_instant(p.get("startdate"))
    orbit, tile = as_integer(m.get("orbitNumber")), _TILE.search(name) if optical else None
    return Product(
        id=identity,
        name=name,
        provider="wekeo",
        collection=dataset_of(query),
        download_url=download_url,
        storage_url=location,
        size=as_size(p.get("size")),
        size_is_estimate=True,  # what the order brings may have another one
        product_type=_product_type(m.get("productType"), radar, optical),
        sensor_mode=_sensor_mode(m.get("operationalMode"), radar, optical),
        platform=platform,
        start=start,
        end=as_instant(p.get("enddate")),
        orbit=orbit,
        relative_orbit=as_integer(m.get("relativeOrbitNumber")) or relative_orbit(name, platform, orbit, start),
        orbit_direction=as_lower(m.get("orbitDirection")),
        cloud_cover=as_percent(m.get("cloudCover")),
        tile=sys.intern(tile[1]) if tile else None,
        polarisation=as_polarisation(m.get("polarisationChannels")),
        timeliness=as_word(m.get("timeliness")),
        published=as_instant(m.get("publicationDate") or m.get("publicationdate")),
        quicklook_url=as_text(p.get("thumbnail")),
        footprint=as_footprint(feature.get("geometry")),
        attributes=kept(query, m),
    )


def _product_type(value: Any, radar: re.Match[str] | None, optical: re.Match[str] | None) -> str | None:
    """`IW_GRDH_1S` is `GRD` for everybody else."""
    text = as_word(value)
    if match := RADAR.search(text or ""):
        return sys.intern(match[1])
    if text is None and radar:
        return sys.intern(radar[2])
    return sys.intern(f"S2MSI{optical[1]}") if text is None and optical else text


def _sensor_mode(value: Any, radar: re.Match[str] | None, optical: re.Match[str] | None) -> str | None:
    if text := as_word(value):
        return text
    if radar:
        return "SM" if radar[1][0] == "S" else sys.intern(radar[1])
    return "INS-NOBS" if optical else None
