"""What products can be searched by at a resto server, and how it is asked for (PEPS notes, sections 1 and 2.1)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from pepsasync.model import Attribute, AttributeKind
from pepsasync.query.attributes import asked_values, conditions, number_of, split_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pepsasync.model import Query
    from pepsasync.query.attributes import Condition

_COMMON = (
    *("q", "maxRecords", "index", "page", "lang", "identifier", "geometry", "box", "location", "lon", "lat", "radius"),
    *("startDate", "completionDate", "publishedBegin", "publishedEnd", "updated"),
)
"""Parameters for which there are criteria, and those that choose a page."""
_WHOLE = ("orbitNumber", "relativeOrbitNumber", "cycleNumber", "isNrt")
_COVER = "Cover"
"""End of the names of shares in percent, which are whole numbers in a search."""
_IN_REPLY = {"tileid": "mgrs"}
"""Name in a reply, where it is another than that of the parameter."""
_PARAMETER = re.compile(r"[?&;](\w+)=\{")


def parse_description(document: str) -> dict[str, Attribute]:
    """Attributes from the OpenSearch description of a collection: parameters of the address of its search."""
    names = dict.fromkeys(name for name in _PARAMETER.findall(document) if name not in _COMMON)
    return {name: Attribute(name, _kind(name)) for name in names}


def _kind(name: str) -> AttributeKind:
    if name in _WHOLE:
        return AttributeKind.WHOLE
    return AttributeKind.NUMBER if name.endswith(_COVER) or name == "resolution" else AttributeKind.TEXT


def told_attributes(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What a reply tells, by the names of the parameters."""
    return dict(properties) | {name: properties.get(key) for name, key in _IN_REPLY.items()}


def property_parameters(query: Query) -> dict[str, str | list[str] | None]:
    """Parameters of a search: values, and ranges of shares, rounded outwards; the rest is checked on our side."""
    found: dict[str, str | list[str] | None] = {}
    for name, asked in conditions(query).items():
        if name.endswith(_COVER):
            found[name] = _interval(asked)
        elif values := asked_values(asked):
            found |= _among(name, values)
    return found


def _among(name: str, values: tuple[str, ...]) -> dict[str, str | list[str] | None]:
    if name == "resolution" or (name in _WHOLE and len(values) > 1):
        return {}
    if name in _WHOLE:
        number = number_of(values[0], AttributeKind.WHOLE, sign="=")
        return {name: str(number) if number is not None and number >= 0 else None}
    return {name: values[0]} if len(values) == 1 else {f"{name}[]": list(values)}


def _interval(asked: list[Condition]) -> str | None:
    """`[10,20]`, whole percents; the server knows no others."""
    values, limits = split_values(asked)
    numbers = [float(condition.value) for condition in values]
    lows = [float(value) for one in limits for sign, value in one.bounds if sign.startswith(">")]
    highs = [float(value) for one in limits for sign, value in one.bounds if sign.startswith("<")]
    low = max([*lows, *([min(numbers)] if numbers else []), 0.0])
    high = min([*highs, *([max(numbers)] if numbers else []), 100.0])
    return f"[{math.floor(low)},{math.ceil(high)}]" if 0 <= low <= high else None
