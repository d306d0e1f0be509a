"""`plan`: what an order would take."""

import json
import re

import pytest

from archives import account_file, root, running
from pepsasync.folder.space import MARGIN

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]


@pytest.fixture
def served(tmp_path):
    with running(8, tape_fraction=0.5, vary=False) as archive:
        account_file(archive, tmp_path / "account.txt")
        yield archive


def plan(run, archive, folder, *more, provider="peps"):
    where = ["--provider", provider, "--base-url", root(archive, provider), "-w", folder / "data"]
    done = run("plan", *where, *PERIOD, "--format", "json", *more)
    return done.code, json.loads(done.out)


def test_nothing_is_staged_fetched_or_written(run, served, tmp_path):
    code, told = plan(run, served, tmp_path)

    assert code == 0
    assert (told["products"], told["bytes"]) == (8, 8 * 200_000)
    assert told["tiers"] == {"disk": 4, "tape": 4}
    assert told["to_fetch"] == {"products": 8, "bytes": 8 * 200_000}
    assert told["disk"]["needed"] == 8 * 200_000
    assert told["disk"]["fits"] is True
    assert told["estimate"] == {
        "quota_seconds": 0.0,
        "transfer_seconds": None,
        "time_left": {"least": 0.0, "most": None, "unknown": ["speed", "tape"]},
    }
    assert not (tmp_path / "data").exists()
    assert served.statistics.stagings == {}


def test_what_is_here_is_not_counted_again(run, served, tmp_path):
    fetch = ["fetch", "--base-url", served.peps_url, "-a", tmp_path / "account.txt", "-w", tmp_path / "data"]
    assert run(*fetch, "-c", "S1", *PERIOD, "--poll-interval", "0.1").code == 0
    _, told = plan(run, served, tmp_path)
    _, unpacked = plan(run, served, tmp_path, "-x")

    assert told["already_here"] == 4
    assert told["to_fetch"]["products"] == 4
    assert unpacked["disk"]["needed"] > told["disk"]["needed"]


def test_what_an_interrupted_download_has_left_is_not_to_come_again(run, served, tmp_path):
    part = tmp_path / "data" / ".pepsasync" / "parts" / f"{served.catalogue[0].name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(95_000))
    note = {"source": "peps", "id": "any", "size": 200_000, "checksum": None}
    part.with_name(f"{part.name}.record").write_text(f"{json.dumps(note)}\n0 300\n90000 95000\n")
    _, told = plan(run, served, tmp_path)

    assert told["to_fetch"]["bytes"] == 8 * 200_000 - 5_300


def test_a_quota_tells_how_long_it_takes_at_least(run, served, tmp_path):
    _, told = plan(run, served, tmp_path, "--quota", "3/1h", provider="geodes")

    assert told["estimate"]["quota_seconds"] == 2 * 3600


def test_too_small_a_disk_makes_5_with_the_numbers(run, served, tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.cli.plan.free_bytes", lambda _: MARGIN + 1000)
    code, told = plan(run, served, tmp_path)

    assert code == 5
    assert told["disk"] == {"needed": 1_600_000, "free": MARGIN + 1000, "kept_back": MARGIN, "fits": False}


def test_people_get_five_lines(run, served, tmp_path):
    done = run("plan", "--base-url", served.peps_url, *PERIOD, "-w", tmp_path)

    assert done.code == 0
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [
        "matches", "already here", "to fetch", "disk", "time",
    ]  # fmt: skip
    assert "4 on tape" in done.out
    assert re.search(r"^time +speed and tape not known yet$", done.out, re.MULTILINE)
    assert re.search(r"^disk +1.60 MB needed, .* free, the last 67.1 MB are kept back$", done.out, re.MULTILINE)


def test_a_run_that_cannot_fit_ends_with_5_before_it_fetches(run, served, tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.folder.space.free_bytes", lambda _: 0)
    monkeypatch.setattr(
        "pepsasync.folder.space.Space.__init__.__defaults__", (lambda _: (64 << 20) + 500_000, lambda: 0.0)
    )
    done = run("fetch", "--base-url", served.peps_url, "-a", tmp_path / "account.txt", "-w", tmp_path / "data", *PERIOD)

    assert done.code == 5
    assert "bytes are still needed" in done.err
    assert "67,608,864 are free, and the last 67,108,864 are kept back" in done.err


@pytest.mark.parametrize("line", ["plan -c S1 -w", "demo --keep"])
@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_in_the_place_of_the_folder_is_refused(*, run, clients, tmp_path, line, below):
    file = tmp_path / "file"
    file.write_text("")
    done = run(*line.split(), file / below)

    assert (done.code, done.out) == (2, "")
    assert f"{file} is a file, not a folder" in done.err
    assert not clients.all
