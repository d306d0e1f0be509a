"""ASF's own search, `/services/search/param`: no pages, no totals, and a cap that nothing tells of (section 2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import shapely
from anyio import to_thread

from pepsasync.sandbox.asf import records
from pepsasync.sandbox.asf.replies import SearchApiError
from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.replies import content_reply, json_reply, root_url
from pepsasync.sandbox.selection import BAD_GEOMETRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pepsasync.sandbox.asf.records import Granule
    from pepsasync.sandbox.asf.service import Service
    from pepsasync.sandbox.replies import Reply

CAP = 1_500
"""Most results of one reply."""
KEYS = frozenset(
    {
        *("dataset", "platform", "processinglevel", "beammode", "polarization", "flightdirection", "relativeorbit"),
        *("absoluteorbit", "start", "end", "intersectswith", "granule_list", "product_list", "maxresults", "output"),
    }
)
"""Parameters, in lower case."""
ALONE = {"granule_list", "product_list"}
"""Parameters that no other may stand beside but `output`."""
_FORM = "application/x-www-form-urlencoded"


async def param(service: Service, request: Request) -> Reply:
    """Answer a search by GET or POST; a body is read only where its type is written in exactly one way.

    Raises:
        SearchApiError: 400 for what it does not know.
    """
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    if request.method == "POST" and request.headers.get("content-type") == _FORM:
        pairs += parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    asked = {name.lower(): value for name, value in pairs}
    _check(asked)
    pass_front_end(service.archive, str(sorted(asked.items())))
    if service.archive.faults.strikes("search-failed", str(sorted(asked.items()))):
        raise SearchApiError("Search failed to find results: HTTP 504")
    found = await to_thread.run_sync(_found, service, asked)
    output = asked.get("output", "metalink").lower()
    if output == "count":
        return content_reply("text/html; charset=utf-8", str(len(found)).encode())
    some = found if asked.keys() & ALONE else found[: min(CAP, int(asked.get("maxresults", CAP)))]
    root = root_url(request)
    features = await to_thread.run_sync(lambda: [_feature(service, each, root) for each in some])
    if output == "geojson":
        return json_reply({"type": "FeatureCollection", "features": features})
    return json_reply({"results": [_short(feature["properties"]) for feature in features]})


def _check(asked: Mapping[str, str]) -> None:
    for name, value in asked.items():
        if name not in KEYS:
            raise SearchApiError(f"ValueError('Unknown search keyword \"{name}\"')")
        if not value:
            raise SearchApiError(f"ValueError('Empty value passed to search keyword \"{name}\"')")
    if asked.keys() & ALONE and len(asked.keys() - {"output"}) > 1:
        raise SearchApiError("ValueError('granule_list may not be used in conjunction with other keywords')")
    if asked.get("output", "metalink").lower() not in ("geojson", "json", "jsonlite", "count"):
        raise SearchApiError("ValueError('Unsupported output')")
    if not asked.get("maxresults", "1").isdigit():
        raise SearchApiError("ValueError('maxResults')")


def _found(service: Service, asked: Mapping[str, str]) -> list[Granule]:
    """What is asked for, newest end first."""
    outline = _outline(asked.get("intersectswith"))
    start, end = (_moment(asked.get(name)) for name in ("start", "end"))
    found = [
        granule
        for granule in records.granules(service.archive)
        if _matches(granule, asked)
        and (start is None or records.end(granule.product) >= start)
        and (end is None or granule.product.start <= end)
        and (outline is None or outline.intersects(granule.product.footprint))
    ]
    found.sort(key=lambda granule: (records.end(granule.product), granule.id), reverse=True)
    return found


def _matches(granule: Granule, asked: Mapping[str, str]) -> bool:
    product, told = granule.product, records.attributes(granule)
    satellite = {f"SENTINEL-1{product.platform[-1]}", f"S{product.platform[-1]}", "S1", "SENTINEL-1"}
    values = {
        "dataset": {"SLC-BURST"} if granule.kind == "burst" else {"SENTINEL-1"},
        "platform": satellite,
        "processinglevel": {told.get("PROCESSING_TYPE", "BURST")},  # plain GRD is another mission there
        "beammode": {product.sensor_mode},
        "polarization": {told["POLARIZATION"]},  # one text: VV does not find VV+VH
        "relativeorbit": {str(product.relative_orbit)},
        "absoluteorbit": {str(product.orbit)},
        "granule_list": {granule.scene.upper()},
        "product_list": {granule.id.upper()},
    }
    if (direction := asked.get("flightdirection")) and direction[0].upper() != product.orbit_direction[0].upper():
        return False
    return all(values[name] & {*asked[name].upper().split(",")} for name in values.keys() & asked.keys())


def _outline(text: str | None) -> Any:
    """The shape of WKT; of several that are apart their convex hull."""
    if text is None:
        return None
    try:
        outline = shapely.from_wkt(re.sub(r"\s+", " ", text))
        merged = shapely.union_all(outline)
    except BAD_GEOMETRY:
        raise SearchApiError(f"ValueError('Could not parse WKT {text[:40]}')") from None
    return merged if merged.geom_type in ("Polygon", "Point", "LineString") else merged.convex_hull


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise SearchApiError(f"ValueError('Could not parse date {text}')") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None


def _feature(service: Service, granule: Granule, root: str) -> dict[str, Any]:
    umm = records.record(service.archive, granule, root)["umm"]
    told = {each["Name"]: each["Values"][0] for each in umm["AdditionalAttributes"]}
    product = granule.product
    urls = [link["URL"] for link in umm["RelatedUrls"] if link["URL"].startswith("http")]
    start, stop = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (product.start, records.end(product)))
    properties = {
        "fileID": granule.id,
        "sceneName": granule.scene,
        "url": urls[0],
        "fileName": urls[0].rpartition("/")[2],
        "bytes": int(told["BYTES"]) if "BYTES" in told else told.get("BYTE_LENGTH"),
        "md5sum": told.get("MD5SUM"),
        "startTime": start,
        "stopTime": stop,
        "processingDate": start,
        "processingLevel": told.get("PROCESSING_TYPE", "BURST"),
        "beamModeType": product.sensor_mode,
        "polarization": told["POLARIZATION"],
        "platform": told["ASF_PLATFORM"],
        "orbit": product.orbit,
        "pathNumber": product.relative_orbit,
        "flightDirection": product.orbit_direction.upper(),
        "browse": [link["URL"] for link in umm["RelatedUrls"] if link["Type"] == "GET RELATED VISUALIZATION"] or None,
        "sensor": "C-SAR",
    }
    return {"type": "Feature", "geometry": shapely.geometry.mapping(product.footprint), "properties": properties}


def _short(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the short form, without checksum."""
    return {
        "granuleName": properties["sceneName"],
        "productID": properties["fileID"],
        "downloadUrl": properties["url"],
        "fileName": properties["fileName"],
        "path": properties["pathNumber"],
        "orbit": [str(properties["orbit"])],
        "startTime": properties["startTime"].removesuffix("Z") + ".000000",
    }
