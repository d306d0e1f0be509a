"""The shape of recorded GEODES replies against that of the sandbox's: same keys, same types.

The recordings are not part of this repository: PEPSASYNC_RECORDINGS names the folder that holds them.
"""

import json
import re
from dataclasses import replace
from datetime import datetime

import pytest
from geodes_client import GeodesClient
from raw_http import running
from shapely.geometry import shape

from pepsasync.sandbox import CatalogueProduct
from pepsasync.sandbox.geodes.operators import ATTRIBUTES

KINDS = {"STRING": "text", "STRING_ARRAY": "text", "DATE_ISO8601": "date", "BOOLEAN": "flag"}
KINDS |= dict.fromkeys(["INTEGER", "LONG", "DOUBLE"], "number")
NOT_OURS = {"political", "references", "hydrology", "keywords", "continent_code", "area"}
"""Properties that are told in the same type, with contents of our own."""


@pytest.fixture
def reply(recordings):
    return json.loads((recordings / "geodes" / "geodes_search.json").read_text())


@pytest.fixture
def radar_item(recordings):
    """An item that a STAC library has written again: its keys are in another order."""
    return json.loads((recordings / "geodes" / "pygeodes_item.f14057a.json").read_text())


def as_product(item):
    p = item["properties"]
    radar = p["platform"].startswith("S1")
    data = next(asset for key, asset in item["assets"].items() if key.endswith(".zip"))
    return CatalogueProduct(
        name=p["identifier"],
        collection="S1" if radar else "S2ST",
        product_type=p["product:type"],
        platform=p["platform"],
        start=datetime.fromisoformat(p["start_datetime"]),
        end=datetime.fromisoformat(p["end_datetime"]),
        orbit=p["sat:absolute_orbit"],
        relative_orbit=p["sat:relative_orbit"],
        orbit_direction=p["sat:orbit_state"].lower(),
        sensor_mode=p["sar:instrument_mode"],
        polarisation=p.get("sar:polarizations", ""),
        tile=p.get("grid:code", "").removeprefix("T"),
        cloud_cover=p["eo:cloud_cover"],
        footprint=shape(item["geometry"]),
        size=int(re.search(r"File size: (\d+)", data["description"])[1]),
        take_id=p["mission_take_id"] if radar else p["s2:datatake_id"],
        cycle=p.get("sat:orbit_cycle", 0),
        published=datetime.fromisoformat(p["datetime"]),
        realtime="Fast-24h" if radar else "Nominal",
        checksum=data["href"][-32:],
    )


def kinds(values):
    return {name: type(value) for name, value in values.items()}


def anonymised(value, root):
    """JSON with the recorded host in place of ours, and without ids."""
    text = json.dumps(value, sort_keys=True).replace(root, "https://geodes-portal.cnes.fr")
    return re.sub(r"gdh:[0-9a-f-]{36}:V1", "gdh:ID", text)


def compare_items(ours, theirs, root):
    assert set(kinds(ours)) == set(kinds(theirs))
    mine, real = ours["properties"], theirs["properties"]
    assert kinds(mine) == kinds(real)
    moments = {"datetime"}  # the STAC library has written one with microseconds
    assert {k: v for k, v in mine.items() if k not in NOT_OURS | moments} == {
        k: v for k, v in real.items() if k not in NOT_OURS | moments
    }
    assert ours["geometry"] == theirs["geometry"]
    assert ours["bbox"] == pytest.approx(theirs["bbox"])
    assert ours["centroid"] == pytest.approx(theirs["centroid"], abs=0.1)
    for our_link, their_link in zip(ours["links"], theirs["links"], strict=True):
        assert our_link.keys() == their_link.keys()
        if our_link["rel"] != "license":
            assert anonymised(our_link, root) == anonymised(their_link, root)
    assert list(ours["assets"]) == list(theirs["assets"])
    for key, asset in theirs["assets"].items():
        assert without_picture(anonymised(ours["assets"][key], root)) == without_picture(anonymised(asset, root))


def without_picture(asset):
    """The asset without size and MD5 if it is a picture: ours are others."""
    return re.sub(r"\b[0-9a-f]{32}\b|File size: \d+", "", asset) if "quicklook" in asset else asset


def served(item, **options):
    product = as_product(item)
    other = replace(product, name=product.name[:-1] + "X", id="", checksum="0" * 32)
    return running(catalogue=[product, other], **options)


def test_the_recorded_search(reply):
    [theirs] = reply["features"]
    with served(theirs) as archive, GeodesClient(archive) as client:
        document = client.get("/api/stac/collections/PEPS_S2_L1C/items?limit=1").json()
        assert list(document) == list(reply)
        assert kinds(document) == kinds(reply)
        assert kinds(document["context"]) == kinds(reply["context"])
        assert list(document["features"][0]) == list(theirs)
        for ours, real in zip(document["links"], reply["links"], strict=True):
            # The recorded link to the next page has another limit than the page itself.
            href = real["href"].replace("limit=2", "limit=1").replace("https://geodes-portal.cnes.fr", client.root)
            assert ours == real | {"href": href}
        assert document["stac_version"] == reply["stac_version"]
        compare_items(client.item(theirs["properties"]["identifier"]), theirs, client.root)


def test_the_recorded_radar_item(radar_item):
    with served(radar_item) as archive, GeodesClient(archive) as client:
        ours = client.item(radar_item["properties"]["identifier"])
        compare_items(ours, radar_item, client.root)
        assert ours["stac_extensions"] == radar_item["stac_extensions"]


def test_the_attributes_that_can_be_searched_by(recordings):
    listed = json.loads((recordings / "geodes" / "pygeodes_model.f14057a.json").read_text())["attributes"]
    for text in listed:
        name, kind = re.fullmatch(r"(\S+) \((\w+)\)", text).groups()
        if kind in KINDS:
            assert (name, ATTRIBUTES[name]) == (name, KINDS[kind])
