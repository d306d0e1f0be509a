"""Data sets, their parameters, and the search (sections 4 and 5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import shapely
from anyio import to_thread

from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.replies import json_reply, read_json
from pepsasync.sandbox.times import timestamp
from pepsasync.sandbox.wekeo.login import account
from pepsasync.sandbox.wekeo.replies import WekeoError
from pepsasync.sandbox.wekeo.service import SENTINEL_TERMS, identifier

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.replies import Reply
    from pepsasync.sandbox.wekeo.service import Service

DATASETS = {"EO:ESA:DAT:SENTINEL-1": "1", "EO:ESA:DAT:SENTINEL-2": "2", "EO:ESA:DAT:SENTINEL-3": "3"}
"""Mission by data set."""
LARGEST_PAGE, USUAL_PAGE = 200, 11
_COMMON = ("bbox", "startdate", "enddate", "itemsPerPage", "startIndex", "sortOrder", "productType", "processingLevel")
PARAMETERS = {
    "1": (
        *_COMMON,
        *("platformSerialIdentifier", "relativeOrbitNumber", "orbitDirection", "polarisationChannels", "timeliness"),
        "online",
    ),
    "2": (*_COMMON, "platformSerialIdentifier", "relativeOrbitNumber", "orbitDirection", "cloudCover", "timeliness"),
    "3": (*_COMMON, "platformSerialIdentifier", "relativeOrbitNumber", "orbitDirection", "timeliness"),
}
"""What a search of a mission can be narrowed by."""


async def dataset(service: Service, request: Request) -> Reply:
    """Describe a data set: its terms above all."""
    account(service, request)
    return json_reply({"dataset_id": _known(request.path_params["dataset"]), "terms": [SENTINEL_TERMS]})


async def datasets(service: Service, request: Request) -> Reply:
    """List the data sets."""
    account(service, request)
    features = [{"dataset_id": name, "terms": [SENTINEL_TERMS]} for name in DATASETS]
    total = {"totalResults": len(features), "startIndex": 0, "itemsPerPage": len(features)}
    return json_reply({"properties": total, "features": features})


async def queryable(_service: Service, request: Request) -> Reply:
    """List the parameters of a data set; clients were seen to ask for them without a token."""
    name = _known(request.path_params["dataset"])
    properties: dict[str, Any] = {"dataset_id": {"title": "dataset_id", "type": "string", "oneOf": [{"const": name}]}}
    properties |= {each: {"title": each, "type": "string", "default": ""} for each in PARAMETERS[DATASETS[name]]}
    properties["bbox"] = {"title": "Bbox", "type": "array", "items": [{"type": "number"}] * 4}
    return json_reply({"type": "object", "title": "Querable", "properties": properties, "required": ["dataset_id"]})


def _known(name: str) -> str:
    if name not in DATASETS:
        raise WekeoError(404, "Not Found", f"Dataset {name} not found")
    return name


def check_terms(service: Service, email: str) -> None:
    """Refuse an account that has not accepted the terms.

    Raises:
        WekeoError: It has not.
    """
    if SENTINEL_TERMS not in service.accepted(email):
        status = service.options.wekeo_terms_status
        raise WekeoError(status, "Not Found", "The terms and conditions of the dataset are not accepted")


async def search(service: Service, request: Request) -> Reply:
    """Answer a search.

    Raises:
        WekeoError: 400 for a body that cannot be read, 404 for an unknown data set, and for missing terms.
    """
    email = account(service, request)
    try:
        body = dict(read_json(await request.body()))
        name = _known(str(body.get("dataset_id")))
        size, start = int(body.get("itemsPerPage", USUAL_PAGE)), int(body.get("startIndex", 0))
    except (ValueError, TypeError):
        raise WekeoError(400, "Bad Request", "The body is not valid") from None
    check_terms(service, email)
    mission = DATASETS[name]
    unknown = body.keys() - {"dataset_id", *PARAMETERS[mission]}
    if (unknown and service.options.wekeo_strict) or not 0 < size <= LARGEST_PAGE:
        raise WekeoError(400, "Bad Request", f"Unknown or wrong parameter: {', '.join(sorted(unknown)) or size}")
    if mission == "3" and not (body.get("startdate") and body.get("enddate")):
        raise WekeoError(500, "Internal Server Error", "The search failed")
    pass_front_end(service.archive, str(sorted((key, str(value)) for key, value in body.items())))
    found = await to_thread.run_sync(_found, service, mission, body)
    some, following = found[start : start + size], start + size
    about: dict[str, Any] = {"itemsPerPage": size, "startIndex": start}
    if service.archive.faults.strikes("next-missing", f"{sorted(map(str, body.items()))}"):
        pass
    elif service.options.wekeo_totals:
        about["totalResults"] = len(found)
    elif following < len(found):
        about["nextIndex"] = following
    return json_reply({"properties": about, "features": [_feature(service, product) for product in some]})


def _found(service: Service, mission: str, body: dict[str, Any]) -> list[CatalogueProduct]:
    found = [
        product
        for product in service.archive.products
        if product.collection.startswith(f"S{mission}") and _matches(service, product, body)
    ]
    return sorted(found, key=lambda product: (product.start, product.name), reverse=body.get("sortOrder") == "DESC")


def _matches(service: Service, product: CatalogueProduct, body: dict[str, Any]) -> bool:
    told = metadata(product)
    wanted = {name: str(body[name]) for name in told.keys() & body.keys() if name != "cloudCover"}
    if any(str(told[name]) != value for name, value in wanted.items()):
        return False
    if (text := body.get("startdate")) and max(product.end, product.start) < _moment(text):
        return False
    if (text := body.get("enddate")) and product.start > _moment(text):
        return False
    if (text := body.get("online")) and (service.archive.robot.mode(product.name) == "disk") is not (text == "true"):
        return False
    try:
        box = shapely.box(*body["bbox"]) if body.get("bbox") else None
    except (TypeError, ValueError):
        raise WekeoError(400, "Bad Request", "bbox needs four numbers") from None
    return box is None or bool(box.intersects(product.footprint))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WekeoError(400, "Bad Request", f"{text} is not a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def metadata(product: CatalogueProduct) -> dict[str, Any]:
    """Return the attributes of a product, under the names of the parameters."""
    radar = product.collection == "S1"
    told: dict[str, Any] = {
        "productType": product.product_type,
        "platformShortName": f"SENTINEL-{product.platform[1]}",
        "platformSerialIdentifier": product.platform[2],
        "orbitNumber": product.orbit,
        "relativeOrbitNumber": str(product.relative_orbit),
        "orbitDirection": product.orbit_direction.upper(),
        "timeliness": product.realtime,
        "instrumentShortName": "SAR" if radar else "MSI",
        "publicationDate": timestamp(product.published),
    }
    if radar:
        told |= {"polarisationChannels": product.polarisation.replace(" ", "&"), "processingLevel": "LEVEL1"}
    else:
        told |= {"cloudCover": product.cloud_cover, "processingLevel": product.product_type}
    return told


def _feature(service: Service, product: CatalogueProduct) -> dict[str, Any]:
    size: Any = product.size
    if service.archive.faults.strikes("size-unknown", product.name):
        size = "ND"
    properties = {
        "startdate": timestamp(product.start),
        "enddate": timestamp(max(product.end, product.start)),
        "size": size,
        "location": f"adapter://cdse/{product.id}/{identifier(product)}",
        "thumbnail": f"https://catalogue.example/{product.id}.jpg",
        "metadata": metadata(product),
    }
    if service.archive.faults.strikes("missing-properties", product.name):
        del properties["metadata"], properties["thumbnail"]
    return {
        "type": "Feature",
        "id": identifier(product),
        "geometry": shapely.geometry.mapping(product.footprint),
        "properties": properties,
    }
