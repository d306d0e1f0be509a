"""Search and single features (PEPS protocol notes, sections 2, 3 and 8)."""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.sandbox.catalogue import ID_NAMESPACE
from pepsasync.sandbox.front_end import html_reply, pass_front_end
from pepsasync.sandbox.peps import collections, filters, parameters
from pepsasync.sandbox.peps.features import feature
from pepsasync.sandbox.peps.replies import PepsError, json_reply, php_json
from pepsasync.sandbox.replies import root_url, wire_of
from pepsasync.sandbox.selection import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.peps.parameters import Query
    from pepsasync.sandbox.replies import Reply

EXACT_UP_TO = 200
"""More results than this are announced as an estimate."""
LONGEST_URL = 8190
"""Bytes of a request target that the web server accepts."""
SEARCH_TIMEOUT, ITEM_TIMEOUT = 30.0, 1.5
"""Archive seconds that a search, and a request for one product, wait for a dead storage service (section 8.6)."""


async def search(archive: Archive, request: Request) -> Reply:
    """Answer `search.json` of one collection or of all.

    Raises:
        PepsError: Unknown collection, or a parameter that the archive refuses.
    """
    if len(request.scope["raw_path"]) + len(request.scope["query_string"]) >= LONGEST_URL:
        return html_reply(414, "414 Request-URI Too Long")
    began = time.perf_counter()
    collection = collections.named(archive, request)
    key = request.url.query
    pass_front_end(archive, key)
    query = parameters.read(collection, key)
    found = await find(
        archive,
        lambda: filters.matching(archive.listed, query),
        key=key,
        search=query.name,
        is_later_page=query.first > 1,
    )
    page = found[query.first - 1 : query.first - 1 + query.limit]
    down = bool(page) and await storage_down(archive, request, key, SEARCH_TIMEOUT)
    root = root_url(request)
    features = await to_thread.run_sync(_features, archive, page, root, down)
    total, exact = _total(archive, len(found), key)
    properties = {
        "title": "",
        "id": _search_id(query),
        "totalResults": total,
        "exactCount": exact,
        "startIndex": query.first,
        "itemsPerPage": len(page),
        "totalItemsPerPage": query.announced_limit,
        "query": {
            "searchFilters": query.search_filters() or [],
            "analysis": {"query": query.text("q")},
            "processingTime": time.perf_counter() - began,
        },
        "links": _links(query, root, len(page), total),
    }
    return json_reply({"type": "FeatureCollection", "properties": properties, "features": features})


async def item(archive: Archive, request: Request) -> Reply:
    """Answer the request for one feature, with the storage mode of this moment.

    Raises:
        PepsError: Unknown collection or feature.
    """
    product = archive.find(request.path_params["collection"], request.path_params["item"])
    if product is None:
        raise PepsError(404, "Not Found")
    down = await storage_down(archive, request, product.name, ITEM_TIMEOUT)
    described = await to_thread.run_sync(_features, archive, [product], root_url(request), down)
    return json_reply(described[0])


async def storage_down(archive: Archive, request: Request, key: str, seconds: float) -> bool:
    """Return whether the storage service is down; if so, only after its timeout in archive seconds."""
    if not archive.faults.strikes("storage-down", key):
        return False
    await wire_of(request).pause(archive.clock.real(seconds))
    return True


def _features(archive: Archive, products: Sequence[CatalogueProduct], root: str, down: bool) -> list[dict[str, Any]]:
    """Describe products; runs in a thread because checksums may have to be computed."""
    return [
        feature(archive, product, root, "unknown" if down and not product.nrt else archive.mode(product))
        for product in products
    ]


def _total(archive: Archive, number: int, key: str) -> tuple[int, bool]:
    if number and archive.faults.strikes("estimate", key):
        return max(1, round(number * random.Random(key).uniform(0.7, 1.3))), False
    return number, number <= EXACT_UP_TO


def _search_id(query: Query) -> str:
    """Return the id of a search: the same for all its pages."""
    paging = {"count", "startPage", "startIndex"}
    kept = {name: value for name, value in sorted(query.search_filters().items()) if name not in paging}
    return str(uuid.uuid5(ID_NAMESPACE, f"{query.collection or '*'}:{php_json(kept or []).decode()}"))


def _links(query: Query, root: str, number: int, total: int) -> list[dict[str, str]]:
    base = f"{root}/api/collections/" + (f"{query.collection}/" if query.collection else "")
    links = [
        _link("self", f"{base}search.json?{query.url_query()}"),
        {
            "rel": "search",
            "type": "application/opensearchdescription+xml",
            "title": "OpenSearch Description Document",
            "href": f"{base}describe.xml",
        },
    ]
    if not number:
        return links
    page = (query.first - 1) // query.limit + 1
    others = {}
    if page > 1:
        others = {"previous": page - 1, "first": 1}
    if number == query.limit:
        others |= {"next": page + 1, "last": max(page, -(-total // query.limit))}
    return links + [_link(name, f"{base}search.json?{query.url_query(at)}") for name, at in others.items()]


def _link(relation: str, href: str) -> dict[str, str]:
    return {"rel": relation, "type": "application/json", "title": relation, "href": href}
