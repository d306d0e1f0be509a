"""Command lines of the old program, with its name replaced by `pepsasync fetch`, run against a sandbox."""

import hashlib
import json
from datetime import datetime, timedelta

import geopandas
import pytest
from shapely import Point, box

TOULOUSE = Point(1.4437, 43.6043)


def fits(collection, *, where=None, **attributes):
    """Whether a product is of a collection, touches a place and has these attributes."""

    def check(product):
        return (
            product.collection == collection
            and (where is None or product.footprint.intersects(where))
            and all(getattr(product, name) == value for name, value in attributes.items())
        )

    return check


LINES = {
    "location": ("-c S2ST -l Toulouse -a {auth} -d 2017-01-01 -f 2017-02-01", fits("S2ST", where=TOULOUSE)),
    "tile": ("-c S2ST -t 31TCJ -a {auth} -d 2017-01-01 -f 2017-02-01", fits("S2ST", tile="31TCJ")),
    "point-and-orbit": (
        "-c S2ST --lon 1 --lat 43.5 -a {auth} -d 2017-01-01 -f 2017-02-01 -o 51",
        fits("S2ST", where=Point(1, 43.5), relative_orbit=51),
    ),
    "box": (
        "-c S1 --lonmin 1 --lonmax 2 --latmin 43 --latmax 44 -a {auth} -d 2015-11-01 -f 2015-12-01",
        fits("S1", where=box(1, 43, 2, 44)),
    ),
    "product-type": (
        "-c S1 -p GRD -l Toulouse -a {auth} -d 2015-11-01 -f 2015-12-01",
        fits("S1", where=TOULOUSE, product_type="GRD"),
    ),
    "s2-is-read-as-s2st": (
        "-c S2 -t T31TCJ --auth {auth} -d 2017-01-01 -f 2017-02-01 --windows",
        fits("S2ST", tile="31TCJ"),
    ),
    "satellite-and-mode": (
        "-c S1 --sat S1A --product_type GRD --sensor_mode IW -a {auth} -d 2015-11-01 -f 2015-12-01 --trials 9 --wait 1",
        fits("S1", platform="S1A", product_type="GRD"),
    ),
}


def expected(archive, line, is_wanted):
    """Names of the products in the period of a command line that fit it."""
    words = line.split()
    start, end = (datetime.fromisoformat(f"{words[words.index(option) + 1]}T00:00:00+00:00") for option in ("-d", "-f"))
    return {product.name for product in archive.catalogue if start <= product.start < end and is_wanted(product)}


@pytest.mark.parametrize("name", LINES)
def test_old_command_line_delivers_what_it_asks_for(spawn, archive, auth, tmp_path, name):
    line, is_wanted = LINES[name]
    wanted = expected(archive, line, is_wanted)
    assert wanted

    process = spawn(
        "fetch",
        "--provider",
        "peps",
        "--base-url",
        archive.peps_url,
        *line.format(auth=auth).split(),
        *("--poll-interval", "0.1", "--report", "report.json"),
        cwd=tmp_path,
    )
    out, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    assert sorted(out.splitlines()) == sorted(path.name for path in tmp_path.glob("S*.zip"))
    assert wanted == {path.stem for path in tmp_path.glob("*.zip")}
    for product in wanted:
        digest = hashlib.md5((tmp_path / f"{product}.zip").read_bytes()).hexdigest()
        assert archive.content(product).md5.lower() == digest
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"delivered"} == {product["status"] for product in report["products"]}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_same_command_again_fetches_nothing_twice(run, archive, auth, tmp_path, backend):
    line = f"fetch --base-url {archive.peps_url} -a {auth} -c S2ST -d 2017-01-01 -f 2017-02-01 --poll-interval 0.1"

    first = run(*line.split(), "-w", tmp_path, "--backend", backend)
    before = len(archive.statistics.transfers)
    second = run(*line.split(), "-w", tmp_path, "--backend", backend)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert before == len(archive.statistics.transfers)
    assert "already here: " in second.err


def test_old_options_for_folder_and_no_download_work(run, archive, auth, tmp_path):
    line = (
        f"fetch --base-url {archive.peps_url} -a {auth} -c S1 --start_date 2015-11-01 --end_date 2015-12-01 --windows"
    )

    done = run(*line.split(), "--write_dir", tmp_path / "data", "--no_download", "--json", tmp_path / "search.json")

    assert done.code == 0
    assert not (tmp_path / "data").exists()
    assert len(json.loads((tmp_path / "search.json").read_text())["features"]) == len(done.out.splitlines()) - 1


def test_old_vector_file_and_cloud_limit_work(run, archive, auth, tmp_path):
    product = next(product for product in archive.catalogue if product.collection == "S2ST")
    area = product.footprint.centroid.buffer(0.01).envelope
    geopandas.GeoSeries([area], crs=4326).to_crs(3857).to_file(tmp_path / "area.shp")
    line = f"fetch --base-url {archive.peps_url} -a {auth} -c S2ST -d 2017-01-01 -f 2017-02-01 -n"
    clouds = int(product.cloud_cover) + 1

    done = run(*line.split(), "--shape", tmp_path / "area.shp", "--cc", clouds)

    is_wanted = fits("S2ST", where=area)
    wanted = {p.name for p in archive.catalogue if is_wanted(p) and p.cloud_cover <= clouds}
    assert product.name in wanted
    assert wanted == {row.split()[0] for row in done.out.splitlines()[1:]}, done.err


def test_one_day_ends_with_the_next(run, archive, auth):
    product = next(product for product in archive.catalogue if product.collection == "S1")
    day, line = product.start.date(), f"fetch --base-url {archive.peps_url} -a {auth} -c S1 -n -q"

    same_day = run(*line.split(), "-d", day, "-f", day)
    next_day = run(*line.split(), "-d", day, "-f", day + timedelta(days=1))

    assert same_day.code == 2
    assert "for one day use -d 2015-11-01 -f 2015-11-02" in same_day.err
    assert {p.name for p in archive.catalogue if p.collection == "S1" and p.start.date() == day} == {
        row.split()[0] for row in next_day.out.splitlines()[1:]
    }


def test_old_last_day_of_all_is_accepted(run, archive, auth):
    line = f"fetch --base-url {archive.peps_url} -a {auth} -c S1 -d 2015-11-01 -f 9999-01-01 -n -q"

    done = run(*line.split())

    assert len([p for p in archive.catalogue if p.collection == "S1"]) == len(done.out.splitlines()) - 1


def test_unknown_tiers_are_reported(run, tmp_path):
    sandbox = pytest.importorskip("pepsasync.sandbox")
    archive = sandbox.Sandbox(products=4, faults={"unknown-once": 1.0})
    archive.start()
    try:
        done = run("fetch", "--base-url", archive.peps_url, "-c", "S1", "-n")
    finally:
        archive.stop()

    assert [True, True] == [" unknown " in row for row in done.out.splitlines()[1:]]
    assert "2 somewhere" in done.err


def test_statistics_end_a_run(run, archive, auth, tmp_path):
    line = f"fetch --base-url {archive.peps_url} -a {auth} -c S1 -d 2015-11-01 -f 2015-12-01 -w {tmp_path / 'data'}"

    first = run(*line.split(), "--poll-interval", "0.1", "--json", tmp_path / "search.json")
    again = run(*line.split())

    count = len([p for p in archive.catalogue if p.collection == "S1"])
    assert f"delivered: {count} products, " in first.err
    assert f"already here: {count} products, " in again.err
    assert count == len(json.loads((tmp_path / "search.json").read_text())["features"])
