"""Descriptions of the collections, and of the search in them (PEPS protocol notes, section 1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.sandbox.peps.features import keywords
from pepsasync.sandbox.peps.parameters import PARAMETERS
from pepsasync.sandbox.peps.replies import PepsError, json_reply
from pepsasync.sandbox.replies import Reply, root_url

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive

MODELS = {"S1": "sentinel1", "S2": "sentinel2", "S2ST": "sentinel2_ST", "S3": "sentinel3"}
"""Names of the software's models by collection."""


async def every(archive: Archive, _request: Request) -> Reply:
    """Describe all collections."""
    return json_reply(await to_thread.run_sync(_every, archive))


async def one(archive: Archive, request: Request) -> Reply:
    """Describe a collection.

    Raises:
        PepsError: 404, there is no such collection.
    """
    name = named(archive, request)
    return json_reply(await to_thread.run_sync(_described, archive, name))


async def search_description(archive: Archive, request: Request) -> Reply:
    """Describe the search in the OpenSearch manner.

    Raises:
        PepsError: 404, there is no such collection.
    """
    collection = named(archive, request)
    known = [name for name, parameter in PARAMETERS.items() if parameter.collection in {None, collection}]
    template = "&amp;".join(f"{name}={{{PARAMETERS[name].filter}?}}" for name in known)
    base = f"{root_url(request)}/api/collections/" + (f"{collection}/" if collection else "")
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">'
        f"<ShortName>{collection or '*'}</ShortName>"
        f'<Url type="application/json" template="{base}search.json?{template}"/></OpenSearchDescription>\n'
    ).encode()
    kind = ("Content-Type", "application/opensearchdescription+xml")
    return Reply(200, [("Content-Length", str(len(body))), kind], body)


def named(archive: Archive, request: Request) -> str | None:
    """Return the collection that a request names, None if it is about all.

    Raises:
        PepsError: 404, there is no such collection.
    """
    collection: str | None = request.path_params.get("collection")
    if collection is not None and collection not in archive.collections:
        raise PepsError(404, "Not Found")
    return collection


def _every(archive: Archive) -> dict[str, Any]:
    described = [_described(archive, name) for name in sorted(archive.collections)]
    return {"collections": described, "statistics": _statistics(archive, None)}


def _described(archive: Archive, name: str | None) -> dict[str, Any]:
    return {
        "name": name,
        "status": "public",
        "model": f"RestoModel_{MODELS.get(name or '', 'default')}",
        "license": None,
        "osDescription": {"en": {"ShortName": name, "LongName": name, "Description": f"Products of {name}"}},
        "statistics": _statistics(archive, name),
    }


def _statistics(archive: Archive, collection: str | None) -> dict[str, Any]:
    """Count products by their keywords."""
    facets: defaultdict[str, Counter[str]] = defaultdict(Counter)
    found = [product for product in archive.listed if collection in {None, product.collection}]
    for product in found:
        for keyword in keywords(product):
            facets[keyword.type][keyword.name] += 1
    if collection is not None:
        facets.pop("collection", None)
    return {"count": len(found), "facets": facets or []}
