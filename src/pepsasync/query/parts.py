"""Parts of a query, for archives that take one value, one shape or so many values a search. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from pepsasync.model import SEVERAL, several

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.model import Query


def by_value(query: Query, *names: str, at_most: int = 1) -> Iterator[Query]:
    """Split a query by criteria that may have several values.

    Args:
        query: What is split.
        names: Which criteria.
        at_most: Values of each that a part keeps.
    """
    choices = []
    for name in names:
        values = several(getattr(query, name))
        choices.append([values[first : first + at_most] for first in range(0, len(values), at_most)] or [()])
    for chosen in product(*choices):
        fields: dict[str, Any] = dict(zip(names, chosen, strict=True))
        yield replace(query, **fields)


def by_season(query: Query) -> Iterator[Query]:
    """Split a query for some months by the seasons of its period; one without start or end stays whole."""
    if not query.months or query.start is None or query.end is None:
        yield query
        return
    seasons: list[tuple[datetime, datetime]] = []
    month = query.start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month < query.end:
        after = (month + timedelta(days=31)).replace(day=1)
        if month.month in query.months:
            begin = seasons.pop()[0] if seasons and seasons[-1][1] == month else month
            seasons.append((begin, after))
        month = after
    for begin, after in seasons:
        yield replace(query, start=max(begin, query.start), end=min(after, query.end))


def by_area(query: Query) -> Iterator[Query]:
    """Split a query by part of its area, for archives that take one shape a search."""
    if query.area is None:
        yield query
        return
    from pepsasync.area import fit  # noqa: PLC0415 - needs shapely

    for part in fit.parts(query.area):
        yield replace(query, area=part)


def of_name(query: Query, name: str, collection: str | None) -> Query:
    """The part of a query that looks for one name: criteria of several values are left to be checked afterwards."""
    values: dict[str, Any] = {field: None for field in SEVERAL if isinstance(getattr(query, field), tuple)}
    return replace(query, **(values | {"names": (name,), "collection": collection}))
