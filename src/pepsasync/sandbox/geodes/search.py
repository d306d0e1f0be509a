"""Collections, searches and single items (GEODES protocol notes, sections 1, 3 and 4)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlencode

from anyio import to_thread

from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.geodes import criteria, operators
from pepsasync.sandbox.geodes.items import COLLECTIONS, collection_of, item, link, properties
from pepsasync.sandbox.geodes.replies import GeodesError, caller, json_reply, read_object
from pepsasync.sandbox.replies import read_json, root_url
from pepsasync.sandbox.selection import find
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.geodes.service import Service
    from pepsasync.sandbox.replies import Reply

Address: TypeAlias = "Callable[[int], str]"

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0-beta.1/core",
    "https://api.stacspec.org/v1.0.0-beta.1/item-search",
    "https://api.stacspec.org/v1.0.0-beta.1/item-search#query",
    "https://api.stacspec.org/v1.0.0-beta.1/item-search#sort",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
MOST_VALUES = 20
"""Values of a text that are listed."""
_NUMBERS, _LISTS, _DOCUMENTS = ("limit", "page"), ("collections", "ids"), ("query", "intersects")


async def landing(service: Service, request: Request) -> Reply:
    """Answer the request for the root of the catalogue."""
    sign, stac = _signer(service, request), f"{root_url(request)}/api/stac"
    relations = {"self": "", "root": "", "conformance": "/conformance", "data": "/collections", "search": "/search"}
    return json_reply(
        {
            "stac_version": _version(service),
            "type": "Catalog",
            "id": "gdh",
            "title": "STAC gdh root",
            "description": "Products of the embedded archive",
            "conformsTo": CONFORMANCE,
            "links": [link(name, sign(stac + path), name) for name, path in relations.items()],
        }
    )


async def conformance(_service: Service, _request: Request) -> Reply:
    """Answer what the service conforms to."""
    return json_reply({"conformsTo": CONFORMANCE})


async def collections(service: Service, request: Request) -> Reply:
    """Answer which collections there are; a search body's paging is obeyed, its criteria are not."""
    words = read_object(await request.body()) if request.method == "POST" else {}
    limit, page = words.get("limit") or len(COLLECTIONS), words.get("page") or 1
    if not all(isinstance(number, int) and number > 0 for number in (limit, page)):
        raise GeodesError(400, "page and limit must be whole numbers above 0")
    found = [_collection(service, request, name) for name in list(COLLECTIONS)[(page - 1) * limit : page * limit]]
    address = _signer(service, request)(f"{root_url(request)}/api/stac/collections")
    context = {"returned": len(found), "limit": limit, "matched": len(COLLECTIONS)}
    return json_reply({"collections": found, "links": [link("self", address, "self")], "context": context})


async def collection(service: Service, request: Request) -> Reply:
    """Answer one collection.

    Raises:
        GeodesError: There is no such collection.
    """
    return json_reply(_collection(service, request, _known(request)))


async def queryables(service: Service, request: Request) -> Reply:
    """Answer which attributes the items of a collection can be searched by, as a JSON schema.

    Raises:
        GeodesError: There is no such collection; or the older version, which does not know the question.
    """
    name = _known(request)
    if service.options.geodes_version != "2.2":
        raise GeodesError(404, "Not Found")
    address = f"{root_url(request)}/api/stac/collections/{name}/queryables"
    return json_reply(await to_thread.run_sync(_queryables, service, name, address))


def _queryables(service: Service, name: str, address: str) -> dict[str, Any]:
    held = [properties(product) for product in service.archive.products if collection_of(product) == name]
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": address,
        "type": "object",
        "title": f"Queryables for {name}",
        "properties": {
            attribute: _described(attribute, kind, held)
            for attribute, kind in operators.ATTRIBUTES.items()
            if any(item.get(attribute) is not None for item in held)
        },
        "additionalProperties": False,
    }


def _described(attribute: str, kind: str, held: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe an attribute: short texts with all their values, numbers with the smallest and the largest."""
    values = [value for item in held if (value := item.get(attribute)) is not None]
    if kind == "number":
        whole = all(isinstance(value, int) for value in values)
        return {"type": "integer" if whole else "number", "minimum": min(values), "maximum": max(values)}
    if kind == "flag":
        return {"type": "boolean"}
    if kind == "date":
        return {"type": "string", "format": "date-time"}
    is_list = any(isinstance(value, list) for value in values)
    texts = sorted({str(text) for value in values for text in (value if isinstance(value, list) else [value])})
    told = {"type": "string", **({"enum": texts} if 0 < len(texts) <= MOST_VALUES else {})}
    return {"type": "array", "items": told} if is_list else told


async def one_item(service: Service, request: Request) -> Reply:
    """Answer one item.

    Raises:
        GeodesError: There is no such item in the collection.
    """
    product = service.find(request.path_params["item"])
    if product is None or collection_of(product) != _known(request):
        raise GeodesError(404, f"Item {request.path_params['item']} not found")
    root, sign = root_url(request), _signer(service, request)
    return json_reply(await to_thread.run_sync(item, service, product, root, sign))


async def search(service: Service, request: Request) -> Reply:
    """Answer a search by POST. The page of the body wins, links are made from that of the address.

    Raises:
        GeodesError: A body that cannot be understood.
    """
    words = read_object(await request.body())
    by_address = _parameters(request).get("page") or 1
    if words.get("page") is None:
        words["page"] = by_address
    body = quote(base64.b64encode(json.dumps(words).encode()).decode(), safe="")
    base = f"{root_url(request)}/api/stac/search/paginate?itemBody={body}"
    return await _search(service, request, words, by_address, lambda page: f"{base}&page={page}")


async def paginate(service: Service, request: Request) -> Reply:
    """Answer another page of a search by POST, which stands in the address.

    Raises:
        GeodesError: The search in the address cannot be read.
    """
    encoded = request.query_params.get("itemBody", "")
    try:
        words = read_object(base64.b64decode(encoded.replace(" ", "+"), validate=True))
    except binascii.Error:
        raise GeodesError(400, "itemBody is not base64") from None
    page = _parameters(request).get("page", 1)
    base = f"{root_url(request)}/api/stac/search/paginate?itemBody={quote(encoded, safe='')}"
    return await _search(service, request, words | {"page": page}, page, lambda at: f"{base}&page={at}")


async def search_by_address(service: Service, request: Request) -> Reply:
    """Answer a search by GET, of everything or of the items of one collection.

    Raises:
        GeodesError: Unknown collection, or a parameter that cannot be understood.
    """
    words = _parameters(request)
    path = "search"
    if "collection" in request.path_params:
        words["collections"] = [_known(request)]
        path = f"collections/{words['collections'][0]}/items"
    base = f"{root_url(request)}/api/stac/{path}"

    def address(page: int) -> str:
        given = dict(request.query_params) | {"limit": words.get("limit", criteria.DEFAULT_LIMIT), "page": page}
        given.pop("token", None)
        return f"{base}?{urlencode(given)}"

    return await _search(service, request, words, words.get("page", 1), address)


async def _search(
    service: Service, request: Request, words: Mapping[str, Any], by_address: int, address: Address
) -> Reply:
    archive = service.archive
    key = _name(words, paging=())
    pass_front_end(archive, key)
    wanted = criteria.read(words, service.options)
    found = await find(
        archive,
        lambda: criteria.matching(archive.products, wanted),
        key=key,
        search=_name(words),
        is_later_page=wanted.page > 1,
    )
    page = found[(wanted.page - 1) * wanted.limit : wanted.page * wanted.limit]
    root, sign = root_url(request), _signer(service, request)
    features = await to_thread.run_sync(lambda: [item(service, product, root, sign) for product in page])
    more = len(found) > by_address * wanted.limit
    document: dict[str, Any] = {
        "stac_version": _version(service),
        "stac_extensions": [],
        "type": "FeatureCollection",
        "features": features,
        "links": [
            link("self", sign(address(by_address)), "this search page"),
            *([link("next", sign(address(by_address + 1)), "next search page")] if more else []),
        ],
        "context": {"returned": len(page), "limit": wanted.limit, "matched": len(found)},
    }
    if service.options.geodes_version == "2.2":
        document |= {"numberMatched": len(found), "numberReturned": len(page)}
    return json_reply(document)


def _name(words: Mapping[str, Any], paging: Collection[str] = ("page", "limit")) -> str:
    """What is searched for, but for the paging."""
    wanted = {name: value for name, value in words.items() if value is not None and name not in paging}
    return json.dumps(wanted, sort_keys=True)


def _version(service: Service) -> str:
    return "1.0.0" if service.options.geodes_version == "2.2" else "1.0.0-beta.1"


def _signer(service: Service, request: Request) -> Callable[[str], str]:
    """Return what is done to links: a caller with a key finds its session in each of them (section 2)."""
    email = caller(service, request)
    if email is None:
        return lambda address: address
    token = service.archive.accounts.token(email)
    return lambda address: f"{address}{'&' if '?' in address else '?'}token={token}"


def _known(request: Request) -> str:
    name: str = request.path_params["collection"]
    if name not in COLLECTIONS:
        raise GeodesError(404, f"Collection {name} not found")
    return name


def _collection(service: Service, request: Request, name: str) -> dict[str, Any]:
    sign, stac = _signer(service, request), f"{root_url(request)}/api/stac"
    held = [product for product in service.archive.products if collection_of(product) == name]
    return {
        "stac_version": _version(service),
        "stac_extensions": [],
        "type": "Collection",
        "id": name,
        "title": COLLECTIONS[name],
        "description": COLLECTIONS[name],
        "keywords": [],
        "license": "various",
        "providers": [],
        "extent": _extent(held),
        "summaries": {"total_items": len(held)},
        "links": [
            link("root", sign(stac), "STAC gdh root"),
            link("self", sign(f"{stac}/collections/{name}"), name),
            link("items", sign(f"{stac}/collections/{name}/items"), "items", "application/geo+json"),
        ],
    }


def _extent(held: list[CatalogueProduct]) -> dict[str, Any]:
    bounds = [product.footprint.bounds for product in held] or [(-180.0, -90.0, 180.0, 90.0)]
    west, south, east, north = zip(*bounds, strict=True)
    starts = [product.start for product in held]
    period = [timestamp(min(starts, default=None)), timestamp(max(starts, default=None))]
    return {
        "spatial": {"bbox": [[min(west), min(south), max(east), max(north)]]},
        "temporal": {"interval": [period]},
    }


def _parameters(request: Request) -> dict[str, Any]:
    """Read the search of an address as the body that means the same."""
    given = {name: text for name, text in request.query_params.items() if text}
    words: dict[str, Any] = {}
    try:
        words |= {name: int(given[name]) for name in _NUMBERS if name in given}
        words |= {name: given[name].split(",") for name in _LISTS if name in given}
        words |= {name: read_json(given[name]) for name in _DOCUMENTS if name in given}
        if "bbox" in given:
            words["bbox"] = [float(edge) for edge in given["bbox"].split(",")]
    except ValueError:
        raise GeodesError(400, "a parameter cannot be read") from None
    if "datetime" in given:
        words["datetime"] = given["datetime"]
    if "sortby" in given:
        words["sortBy"] = [_direction(field) for field in given["sortby"].split(",")]
    return words


def _direction(field: str) -> dict[str, str]:
    """Read `+a` or `-a`; a plus arrives as a space."""
    return {"field": field.lstrip("+- "), "direction": "desc" if field.startswith("-") else "asc"}
