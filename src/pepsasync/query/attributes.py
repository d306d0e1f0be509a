"""Conditions on attributes under the names that an archive gives them: `cloudCover<20`. Pure functions.

A `Query` keeps them as text in one spelling, so that they can be stored and compared.
"""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import AttributeKind
from pepsasync.nearest import meant
from pepsasync.query import dates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pepsasync.model import Attribute, Query

HINT = "Write NAME=VALUE, NAME<VALUE, NAME>VALUE or NAME=LOWEST..HIGHEST, in quotes because of < and >"
_WRITTEN = re.compile(r"\s*([\w:./-]{1,100})\s*(<=|>=|<|>|=)\s*([^\s=<>](?:.*\S)?)\s*")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")
_NUMBERS = (AttributeKind.NUMBER, AttributeKind.WHOLE)
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """What an attribute has to be."""

    name: str
    """As the archive names it."""
    sign: str
    """`=`, `<`, `>`, `<=`, `>=`, or `..` for a range."""
    value: str
    """What it is compared with; of a range the lowest, empty when it is open."""
    highest: str = ""
    """Of a range, empty when it is open."""

    def __str__(self) -> str:
        """`cloudCover<20`."""
        if self.sign == "..":
            return f"{self.name}={self.value}..{self.highest}"
        return f"{self.name}{self.sign}{self.value}"

    @property
    def bounds(self) -> list[tuple[str, str]]:
        """The same as comparisons, which all have to be true: sign and value."""
        if self.sign != "..":
            return [(self.sign, self.value)]
        return [(sign, end) for sign, end in ((">=", self.value), ("<=", self.highest)) if end]

    def is_met(self, value: Any) -> bool:
        """Whether a value fulfils it; of a list, one of the values. What is not told fulfils nothing."""
        if isinstance(value, list | tuple):
            return any(map(self.is_met, value))
        return value is not None and all(_compare(value, sign, other) for sign, other in self.bounds)


@lru_cache(maxsize=256)
def parse_condition(text: str) -> Condition:
    """Return the condition that a text stands for.

    Raises:
        ConfigError: It is none.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None or not text.isprintable():
        raise ConfigError(f"property: {text!r} is no condition", hint=HINT)
    name, sign, value = match.groups()
    if sign != "=" or ".." not in value:
        return Condition(name, sign, value)
    lowest, _, highest = (part.strip() for part in value.partition(".."))
    if not (lowest or highest):
        raise ConfigError(f"property: {text!r} is a range without an end", hint=HINT)
    if (low := _number(lowest)) is not None and (high := _number(highest)) is not None and low > high:
        raise ConfigError(f"property: nothing is from {lowest} to {highest}", hint=HINT)
    return Condition(name, "..", lowest, highest)


def parse_conditions(criterion: str, value: object) -> tuple[str, ...]:
    """Return conditions in their one spelling, from a text, several, or a mapping of names to values.

    Raises:
        ConfigError: One of them is none.
    """
    if isinstance(value, Mapping):
        value = [f"{name}={_written(each)}" for name, each in value.items()]
    items = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not items or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{criterion}: {value!r} is no condition", hint=HINT)
    return tuple(dict.fromkeys(str(parse_condition(item)) for item in items))


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def conditions(query: Query) -> dict[str, list[Condition]]:
    """What a query asks of attributes, by name."""
    found: dict[str, list[Condition]] = defaultdict(list)
    for text in query.property:
        condition = parse_condition(text)
        found[condition.name].append(condition)
    return found


def are_met(query: Query, attributes: Mapping[str, Any]) -> bool:
    """Whether attributes fulfil what a query asks of them. Several values of one attribute are alternatives."""
    return all(
        all(condition.is_met(attributes.get(name)) for condition in limits)
        and (not values or any(condition.is_met(attributes.get(name)) for condition in values))
        for name, asked in conditions(query).items()
        for values, limits in [split_values(asked)]
    )


def split_values(asked: Iterable[Condition]) -> tuple[list[Condition], list[Condition]]:
    """Values of which one is needed, and limits that are all kept."""
    values, limits = list[Condition](), list[Condition]()
    for condition in asked:
        (values if condition.sign == "=" else limits).append(condition)
    return values, limits


def kept(query: Query | None, attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of all attributes of a product those that a query asks for; None when it asks for none."""
    if query is None or not query.property:
        return None
    return {name: attributes[name] for name in conditions(query) if attributes.get(name) is not None}


def check_conditions(query: Query, known: Mapping[str, Attribute], advice: str) -> None:
    """Compare conditions with the attributes that an archive lists.

    Args:
        query: With the conditions.
        known: Attributes by name.
        advice: What lists them.

    Raises:
        ConfigError: No such attribute, or a value that it cannot have.
    """
    for name, asked in conditions(query).items():
        if name not in known:
            word = meant(name, known)
            hint = f"Did you mean {word!r}? {advice}" if word else advice
            raise ConfigError(f"there is no attribute {name!r}", hint=hint)
        for condition in asked:
            _check_value(condition, known[name])


def _check_value(condition: Condition, attribute: Attribute) -> None:
    for sign, value in condition.bounds:
        if attribute.kind in _NUMBERS and _number(value) is None:
            raise ConfigError(f"property: {attribute.name} is a number, and {value!r} is none")
        if attribute.kind is AttributeKind.INSTANT:
            dates.parse_start(f"property {attribute.name}", value)
        if attribute.kind is AttributeKind.FLAG and (sign != "=" or value.lower() not in _FLAGS):
            raise ConfigError(f"property: {attribute.name} is true or false, not {sign}{value}")
        if attribute.values and sign == "=" and value not in attribute.values:
            word = meant(value, attribute.values)
            if word and word.lower() == value.lower():
                raise ConfigError(f"property: no {attribute.name} is {value!r}", hint=f"Did you mean {word!r}?")


def number_of(value: str, kind: AttributeKind, *, sign: str) -> float | int | None:
    """A number to ask an archive for: of whole numbers a whole one, rounded so that nothing is missed.

    None when no whole number is equal to it.
    """
    number = float(value)
    if kind is not AttributeKind.WHOLE:
        return number
    if sign == "=":
        return int(number) if number.is_integer() else None
    return math.ceil(number) if sign in ("<", ">=") else math.floor(number)


def period_of(sign: str, value: str) -> list[tuple[str, datetime]]:
    """A comparison of instants as those with clear ends: a bare date is a day, and not included as an end."""
    start = dates.parse_start("property", value)
    if sign == "=":
        end = dates.parse_end("property", value)
        return [(">=", start), ("<", start + timedelta(days=1) if end == start else end)]
    if sign == "<=":
        return [("<", dates.parse_end("property", value))]
    return [(sign, start)]


def flag_of(value: str) -> bool:
    """A truth value."""
    return _FLAGS[value.lower()]


def _compare(value: Any, sign: str, other: str) -> bool:
    """Compare numbers, truth values, instants, or texts letter by letter."""
    if isinstance(value, bool):
        return sign == "=" and _FLAGS.get(other.lower()) is value
    if isinstance(value, int | float):
        number = _number(other)
        return number is not None and _SIGNS[sign](value, number)
    text = str(value)
    if sign == "=" and text == other:
        return True
    if _INSTANT.match(text):
        return _is_in_period(text, sign, other)
    number, limit = _number(text), _number(other)
    if sign == "=":
        return False
    return _SIGNS[sign](text, other) if number is None or limit is None else _SIGNS[sign](number, limit)


def _is_in_period(text: str, sign: str, other: str) -> bool:
    try:
        instant = dates.parse_start("property", text)
        return all(_SIGNS[each](instant, end) for each, end in period_of(sign, other))
    except ConfigError:
        return False


_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def asked_values(asked: Sequence[Condition]) -> tuple[str, ...]:
    """Values of which one is needed."""
    return tuple(condition.value for condition in split_values(asked)[0])
