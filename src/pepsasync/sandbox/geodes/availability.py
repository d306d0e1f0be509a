"""Where products are, what is left of the quota, and restoring (GEODES protocol notes, sections 5 and 6.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.geodes.items import files
from pepsasync.sandbox.geodes.replies import GeodesError, caller, error_reply, json_reply, read_object, user
from pepsasync.sandbox.geodes.service import urn
from pepsasync.sandbox.replies import empty_reply
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.geodes.service import Service
    from pepsasync.sandbox.replies import Reply

MOST_PRODUCTS = 100
"""Products in one request for availability or restoring."""
_ORDERED = re.compile(r'productId:"?([\w.-]+)"?')
_URN = re.compile(r"/download/([^/?]+)")


async def availability(service: Service, request: Request) -> Reply:
    """Answer for one product by name.

    Raises:
        LoginRequired: No key, or a wrong one.
        GeodesError: There is no such product.
    """
    user(service, request)
    name = request.path_params["identifier"]
    try:
        product = service.archive.product(name)
    except KeyError:
        raise GeodesError(404, f"Product {name} not found") from None
    pass_front_end(service.archive, f"availability:{name}")
    return json_reply(await to_thread.run_sync(_state, service, product))


async def fast_availability(service: Service, request: Request) -> Reply:
    """Answer for many products by their download links, to anybody; unknown ones are left out.

    Raises:
        GeodesError: Too many products, or a body that cannot be understood.
    """
    asked = _list(await request.body(), "availability")
    hrefs = [str(entry.get("href", "")) for entry in asked if isinstance(entry, dict)]
    pass_front_end(service.archive, f"availability:{','.join(hrefs)}")
    known = [product for href in hrefs if (product := _by_link(service, href)) is not None]
    states = await to_thread.run_sync(lambda: [_state(service, product) for product in known])
    return json_reply({"products": [state for state in states if state["files"]]})


async def quota(service: Service, request: Request) -> Reply:
    """Answer what is left of the quota: 401 without a good key, never the login page."""
    email = caller(service, request)
    if email is None:
        return error_reply(401, "Unauthorized")
    most = service.options.geodes_quota
    return json_reply({"maxQuota": most, "remainingQuota": service.quota.remaining(email)})


async def restore(service: Service, request: Request) -> Reply:
    """Have products brought from tape, where this is offered.

    Raises:
        LoginRequired: No key, or a wrong one.
        GeodesError: It is not offered, there are too many products, or the body cannot be understood.
    """
    if not service.options.geodes_restore:
        raise GeodesError(404, "Not Found")
    user(service, request)
    for identity in _list(await request.body(), "product_ids"):
        product = service.find(str(identity))
        if product is not None:
            service.archive.stage(product.name)
    return empty_reply(200)


async def apply_order(service: Service, request: Request) -> Reply:
    """Order products as REGARDS lets its users; every order is a new one (section 12).

    Raises:
        LoginRequired: No key, or a wrong one.
        GeodesError: It is not offered, or the query finds nothing.
    """
    if not service.options.geodes_orders:
        raise GeodesError(404, "Not Found")
    email = user(service, request)
    queries = read_object(await request.body()).get("queries")
    match = _ORDERED.fullmatch(str(queries[0])) if isinstance(queries, list) and len(queries) == 1 else None
    try:
        product = service.archive.product(match[1] if match else "")
    except KeyError:
        raise GeodesError(422, "The order selects no product") from None
    pass_front_end(service.archive, f"order:{product.name}")
    service.archive.stage(product.name)
    service.archive.ledger.count_event("orders")
    return json_reply({"orderId": service.orders.add(product.name, email), "status": "GRANTED"}, 201)


async def order_files(service: Service, request: Request) -> Reply:
    """Tell which files of an order are there: 204 without any, 200 when it is over.

    Raises:
        LoginRequired: No key, or a wrong one.
        GeodesError: There is no such order of this account.
    """
    email = user(service, request)
    name = service.orders.find(request.path_params["order"], email)
    if name is None:
        raise GeodesError(404, "Order not found")
    product = service.archive.product(name)
    if not service.is_available(product):
        return empty_reply(204)
    content = [{"productId": name, "checksum": file.md5} for file in files(service.archive, product)]
    return json_reply({"metadata": {"number": 0, "totalElements": len(content)}, "content": content})


def _by_link(service: Service, href: str) -> CatalogueProduct | None:
    match = _URN.search(href.replace("%3A", ":").replace("%3a", ":"))
    return service.find(match[1]) if match else None


def _state(service: Service, product: CatalogueProduct) -> dict[str, Any]:
    """Describe where the files of a product are; pictures are always there."""
    if service.archive.faults.strikes("availability-gap", product.name):
        return {"id": urn(product), "files": []}
    is_available = service.is_available(product)
    expiry = service.expiry(product) if is_available else None
    listed: list[dict[str, Any]] = []
    for file in files(service.archive, product):
        is_small = file.data is not None
        listed.append({"checksum": file.md5, "available": is_small or is_available})
        if expiry is not None and not is_small:
            listed[-1]["expiration_date"] = timestamp(expiry)
    return {"id": urn(product), "files": listed}


def _list(text: bytes, name: str) -> list[Any]:
    asked = read_object(text).get(name)
    if not isinstance(asked, list):
        raise GeodesError(400, f"{name} must be a list")
    if len(asked) > MOST_PRODUCTS:
        raise GeodesError(400, f"{len(asked)} products, at most {MOST_PRODUCTS} at once")
    return asked
