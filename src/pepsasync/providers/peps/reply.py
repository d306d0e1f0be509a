"""From resto's replies to neutral words (PEPS protocol notes, sections 3 and 4).

Any property may be null, missing or of another type: nothing is indexed blindly.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pepsasync.errors import ProtocolError
from pepsasync.model import Product, StorageTier
from pepsasync.providers.base import SearchPage
from pepsasync.providers.peps.attributes import told_attributes
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
    from collections.abc import Mapping

    from pepsasync.model import Query

_log = logging.getLogger(__name__)

TIERS = {
    "disk": StorageTier.DISK,
    "tier2": StorageTier.DISK,  # since 2023, online-like
    "tape": StorageTier.TAPE,
    "tier3": StorageTier.TAPE,  # since 2023, offline-like
    "staging": StorageTier.STAGING,
}
"""Storage words; any other (`unknown`, `unaivalable`, new ones) is UNKNOWN, and the download answer decides."""


def parse_page(reply: Any, page_size: int, root: str, query: Query | None = None) -> SearchPage:
    """Parse a search reply.

    Args:
        reply: Decoded JSON.
        page_size: Products that were asked for.
        root: Root URL of the archive, from which download URLs are made.
        query: What was asked; of attributes only those that it names are kept.

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    features = parse_features(reply)
    parsed = [(feature, parse_feature(feature, root, query)) for feature in features]
    return SearchPage(
        tuple(product for _, product in parsed if product),
        is_last=is_last(reply, page_size),
        total=parse_total(reply),
        total_is_estimate=_described(reply).get("exactCount") is False,
        sent=tuple(str(as_mapping(feature).get("id") or "") for feature in features),
        unread=tuple(_name(feature) for feature, product in parsed if not product),
        unclear={product.id: words for feature, product in parsed if product and (words := _unclear(feature, product))},
    )


def _unclear(feature: Any, product: Product) -> tuple[str, ...]:
    return unclear(product, feature["properties"].get("startDate"), feature.get("geometry"))


def _name(feature: Any) -> str:
    """What to call a feature that cannot be read."""
    properties = as_mapping(as_mapping(feature).get("properties"))
    return as_text(properties.get("productIdentifier")) or name_of(feature, "id")


def parse_features(reply: Any) -> list[Any]:
    """The features of a search reply, whatever they are.

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    features = as_mapping(reply).get("features")
    if not isinstance(features, list):
        raise ProtocolError("the search reply is not a feature collection")
    return features


def is_last(reply: Any, page_size: int) -> bool:
    """Whether a page is the last: an empty one, or a short one when nothing says that there is more.

    Servers may give fewer products a page than they are asked for. A full page has a `next` link, even when no other
    follows; the total says that there is more unless it is an estimate (section 2.2).

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    count, described = len(parse_features(reply)), _described(reply)
    if count == 0 or count >= page_size:
        return count == 0
    if any(as_mapping(link).get("rel") == "next" for link in as_list(described.get("links"))):
        return False
    sent = (as_integer(described.get("startIndex")) or 1) - 1 + count
    return described.get("exactCount") is False or sent >= (parse_total(reply) or 0)


def parse_total(reply: Any) -> int | None:
    """Matches in the whole catalogue; None when the reply does not say."""
    return as_integer(_described(reply).get("totalResults"))


def _described(reply: Any) -> Mapping[str, Any]:
    """What a search reply says of itself."""
    return as_mapping(as_mapping(reply).get("properties"))


def parse_tiers(features: list[Any]) -> dict[str, StorageTier]:
    """Storage tier by product id; features without id are left out."""
    return {str(feature["id"]): parse_tier(feature) for feature in features if as_mapping(feature).get("id")}


def parse_feature(feature: Any, root: str, query: Query | None = None) -> Product | None:
    """Parse one feature; None, with a warning in the log, when it has neither id nor name to go by."""
    if not isinstance(feature, dict) or not feature.get("id") or not isinstance(feature.get("properties"), dict):
        _log.warning("left out a search result without id or properties")
        return None
    p: dict[str, Any] = feature["properties"]
    identity = str(feature["id"])
    name = as_text(p.get("productIdentifier")) or as_text(p.get("title")) or identity
    collection = as_word(p.get("collection")) or _collection_from(p) or "S2ST"
    platform, orbit, start = (
        as_word(p.get("platform")),
        as_integer(p.get("orbitNumber")),
        as_instant(p.get("startDate")),
    )
    download = as_mapping(as_mapping(p.get("services")).get("download"))
    return Product(
        id=identity,
        name=name,
        provider="peps",
        collection=collection,
        download_url=f"{root}/collections/{quote(collection, safe='')}/{quote(identity, safe='')}/download",
        tier=parse_tier(feature),
        size=as_size(p.get("resourceSize")) or as_size(download.get("size")),
        checksum=as_md5(p.get("resourceChecksum")) or as_md5(download.get("checksum")),
        product_type=as_word(p.get("productType")),
        sensor_mode=as_word(p.get("sensorMode")),
        platform=platform,
        start=start,
        end=as_instant(p.get("completionDate")),
        orbit=orbit,
        relative_orbit=as_integer(p.get("relativeOrbitNumber")) or relative_orbit(name, platform, orbit, start),
        orbit_direction=as_word(p.get("orbitDirection")),
        cloud_cover=as_number(p.get("cloudCover")),
        tile=as_word(p.get("mgrs")),
        polarisation=as_word(p.get("polarisation")),
        timeliness=as_word(p.get("realtime")),
        published=as_instant(p.get("published")),
        quicklook_url=as_text(p.get("quicklook")),
        footprint=as_footprint(feature.get("geometry")),
        attributes=kept(query, told_attributes(p)) if query and query.property else None,
    )


def parse_tier(feature: Any) -> StorageTier:
    """Storage tier of one feature."""
    properties = as_mapping(as_mapping(feature).get("properties"))
    mode = as_mapping(properties.get("storage")).get("mode")
    return TIERS.get(str(mode).lower(), StorageTier.UNKNOWN)


def _collection_from(properties: Mapping[str, Any]) -> str | None:
    platform = as_text(properties.get("platform")) or ""
    return {"S1": "S1", "S2": "S2ST", "S3": "S3"}.get(platform[:2])
