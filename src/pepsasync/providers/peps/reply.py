"""From resto's replies to neutral words (PEPS protocol notes, sections 3 and 4).

Any property may be null, missing or of another type: nothing is indexed blindly.
"""

from __future__ import annotations

import logging
import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pepsasync.decide.orbits import relative_orbit
from pepsasync.errors import ProtocolError
from pepsasync.model import Checksum, Product, StorageTier
from pepsasync.providers.base import SearchPage

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

TIERS = {
    "disk": StorageTier.DISK,
    "tier2": StorageTier.DISK,  # since 2023, online-like
    "tape": StorageTier.TAPE,
    "tier3": StorageTier.TAPE,  # since 2023, offline-like
    "staging": StorageTier.STAGING,
}
"""Storage words; any other (`unknown`, `unaivalable`, new ones) is UNKNOWN, and the download answer decides."""


def parse_page(reply: Any, page_size: int, root: str) -> SearchPage:
    """Parse a search reply.

    Args:
        reply: Decoded JSON.
        page_size: Products that were asked for; fewer mean that this is the last page.
        root: Root URL of the archive, from which download URLs are made.

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    features = parse_features(reply)
    products = tuple(product for feature in features if (product := parse_feature(feature, root)))
    return SearchPage(products, is_last=len(features) < page_size, total=parse_total(reply))


def parse_features(reply: Any) -> list[Any]:
    """The features of a search reply, whatever they are.

    Raises:
        ProtocolError: The reply is not a feature collection.
    """
    features = _mapping(reply).get("features")
    if not isinstance(features, list):
        raise ProtocolError("the search reply is not a feature collection")
    return features


def parse_total(reply: Any) -> int | None:
    """Matches in the whole catalogue; None when the reply does not say."""
    return _integer(_mapping(_mapping(reply).get("properties")).get("totalResults"))


def parse_tiers(features: list[Any]) -> dict[str, StorageTier]:
    """Storage tier by product id; features without id are left out."""
    return {str(feature["id"]): parse_tier(feature) for feature in features if _mapping(feature).get("id")}


def parse_feature(feature: Any, root: str) -> Product | None:
    """Parse one feature; None, with a warning in the log, when it has neither id nor name to go by."""
    if not isinstance(feature, dict) or not feature.get("id") or not isinstance(feature.get("properties"), dict):
        _log.warning("left out a search result without id or properties")
        return None
    p: dict[str, Any] = feature["properties"]
    identity = str(feature["id"])
    name = _text(p.get("productIdentifier")) or _text(p.get("title")) or identity
    collection = _word(p.get("collection")) or _collection_from(p) or "S2ST"
    platform, orbit, start = _word(p.get("platform")), _integer(p.get("orbitNumber")), parse_instant(p.get("startDate"))
    download = _mapping(_mapping(p.get("services")).get("download"))
    return Product(
        id=identity,
        name=name,
        provider="peps",
        collection=collection,
        download_url=f"{root}/collections/{quote(collection, safe='')}/{quote(identity, safe='')}/download",
        tier=parse_tier(feature),
        size=_size(p.get("resourceSize")) or _size(download.get("size")),
        checksum=_checksum(p.get("resourceChecksum")) or _checksum(download.get("checksum")),
        product_type=_word(p.get("productType")),
        sensor_mode=_word(p.get("sensorMode")),
        platform=platform,
        start=start,
        end=parse_instant(p.get("completionDate")),
        orbit=orbit,
        relative_orbit=_integer(p.get("relativeOrbitNumber")) or relative_orbit(name, platform, orbit, start),
        orbit_direction=_word(p.get("orbitDirection")),
        cloud_cover=_number(p.get("cloudCover")),
        tile=_word(p.get("mgrs")),
        polarisation=_word(p.get("polarisation")),
        published=parse_instant(p.get("published")),
        quicklook_url=_text(p.get("quicklook")),
        footprint=_footprint(feature.get("geometry")),
    )


def parse_tier(feature: Any) -> StorageTier:
    """Storage tier of one feature."""
    properties = _mapping(_mapping(feature).get("properties"))
    mode = _mapping(properties.get("storage")).get("mode")
    return TIERS.get(str(mode).lower(), StorageTier.UNKNOWN)


def parse_instant(value: Any) -> datetime | None:
    """An instant such as `2020-08-15T00:52:51.024Z`, UTC and aware; None when it is missing or makes no sense."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _collection_from(properties: Mapping[str, Any]) -> str | None:
    platform = _text(properties.get("platform")) or ""
    return {"S1": "S1", "S2": "S2ST", "S3": "S3"}.get(platform[:2])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _word(value: Any) -> str | None:
    """A text of which there are few: kept once, however many products have it."""
    text = _text(value)
    return sys.intern(text) if text else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None


def _size(value: Any) -> int | None:
    """Bytes, sent as a number or as text; 0 means unknown."""
    size = _integer(value)
    return size if size and size > 0 else None


def _checksum(value: Any) -> Checksum | None:
    """MD5 in upper or lower case (section 3.2); None for anything else."""
    text = (_text(value) or "").lower()
    return Checksum("md5", text) if len(text) == 32 and set(text) <= set("0123456789abcdef") else None


def _footprint(value: Any) -> Mapping[str, Any] | None:
    geometry = _mapping(value)
    if geometry.get("type") in ("Polygon", "MultiPolygon") and geometry.get("coordinates"):
        return {"type": geometry["type"], "coordinates": geometry["coordinates"]}
    return None
