"""Folders and files whose names are unusual: bytes that are no UTF-8, `~`, `!`, signs of URLs."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import certifi
import geopandas
import pytest
import shapely

from archives import account_file, connect, everything, right_files, running
from pepsasync import ConfigError, Report, peps_download
from pepsasync.report import write_report
from pepsasync.results.tables import write_products

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01", "--poll-interval", "0.1"]

NO_UTF8 = pytest.param(os.fsdecode(b"caf\xe9 \xff"), marks=pytest.mark.skipif(sys.platform != "linux", reason="bytes"))
ODD = [
    NO_UTF8,
    pytest.param("wow!/deep!", id="exclamation"),
    pytest.param("50% #1?&a=b;c'\"$x", id="signs"),
    pytest.param("\u96ea \u202e", id="unicode"),
    pytest.param("line\nbreak", id="line"),
]

KML = """<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>
1,43 2,43 2,44 1,44 1,43 </coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"""


@pytest.fixture(scope="module")
def served():
    with running(3, tape_fraction=0) as archive:
        yield archive


@pytest.fixture
def account(served, tmp_path):
    return ["--base-url", served.peps_url, "-a", account_file(served, tmp_path / "account.txt")]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("extract", [[], ["-x"]])
def test_report_events_and_journal_name_the_real_files(*, run, served, account, tmp_path, name, extract):
    folder = tmp_path / name
    report, events = folder.parent / f"{folder.name}.json", folder.parent / f"{folder.name}.jsonl"
    report.parent.mkdir(parents=True, exist_ok=True)
    line = ["fetch", *account, *PERIOD, "-w", folder, "--report", report, "--events", events, *extract]
    first, again = run(*line), run(*line)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    told = json.loads(report.read_bytes())
    paths = [Path(product["path"]) for product in told["products"]]
    happened = [json.loads(line) for line in events.read_bytes().splitlines()]
    assert {product["status"] for product in told["products"]} == {"skipped"}
    assert len(paths) == 3
    assert all(path.exists() and path.parent == folder for path in paths)
    assert {Path(event["path"]) for event in happened if event["event"] == "product_skipped"} == set(paths)
    assert extract or right_files(served, folder) == 3
    for command in (["status", folder], ["status", folder, "--format", "json"], ["verify", folder]):
        assert run(*command).code == 0
    found = json.loads(run("status", folder, "--format", "json").out)
    assert Path(found["directory"]) == folder
    assert found["states"]["delivered"]["products"] + found["states"]["skipped"]["products"] == 3
    planned = run("plan", *account, *PERIOD[:4], "-w", folder)
    assert planned.code == 0, planned.err
    assert "already here    3 products" in planned.out or extract


@pytest.mark.parametrize("name", ODD)
def test_lists_credentials_and_hooks_have_such_names_too(*, run, served, account, tmp_path, name, monkeypatch):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "names.txt").write_text("\n".join(product.name for product in served.catalogue))
    os.link(account[-1], folder / "account.txt")
    told = folder / "told"
    account[-1] = folder / "account.txt"
    monkeypatch.setenv("TOLD", str(told))
    hook = 'printf "%s\\n" "$PEPSASYNC_PATH" >> "$TOLD"'
    done = run("download", folder / "names.txt", *account, "-w", folder, "--on-delivered", hook)

    assert done.code == 0, done.err
    assert right_files(served, folder) == 3
    names = {os.fsencode(f"{product.name}.zip") for product in served.catalogue}
    assert set(told.read_bytes().replace(os.fsencode(folder / "x")[:-1], b"").splitlines()) == names


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("suffix", [".csv", ".geojson", ".gpkg", ".parquet"])
def test_searches_are_written_to_and_read_from_such_names(*, run, served, account, tmp_path, name, suffix, monkeypatch):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file = tmp_path / f"{name}{suffix}"
    file.parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    written = run("search", *account[:2], "-c", "S2ST", "-o", file, "--format", "ids")
    read = run("search", *account[:2], "--id", f"@{file}", "--format", "ids")

    assert (written.code, read.code) == (0, 0), written.err + read.err
    assert sorted(read.out.split()) == sorted(written.out.split())
    assert written.out
    assert not [*(tmp_path / "elsewhere").iterdir()], "some readers of paths take what is behind a `!` for another file"
    others = {*file.parent.glob("account.txt"), *file.parent.glob("elsewhere")}
    assert sorted(file.parent.iterdir()) == sorted({file} | others)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".kml", ".zip", ".fgb", ".parquet"])
def test_areas_are_read_from_such_names(run, clients, tmp_path, name, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    table = geopandas.GeoDataFrame({"plot": [1]}, geometry=[shapely.box(1, 43, 2, 44)], crs=4326)
    plain = tmp_path / f"plain{'.shp.zip' if suffix == '.zip' else suffix}"
    if suffix == ".parquet":
        table.to_parquet(plain)
    elif suffix == ".kml":
        plain.write_text(KML)
    else:
        table.to_file(plain)
    file = tmp_path / f"{name}{suffix}"
    file.parent.mkdir(exist_ok=True)
    plain.rename(file)
    done = run("search", "-c", "S1", "--shape", file)

    assert done.code == 0, done.err
    assert clients.all[0].query.area.bounds == (1, 43, 2, 44)


@pytest.mark.parametrize("name", ODD)
def test_configuration_certificates_and_replies_have_such_names_too(*, run, served, tmp_path, name, monkeypatch):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    (folder / "config.toml").write_text(f'ca_bundle = "ca.pem"\n[peps]\nbase_url = "{served.peps_url}"\n')
    monkeypatch.setenv("PEPSASYNC_CONFIG", str(folder / "config.toml"))
    by_config = run("search", "--provider", "peps", "-c", "S2ST", "--json", folder / "reply.json")
    by_option = run("search", "--base-url", served.peps_url, "-c", "S2ST", "--ca-bundle", folder / "ca.pem")

    assert (by_config.code, by_option.code) == (0, 0), by_config.err + by_option.err
    assert json.loads((folder / "reply.json").read_bytes())["features"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_home_folder_is_meant_in_every_path_option(run, served, account, home, tmp_path):
    Path(account[-1]).rename(home / "account.txt")
    (home / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    archive = [*account[:2], "-a", "~/account.txt", "--ca-bundle=~/ca.pem"]
    found = run("search", *account[:2], *PERIOD[:4], "-o", "~/found.csv", "--json", "~/replies.json")
    line = ["fetch", *archive, *PERIOD, "-w", "~/data", "--report=~/report.json", "--events=~/events.jsonl"]
    fetched = run(*line, "--json", "~/reply.json")
    codes = [
        run(*command).code
        for command in (
            ["plan", *archive, *PERIOD[:4], "-w", "~/data"],
            ["status", "~/data"],
            ["verify", "~/data"],
            ["resume", "~/data", *archive],
            ["download", "~/found.csv", *archive, "-w", "~/again"],
            ["download", "@~/found.csv", *archive, "-w", "~/again"],
            ["search", *archive, "--id", "@~/found.csv"],
        )
    ]

    assert (found.code, fetched.code) == (0, 0), found.err + fetched.err
    assert codes == [0] * 7
    assert right_files(served, home / "data") == right_files(served, home / "again") == 3
    assert {path.name for path in home.iterdir()} >= {"found.csv", "report.json", "events.jsonl", "reply.json", "data"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("fetch -c S1 -w ~no-such-user/data", "--write-dir"),
        ("fetch -c S1 -a ~no-such-user/account.txt", "--auth"),
        ("fetch -c S1 --report ~no-such-user/report.json", "--report"),
        ("fetch -c S1 --events ~no-such-user/events.jsonl", "--events"),
        ("search -c S1 -o ~no-such-user/found.csv", "--output"),
        ("search -c S1 --shape ~no-such-user/area.gpkg", "~no-such-user"),
        ("status ~no-such-user", "DIR"),
        ("demo --keep ~no-such-user", "--keep"),
        ("download ~no-such-user/found.csv", "~no-such-user"),
        ("download ~no-such-user/found", "~no-such-user"),
    ],
)
def test_a_home_that_nobody_has_is_refused(*, run, clients, home, tmp_path, line, option):
    done = run(*line.split())

    assert done.code == 2, done.err
    assert option in done.err
    assert "no home folder" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert clients.all == []


@pytest.mark.anyio
async def test_the_home_folder_is_meant_in_python_too(served, home, tmp_path):
    shutil.copyfile(certifi.where(), home / "ca.pem")
    async with connect(served, ca_bundle="~/ca.pem") as client:
        product, *more = await everything(client)
        path = await client.download(product, "~/data")
        outcomes = [delivery async for delivery in client.fetch(more, Path("~") / "data")]
        with pytest.raises(ConfigError, match="no home folder"):
            client.fetch(product, "~no-such-user/data")

    assert path == home / "data" / f"{product.name}.zip"
    assert {delivery.path.parent for delivery in outcomes} == {home / "data"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_home_folder_is_meant_in_the_old_function_and_in_files_of_results(served, home, tmp_path):
    (home / "account.txt").write_text(f"{served.username} {served.password}")
    where = {"provider": "peps", "base_url": served.peps_url}
    dates = {"start_date": "2015-01-01", "end_date": "2018-01-01"}
    done = peps_download(
        "~/data",
        "~/account.txt",
        "S2ST",
        no_download=False,
        extract=False,
        search_json_file="~/reply.json",
        **where,
        **dates,
    )
    write_products([], "~/found.csv")
    write_report(Report(provider="peps", started=datetime.now(UTC), seconds=1), "~/report.json")

    assert done
    assert {path.name for path in home.iterdir()} >= {"data", "reply.json", "found.csv", "report.json"}
    assert len(list((home / "data").glob("*.zip"))) == len(done)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
