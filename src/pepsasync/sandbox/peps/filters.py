"""Which products a search finds: one small test per parameter (PEPS protocol notes, sections 2.1 and 8)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import box, shape

from pepsasync.sandbox import places
from pepsasync.sandbox.peps.features import keywords, processing_level
from pepsasync.sandbox.peps.replies import PepsError
from pepsasync.sandbox.replies import read_json
from pepsasync.sandbox.selection import BAD_GEOMETRY, intersects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shapely.geometry.base import BaseGeometry

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.peps.parameters import Query, Value
    from pepsasync.sandbox.selection import Test

DATABASE_ERROR = "Database connection error"
"""What the archive says when its database refuses a value."""
DEFAULT_RADIUS = 10_000.0
"""Metres around a point."""
METRES_PER_DEGREE = 111_110.0
_NOTHING = shapely.Polygon()
_EXACT: dict[str, Callable[[CatalogueProduct], object]] = {
    "productType": lambda product: product.product_type,
    "processingLevel": processing_level,
    "platform": lambda product: product.platform,
    "instrument": lambda product: "MSI" if product.collection == "S2ST" else "SAR-C SAR",
    "sensorMode": lambda product: product.sensor_mode,
    "organisationName": lambda _: "ESA",
    "orbitDirection": lambda product: product.orbit_direction,
    "parentIdentifier": lambda _: None,
    "isNrt": lambda product: str(int(product.nrt)),
    "realtime": lambda product: product.realtime,
    "polarisation": lambda product: product.polarisation,
    "swath": lambda product: product.sensor_mode,
    "s2TakeId": lambda product: product.take_id,
    "productIdentifier": lambda product: product.name,
    "tileid": lambda product: product.tile,
}
_NUMBERS: dict[str, Callable[[CatalogueProduct], float | None]] = {
    "orbitNumber": lambda product: product.orbit,
    "relativeOrbitNumber": lambda product: product.relative_orbit,
    "cycleNumber": lambda product: product.cycle,
    "resolution": lambda _: None,
}


def matching(products: Iterable[CatalogueProduct], query: Query) -> list[CatalogueProduct]:
    """Return the products of a search: newest acquisition first, then by identifier.

    Raises:
        PepsError: A value that the archive's software or database refuses.
    """
    tests = list(_tests(query))
    found = [
        product
        for product in products
        if query.collection in {None, product.collection} and all(test(product) for test in tests)
    ]
    found.sort(key=lambda product: product.id)
    found.sort(key=lambda product: product.start, reverse=True)
    return found


def _tests(query: Query) -> Iterable[Test]:
    for name, value in query.filters.items():
        if name in _EXACT:
            yield _exact(_EXACT[name], value)
        elif name in _NUMBERS:
            yield _equal(_NUMBERS[name], float(query.text(name)))
        elif name in _BUILDERS:
            yield _BUILDERS[name](query.text(name))
    yield from _identity(query)
    if "lon" in query.filters and "lat" in query.filters:
        radius = float(query.text("radius") or DEFAULT_RADIUS)
        yield _around(float(query.text("lon")), float(query.text("lat")), radius)


def _exact(get: Callable[[CatalogueProduct], object], value: Value) -> Test:
    """Compare texts; one that ends with `%` is a pattern of SQL, in which `_` stands for any character."""
    texts = [value] if isinstance(value, str) else value
    wanted = {text for text in texts if not text.endswith("%")}
    patterns = [_pattern(text) for text in texts if text.endswith("%")]

    def test(product: CatalogueProduct) -> bool:
        text = get(product)
        return text in wanted or (
            bool(patterns) and text is not None and any(pattern.fullmatch(str(text)) for pattern in patterns)
        )

    return test


def _pattern(text: str) -> re.Pattern[str]:
    kinds = {"%": ".*", "_": "."}
    pieces = (kinds.get(piece) or re.escape(piece[-1]) for piece in re.findall(r"\\.|.", text, re.DOTALL))
    return re.compile("".join(pieces), re.DOTALL)


def _equal(get: Callable[[CatalogueProduct], float | None], value: float) -> Test:
    return lambda product: get(product) == value


def _identity(query: Query) -> Iterable[Test]:
    if "identifier" in query.filters:
        value = query.filters["identifier"]
        wanted = {text.upper() for text in ([value] if isinstance(value, str) else value)}
        named = query.collection is not None
        yield lambda product: product.id.upper() in wanted or (named and product.name.upper() in wanted)


def _date(text: str) -> datetime:
    """Read a date that fits the pattern; a time zone is ignored, an impossible date stops the database.

    The database knows the hour 24:00:00, which is the next midnight, and the second 60, which is the next minute.
    """
    day, _, clock = text.partition("T")
    hour, minute, second = (int(part) for part in clock[:8].split(":")) if clock else (0, 0, 0)
    fraction = re.match(r"\.(\d{1,6})", clock[8:])
    passed = timedelta(
        hours=hour, minutes=minute, seconds=second, microseconds=int(fraction[1].ljust(6, "0")) if fraction else 0
    )
    if minute > 59 or second > 60 or passed > timedelta(days=1) or (hour == 24 and passed != timedelta(days=1)):
        raise PepsError(500, DATABASE_ERROR)
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC) + passed
    except ValueError:
        raise PepsError(500, DATABASE_ERROR) from None
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _from(get: Callable[[CatalogueProduct], datetime | None]) -> Callable[[str], Test]:
    def build(text: str) -> Test:
        limit = _date(text)
        return lambda product: (moment := get(product)) is not None and moment >= limit

    return build


def _until(get: Callable[[CatalogueProduct], datetime | None]) -> Callable[[str], Test]:
    def build(text: str) -> Test:
        limit = _date(text)
        return lambda product: (moment := get(product)) is not None and moment <= limit

    return build


def _cover(text: str) -> Test:
    inside = _interval(text)
    return lambda product: product.cloud_cover is not None and inside(product.cloud_cover)


def _no_cover(_text: str) -> Test:
    return lambda _: False


def _interval(text: str) -> Callable[[float], bool]:
    """Read `[a,b]` and its relatives, `[n`, `]n`, `n]`, `n[`, `n` (section 8.3); the text has been checked."""
    numbers = [float(number) for number in re.findall(r"\d+", text)]
    low, high = numbers[0], numbers[-1]
    after: Callable[[float], bool] = (lambda x: x > low) if text[0] == "]" else (lambda x: x >= low)
    before: Callable[[float], bool] = (lambda x: x < high) if text[-1] == "[" else (lambda x: x <= high)
    if len(numbers) == 2:
        return lambda x: after(x) and before(x)
    if text[0] in "[]":
        return after
    return before if text[-1] in "[]" else lambda x: x == low


def _box(text: str) -> Test:
    parts = text.split(",")
    if len(parts) != 4:
        raise PepsError(400, "Invalid geo:box")
    try:
        west, south, east, north = (float(part) for part in parts)
    except ValueError:
        raise PepsError(500, DATABASE_ERROR) from None
    # West beyond east is drawn the wrong way round the globe, as the archive does: no antimeridian here.
    return intersects(box(min(west, east), south, max(west, east), north))


def _around(longitude: float, latitude: float, radius: float) -> Test:
    half = radius * math.cos(math.radians(latitude)) / METRES_PER_DEGREE
    return intersects(box(longitude - half, latitude - half, longitude + half, latitude + half))


def _geometry(text: str) -> Test:
    try:
        if text.lstrip().startswith("{"):
            outline = _geojson(read_json(text))
        else:
            # The database takes EWKT too, and reads every reference system as EPSG:4326.
            outline = shapely.from_wkt(re.sub(r"^\s*SRID=-?\d+;", "", text, flags=re.IGNORECASE))
    except BAD_GEOMETRY:
        raise PepsError(500, DATABASE_ERROR) from None
    return intersects(outline)


def _geojson(document: Any) -> BaseGeometry:
    """Read a polygon; other kinds of geometry find nothing (section 8.15)."""
    outline = shape(document)
    return outline if outline.geom_type in {"Polygon", "MultiPolygon"} else _NOTHING


def _free_text(text: str) -> Test:
    """Understand a place name, else words that must all be keywords of a product."""
    place = places.find(text)
    if place is not None:
        return _around(*place, DEFAULT_RADIUS)
    words = [quoted or word for quoted, word in re.findall(r'"([^"]+)"|(\S+)', text)]
    tests = [_around(*found, DEFAULT_RADIUS) if (found := places.find(word)) else _keyword(word) for word in words]
    return lambda product: all(test(product) for test in tests)


def _keyword(word: str) -> Test:
    wanted = word.casefold()
    return lambda product: any(keyword.name.casefold() == wanted for keyword in keywords(product))


_BUILDERS: dict[str, Callable[[str], Test]] = {
    "startDate": _from(lambda product: product.start),
    "completionDate": _until(lambda product: product.start),
    "updated": _from(lambda product: product.published),
    "publishedBegin": _from(lambda product: product.published),
    "publishedEnd": _until(lambda product: product.published),
    "cloudCover": _cover,
    "snowCover": _no_cover,
    "box": _box,
    "geometry": _geometry,
    "q": _free_text,
}
