"""Command lines of the old program, with its name replaced by `pepsasync fetch`, run against a sandbox."""

import hashlib
import json
from datetime import datetime

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
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, ""), err
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
