"""Conditions on attributes as an archive names them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import product
from pepsasync.errors import ConfigError
from pepsasync.model import Attribute, AttributeKind, Query
from pepsasync.providers.cdse.query import search_filter
from pepsasync.providers.geodes.attributes import parse_queryables
from pepsasync.providers.geodes.query import search_body
from pepsasync.providers.peps.attributes import parse_description
from pepsasync.providers.peps.query import search_parameters
from pepsasync.query.attributes import check_conditions, parse_condition, parse_conditions
from pepsasync.query.criteria import build_query
from pepsasync.query.saved import query_from_json, wanted_as_json
from pepsasync.query.select import why_unwanted


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("cloudCover<20", "cloudCover<20"),
        (" cloudCover <= 20 ", "cloudCover<=20"),
        ("eo:cloud_cover=5..20", "eo:cloud_cover=5..20"),
        ("a=5..", "a=5.."),
        ("a=..20", "a=..20"),
        ("a=VV&VH", "a=VV&VH"),
        ("a=b=c", "a=b=c"),
        ("a>2024-01-01T00:00:00Z", "a>2024-01-01T00:00:00Z"),
    ],
)
def test_one_spelling(written, read):
    assert read == str(parse_condition(written))
    assert (read,) == build_query(property=written).property


@pytest.mark.parametrize(
    "written",
    [
        "cloudCover",
        "=5",
        "a=",
        "a=..",
        "a = ",
        "a b=5",
        "a'=5",
        "a=b\nc",
        "a=5\x1b[31m",
        "",
        "a=9..3",
        "a==",
        "\ud800=1",
    ],
)
def test_what_is_no_condition_is_refused(written):
    with pytest.raises(ConfigError, match="property"):
        parse_conditions("property", [written])


def test_a_mapping_and_values_of_python():
    day = datetime(2024, 1, 2, 3, tzinfo=UTC)
    asked = build_query(property={"a": 5, "b": True, "c": "1..3", "d": day}).property

    assert ("a=5", "b=true", "c=1..3", "d=2024-01-02T03:00:00+00:00") == asked


@pytest.mark.parametrize(
    ("condition", "value", "is_met"),
    [
        ("a=5", 5, True),
        ("a=5", 5.0, True),
        ("a=5", "5", True),
        ("a=5.0", "5", False),
        ("a=five", 5, False),
        ("a<5", 4.99, True),
        ("a<5", 5, False),
        ("a<=5", 5, True),
        ("a<5", "10", False),
        ("a<5", None, False),
        ("a<5", "none", False),
        ("a=1..3", 3, True),
        ("a=1..3", 3.01, False),
        ("a=..3", -9, True),
        ("a=VV VH", "VV VH", True),
        ("a=vv vh", "VV VH", False),
        ("a=b..d", "c", True),
        ("a=true", True, True),
        ("a=1", True, True),
        ("a=false", True, False),
        ("a>0", True, False),
        ("a=x", ["w", "x"], True),
        ("a=x", [], False),
        ("a=2024-01-02", "2024-01-02T23:59:59.999Z", True),
        ("a=2024-01-02", "2024-01-03T00:00:00.000Z", False),
        ("a=2024-01-01..2024-01-02", "2024-01-02T00:00:00Z", False),
        ("a=2024-01-01..2024-01-02T05:00:00Z", "2024-01-02T05:00:00.000000Z", True),
        ("a>=2024-01-02T00:00+01:00", "2024-01-01T23:00:00Z", True),
        ("a=2024", "2024-99-99T00:00:00Z", False),
        ("a=soon", "2024-01-02T00:00:00Z", False),
    ],
)
def test_what_fulfils_a_condition(condition, value, is_met):
    assert is_met is parse_condition(condition).is_met(value)
    told = product(attributes=None if value is None else {"a": value})
    assert (None if is_met else "property") == why_unwanted(told, Query(property=(condition,)))


def test_values_are_alternatives_and_limits_are_all_kept():
    query = Query(property=("a=1", "a=2", "b>0", "b<9"))

    told = [{"a": a, "b": b} for a in (1, 2, 3) for b in (0, 5, 9)]
    assert [{"a": 1, "b": 5}, {"a": 2, "b": 5}] == [
        each for each in told if why_unwanted(product(attributes=each), query) is None
    ]


@given(st.lists(st.sampled_from(["a<5", "a>1", "a=1..3", "a=2", "a=7", "b=x"]), max_size=4))
def test_a_query_outlives_the_program(asked):
    query = Query(collection="S1", property=tuple(asked))

    assert query == query_from_json(json.loads(json.dumps(wanted_as_json(query))))


KNOWN = {
    name: Attribute(name, kind)
    for name, kind in {
        "word": AttributeKind.TEXT,
        "whole": AttributeKind.WHOLE,
        "real": AttributeKind.NUMBER,
        "when": AttributeKind.INSTANT,
        "flag": AttributeKind.FLAG,
    }.items()
}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("words=1", "Did you mean 'word'"),
        ("whole=few", "is a number"),
        ("real<1,5", "is a number"),
        ("when>soon", "not a date"),
        ("flag>1", "true or false"),
        ("flag=maybe", "true or false"),
    ],
)
def test_conditions_are_compared_with_what_the_archive_lists(condition, message):
    with pytest.raises(ConfigError, match=message):
        check_conditions(Query(property=(condition,)), KNOWN, "")


def test_spelling_of_values_that_are_listed():
    known = {"word": Attribute("word", AttributeKind.TEXT, ("ASCENDING", "DESCENDING"))}

    check_conditions(Query(property=("word=OTHER",)), known, "")
    with pytest.raises(ConfigError, match="Did you mean 'ASCENDING'"):
        check_conditions(Query(property=("word=ascending",)), known, "")


ODATA = "Attributes/OData.CSC.{0}Attribute/any(att:att/Name eq '{1}' and {2})"


@pytest.mark.parametrize(
    ("asked", "kind", "terms"),
    [
        (("word=it's",), "String", ["eq 'it''s'"]),
        (("whole<5.5",), "Integer", ["lt 6"]),
        (("whole>=5.5",), "Integer", ["ge 6"]),
        (("whole<=5.5",), "Integer", ["le 5"]),
        (("real=1e-7..20",), "Double", ["ge 0.0000001", "le 20.0"]),
        (("flag=1",), "Boolean", ["eq true"]),
        (
            ("when=2024-01-02",),
            "DateTimeOffset",
            ["ge 2024-01-02T00:00:00.000000Z", "lt 2024-01-03T00:00:00.000000Z"],
        ),
    ],
)
def test_what_the_data_space_is_asked_for(asked, kind, terms):
    name = asked[0].partition("=")[0].partition("<")[0].partition(">")[0]
    values = " and ".join(f"att/OData.CSC.{kind}Attribute/Value {term}" for term in terms)

    assert ODATA.format(kind, name, values) == search_filter(Query(property=asked), KNOWN)


def test_texts_are_only_compared_for_being_the_same_by_the_data_space():
    assert "" == search_filter(Query(property=("word<m", "unknown=1")), KNOWN)
    assert " or " in search_filter(Query(property=("word=a", "word=b")), KNOWN)


@pytest.mark.parametrize(
    ("asked", "criteria"),
    [
        (("word=a",), {"word": {"eq": "a"}}),
        (("word=a", "word=b"), {"word": {"in": ["a", "b"]}}),
        (("word<m",), {}),
        (("word=2024-01-01T00:00:00Z",), {}),
        (("whole=5.5",), {}),
        (("real=1..5", "real<9"), {"real": {"gte": 1.0, "lt": 9.0, "lte": 5.0}}),
        (("flag=true",), {"flag": {"eq": True}}),
        (
            ("when=2024-01-01..2024-02-01",),
            {"when": {"gte": "2024-01-01T00:00:00.000Z", "lte": "2024-02-01T00:00:00.000Z"}},
        ),
    ],
)
def test_what_geodes_is_asked_for(asked, criteria):
    query = search_body(Query(collection="THEIA", property=asked), 1, 80, KNOWN)["query"]

    assert criteria == query


def test_our_own_criteria_are_not_overwritten():
    known = {"eo:cloud_cover": Attribute("eo:cloud_cover", AttributeKind.NUMBER)}
    query = Query(collection="S2ST", cloud_cover=20, property=("eo:cloud_cover>5",))

    assert {"lte": 20} == search_body(query, 1, 80, known)["query"]["eo:cloud_cover"]
    assert (
        "[0,20]"
        == search_parameters(Query(collection="S2ST", cloud_cover=20, property=("cloudCover>5",)))["cloudCover"]
    )


@pytest.mark.parametrize(
    ("asked", "parameters"),
    [
        (("instrument=MSI",), {"instrument": "MSI"}),
        (("swath=IW", "swath=EW"), {"swath[]": ["IW", "EW"]}),
        (("orbitNumber=5",), {"orbitNumber": "5"}),
        (("orbitNumber<5",), {}),
        (("orbitNumber=5", "orbitNumber=6"), {}),
        (("snowCover>5.5", "snowCover<20.2"), {"snowCover": "[5,21]"}),
        (("snowCover=3", "snowCover=9.5"), {"snowCover": "[3,10]"}),
        (("snowCover>200",), {}),
        (("resolution=10",), {}),
    ],
)
def test_what_peps_is_asked_for(asked, parameters):
    assert parameters == search_parameters(Query(property=asked))


def test_what_archives_tell_may_be_anything():
    assert {} == parse_queryables([1])
    assert {} == parse_queryables({"properties": {"a": 5, "b": {"type": "object"}, "c": {}}})
    told = parse_queryables(
        {
            "properties": {
                "a": {"type": "string", "enum": ["x", 5, None]},
                "b": {"type": "array", "items": {"enum": ["y"]}},
                "c": {"type": "integer", "minimum": "1", "maximum": 9},
                "d": {"type": "string", "format": "date-time"},
            }
        }
    )
    assert {
        "a": Attribute("a", AttributeKind.TEXT, ("x",)),
        "b": Attribute("b", AttributeKind.TEXT, ("y",)),
        "c": Attribute("c", AttributeKind.WHOLE, (), 1, 9),
        "d": Attribute("d", AttributeKind.INSTANT),
    } == told
    assert {} == parse_description("<html>closed</html>")
    assert ["productType"] == [
        *parse_description('template="https://x/search.json?q={searchTerms?}&amp;productType={a?}"')
    ]
