"""The command lines in the help and in README.md, run as they stand against an embedded archive."""

import io
import re
import shlex
from pathlib import Path
from unittest.mock import Mock

import geopandas
import pytest
import shapely

from archives import sandbox
from pepsasync.cli.app import COMMANDS, EXAMPLES

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHELL = re.findall(r"\$ (pepsasync (?:fetch|search|plan|download) .*?)(?: +#.*)?$", README, re.MULTILINE)
ELSEWHERE = ("login", "logout", "sandbox")
"""Commands whose examples are run by tests below: they ask, or run for ever."""
IN_FOLDERS = ("status", "watch", "resume", "verify", "clean", "catalog", "download", "order", "sync")
"""Commands that need what others have left, or leave something themselves."""
LINES = list(dict.fromkeys([*(line for lines in EXAMPLES.values() for line in lines), *SHELL]))


@pytest.fixture(scope="module")
def archive():
    served = sandbox(80, product_size=350_000, tape_fraction=0, geodes_quota=10_000)  # large enough to have bands
    served.start()
    yield served
    served.stop()


@pytest.fixture
def workplace(archive, tmp_path, monkeypatch):
    """A folder with the files of the examples, whose commands reach the embedded archive."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[geodes]\nbase_url = "{archive.geodes_url}"\napi_key = "{archive.api_key}"\n'
        f'[cdse]\nbase_url = "{archive.cdse_url}"\nusername = "{archive.username}"\npassword = "{archive.password}"\n'
    )
    config.chmod(0o600)
    monkeypatch.setenv("PEPSASYNC_CONFIG", str(config))
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "geodes")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiles.txt").write_text("31TCJ\n31TDJ  # the next\n")
    geopandas.GeoDataFrame(geometry=[shapely.box(1, 43, 2, 44)], crs=4326).to_file(tmp_path / "parcels.gpkg")
    return tmp_path


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("line", [line for line in LINES if line.split()[1] not in ELSEWHERE])
def test_every_example_finds_something(line, run):
    if line.split()[1] in IN_FOLDERS:
        pytest.importorskip("pystac")
        assert run(*["search", "-c", "S2ST", "-t", "31TCJ", "--limit", "2", "-o", "found.geojson"]).code == 0
        assert run(*["fetch", "-c", "S2ST", "-t", "31TCJ", "--limit", "2", "-w", "data"]).code == 0
    if line.split()[1] == "sync":
        assert run(*shlex.split(EXAMPLES["order"][0])[1:]).code == 0

    done = run(*shlex.split(line)[1:])

    assert done.code == 0, done.err
    if line.split()[1] in (*IN_FOLDERS, "check", "ls", "demo"):
        return
    assert (
        "S1A_" in done.out + done.err
        or "S2A_" in done.out + done.err
        or re.search(r"[1-9]\d* products?", done.out + done.err)
        or re.search(r"^(PEPS_S1_L1|sat:orbit_cycle)|\bPEPS_S1_L1\b", done.out, re.MULTILINE)
    )


def test_the_sandbox_of_the_example_runs(run, monkeypatch):
    monkeypatch.setattr("pepsasync.cli.sandbox.time.sleep", Mock(side_effect=KeyboardInterrupt))
    [line] = EXAMPLES["sandbox"]

    done = run(*shlex.split(line.replace("--port 8765", "--port 0"))[1:])

    assert done.code == 0, done.err
    assert "Try it in another terminal" in done.out


def test_the_account_of_the_examples_is_stored_and_removed(run, archive, workplace, monkeypatch):
    (workplace / "config.toml").write_text(f'[geodes]\nbase_url = "{archive.geodes_url}"\n')
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{archive.api_key}\n"))

    for line, words in ((*EXAMPLES["login"], "stored"), (*EXAMPLES["logout"], "removed")):
        done = run(*shlex.split(line)[1:])
        assert done.code == 0, done.err
        assert words in done.err


def test_every_command_has_an_example():
    assert {*COMMANDS} <= {*EXAMPLES}


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_shows_the_examples_on_lines_of_their_own(run, command):
    told = run(*[command] if command != "pepsasync" else [], "--help").out.splitlines()

    assert [line for line in EXAMPLES[command] if f"  {line}" not in told] == []
