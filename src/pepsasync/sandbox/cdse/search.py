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
from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.replies import json_reply, read_json, root_url
from pepsasync.sandbox.selection import find

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    select: tuple[str, ...]
    """Which properties are told; none of them: all."""


async def search(service: Service, request: Request) -> Reply:
    """Answer a search.

    Raises:
        CdseError: 400 for a filter, order or expansion outside the language, 422 for a page outside the limits, 429.
    """
    admit(service)
    key = request.url.query
    pass_front_end(service.archive, key)
    pairs = parse_qsl(key, keep_blank_values=True)
    page = _page(pairs)
    found = await find(
        service.archive,
        lambda: _found(service, dict(pairs)),
        key=key,
        search=_name(pairs),
        is_later_page=page.skip > 0,
    )
    return await _listed(service, request, found, page)


async def by_name(service: Service, request: Request) -> Reply:
    """Answer `OData.CSC.FilterList`: the products with these names, as a page of a search; others are left out.

    Raises:
        CdseError: 422 for a body that lists no names or a page outside the limits, 400 for a parameter outside the
            language, 429.
    """
    admit(service)
    names = _names(await request.body())
    pass_front_end(service.archive, ",".join(sorted(names)))
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    page = _page(pairs)
    found = [
        product for product in _found(service, {**dict(pairs), "$filter": None}) if records.file_name(product) in names
    ]
    for product in found:
        service.is_available(product)
    return await _listed(service, request, found, page)


async def item(service: Service, request: Request) -> Reply:
    """Answer the request for one product.

    Raises:
        CdseError: 404 for an unknown product, 400 for an unknown expansion, 429.
    """
    admit(service)
    product = named(service, request)
    pass_front_end(service.archive, product.name)
    page = _page(parse_qsl(request.url.query))
    service.is_available(product)
    described = await to_thread.run_sync(_records, service, [product], root_url(request), page)
    return json_reply({"@odata.context": f"{_context(page)}/$entity", **described[0]})


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
    product = service.items.find(wanted)
    if product is None:
        raise CdseError(404, f"Product {wanted} not found")
    return product


def admit(service: Service) -> None:
    """Count a request to the catalogue.

    Raises:
        CdseError: 429, there were too many.
    """
    if not service.requests.take(EVERYBODY):
        raise CdseError(429, "Too Many Requests")


async def _listed(service: Service, request: Request, found: Sequence[CatalogueProduct], page: Page) -> Reply:
    """Return one page of what was found."""
    root, following = root_url(request), page.skip + page.top
    document: dict[str, Any] = {"@odata.context": _context(page)}
    if page.count:
        document["@odata.count"] = len(found)
    document["value"] = await to_thread.run_sync(_records, service, found[page.skip : following], root, page)
    if page.top and following < len(found) and following <= LAST_SKIP:
        here = request.url.path.removeprefix(request.scope["root_path"])
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        document["@odata.nextLink"] = f"{root}{here}?{_next_query(pairs, following)}"
    return json_reply(document)


def _names(body: bytes) -> frozenset[str]:
    """Read the names of `FilterProducts`."""
    try:
        return frozenset(entry["Name"] for entry in read_json(body)["FilterProducts"] if entry["Name"] + "")
    except (ValueError, KeyError, TypeError):
        problem = {"type": "value_error", "loc": ["body", "FilterProducts"], "msg": "A list of names is needed"}
        raise CdseError(422, {"detail": [problem]}) from None


def _found(service: Service, parameters: Mapping[str, str | None]) -> list[CatalogueProduct]:
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
    if count not in {"true", "1", "false", "0"}:
        raise CdseError(400, f"Invalid value of $count: {count}")
    top = _bounded("$top", parameters.get("$top", str(USUAL_PAGE)), LARGEST_PAGE)
    skip = _bounded("$skip", parameters.get("$skip", "0"), LAST_SKIP)
    expand = _words(pairs, "$expand", records.EXPANSIONS)
    return Page(top, skip, count in {"true", "1"}, expand, _words(pairs, "$select", records.PROPERTIES))


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


def _words(pairs: Sequence[tuple[str, str]], name: str, known: Collection[str]) -> tuple[str, ...]:
    """Read a parameter that lists words and may be repeated."""
    asked = [word.strip() for key, value in pairs if key == name for word in value.split(",")]
    unknown = [word for word in asked if word not in known]
    if unknown:
        raise CdseError(400, f"Invalid value of {name}: {unknown[0]}")
    return tuple(dict.fromkeys(asked))


def _context(page: Page) -> str:
    inner = ",".join([*page.select, *(f"{name}()" for name in page.expand)])
    return "$metadata#Products" + (f"({inner})" if inner else "")


def _next_query(pairs: Sequence[tuple[str, str]], skip: int) -> str:
    """Return the same query for the next page, its parameters in their order."""
    changed = [(name, str(skip) if name == "$skip" else value) for name, value in pairs]
    return urlencode(changed if "$skip" in dict(pairs) else [*changed, ("$skip", str(skip))])


def _records(service: Service, products: Sequence[CatalogueProduct], root: str, page: Page) -> list[dict[str, Any]]:
    """Describe products; runs in a thread because checksums may have to be computed."""
    described = [records.record(service, product, root, page.expand) for product in products]
    if not page.select:
        return described
    shown = {"@odata.mediaContentType", *page.select, *page.expand}
    return [{name: value for name, value in record.items() if name in shown} for record in described]
