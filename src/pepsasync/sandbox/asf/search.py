"""The granule search of CMR: criteria, order, pages by `CMR-Search-After` (section 4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

import shapely
from anyio import to_thread

from pepsasync.sandbox.asf import records
from pepsasync.sandbox.asf.replies import CatalogueError
from pepsasync.sandbox.front_end import pass_front_end
from pepsasync.sandbox.replies import json_reply, read_json, root_url
from pepsasync.sandbox.selection import BAD_GEOMETRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shapely.geometry.base import BaseGeometry
    from starlette.requests import Request

    from pepsasync.sandbox.asf.records import Granule
    from pepsasync.sandbox.asf.service import Service
    from pepsasync.sandbox.replies import Reply

Test: TypeAlias = "Callable[[Granule], bool]"
Points: TypeAlias = "list[tuple[float, float]]"

LARGEST_PAGE = 2_000
USUAL_PAGE = 10
MEDIA_TYPE = "application/vnd.nasa.cmr.umm_results+json;version=1.6.6; charset=utf-8"
_IGNORED = ("provider", "options[", "token", "include_")
"""Beginnings of parameters that change nothing here."""


async def search(service: Service, request: Request) -> Reply:
    """Answer a granule search, by GET or by POST of a form.

    Raises:
        CatalogueError: 400 for what CMR does not know.
    """
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    if request.method == "POST":
        pairs += parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    after = request.headers.get("cmr-search-after")
    key = json.dumps(sorted(pair for pair in pairs if pair[0] != "page_size"))
    pass_front_end(service.archive, f"{key}{after or ''}")
    if after and service.archive.faults.strikes("page-shift", key):
        newest = max((product for product in service.archive.products if product.collection == "S1"), key=_start)
        service.archive.publish_newer(newest)
    size = _page_size(pairs)
    found = await to_thread.run_sync(_found, service, pairs)
    first = _first(found, after)
    some = found[first : first + size]
    if some and first + len(some) < len(found) and service.archive.faults.strikes("short-page", key):
        some = some[: len(some) // 2]
    is_cut = bool(some) and service.archive.faults.strikes("search-cut", key)
    if is_cut:
        some = some[: len(some) // 2]
    root = root_url(request)
    items = await to_thread.run_sync(lambda: [records.record(service.archive, each, root) for each in some])
    headers = [("CMR-Hits", str(len(found))), ("CMR-Took", "35")]
    if is_cut:
        headers.append(("CMR-Timed-Out", "true"))
    if some:
        headers.append(("CMR-Search-After", _mark(some[-1])))
    reply = json_reply({"hits": len(found), "took": 35, "items": items}, 200, headers)
    reply.raw_headers = [
        (name, MEDIA_TYPE.encode() if name == b"Content-Type" else value) for name, value in reply.raw_headers
    ]
    return reply


def _start(product: Any) -> datetime:
    start: datetime = product.start
    return start


def _found(service: Service, pairs: Sequence[tuple[str, str]]) -> list[Granule]:
    tests = list(_tests(pairs))
    found = [granule for granule in records.granules(service.archive) if all(test(granule) for test in tests)]
    orders = [value for name, value in pairs if name in ("sort_key[]", "sort_key")] or ["-start_date"]
    for order in reversed(orders):
        found.sort(key=_order(order.lstrip("-+")), reverse=order.startswith("-"))
    return found


def _order(name: str) -> Callable[[Granule], Any]:
    orders: dict[str, Callable[[Granule], Any]] = {
        "start_date": lambda granule: granule.product.start,
        "end_date": lambda granule: records.end(granule.product),
        "granule_ur": lambda granule: granule.id,
    }
    if name not in orders:
        raise CatalogueError(400, f"The sort key [{name}] is not a valid field for sorting granules.")
    return orders[name]


def _page_size(pairs: Iterable[tuple[str, str]]) -> int:
    text = dict(pairs).get("page_size", str(USUAL_PAGE))
    if not text.isdigit() or int(text) > LARGEST_PAGE:
        raise CatalogueError(400, f"page_size must be a number between 0 and {LARGEST_PAGE}")
    return int(text)


def _mark(granule: Granule) -> str:
    milliseconds = int(records.end(granule.product).timestamp() * 1000)
    return json.dumps(["asf", milliseconds, granule.number], separators=(",", ":"))


def _first(found: Sequence[Granule], after: str | None) -> int:
    """Place of the first granule behind the one that a mark names."""
    if after is None:
        return 0
    try:
        _, _, number = read_json(after)
        return next(place for place, granule in enumerate(found, 1) if granule.number == number)
    except (ValueError, TypeError):
        raise CatalogueError(400, "The search-after header is not valid.") from None
    except StopIteration:
        return len(found)


def _tests(pairs: Sequence[tuple[str, str]]) -> Iterable[Test]:
    """Tests of what is asked for: values of a list are alternatives, everything else has to hold."""
    lists: dict[str, set[str]] = {}
    if not {name.removesuffix("[]") for name, _ in pairs} & {"provider", "shortName", "short_name"}:
        raise CatalogueError(400, "The CMR does not allow querying across granules in all collections.")
    for name, value in pairs:
        bare = name.removesuffix("[]")
        if name.startswith(_IGNORED) or bare in ("sort_key", "page_size"):
            continue
        if value == "":
            raise CatalogueError(400, f"Parameter [{name}] must not be empty.")
        if bare in _LISTS:
            lists.setdefault(bare, set()).add(value)
        elif bare in _SINGLE:
            yield _SINGLE[bare](value)
        else:
            raise CatalogueError(400, f"Parameter [{name}] was not recognized.")
    yield from (_is_one_of(_LISTS[name], wanted) for name, wanted in lists.items())


def _is_one_of(values: Callable[[Granule], set[str]], wanted: set[str]) -> Test:
    return lambda granule: bool(values(granule) & wanted)


def _updated_since(value: str) -> Test:
    moment = _moment(value)
    return lambda granule: (granule.product.published or granule.product.start) >= moment


def _orbit(value: str) -> Test:
    return lambda granule: str(granule.product.orbit) == value


def _temporal(value: str) -> Test:
    """Periods that overlap, both ends included."""
    texts = [*value.split(","), "", ""]
    start, end = (_moment(text) if text else None for text in texts[:2])

    def test(granule: Granule) -> bool:
        product = granule.product
        return (start is None or records.end(product) >= start) and (end is None or product.start <= end)

    return test


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CatalogueError(400, f"[{text}] is not a valid datetime") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _attribute(value: str) -> Test:
    kind, _, rest = value.partition(",")
    name, _, wanted = rest.partition(",")
    if kind not in ("string", "int", "float") or not wanted:
        raise CatalogueError(400, f"[{value}] is an invalid attribute query.")

    def test(granule: Granule) -> bool:
        actual = records.attributes(granule).get(name)
        if actual is None:
            return False
        if kind == "string":
            return actual == wanted
        low, _, high = wanted.partition(",")
        return float(low) <= float(actual) <= float(high or low)

    return test


def _shape(kind: str) -> Callable[[str], Test]:
    def read(value: str) -> Test:
        try:
            numbers = [float(text) for text in value.split(",")]
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            outline = _OUTLINES[kind](points)
        except BAD_GEOMETRY:
            raise CatalogueError(400, f"[{value}] is not a valid URL encoded {kind}") from None
        shapely.prepare(outline)
        return lambda granule: bool(outline.intersects(granule.product.footprint))

    return read


def _polygon(points: Points) -> shapely.Polygon:
    """A polygon, closed and counter-clockwise: one the other way round is the rest of the world."""
    ring = shapely.LinearRing(points)
    if points[0] != points[-1]:
        raise CatalogueError(400, "The polygon boundary is not closed.")
    if not ring.is_ccw:
        raise CatalogueError(400, "The polygon boundary points are listed in the wrong order (clockwise).")
    return shapely.Polygon(ring)


_OUTLINES: dict[str, Callable[[Points], BaseGeometry]] = {
    "bounding_box": lambda points: shapely.box(*points[0], *points[1]),
    "point": lambda points: shapely.Point(points[0]),
    "line": shapely.LineString,
    "polygon": _polygon,
}
_LISTS: dict[str, Callable[[Granule], set[str]]] = {
    "shortName": lambda granule: {granule.collection},
    "short_name": lambda granule: {granule.collection},
    "readable_granule_name": lambda granule: {granule.id, granule.scene},
    "granule_ur": lambda granule: {granule.id},
    "platform": lambda granule: {f"SENTINEL-1{granule.product.platform[-1]}"},
}
_SINGLE: dict[str, Callable[[str], Test]] = {
    "temporal": _temporal,
    "updated_since": _updated_since,
    "orbit_number": _orbit,
    "attribute": _attribute,
    **{kind: _shape(kind) for kind in _OUTLINES},
}
