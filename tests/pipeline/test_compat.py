"""The old program's function: its parameters, its words, its patience."""

import asyncio
import inspect
import json
from collections import Counter

import geopandas
import pytest
import shapely
from anyio import to_thread
from shapely import Point

from archives import account_file, right_files, root, running
from pepsasync import AuthError, Client, ConfigError, ServerError, peps_download
from pepsasync.units import show_count

ALL = {"collection": "S1", "start_date": "2015-01-01", "end_date": "2018-01-01", "verbose": False}
QUICK = {"no_download": False, "wait": 0.005, "max_trials": 1000}
"""Trials that follow each other quickly, and enough of them."""

PARAMETERS = {
    "write_dir": inspect.Parameter.empty,
    "auth": inspect.Parameter.empty,
    "collection": "S2",
    "product_type": "",
    "sensor_mode": "",
    "no_download": True,
    "start_date": None,
    "end_date": None,
    "tile": None,
    "location": None,
    "lat": None,
    "lon": None,
    "latmin": None,
    "latmax": None,
    "lonmin": None,
    "lonmax": None,
    "shape": None,
    "orbit": None,
    "search_json_file": None,
    "clouds": 100,
    "sat": None,
    "extract": True,
    "max_trials": 10,
    "wait": 1,
    "verbose": True,
}
"""Of the old function, with its defaults."""

TIERS = {"disk": "on disk", "tape": "on tape", "staging": "staging", "unknown": "unknown"}


@pytest.fixture
def served():
    with running(6, tape_fraction=0.5) as archive:
        yield archive


def call(archive, folder, **changes):
    where = {"provider": "peps", "base_url": archive.peps_url}
    if not (folder / "peps.txt").exists():
        account_file(archive, folder / "peps.txt")
    return peps_download(folder / "data", folder / "peps.txt", **(ALL | where | changes))


def names(archive, collection="S1"):
    return {product.name for product in archive.catalogue if product.collection == collection}


def test_parameters_and_defaults_are_those_of_the_old_function():
    parameters = inspect.signature(peps_download).parameters.values()
    old = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}

    assert [*PARAMETERS.items()] == [*old.items()]
    assert {"provider", "base_url"} == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_it_only_looks_unless_it_is_told_otherwise(served, tmp_path, capsys):
    words = call(served, tmp_path)

    tiers = {product.name: product.mode for product in served.catalogue if product.collection == "S1"}
    assert words == {name: TIERS[tier] for name, tier in tiers.items()}
    assert not (tmp_path / "data").exists()
    assert served.statistics.stagings == {}
    assert capsys.readouterr().out.endswith("Total to download: 3\n")


def test_products_are_brought_and_found_again(served, tmp_path, capsys):
    first = call(served, tmp_path, **QUICK, extract=False)
    again = call(served, tmp_path, no_download=False, extract=False)
    looked = call(served, tmp_path)

    assert first == dict.fromkeys(names(served), "downloaded")
    assert again == looked == dict.fromkeys(names(served), "existing")
    assert right_files(served, tmp_path / "data") == 3
    assert capsys.readouterr().out.endswith("Summary:\n\t- existing: 3 products\nTotal to download: 0\n")


def test_extracted_by_default(served, tmp_path):
    words = call(served, tmp_path, **QUICK)

    assert {f"{name}.SAFE" for name in words} == {path.name for path in (tmp_path / "data").glob("*.SAFE")}
    assert call(served, tmp_path) == dict.fromkeys(words, "existing")


def test_statistics_are_told_at_the_beginning_and_at_the_end(served, tmp_path, capsys):
    call(served, tmp_path, **QUICK)
    told = capsys.readouterr().out

    tiers = Counter(TIERS[product.mode] for product in served.catalogue if product.collection == "S1")
    before = "".join(f"\t- {word}: {show_count(count)}\n" for word, count in sorted(tiers.items()))
    after = "\t- downloaded: 3 products\n"
    assert told == f"Summary:\n{before}Total to download: 3\nSummary:\n{after}Total to download: 0\n"


def test_verbose_names_every_product_and_tells_what_happens(served, tmp_path, capsys):
    words = call(served, tmp_path, verbose=True)
    looked = capsys.readouterr().out
    call(served, tmp_path, verbose=True, **QUICK)
    brought = capsys.readouterr().out

    lines = [f"{name} {word}" for name, word in words.items()]
    assert lines == looked.splitlines()[:3] == brought.splitlines()[:3]
    assert "delivered 3/3 " in brought


def test_what_the_archive_does_not_know_is_said(tmp_path):
    with running(6, faults={"unknown-once": 1.0}) as archive:
        words = call(archive, tmp_path)

    assert words == dict.fromkeys(names(archive), "unknown")


def test_products_that_stay_on_tape_are_told_so_after_the_last_trial(tmp_path, capsys):
    with running(6, tape_fraction=1.0, staging_seconds=3600) as archive:
        words = call(archive, tmp_path, no_download=False, wait=0.002, max_trials=3)

    assert words == dict.fromkeys(names(archive), "staging")
    assert "failed 3/3" in capsys.readouterr().out


def test_the_outcome_is_returned_also_when_nobody_tells_where_the_rest_is(tmp_path, monkeypatch, capsys):
    async def refuse(client, products):
        raise ServerError("too busy")

    monkeypatch.setattr(Client, "tiers", refuse)
    with running(6, tape_fraction=0.0, faults={"hidden": 1.0}) as archive:
        words = call(archive, tmp_path, **QUICK)

    assert words == dict.fromkeys(names(archive), "on disk")
    assert "not known: too busy" in capsys.readouterr().out


def test_the_search_reply_is_written_as_it_came(served, tmp_path):
    call(served, tmp_path, search_json_file=tmp_path / "search.json")

    assert len(json.loads((tmp_path / "search.json").read_text())["features"]) == 3


@pytest.mark.parametrize("search_json_file", [None, ""])
def test_the_search_reply_is_not_kept_without_being_asked_for(served, tmp_path, monkeypatch, search_json_file):
    monkeypatch.chdir(tmp_path)
    call(served, tmp_path, search_json_file=search_json_file)

    assert {"peps.txt"} == {path.name for path in tmp_path.iterdir()}


def test_nothing_found_is_said(served, tmp_path, capsys):
    assert call(served, tmp_path, start_date="2030-01-01", end_date="2030-01-02") == {}
    assert "No product matches" in capsys.readouterr().out


def test_a_date_begins_at_midnight_so_that_one_day_ends_with_the_next(served, tmp_path):
    product = next(product for product in served.catalogue if product.collection == "S1")
    day = product.start.date()
    same_day = {other.name for other in served.catalogue if other.collection == "S1" and other.start.date() == day}

    assert same_day == set(call(served, tmp_path, start_date=str(day), end_date=str(day.replace(day=day.day + 1))))
    with pytest.raises(ConfigError, match="one day"):
        call(served, tmp_path, start_date=str(day), end_date=str(day))


@pytest.mark.parametrize("changes", [{}, {"collection": "S2ST"}, {"end_date": "9999-01-01"}, {"end_date": None}])
def test_s2_is_read_as_s2st_where_that_holds_the_period(served, tmp_path, changes):
    period = {"collection": "S2", "start_date": "2016-12-05"}

    assert names(served, "S2ST") == set(call(served, tmp_path, **(period | changes)))


def test_clouds_leave_out_what_is_covered_and_radar_never(served, tmp_path):
    clear = {product.name for product in served.catalogue if (product.cloud_cover or 0) <= 20}

    assert clear & names(served, "S2ST") == set(call(served, tmp_path, collection="S2", clouds=20))
    assert names(served) == set(call(served, tmp_path, clouds=0))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda box, folder: box, id="shapely"),
        pytest.param(lambda box, folder: geopandas.GeoSeries([box], crs=4326).to_crs(3857), id="geoseries"),
        pytest.param(lambda box, folder: geopandas.GeoDataFrame(geometry=[box], crs=4326), id="geodataframe"),
        pytest.param(lambda box, folder: write(box, folder / "area.gpkg"), id="path"),
        pytest.param(lambda box, folder: str(write(box, folder / "area.geojson")), id="text"),
    ],
)
def test_a_shape_is_a_file_or_a_geometry(served, tmp_path, shape):
    product = next(product for product in served.catalogue if product.collection == "S1")
    box = product.footprint.centroid.buffer(0.01).envelope
    inside = {p.name for p in served.catalogue if p.collection == "S1" and p.footprint.intersects(box)}

    assert product.name in inside
    assert inside == set(call(served, tmp_path, shape=shape(box, tmp_path)))


def write(box, path):
    geopandas.GeoSeries([box], crs=4326).to_file(path)
    return path


CRITERIA = {
    "point": lambda one, lon, lat: ({"lon": lon, "lat": lat}, lambda p: p.footprint.covers(Point(lon, lat))),
    "box": lambda one, lon, lat: (
        {"lonmin": lon, "lonmax": lon + 0.1, "latmin": lat, "latmax": lat + 0.1},
        lambda p: p.footprint.intersects(shapely.box(lon, lat, lon + 0.1, lat + 0.1)),
    ),
    "tile": lambda one, lon, lat: ({"tile": f"T{one.tile}"}, lambda p: p.tile == one.tile),
    "orbit": lambda one, lon, lat: ({"orbit": one.relative_orbit}, lambda p: p.relative_orbit == one.relative_orbit),
    "sat": lambda one, lon, lat: ({"sat": one.platform}, lambda p: p.platform == one.platform),
    "type": lambda one, lon, lat: ({"product_type": one.product_type}, lambda p: p.product_type == one.product_type),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria_mean_what_they_meant(served, tmp_path, name):
    products = [product for product in served.catalogue if product.collection == "S2ST"]
    criteria, is_wanted = CRITERIA[name](products[0], *products[0].footprint.centroid.coords[0])

    wanted = {product.name for product in products if is_wanted(product)}
    assert products[0].name in wanted
    assert wanted == set(call(served, tmp_path, collection="S2ST", **criteria))


@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
def test_every_archive_will_do_and_the_environment_names_it(tmp_path, monkeypatch, provider):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", provider)
    with running(6, tape_fraction=0.0) as archive:
        account_file(archive, tmp_path / "auth.txt", provider)
        given = ALL | {"no_download": False, "extract": False, "base_url": root(archive, provider)}
        words = peps_download(str(tmp_path / "data"), str(tmp_path / "auth.txt"), **given)

    assert words == dict.fromkeys(names(archive), "downloaded")


def test_the_default_archive_is_that_of_the_package(served, tmp_path):
    (tmp_path / "key.txt").write_text(served.api_key)

    words = peps_download(tmp_path, tmp_path / "key.txt", base_url=served.geodes_url, **ALL)

    assert names(served) == set(words)


def test_the_credentials_of_peps_lead_to_those_of_its_successors(tmp_path):
    (tmp_path / "peps.txt").write_text("you@example.org secret\n")

    with pytest.raises(ConfigError, match=r"PEPS closed in March 2026.*API Key.*provider cdse") as caught:
        peps_download(tmp_path, tmp_path / "peps.txt", **ALL)

    assert "secret" not in str(caught.value)


def test_wrong_credentials_raise(served, tmp_path):
    (tmp_path / "peps.txt").write_text(f"{served.username} wrong")
    with pytest.raises(AuthError):
        call(served, tmp_path, no_download=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"start_date": None, "end_date": None}, "no place or period is given", id="everything"),
        pytest.param({"tile": ""}, "tile is empty", id="empty"),
        pytest.param({"lat": 1.0}, "lat without lon", id="half-a-point"),
        pytest.param({"lat": 1.0, "lon": 1.0, "location": "Toulouse"}, "each name an area", id="two-areas"),
        pytest.param({"tile": "TCJ31"}, "not an MGRS tile", id="tile"),
        pytest.param({"start_date": "01/11/2015"}, "not a date", id="date"),
        pytest.param({"shape": "missing.shp"}, "missing.shp", id="shape"),
        pytest.param({"max_trials": 0}, "max_trials=0", id="no-trial"),
        pytest.param({"wait": -1}, "wait=-1", id="no-wait"),
        pytest.param({"auth": "missing.txt"}, "missing.txt", id="auth"),
        pytest.param({"search_json_file": "missing/search.json"}, "does not exist", id="reply"),
        pytest.param({"provider": "esa"}, "esa", id="provider"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_sent(changes, message):
    given = {"write_dir": "data", "auth": None} | ALL | {"provider": "peps", "base_url": "http://127.0.0.1:1"} | changes
    with pytest.raises(ConfigError, match=message):
        peps_download(**given)


def test_no_minutes_to_wait_are_short_trials_nevertheless(served, tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.compat.SHORTEST_TRIAL", 0.2)

    assert {"downloaded"} == {*call(served, tmp_path, no_download=False, wait=0, max_trials=50).values()}


@pytest.mark.anyio
async def test_inside_an_event_loop_it_says_what_to_use(served, tmp_path):
    with pytest.raises(ConfigError, match=r"pepsasync\.Client"):
        call(served, tmp_path)


def test_in_a_callback_of_an_event_loop_too(served, tmp_path):
    said = []

    def call_back():
        with pytest.raises(ConfigError) as caught:
            call(served, tmp_path)
        said.append(caught.value.hint)

    async def loop():
        asyncio.get_running_loop().call_soon(call_back)
        await asyncio.sleep(0)

    asyncio.run(loop())

    assert "pepsasync.Client" in said[0]


@pytest.mark.anyio
async def test_in_a_thread_it_works_beside_an_event_loop(served, tmp_path):
    words = await to_thread.run_sync(call, served, tmp_path)

    assert names(served) == set(words)
