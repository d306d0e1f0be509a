"""The command lines in the help and in README.md, run as they stand against an embedded archive."""

import re
import shlex
from pathlib import Path

import geopandas
import pytest
import shapely

from archives import sandbox
from pepsasync.cli.app import EXAMPLES

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHELL = re.findall(r"\$ (pepsasync (?:fetch|search|plan) .*?)(?: +#.*)?$", README, re.MULTILINE)
ELSEWHERE = ("demo", "login", "sandbox")
"""Commands that ask, or run for ever, or have tests of their own that run them so."""
IN_FOLDERS = ("status", "resume", "verify", "catalog", "download")
"""Commands that need what others have left."""
LINES = [line for lines in EXAMPLES.values() for line in lines if line.split()[1] not in ELSEWHERE]


@pytest.fixture(scope="module")
def archive():
    served = sandbox(80, product_size=350_000, tape_fraction=0, geodes_quota=10_000)  # large enough to have bands
    served.start()
    yield served
    served.stop()


@pytest.mark.parametrize("line", [*LINES, *(line for line in SHELL if line not in LINES)])
def test_every_example_finds_something(line, archive, run, tmp_path, monkeypatch):
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

    if line.split()[1] in IN_FOLDERS:
        pytest.importorskip("pystac")
        assert run(*["search", "-c", "S2ST", "-t", "31TCJ", "--limit", "2", "-o", "found.geojson"]).code == 0
        assert run(*["fetch", "-c", "S2ST", "-t", "31TCJ", "--limit", "2", "-w", "data"]).code == 0

    done = run(*shlex.split(line)[1:])

    assert done.code == 0, done.err
    if line.split()[1] in IN_FOLDERS:
        return
    assert (
        "S1A_" in done.out + done.err
        or "S2A_" in done.out + done.err
        or re.search(r"[1-9]\d* products?", done.out + done.err)
        or re.search(r"^(PEPS_S1_L1|sat:orbit_cycle)|\bPEPS_S1_L1\b", done.out, re.MULTILINE)
    )


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_shows_the_examples_on_lines_of_their_own(run, command):
    told = run(*[command] if command != "pepsasync" else [], "--help").out.splitlines()

    assert [line for line in EXAMPLES[command] if f"  {line}" not in told] == []
