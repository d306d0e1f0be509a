"""Orders, their state, and their files (sections 6 and 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pepsasync.sandbox.front_end import maintenance_page, pass_front_end, strike
from pepsasync.sandbox.ranges import by_web_server
from pepsasync.sandbox.replies import empty_reply, json_reply, read_json, root_url
from pepsasync.sandbox.sending import FileReply, file_headers
from pepsasync.sandbox.wekeo.login import account
from pepsasync.sandbox.wekeo.replies import WekeoError, task_error
from pepsasync.sandbox.wekeo.search import check_terms

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.replies import Reply
    from pepsasync.sandbox.wekeo.service import Order, Service


async def order(service: Service, request: Request) -> Reply:
    """Order a product; asking again is free.

    Raises:
        WekeoError: 500 for an id without suffix, 429 when the quota is used up.
    """
    email = account(service, request)
    check_terms(service, email)
    try:
        body: Any = read_json(await request.body())
        wanted, location = str(body["product_id"]), str(body["location"])
    except (ValueError, TypeError, KeyError):
        raise WekeoError(400, "Bad Request", "product_id and location are needed") from None
    product = service.items.find(wanted)
    if product is None or product.id not in location:
        raise task_error()
    pass_front_end(service.archive, product.name)
    if service.archive.faults.strikes("task-error", product.name):
        raise task_error()
    key = service.order(product, email, cacheable=str(body.get("cacheable")).lower() == "true")
    headers = service.quota_headers(email)
    if key is None:
        service.archive.ledger.count_event("quota_refusals")
        raise WekeoError(429, "Too Many Requests", "Quota exceeded", headers)
    found = service.find_order(key, email)
    if found is not None and service.archive.faults.strikes("order-failed", product.name):
        found.has_failed = True
    return json_reply({"download_id": key}, 200, headers)


def _order(service: Service, request: Request, email: str) -> tuple[Order, CatalogueProduct]:
    key = request.path_params["order"]
    found = service.find_order(key, email)
    if found is not None and service.archive.faults.strikes("order-lost", found.name):
        service.lose(key)
        found = None
    if found is None:
        raise WekeoError(404, "Not Found", f"Order {key} not found")
    try:
        return found, service.archive.product(found.name)
    except KeyError:
        raise WekeoError(410, "Gone", "The product was withdrawn") from None


async def state(service: Service, request: Request) -> Reply:
    """Tell the state of an order in words; of an unknown one nothing."""
    email = account(service, request)
    key = request.query_params.get("download_id", "")
    found = service.find_order(key, email)
    if found is None:
        return json_reply({"features": []})
    status = "Error" if found.has_failed else "Done" if service.is_ready(found) else "running"
    message = "The data provider failed" if found.has_failed else ""
    return json_reply({"features": [{"_id": key, "status": status, "message": message}]})


async def file(service: Service, request: Request) -> Reply:
    """Send the file of an order, or say that it is not ready; HEAD tells that only.

    Raises:
        WekeoError: Any of the checks fails.
    """
    email = account(service, request)
    found, product = _order(service, request, email)
    if found.has_failed:
        raise WekeoError(500, "Order Error", "The data provider failed")
    if not service.is_ready(found):
        return empty_reply(202)
    if request.method != "HEAD":
        pass_front_end(service.archive, product.name)
        strike(service.archive, product.name, {"html-200": maintenance_page})
        if not service.archive.accounts.allows(email, product.collection):
            raise WekeoError(403, "Forbidden", "This account may not have this product")
        if service.archive.falls_back(product):
            return empty_reply(202)
        if not service.archive.has_file(product.name):
            raise WekeoError(500, "Task Error", "The file is missing")
    if service.options.wekeo_redirect and request.method != "HEAD":
        key = service.key(request.path_params["order"], email)
        return empty_reply(307, [("Location", f"{_elsewhere(request)}/elsewhere/{key}")])
    return _file(service, request, product)


async def elsewhere(service: Service, request: Request) -> Reply:
    """Send a file from a host that must not see the token."""
    if "authorization" in request.headers:
        service.archive.ledger.count_event("leaked_tokens")
    known = service.by_key(request.path_params["key"])
    found = service.find_order(*known) if known else None
    if found is None:
        raise WekeoError(404, "Not Found", "No such file")
    return _file(service, request, service.archive.product(found.name))


def _file(service: Service, request: Request, product: CatalogueProduct) -> Reply:
    has_ranges = service.options.wekeo_ranges
    part = by_web_server(request.headers.get("range") if has_ranges else None, product.size)
    if part.status == 416:
        return empty_reply(416, part.range_headers)
    has_length = not service.archive.faults.strikes("length-none", product.name)
    name = f'attachment; filename="{product.name}.zip"'
    headers = file_headers(part, "application/zip", name, has_length=has_length, has_ranges=has_ranges)
    return FileReply(service.archive, request, product, part, headers)


def _elsewhere(request: Request) -> str:
    address = urlsplit(root_url(request))
    host = "127.0.0.1" if address.hostname == "localhost" else "localhost"
    return f"http://{host}:{address.port or 80}{address.path}"
