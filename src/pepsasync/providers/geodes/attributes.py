"""What products can be searched by at GEODES (GEODES notes, section 3.1), and how it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pepsasync.model import Attribute, AttributeKind
from pepsasync.providers.reading import as_instant, as_list, as_mapping, as_number, as_text
from pepsasync.query.attributes import conditions, flag_of, number_of, period_of, split_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pepsasync.model import Query
    from pepsasync.query.attributes import Condition

_KINDS = {"number": AttributeKind.NUMBER, "integer": AttributeKind.WHOLE, "boolean": AttributeKind.FLAG}
_SIGNS = {"=": "eq", "<": "lt", ">": "gt", "<=": "lte", ">=": "gte"}
_ROUNDED = {"<": "lte", ">": "gte", "<=": "lte", ">=": "gte"}
"""For instants, which are sent in milliseconds."""


def parse_queryables(reply: Any) -> dict[str, Attribute]:
    """Attributes from the JSON schema with which STAC describes them; those of another form are left out."""
    listed = as_mapping(as_mapping(reply).get("properties"))
    return {name: _parse(name, as_mapping(schema)) for name, schema in listed.items() if _is_plain(schema)}


def _is_plain(schema: Any) -> bool:
    return as_mapping(schema).get("type") in (*_KINDS, "string", "array")


def _parse(name: str, schema: Mapping[str, Any]) -> Attribute:
    kind = _KINDS.get(str(schema["type"]), AttributeKind.TEXT)
    if schema.get("format") == "date-time":
        kind = AttributeKind.INSTANT
    described = as_mapping(schema.get("items")) if schema["type"] == "array" else schema
    values = tuple(filter(None, map(as_text, as_list(described.get("enum")))))
    return Attribute(name, kind, values, as_number(schema.get("minimum")), as_number(schema.get("maximum")))


def property_criteria(query: Query, known: Mapping[str, Attribute]) -> dict[str, dict[str, Any]]:
    """Criteria of a search body: what one of them cannot say is left to be checked on our side."""
    return {
        name: operands
        for name, asked in conditions(query).items()
        if name in known and (operands := _operands(known[name].kind, asked))
    }


def _operands(kind: AttributeKind, asked: Iterable[Condition]) -> dict[str, Any]:
    """One criterion. Values of the wrong type would be passed over, or refused; equality excludes everything else."""
    values, limits = split_values(asked)
    if kind is AttributeKind.INSTANT:
        terms = [
            (sign, f"{end:%Y-%m-%dT%H:%M:%S}.{end.microsecond // 1000:03d}Z")
            for condition in (values if len(values) == 1 else limits)
            for each, value in condition.bounds
            for sign, end in period_of(each, value)
        ]
        return {_ROUNDED[sign]: end for sign, end in terms}
    if values:
        given = [_value(kind, condition.value) for condition in values]
        if None in given:
            return {}
        return {"eq": given[0]} if len(given) == 1 else {"in": given}
    if kind not in (AttributeKind.NUMBER, AttributeKind.WHOLE):
        return {}
    return {_SIGNS[sign]: number_of(value, kind, sign=sign) for condition in limits for sign, value in condition.bounds}


def _value(kind: AttributeKind, text: str) -> Any:
    if kind is AttributeKind.TEXT:
        return None if as_instant(text) else text  # it would be taken for a date
    return flag_of(text) if kind is AttributeKind.FLAG else number_of(text, kind, sign="=")
