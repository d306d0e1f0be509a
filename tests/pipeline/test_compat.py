"""The old program's function: its parameters, its words, its patience."""

import inspect
import json

import pytest

from archives import right_files, sandbox
from pepsasync import AuthError, ConfigError, peps_download

ALL = {"collection": "S1", "start_date": "2015-01-01", "end_date": "2018-01-01", "verbose": False}


@pytest.fixture
def served(tmp_path):
    archive = sandbox(6, tape_fraction=0.5)
    archive.start()
    (tmp_path / "peps.txt").write_text(f"{archive.username} {archive.password}\n")
    yield archive
    archive.stop()


def call(archive, folder, **changes):
    where = {"provider": "peps", "base_url": archive.peps_url}
    return peps_download(folder / "data", folder / "peps.txt", **(ALL | where | changes))


def test_parameters_are_those_of_the_old_function():
    names = list(inspect.signature(peps_download).parameters)

    assert names[:8] == [
        "write_dir", "auth", "collection", "product_type", "sensor_mode", "no_download", "start_date", "end_date",
    ]  # fmt: skip
    assert {"tile", "location", "lat", "lon", "latmin", "shape", "orbit", "search_json_file", "clouds", "sat"} <= {
        *names
    }
    assert {"extract", "max_trials", "wait", "verbose"} <= {*names}


def test_it_only_looks_unless_it_is_told_otherwise(served, tmp_path, capsys):
    words = call(served, tmp_path)

    tiers = {product.name: product.mode for product in served.catalogue if product.collection == "S1"}
    assert words == {name: {"disk": "on disk", "tape": "on tape"}[tier] for name, tier in tiers.items()}
    assert not (tmp_path / "data").exists()
    assert served.statistics.stagings == {}
    assert "on tape: " in capsys.readouterr().out


def test_products_are_brought_and_found_again(served, tmp_path, capsys):
    first = call(served, tmp_path, no_download=False, extract=False, wait=0.005, max_trials=1000)
    again = call(served, tmp_path, no_download=False, extract=False)

    assert set(first.values()) == {"downloaded"}
    assert set(again.values()) == {"existing"}
    assert right_files(served, tmp_path / "data") == 3
    assert capsys.readouterr().out.endswith("existing: 3\n")


def test_products_that_stay_on_tape_are_told_so_after_the_last_trial(tmp_path):
    archive = sandbox(4, tape_fraction=1.0, staging_seconds=3600)
    archive.start()
    try:
        (tmp_path / "peps.txt").write_text(f"{archive.username} {archive.password}")
        words = call(archive, tmp_path, no_download=False, wait=0.002, max_trials=3)
    finally:
        archive.stop()

    assert set(words.values()) <= {"staging", "on tape"}
    assert len(words) == 2


def test_extracted_by_default(served, tmp_path):
    words = call(served, tmp_path, no_download=False, wait=0.005, max_trials=1000)

    assert len(list((tmp_path / "data").glob("*.SAFE"))) == len(words) == 3


def test_the_search_reply_is_written_as_it_came(served, tmp_path):
    call(served, tmp_path, search_json_file=tmp_path / "search.json")

    assert len(json.loads((tmp_path / "search.json").read_text())["features"]) == 3


def test_nothing_found_is_said(served, tmp_path, capsys):
    assert call(served, tmp_path, start_date="2030-01-01", end_date="2030-01-02") == {}
    assert "No product matches" in capsys.readouterr().out


def test_wrong_credentials_raise(served, tmp_path):
    (tmp_path / "peps.txt").write_text(f"{served.username} wrong")
    with pytest.raises(AuthError):
        call(served, tmp_path, no_download=False)


@pytest.mark.anyio
async def test_inside_an_event_loop_it_says_what_to_use(served, tmp_path):
    with pytest.raises(ConfigError, match=r"pepsasync\.Client"):
        call(served, tmp_path)
