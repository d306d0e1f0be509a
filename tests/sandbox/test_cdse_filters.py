"""The filter language of the CDSE catalogue: what it finds, and what it refuses."""

from datetime import UTC, datetime
from typing import get_args

import pytest
from cdse_client import found, products
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point

from pepsasync.sandbox.cdse.grammar import (
    Comparison,
    FilterError,
    HasAttribute,
    Intersects,
    Junction,
    Match,
    Not,
    Term,
    parse,
)


def attribute(kind, name, comparison):
    return (
        f"Attributes/OData.CSC.{kind}Attribute/any(att:att/Name eq '{name}' and "
        f"att/OData.CSC.{kind}Attribute/Value {comparison})"
    )


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("Name eq 'x'", Comparison("Name", "eq", "x")),
        ("Name eq 'it''s'", Comparison("Name", "eq", "it's")),
        ("ContentLength gt 12", Comparison("ContentLength", "gt", 12)),
        ("ContentLength gt -1.5e3", Comparison("ContentLength", "gt", -1500.0)),
        ("Online eq false", Comparison("Online", "eq", False)),
        (
            "ContentDate/Start lt 2020-08-16T00:00:00.000Z",
            Comparison("ContentDate/Start", "lt", datetime(2020, 8, 16, tzinfo=UTC)),
        ),
        ("contains(Name,'GRD')", Match("contains", "Name", "GRD")),
        ("contains( Name , 'GRD' )", Match("contains", "Name", "GRD")),
        ("OData.CSC.Intersects(area=geography'SRID=4326;POINT(1 2)')", Intersects("POINT(1 2)")),
        (
            attribute("Double", "cloudCover", "le 10.5"),
            HasAttribute(frozenset({"Double"}), "cloudCover", (("le", 10.5),)),
        ),
        (
            "Name eq 'a' or not Name eq 'b' and Name eq 'c'",
            Junction(
                "or",
                (
                    Comparison("Name", "eq", "a"),
                    Junction("and", (Not(Comparison("Name", "eq", "b")), Comparison("Name", "eq", "c"))),
                ),
            ),
        ),
        (
            "(Name eq 'a' or Name eq 'b') and Name eq 'c'",
            Junction(
                "and",
                (
                    Junction("or", (Comparison("Name", "eq", "a"), Comparison("Name", "eq", "b"))),
                    Comparison("Name", "eq", "c"),
                ),
            ),
        ),
    ],
)
def test_trees(text, tree):
    assert parse(text) == tree


def test_all_of_the_value_comparisons_of_one_attribute_count():
    text = (
        "Attributes/OData.CSC.IntegerAttribute/any(a:a/OData.CSC.IntegerAttribute/Value ge 1"
        " and a/Name eq 'orbitNumber' and a/OData.CSC.IntegerAttribute/Value lt 5)"
    )
    assert parse(text) == HasAttribute(frozenset({"Integer"}), "orbitNumber", (("ge", 1), ("lt", 5)))


REFUSED = [
    "",
    " ",
    "Name",
    "Name eq",
    "Name eq 'x",
    "Name is 'x'",
    "Name eq 'x' and",
    "Name eq 'x' Name eq 'y'",
    "(Name eq 'x'",
    "Name eq 'x')",
    "not",
    "'x' eq Name",
    "Name eq 5",
    "Nonsense eq 'x'",
    "Nonsense/Name eq 'x'",
    "Online eq 1",
    "Online gt true",
    "ContentLength eq '5'",
    "ContentLength eq true",
    "ContentLength eq " + "9" * 5000,
    "ContentDate/Start gt '2020-01-01T00:00:00Z'",
    "ContentDate/Start gt 2020-13-01T00:00:00Z",
    "contains(Name)",
    "contains('x',Name)",
    "contains(ContentLength,'1')",
    "matches(Name,'x')",
    "OData.CSC.Intersects(area=geography'POINT(1 2)')",
    "OData.CSC.Intersects(area=geography'SRID=3857;POINT(1 2)')",
    "OData.CSC.Intersects(area=geography'SRID=4326;POINT(1)')",
    "OData.CSC.Intersects(area=geography'SRID=4326;POINT EMPTY')",
    "OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((0 0,1 0,1 1))')",
    "OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((0 0,1 1,1 0,0 1,0 0))')",
    "OData.CSC.Intersects(area=geography'SRID=4326;MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((3 3,4 3,4 4,3 3)))')",
    "OData.CSC.Intersects(area=geography'SRID=4326;GEOMETRYCOLLECTION(POINT(1 2))')",
    "OData.CSC.Intersects(area='SRID=4326;POINT(1 2)')",
    attribute("String", "productType", "gt 'A'"),
    attribute("Integer", "relativeOrbitNumber", "eq '51'"),
    attribute("Text", "productType", "eq 'A'"),
    "Attributes/OData.CSC.StringAttribute/any(att:att/Name eq 'productType')",
    "Attributes/OData.CSC.StringAttribute/any(att:att/OData.CSC.StringAttribute/Value eq 'x')",
    "Attributes/OData.CSC.StringAttribute/any(att:att/Name eq 'a' and att/OData.CSC.TextAttribute/Value eq 'x')",
    "Attributes/OData.CSC.StringAttribute/any(att:att/Name eq 'a' and att/Value eq 'x')",
    "Attributes/OData.CSC.StringAttribute/any(att:b/Name eq 'a' and b/OData.CSC.StringAttribute/Value eq 'x')",
    "(" * 10_000,
    "not " * 10_000,
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
def test_refused(archive, text):
    reply = products(archive, filter=text[:7000])
    assert reply.status_code == 400
    assert reply.json()["detail"].startswith("Invalid filter: ")


PIECES = st.sampled_from(
    [
        *("Name", "Online", "Id", "ContentDate/Start", "eq", "gt", "and", "or", "not", "(", ")", ",", ":", "'", "')"),
        *("'x'", "5", "true", "2020-01-01T00:00:00Z", "contains", "contains(Name,'x')", "att:att/Name"),
        *("Attributes/OData.CSC.StringAttribute/any", "OData.CSC.Intersects(area=geography'SRID=4326;"),
        *("POINT(1 2)", "POLYGON((0 0, 1 1, 1 nan, 0 0))"),
    ]
)


@settings(max_examples=150)
@given(text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES).map("".join)))
def test_any_text_is_answered(archive, text):
    assert products(archive, filter=text[:2000], top=0).status_code in {200, 400}


@given(st.text())
def test_any_text_is_a_tree_or_an_error(text):
    try:
        tree = parse(text)
    except FilterError:
        tree = None
    assert tree is None or isinstance(tree, get_args(Term))


def expected(archive, test):
    names = {product.name for product in archive.catalogue if test(product)}
    assert 0 < len(names) < len(archive.catalogue), "this tells nothing"
    return names


def test_properties(archive):
    some = sorted(archive.catalogue, key=lambda product: product.size)[7]
    start = f"{some.start:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert found(archive, f"Name eq '{some.name}.SAFE'") == {some.name}
    assert found(archive, f"contains(Name,'{some.name[5:40]}')") == {some.name}
    assert found(archive, f"ContentLength le {some.size}") == expected(archive, lambda p: p.size <= some.size)
    assert found(archive, f"ContentDate/Start lt {start}") == expected(archive, lambda p: p.start < some.start)
    assert found(archive, f"ContentDate/End ge {start}") == expected(archive, lambda p: p.end >= some.start)
    assert found(archive, "startswith(Name,'S2A')") == expected(archive, lambda p: p.platform == "S2A")
    assert found(archive, "not endswith(Name,'1.SAFE')") == expected(archive, lambda p: p.name[-1] != "1")
    assert found(archive, "Online eq true") == {p.name for p in archive.catalogue}
    assert found(archive, "Online ne true") == set()


def test_id(archive):
    first = products(archive, top=1).json()["value"][0]
    for text in (f"Id eq {first['Id']}", f"Id eq '{first['Id']}'"):
        assert found(archive, text) == {first["Name"].removesuffix(".SAFE")}


def test_collections_and_junctions(archive):
    radar = expected(archive, lambda p: p.collection == "S1")
    optical = expected(archive, lambda p: p.collection == "S2ST")
    assert found(archive, "Collection/Name eq 'SENTINEL-1'") == radar
    assert found(archive, "not (Collection/Name eq 'SENTINEL-1')") == optical
    both = "Collection/Name eq 'SENTINEL-1' or Collection/Name eq 'SENTINEL-2'"
    assert found(archive, both) == radar | optical
    assert found(archive, f"({both}) and contains(Name,'_GRDH_')") == expected(archive, lambda p: "_GRDH_" in p.name)


def test_geometries(archive):
    point = Point(1.44, 43.6)
    over = expected(archive, lambda p: p.footprint.intersects(point))
    area = "OData.CSC.Intersects(area=geography'SRID=4326;{}')"
    assert found(archive, area.format("POINT (1.44 43.6)")) == over
    box = "POLYGON((1.43 43.59, 1.45 43.59, 1.45 43.61, 1.43 43.61, 1.43 43.59))"
    assert found(archive, area.format(box)) == over
    assert found(archive, area.format("POINT(-120 10)")) == set()


def test_attributes(archive):
    optical = next(p for p in archive.catalogue if p.collection == "S2ST")
    radar = next(p for p in archive.catalogue if p.product_type == "GRD")
    cases = {
        attribute("String", "productType", "eq 'S2MSI1C'"): lambda p: p.product_type == "S2MSI1C",
        attribute("String", "productType", f"eq '{radar.name[4:14]}'"): lambda p: p.name[4:14] == radar.name[4:14],
        attribute("String", "tileId", f"eq '{optical.tile}'"): lambda p: p.tile == optical.tile,
        attribute("Integer", "relativeOrbitNumber", f"eq {radar.relative_orbit}"): (
            lambda p: p.relative_orbit == radar.relative_orbit
        ),
        attribute("Double", "cloudCover", f"le {optical.cloud_cover}"): (
            lambda p: p.collection == "S2ST" and p.cloud_cover <= optical.cloud_cover
        ),
        attribute("String", "orbitDirection", "eq 'ASCENDING'"): (
            lambda p: p.collection == "S1" and p.orbit_direction == "ascending"
        ),
        attribute("DateTimeOffset", "beginningDateTime", f"gt {radar.start:%Y-%m-%dT%H:%M:%SZ}"): (
            lambda p: p.start > radar.start
        ),
    }
    for text, test in cases.items():
        assert found(archive, text) == expected(archive, test)


@pytest.mark.parametrize(("outer", "inner"), [("Integer", "String"), ("String", "Integer"), ("Double", "Double")])
def test_kinds_of_attributes_that_clients_confuse(archive, outer, inner):
    radar = next(p for p in archive.catalogue if p.product_type == "GRD")
    text = attribute(outer, "relativeOrbitNumber", f"eq {radar.relative_orbit}")
    text = text.replace(f"{outer}Attribute/Value", f"{inner}Attribute/Value")
    assert found(archive, text) == expected(archive, lambda p: p.relative_orbit == radar.relative_orbit)


def test_a_value_of_another_type_is_another_value(archive):
    assert found(archive, attribute("Boolean", "relativeOrbitNumber", "ne true")) == set()
    assert found(archive, attribute("String", "cloudCover", "eq '1'")) == set()


def test_short_type_of_radar_products(archive):
    assert found(archive, attribute("String", "productType", "eq 'GRD'")) == (
        expected(archive, lambda p: p.product_type == "GRD")
    )
