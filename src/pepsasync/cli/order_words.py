"""What was asked for, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pepsasync.cli.units import show_count

MOST_TOLD = 5
"""Values of a criterion that are written out."""

MIDNIGHT = "T00:00:00+00:00"

UNREADABLE = "what cannot be read any more"


def order_words(wanted: Any) -> str:
    """`S1 GRD IW, from 2015-11-01 to 2015-12-01, tile 31TCJ`, or `12 products by name`.

    Args:
        wanted: As the journal holds it: a query as a mapping, or a list of names; anything else is damage.
    """
    try:
        if isinstance(wanted, Mapping):
            return ", ".join(_parts(wanted)) or "everything"
        if isinstance(wanted, Sequence) and not isinstance(wanted, str):
            return _names(wanted)
    except (TypeError, ValueError, AttributeError):
        return UNREADABLE
    return UNREADABLE


def _parts(query: Mapping[str, Any]) -> list[str]:
    kind = " ".join(_told(query[name]) for name in ("collection", "product_type", "sensor_mode") if query.get(name))
    parts = [kind] if kind else []
    if query.get("names"):
        parts.append(_names(query["names"]))
    period = [f"{word} {_date(query[name])}" for word, name in (("from", "start"), ("to", "end")) if query.get(name)]
    parts += [" ".join(period)] if period else []
    if query.get("published_since"):
        parts.append(f"published since {_date(query['published_since'])}")
    for name, words in _WORDS.items():
        if query.get(name) is not None:
            value = query[name]
            parts.append(words.format(_told(value) if isinstance(value, list) else value))
    return parts


def _told(value: Any) -> str:
    """One value, or several: `31TCJ,31TDJ`; of many the first ones, and how many there are."""
    if not isinstance(value, list):
        return str(value)
    shown = ",".join(map(str, value[:MOST_TOLD]))
    return shown if len(value) <= MOST_TOLD else f"{shown},... ({len(value):,})"


_WORDS = {
    "tile": "tile {}",
    "location": "{}",
    "area": "an area",
    "relative_orbit": "orbit {}",
    "cloud_cover": "clouds up to {:g} %",
    "platform": "{}",
    "latest": "newest processing only",
    "limit": "at most {:,} products",
}


def _names(names: Sequence[Any]) -> str:
    return str(names[0]) if len(names) == 1 else f"{show_count(len(names))} by name"


def _date(text: str) -> str:
    """`2015-11-01`, with the time of day only where there is one."""
    return text.removesuffix(MIDNIGHT).removesuffix("+00:00")
