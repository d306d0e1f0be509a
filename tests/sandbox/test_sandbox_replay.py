"""Each recorded exchange with the real server software, repeated against the sandbox.

The recordings are not part of this repository: PEPSASYNC_RECORDINGS names the folder that holds them.
"""

import json
import os
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from raw_http import basic, connect, receive, request_bytes, running, split, unchunked
from shapely.geometry import shape

from pepsasync.sandbox import CatalogueProduct

ROOT = os.environ.get("PEPSASYNC_RECORDINGS")
FOLDER = Path(ROOT, "peps", "server") if ROOT else None
NAMES = sorted(path.stem for path in FOLDER.glob("*.json")) if FOLDER else []
pytestmark = pytest.mark.skipif(not NAMES, reason="PEPSASYNC_RECORDINGS is not set or holds no PEPS recordings")

MODES = {
    "d_tape_again_staging": "staging",
    "d_tape_after_staged": "disk",
    "d_staging": "staging",
    "d_tier2": "tier2",
    "d_tier3": "tier3",
    "d_unknown": "unknown",
}
GENERATED = {"date", "server", "etag", "last-modified"}
WRONG_PASSWORD = {"d_wrong_password"}
LOWER_CASE_SCHEME = {"d_basic_lowercase_scheme"}


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def features_of(document):
    return document.get("features", [document] if document.get("type") == "Feature" else [])


def as_product(feature):
    p = feature["properties"]
    radar = p["collection"] == "S1"
    return CatalogueProduct(
        id=feature["id"],
        name=p["productIdentifier"],
        collection=p["collection"],
        product_type=p["productType"],
        platform=p["platform"],
        start=datetime.fromisoformat(p["startDate"]),
        end=datetime.fromisoformat(p["completionDate"]),
        orbit=p["orbitNumber"],
        relative_orbit=p["relativeOrbitNumber"],
        orbit_direction=p["orbitDirection"],
        sensor_mode=p["sensorMode"],
        polarisation=p.get("polarisation", ""),
        tile=p.get("mgrs", ""),
        cloud_cover=p["cloudCover"],
        footprint=shape(feature["geometry"]),
        size=p["resourceSize"],
        mode=p["storage"]["mode"],
        take_id=p["missionTakeId"] if radar else p["s2TakeId"],
        cycle=p.get("cycleNumber", 0),
        published=datetime.fromisoformat(p["published"]),
        realtime=p["realtime"],
        nrt=bool(p["isNrt"]),
        visible=bool(p["visible"]),
        new_version=p["newVersion"],
        checksum=p["resourceChecksum"],
        keywords=bool(p["keywords"]),
    )


@pytest.fixture(scope="module")
def recorded_products():
    """The products of all recorded features, and stand-ins for those that were only downloaded."""
    known, asked = {}, set()
    for name in NAMES:
        exchange = load(name)
        path = exchange["request"]["path"]
        if name in MODES or name.startswith("d_tape"):
            asked.add(path.split("/")[4])
        body = exchange.get("body", "")
        for feature in features_of(json.loads(body)) if body.startswith("{") else []:
            product = as_product(feature)
            known[product.id] = product
    model = next(product for product in known.values() if product.collection == "S2ST" and product.visible)
    for number, identifier in enumerate(sorted(asked - set(known))):
        day = datetime.fromisoformat(f"2010-01-{number + 1:02d}T00:00:00Z")
        known[identifier] = replace(model, id=identifier, name=f"{model.name[:-2]}{number:02d}", start=day)
    return tuple(known.values())


@pytest.fixture(scope="module")
def archives(recorded_products):
    """Start an archive per set of options, once."""
    started = {}
    with ExitStack() as stack:

        def get(**options):
            key = json.dumps(options, sort_keys=True)
            if key not in started:
                started[key] = stack.enter_context(running(catalogue=recorded_products, staging_seconds=1e6, **options))
            return started[key]

        yield get


def options_of(name):
    if name == "d_storage_service_down":
        return {"faults": {"storage-down": 1.0}, "fault_limit": 1000, "retry_after_ms": 180_000_000, "time_scale": 1000}
    if name == "d_tape_default_retry":
        return {"retry_after_ms": 900_000}
    for prefix, mode in (("m_apache", "xsendfile"), ("m_nginx", "nginx"), ("m_php", "php-behind-nginx")):
        if name.startswith(prefix):
            return {"streaming": mode}
    return {}


def prepare(archive, name, exchange, products):
    """Put the product of an exchange where it was when the exchange was recorded."""
    path = exchange["request"]["path"]
    product = products.get(path.split("/")[4].removesuffix(".json")) if "/collections/S" in path else None
    if name == "d_no_right_s1":
        archive.deny("S1")
    if product is None or not name.startswith(("d_", "m_", "i_")):
        return
    tape = "tape" if name.startswith("d_tape") else product.mode
    archive.set_tier(product.name, MODES.get(name, tape))
    if name == "d_missing_file":
        archive.drop_file(product.name)
    if not product.visible:
        archive.hide(product.name, None if name.endswith("unavailable") else product.new_version)


def send(archive, name, exchange):
    headers = []
    for key, value in exchange["request"]["headers"]:
        if key == "Authorization":
            scheme = "basic" if name in LOWER_CASE_SCHEME else "Basic"
            value = basic(archive, "wrong" if name in WRONG_PASSWORD else None, scheme)  # noqa: PLW2901
        headers.append((key, value))
    request = request_bytes(exchange["request"]["method"], exchange["request"]["path"], headers)
    with connect(archive) as connection:
        connection.sendall(request)
        reply = split(receive(connection))
    if reply.header("Transfer-Encoding") == "chunked":
        reply.body = unchunked(reply.body)
    return reply


def comparable(headers, skip=frozenset()):
    return sorted((name.lower(), value) for name, value in headers if name.lower() not in GENERATED | skip)


@pytest.mark.parametrize("name", NAMES or [pytest.param("none")])
def test_recorded_exchange(name, archives, recorded_products):
    exchange = load(name)
    archive = archives(**options_of(name))
    prepare(archive, name, exchange, {product.id: product for product in recorded_products})
    reply = send(archive, name, exchange)
    assert reply.status_line == exchange["status_line"]
    document = exchange.get("body", "").startswith('{"type"')
    skip = {"content-length"} if document else frozenset()
    assert comparable(reply.headers, skip) == comparable(exchange["headers"], skip)
    names = {key.lower() for key, _ in exchange["headers"]}
    assert names <= {key.lower() for key, _ in reply.headers}
    if document:
        compare_documents(json.loads(reply.body), json.loads(exchange["body"]), len(recorded_products))
        assert b"\\/" in reply.body
        assert b": " not in reply.body
    elif "body" in exchange:
        assert reply.body == exchange["body"].encode()
    else:
        assert len(reply.body) == exchange["body_bytes"]


def compare_documents(ours, theirs, known):
    """Everything must be equal, keys in the same order, but for totals that count products we do not have."""
    if ours["type"] == "FeatureCollection":
        compare_envelopes(ours, theirs, known)
    for mine, real in zip(features_of(ours), features_of(theirs), strict=True):
        if not real["properties"]["keywords"]:  # rows made up in bulk: ingested before they were acquired
            mine["properties"]["dhusIngestDate"] = real["properties"]["dhusIngestDate"]
        assert text(mine) == text(real)
    assert list(ours) == list(theirs)


def compare_envelopes(ours, theirs, known):
    mine, real = ours["properties"], theirs["properties"]
    for properties in (mine, real):
        assert isinstance(properties["query"].pop("processingTime"), float)
    assert list(mine) == list(real)
    assert [type(value) for value in mine.values()] == [type(value) for value in real.values()]
    counted = (
        real["totalResults"] <= known and "31TFJ" not in text(real["query"]) and "cloud" not in text(real["query"])
    )
    if not counted:
        for properties in (mine, real):
            properties.update(totalResults=0, exactCount=True)
            properties["links"] = [link for link in properties["links"] if link["rel"] != "last"]
    assert text(mine) == text(real)


def text(value):
    return json.dumps(value)
