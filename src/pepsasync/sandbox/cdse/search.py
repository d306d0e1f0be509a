"""The catalogue: lists of products, single products, attributes (CDSE protocol notes, Search)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from anyio import to_thread

from pepsasync.sandbox.cdse import filters, records
from pepsasync.sandbox.cdse.grammar import FilterError, parse
from pepsasync.sandbox.cdse.replies import CdseError
from pepsasync.sandbox.front_end import front_end_fault
from pepsasync.sandbox.replies import json_reply, root_url
from pepsasync.sandbox.selection import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.cdse.service import Service
    from pepsasync.sandbox.replies import Reply

LARGEST_PAGE = 1000
"""Most products of one reply."""
USUAL_PAGE = 20
"""Products of a reply when `$top` is absent."""
EVERYBODY = "everybody"
"""For whom requests are counted: the catalogue knows no accounts."""
LAST_SKIP = 10_000
"""Most products that can be skipped."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a search asks for beside its filter."""

    top: int
    """Products in the reply."""
    skip: int
    """Products left out before."""
    count: bool
    """Whether the number of all is told."""
    expand: tuple[str, ...]
    """Which of `records.EXPANSIONS` are added."""


async def search(service: Service, request: Request) -> Reply:
    """Answer a search.

    Raises:
        CdseError: 400 for a filter, order or expansion outside the language, 422 for a page outside the limits, 429.
    """
    admit(service)
    key = request.url.query
    failure = front_end_fault(service.archive, key)
    if failure is not None:
        return failure
    pairs = parse_qsl(key, keep_blank_values=True)
    page = _page(pairs)
    found = await find(
        service.archive,
        lambda: _found(service, dict(pairs)),
        key=key,
        search=_name(pairs),
        is_later_page=page.skip > 0,
    )
    root = root_url(request)
    shown = found[page.skip : page.skip + page.top]
    described = await to_thread.run_sync(_records, service, shown, root, page.expand)
    following = page.skip + page.top
    document: dict[str, Any] = {"@odata.context": _context(page.expand)}
    if page.count:
        document["@odata.count"] = len(found)
    document["value"] = described
    if page.top and following < len(found) and following <= LAST_SKIP:
        document["@odata.nextLink"] = f"{root}/odata/v1/Products?{_next_query(pairs, following)}"
    return json_reply(document)


async def item(service: Service, request: Request) -> Reply:
    """Answer the request for one product.

    Raises:
        CdseError: 404 for an unknown product, 400 for an unknown expansion, 429.
    """
    admit(service)
    product = named(service, request)
    failure = front_end_fault(service.archive, product.name)
    if failure is not None:
        return failure
    expand = _expand(parse_qsl(request.url.query))
    service.is_available(product)
    described = await to_thread.run_sync(_records, service, [product], root_url(request), expand)
    return json_reply({"@odata.context": f"{_context(expand)}/$entity", **described[0]})


async def attributes(service: Service, request: Request) -> Reply:
    """Answer the request for the attributes of a collection.

    Raises:
        CdseError: 404 for a collection that holds nothing, 429.
    """
    admit(service)
    name = request.path_params["collection"].strip("'")
    known = {
        attribute.name: attribute.kind
        for product in service.archive.products
        if records.collection(product) == name
        for attribute in records.attributes(product)
    }
    if not known:
        raise CdseError(404, f"Collection {name} not found")
    return json_reply([{"Name": attribute, "ValueType": kind} for attribute, kind in known.items()])


def named(service: Service, request: Request) -> CatalogueProduct:
    """Return the product that a request names.

    Raises:
        CdseError: 404, no product has this id.
    """
    wanted = request.path_params["identifier"].strip("'").lower()
    for product in service.archive.products:
        if records.identifier(product.name) == wanted:
            return product
    raise CdseError(404, f"Product {wanted} not found")


def admit(service: Service) -> None:
    """Count a request to the catalogue.

    Raises:
        CdseError: 429, there were too many.
    """
    if not service.requests.take(EVERYBODY):
        raise CdseError(429, "Too Many Requests")


def _found(service: Service, parameters: dict[str, str]) -> list[CatalogueProduct]:
    """Return what a search finds, in its order."""
    text = parameters.get("$filter")
    try:
        test = filters.compiled(None if text is None else parse(text), service)
        return filters.ordered(filter(test, service.archive.products), parameters.get("$orderby"))
    except FilterError as error:
        raise CdseError(400, str(error)) from error


def _name(pairs: Sequence[tuple[str, str]]) -> str | None:
    """What is searched for, whichever page is wanted; None when that may change: products come online and leave."""
    wanted = [f"{name}={value}" for name, value in pairs if name in {"$filter", "$orderby"}]
    return None if "online" in "".join(wanted).lower() else "cdse?" + "&".join(sorted(wanted))


def _page(pairs: Sequence[tuple[str, str]]) -> Page:
    parameters = dict(pairs)
    count = parameters.get("$count", "false").lower()
    if count not in {"true", "false"}:
        raise CdseError(400, f"Invalid value of $count: {count}")
    top = _bounded("$top", parameters.get("$top", str(USUAL_PAGE)), LARGEST_PAGE)
    skip = _bounded("$skip", parameters.get("$skip", "0"), LAST_SKIP)
    return Page(top, skip, count == "true", _expand(pairs))


def _bounded(name: str, text: str, limit: int) -> int:
    """Read a number from 0 to `limit`."""
    problem = {"loc": ["query", name], "input": text}
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        kind = {"type": "int_parsing", "msg": "Input should be a valid integer"}
        raise CdseError(422, {"detail": [{**kind, **problem}]})
    number = int(text)
    if not 0 <= number <= limit:
        bound, word = (limit, "less") if number > limit else (0, "greater")
        kind = {"type": f"{word}_than_equal", "msg": f"Input should be {word} than or equal to {bound}"}
        raise CdseError(422, {"detail": [{**kind, **problem}]})
    return number


def _expand(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    asked = [word.strip() for name, value in pairs if name == "$expand" for word in value.split(",")]
    unknown = [word for word in asked if word not in records.EXPANSIONS]
    if unknown:
        raise CdseError(400, f"Invalid value of $expand: {unknown[0]}")
    return tuple(dict.fromkeys(asked))


def _context(expand: Sequence[str]) -> str:
    inner = ",".join(f"{name}()" for name in expand)
    return "$metadata#Products" + (f"({inner})" if inner else "")


def _next_query(pairs: Sequence[tuple[str, str]], skip: int) -> str:
    """Return the same query for the next page, its parameters in their order."""
    changed = [(name, str(skip) if name == "$skip" else value) for name, value in pairs]
    return urlencode(changed if "$skip" in dict(pairs) else [*changed, ("$skip", str(skip))])


def _records(
    service: Service, products: Sequence[CatalogueProduct], root: str, expand: Sequence[str]
) -> list[dict[str, Any]]:
    """Describe products; runs in a thread because checksums may have to be computed."""
    return [records.record(service, product, root, expand) for product in products]
