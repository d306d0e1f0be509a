"""The part of OData's `$filter` language that the catalogue understands, as a tree. Pure functions.

Collection/Name eq 'SENTINEL-1' and ContentDate/Start gt 2020-08-08T00:00:00.000Z
OData.CSC.Intersects(area=geography'SRID=4326;POINT(1.4 43.6)')
Attributes/OData.CSC.DoubleAttribute/any(att:att/Name eq 'cloudCover' and att/OData.CSC.DoubleAttribute/Value le 10)

The tree says what is written; whether the properties exist and the values fit them is asked in `filters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge")
"""Comparisons by their OData names."""
FUNCTIONS = ("contains", "startswith", "endswith")
"""Functions of a text property and a text."""
KINDS = ("String", "Integer", "Double", "DateTimeOffset", "Boolean")
"""Types of attributes."""
DEEPEST = 50
"""Parentheses and `not` that may stand inside each other."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<geography>geography'[^']*')
    | (?P<text>'(?:[^']|'')*')
    | (?P<guid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})
    | (?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?)
    | (?P<number>[+-]?\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)
    | (?P<word>[a-z_][\w.]*(?:/[a-z_][\w.]*)*)
    | (?P<mark>[(),:=])
    | (?P<end>\Z)
    )""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_ATTRIBUTE = re.compile(rf"OData\.CSC\.({'|'.join(KINDS)})Attribute")
_VALUE = re.compile(rf"[^/]+/{_ATTRIBUTE.pattern}/Value")


class FilterError(ValueError):
    """A `$filter` that is not in the language; the message says where."""


class Guid(str):
    """An identifier, written without quotes."""

    __slots__ = ()


Value: TypeAlias = "str | Guid | float | bool | datetime"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property beside a value: `ContentLength gt 0`."""

    path: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Match:
    """A function of a property: `contains(Name,'GRD')`."""

    function: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Intersects:
    """Products whose footprint meets a geometry, WKT in EPSG:4326."""

    wkt: str


@dataclass(frozen=True, slots=True)
class HasAttribute:
    """Products with an attribute of this name whose value passes every comparison.

    Clients write kinds before `any` and before `Value`, and do not agree on which counts: the archive takes them all.
    """

    kinds: frozenset[str]
    name: str
    comparisons: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Not:
    """What a term does not find."""

    term: Term


@dataclass(frozen=True, slots=True)
class Junction:
    """Several terms joined by `and` or by `or`."""

    word: str
    terms: tuple[Term, ...]


Term: TypeAlias = "Comparison | Match | Intersects | HasAttribute | Not | Junction"


def parse(text: str) -> Term:
    """Return the tree of a `$filter`.

    Raises:
        FilterError: The text is not in the language.
    """
    reader = _Reader(text)
    term = reader.junction("or")
    reader.expect("end")
    return term


class _Reader:
    """Reads tokens from left to right; one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._advance()

    def junction(self, word: str) -> Term:
        """Read terms joined by `or`, or those joined by `and`, which binds closer."""
        terms = [self._operand(word)]
        while self._kind == "word" and self._piece == word:
            self._advance()
            terms.append(self._operand(word))
        return terms[0] if len(terms) == 1 else Junction(word, tuple(terms))

    def expect(self, kind: str, token: str | None = None) -> str:
        """Take a token of this kind and, if given, this text, and return it.

        Raises:
            FilterError: Something else stands there.
        """
        if self._kind != kind or (token is not None and self._piece != token):
            raise self._error(token or kind)
        taken = self._piece
        self._advance()
        return taken

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise FilterError(f"Invalid filter: unexpected character at position {self._at}")
        self._at = found.end()
        self._kind = str(found.lastgroup)
        self._piece = found[self._kind]

    def _error(self, wanted: str) -> FilterError:
        here = "the end" if self._kind == "end" else repr(self._piece)
        return FilterError(f"Invalid filter: {wanted} expected at position {self._at}, not {here}")

    def _operand(self, word: str) -> Term:
        return self.junction("and") if word == "or" else self._unary()

    def _unary(self) -> Term:
        self._depth += 1
        if self._depth > DEEPEST:
            raise FilterError("Invalid filter: nested too deep")
        try:
            if self._kind == "word" and self._piece == "not":
                self._advance()
                return Not(self._unary())
            if self._piece == "(":
                return self._group()
            return self._term()
        finally:
            self._depth -= 1

    def _group(self) -> Term:
        self.expect("mark", "(")
        inner = self.junction("or")
        self.expect("mark", ")")
        return inner

    def _term(self) -> Term:
        path = self.expect("word")
        if self._piece != "(":
            return Comparison(path, *self._comparison())
        self._advance()
        found = self._call(path)
        self.expect("mark", ")")
        return found

    def _call(self, path: str) -> Term:
        if path in FUNCTIONS:
            name = self.expect("word")
            self.expect("mark", ",")
            return Match(path, name, _unquoted(self.expect("text")))
        if path == "OData.CSC.Intersects":
            self.expect("word", "area")
            self.expect("mark", "=")
            return Intersects(_wkt(self.expect("geography")))
        collection, _, rest = path.partition("/")
        owner, _, quantifier = rest.rpartition("/")
        kind = _ATTRIBUTE.fullmatch(owner)
        if collection != "Attributes" or quantifier != "any" or kind is None:
            raise FilterError(f"Invalid filter: unknown function {path}")
        return self._any(kind[1])

    def _any(self, kind: str) -> HasAttribute:
        """Read the body of `any(...)`: the name of an attribute and comparisons of its value, joined by `and`."""
        variable = self.expect("word")
        self.expect("mark", ":")
        kinds = {kind}
        names: list[Value] = []
        values: list[tuple[str, Value]] = []
        while True:
            path = self.expect("word")
            operator, value = self._comparison()
            if path == f"{variable}/Name" and operator == "eq":
                names.append(value)
            elif path.startswith(f"{variable}/") and (inner := _VALUE.fullmatch(path)):
                kinds.add(inner[1])
                values.append((operator, value))
            else:
                raise FilterError(f"Invalid filter: {path} {operator} has no meaning in any() of a {kind}Attribute")
            if not (self._kind == "word" and self._piece == "and"):
                break
            self._advance()
        if len(names) != 1 or not isinstance(names[0], str) or not values:
            raise FilterError("Invalid filter: any() needs one Name and a Value")
        return HasAttribute(frozenset(kinds), names[0], tuple(values))

    def _comparison(self) -> tuple[str, Value]:
        operator = self.expect("word")
        if operator not in OPERATORS:
            raise FilterError(f"Invalid filter: unknown operator {operator!r}")
        return operator, self._value()

    def _value(self) -> Value:
        if self._kind == "word" and self._piece in {"true", "false"}:
            return self.expect("word") == "true"
        if self._kind == "text":
            return _unquoted(self.expect("text"))
        if self._kind == "guid":
            return Guid(self.expect("guid").lower())
        if self._kind == "moment":
            return _moment(self.expect("moment"))
        return _number(self.expect("number"))


def _unquoted(token: str) -> str:
    return token[1:-1].replace("''", "'")


def _wkt(token: str) -> str:
    system, _, wkt = token[len("geography'") : -1].partition(";")
    if system.strip().upper() != "SRID=4326":
        raise FilterError("Invalid filter: a geography begins with SRID=4326;")
    return wkt


def _moment(token: str) -> datetime:
    try:
        moment = datetime.fromisoformat(token.upper())
    except ValueError:
        raise FilterError(f"Invalid filter: {token} is not a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(token: str) -> float:
    return int(token) if token.lstrip("+-").isdigit() else float(token)
