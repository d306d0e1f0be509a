"""The operators of `query`, by the type of what they are given (GEODES protocol notes, section 3.1)."""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Condition: TypeAlias = "Callable[[Any], bool]"

_TEXTS = """
    dataset identifier links instrument platform product swath bands parameter pparameter classification version
    product:type product:timeliness processing:level processing:version processing:lineage processing_context
    processing_correction sar:instrument_mode sar:polarizations sar:beam_ids s2:datatake_id sat:orbit_state grid:code
    subTile temporal_resolution continent_code keywords endpoint_url sci:doi bbox nb_cols nb_rows
"""
_NUMBERS = """
    sat:orbit_cycle sat:relative_orbit sat:absolute_orbit mission_take_id eo:cloud_cover water_cover area
    saturated_defective_pixel nodata_pixel nb_col_interpolation_error ground_useful_pixel min_useful_pixel
    sensor_angle sensor_pitch sensor_roll
"""
ATTRIBUTES: dict[str, str] = {
    **dict.fromkeys(_TEXTS.split(), "text"),
    **dict.fromkeys(_NUMBERS.split(), "number"),
    **dict.fromkeys(["datetime", "start_datetime", "end_datetime", "processing:datetime"], "date"),
    **dict.fromkeys(["product_validity", "no_geometry", "latest"], "flag"),
}
"""Type of each attribute that can be searched by."""
_LISTS = ("in", "containsAll")
_RANGES: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "lt": operator.lt,
    "gte": operator.ge,
    "lte": operator.le,
}


def condition(name: str, operands: Mapping[str, Any]) -> Condition | None:
    """Return the test that operands make of an attribute.

    The type comes from the operands, not from the attribute: a number in quotes is a text.

    Returns:
        None for an unknown attribute, and for operands that are not of its type or say nothing.
    """
    given = {word: value for word, value in operands.items() if value is not None}
    match_type = given.pop("matchType", None)
    kinds = {kind for word, value in given.items() for kind in _kinds(word, value)}
    if kinds != {ATTRIBUTES.get(name, "unknown")}:
        return None
    if kinds == {"text"}:
        return _text(given, exact=match_type == "KEYWORD")
    if kinds == {"flag"}:
        return _flag(given)
    read: Callable[[Any], Any] = float if kinds == {"number"} else instant
    return _ordered({word: _each(value, read) for word, value in given.items()}, read)


def _kinds(word: str, value: Any) -> set[str]:
    """Types of the values of one operator; two operators take lists, the others must not."""
    if isinstance(value, list) != (word in _LISTS):
        return {"nothing"}
    return {kind_of(each) for each in value} if word in _LISTS else {kind_of(value)}


def kind_of(value: Any) -> str:
    """Return which type of query a value asks for."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str):
        return "nothing"
    try:
        instant(value)
    except ValueError:
        return "text"
    return "date"


def instant(text: str) -> datetime:
    """Read an ISO date-time, UTC if it does not say.

    Raises:
        ValueError: It is none; a bare date is none.
    """
    if not re.match(r"\d{4}-\d\d-\d\dT\d\d", text):
        raise ValueError(f"{text!r} is not a date-time")
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _each(value: Any, read: Callable[[Any], Any]) -> Any:
    return [read(each) for each in value] if isinstance(value, list) else read(value)


def _ordered(given: Mapping[str, Any], read: Callable[[Any], Any]) -> Condition:
    """Numbers and dates: the first of these operators counts alone, only those of a range work together."""

    def fits(value: Any) -> bool:
        if value is None:
            return False
        own = read(value)
        if "eq" in given:
            return bool(own == given["eq"])
        if "neq" in given:
            return bool(own != given["neq"])
        if "in" in given:
            return own in given["in"]
        return all(compare(own, given[word]) for word, compare in _RANGES.items() if word in given)

    return fits


def _flag(given: Mapping[str, Any]) -> Condition:
    wanted = given.get("eq", not given.get("neq", False))
    return lambda value: value is wanted


def _text(given: Mapping[str, Any], *, exact: bool) -> Condition:
    tests = [test for word, operand in given.items() if (test := _text_test(word, operand, exact=exact)) is not None]

    def fits(value: Any) -> bool:
        values = [str(each) for each in (value if isinstance(value, list) else [value]) if each is not None]
        return bool(values) and all(test(values) for test in tests)

    return fits


def _text_test(word: str, operand: Any, *, exact: bool) -> Callable[[list[str]], bool] | None:
    wanted = [str(each) for each in (operand if isinstance(operand, list) else [operand])]
    same: Callable[[str, str], bool] = operator.eq if exact else _is_found_in

    def any_of(compare: Callable[[str, str], bool]) -> Callable[[list[str]], bool]:
        return lambda values: any(compare(text, value) for text in wanted for value in values)

    if word in {"eq", "in"}:
        return any_of(same)
    if word == "neq":
        return lambda values: not any_of(same)(values)
    if word == "startsWith":
        return any_of(lambda text, value: value.lower().startswith(text.lower()))
    if word == "endsWith":
        return any_of(lambda text, value: value.lower().endswith(text.lower()))
    if word == "contains":
        return any_of(lambda text, value: text.lower() in value.lower())
    if word == "containsAll":
        return lambda values: all(any(text.lower() in value.lower() for value in values) for text in wanted)
    return None


def _is_found_in(text: str, value: str) -> bool:
    """Compare as a text search does: the words in this order, anywhere in the value, whatever their case."""
    wanted, words = (re.findall(r"\w+", each.lower()) for each in (text, value))
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1))
