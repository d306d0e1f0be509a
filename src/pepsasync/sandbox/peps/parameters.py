"""Search parameters: names, limits, and the exact complaints about wrong values.

PEPS protocol notes, sections 2.1 and 8.2 to 8.11. Unknown names are ignored, as the archive does.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl, quote

from pepsasync.sandbox.peps.replies import PepsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = str | list[str]

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(|Z|[\+\-][0-9]{2}:[0-9]{2}))?$"
COVER = r"^(\[|\]|[0-9])?[0-9]+$|^[0-9]+?(\[|\])$|^(\[|\])[0-9]+,[0-9]+(\[|\])$"
BOX = r"^[0-9\.\,\-]*$"
TILE = r"^[0-6][0-9][A-Za-z]([A-Za-z]){0,2}%?$"

DEFAULT_LIMIT = 20
"""Features of a page when `maxRecords` is absent or no number."""
MAX_LIMIT = 500
"""Most features of a page; more is lowered to this without a word."""
PAGING = frozenset({"maxRecords", "index", "page"})
"""Parameters that choose a page."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter."""

    filter: str
    """Name inside the software, echoed in `searchFilters`."""
    pattern: str | None = None
    """What a value must match."""
    low: float | None = None
    """Smallest value; makes the parameter a number."""
    high: float | None = None
    """Largest value."""
    collection: str | None = None
    """The only collection that knows the parameter; None for all."""


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "q": Parameter("searchTerms"),
        "maxRecords": Parameter("count"),
        "index": Parameter("startIndex", low=1),
        "page": Parameter("startPage", low=1),
        "lang": Parameter("language", pattern="^[a-z]{2}$"),
        "identifier": Parameter("geo:uid"),
        "geometry": Parameter("geo:geometry"),
        "box": Parameter("geo:box", pattern=BOX),
        "location": Parameter("geo:name"),
        "lon": Parameter("geo:lon", low=-180, high=180),
        "lat": Parameter("geo:lat", low=-90, high=90),
        "radius": Parameter("geo:radius", low=1),
        "startDate": Parameter("time:start", pattern=DATE),
        "completionDate": Parameter("time:end", pattern=DATE),
        "updated": Parameter("dc:date", pattern=DATE),
        "publishedBegin": Parameter("resto:publishedBegin", pattern=DATE),
        "publishedEnd": Parameter("resto:publishedEnd", pattern=DATE),
        "productIdentifier": Parameter("productIdentifier"),
        "parentIdentifier": Parameter("eo:parentIdentifier"),
        "productType": Parameter("eo:productType"),
        "processingLevel": Parameter("eo:processingLevel"),
        "platform": Parameter("eo:platform"),
        "instrument": Parameter("eo:instrument"),
        "sensorMode": Parameter("eo:sensorMode"),
        "organisationName": Parameter("eo:organisationName"),
        "orbitDirection": Parameter("eo:orbitDirection"),
        "orbitNumber": Parameter("eo:orbitNumber", low=1),
        "relativeOrbitNumber": Parameter("eo:relativeOrbitNumber", low=1),
        "resolution": Parameter("eo:resolution", low=0),
        "cloudCover": Parameter("eo:cloudCover", pattern=COVER),
        "snowCover": Parameter("eo:snowCover", pattern=COVER),
        "isNrt": Parameter("resto:isNrt"),
        "realtime": Parameter("resto:realtime"),
        "polarisation": Parameter("resto:polarisation", collection="S1"),
        "swath": Parameter("resto:swath", collection="S1"),
        "cycleNumber": Parameter("resto:cycleNumber", low=1, collection="S1"),
        "tileid": Parameter("resto:tileid", pattern=TILE, collection="S2ST"),
        "s2TakeId": Parameter("resto:s2TakeId", collection="S2ST"),
    }
)
"""Every parameter by its public name."""


@dataclass(frozen=True, slots=True)
class Query:
    """A valid search request."""

    collection: str | None
    """None: all collections."""
    sent: Mapping[str, Value]
    """Parameters as sent, unknown ones included, in their order."""
    filters: Mapping[str, Value]
    """Known and not empty parameters, in their order."""

    @property
    def limit(self) -> int:
        """Features of a page."""
        return page_limit(self.filters.get("maxRecords"))

    @property
    def announced_limit(self) -> int | str:
        """`totalItemsPerPage`: text when a usable number was sent, else a number."""
        sent = self.filters.get("maxRecords")
        return sent if isinstance(sent, str) and sent == str(self.limit) else self.limit

    @property
    def first(self) -> int:
        """Number of the first feature, from 1; `page` wins over `index`."""
        if "page" in self.filters:
            return (int(float(self.text("page"))) - 1) * self.limit + 1
        return int(float(self.text("index") or 1))

    @property
    def name(self) -> str:
        """What is searched for, whichever page is wanted."""
        wanted = {name: value for name, value in self.filters.items() if name not in PAGING}
        return json.dumps(["peps", self.collection, wanted])

    def text(self, name: str) -> str:
        """Return a parameter as text, empty if it was not sent."""
        value = self.filters.get(name, "")
        return value if isinstance(value, str) else value[0]

    def search_filters(self) -> dict[str, Value]:
        """Return the filters under their names inside the software."""
        return {PARAMETERS[name].filter: value for name, value in self.filters.items()}

    def url_query(self, page: int | None = None) -> str:
        """Return the query of a link to this search, or to another page of it."""
        values = dict(self.sent)
        if page is not None:
            values.pop("index", None)
            if "maxRecords" in values:
                values["maxRecords"] = str(self.limit)
            values["page"] = str(page)
        return "".join(_pair(name, value) for name, value in values.items())


def read(collection: str | None, query_string: str) -> Query:
    """Read and check the parameters of a search.

    Raises:
        PepsError: 400, with the archive's own words.
    """
    sent = _as_php(query_string)
    filters = {}
    for name, value in sent.items():
        parameter = PARAMETERS.get(name)
        if parameter is None or parameter.collection not in {None, collection}:
            continue
        _check(name, value, parameter)
        if value not in ("", []):
            filters[name] = value
    return Query(collection, sent, filters)


def page_limit(sent: Value | None) -> int:
    """Return the features of a page for a value of `maxRecords`."""
    if not isinstance(sent, str) or not re.fullmatch(r"-?\d+", sent):
        return DEFAULT_LIMIT
    return max(1, min(MAX_LIMIT, int(sent)))


def _check(name: str, value: Value, parameter: Parameter) -> None:
    if parameter.pattern is not None:
        if not isinstance(value, str) or not re.search(parameter.pattern, value):
            raise PepsError(400, f'Value for "{name}" must follow the pattern {parameter.pattern}')
    elif parameter.low is not None:
        number = _number(value)
        if number is None:
            raise PepsError(400, f'Value for "{name}" must be numeric')
        if number < parameter.low:
            raise PepsError(400, f'Value for "{name}" must be greater than {parameter.low - 1:g}')
        if parameter.high is not None and number > parameter.high:
            raise PepsError(400, f'Value for "{name}" must be lower than {parameter.high + 1:g}')


def _number(value: Value) -> float | None:
    if not isinstance(value, str) or not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", value):
        return None
    return float(value)


def _as_php(query_string: str) -> dict[str, Value]:
    """Read a query as PHP does: the last value wins, `key[]` makes a list; blanks around values are cut."""
    values: dict[str, Value] = {}
    for name, sent in parse_qsl(query_string, keep_blank_values=True):
        value = sent.strip(" \t\n\r\0\x0b")
        if indexed := re.fullmatch(r"(.+?)\[[^]]*\]", name):
            known = values.get(indexed[1])
            values[indexed[1]] = [*known, value] if isinstance(known, list) else [value]
        else:
            values[name] = value
    return values


def _pair(name: str, value: Value) -> str:
    if isinstance(value, str):
        return f"&{quote(name, safe='')}={quote(value, safe='')}"
    return "".join(f"&{quote(name, safe='')}%5B%5D={quote(item, safe='')}" for item in value)
