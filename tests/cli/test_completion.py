"""What the shell offers at the end of a command line, and how it learns to ask."""

import os
import shutil
import subprocess
import sys

import pytest

from pepsasync.area.tile_grid import find_square, tiles_of


@pytest.fixture
def complete(run, monkeypatch, tmp_path):
    """Words that bash is offered for a line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_PEPSASYNC_COMPLETE", "complete_bash")

    def ask(line):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(f"{line}x".split()) - 1))
        done = run()
        assert (done.code, done.err) == (0, "")
        return done.out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pepsasync fet", ["fetch"]),
        ("pepsasync search --orb", ["--orbit", "--orbit-direction"]),
        ("pepsasync fetch --provider ge", ["geodes"]),
        ("pepsasync fetch --provider geodes,cd", ["geodes,cdse"]),
        ("pepsasync fetch -c s2", ["s2", "s2ST"]),
        ("pepsasync fetch -c S1,S2", ["S1,S2", "S1,S2ST"]),
        ("pepsasync fetch --provider cdse -c SENTINEL-1", ["SENTINEL-1"]),
        ("pepsasync fetch --provider cdse -p ", ["GRD", "SLC", "OCN", "RAW", "S2MSI1C", "S2MSI2A"]),
        ("pepsasync plan --provider geodes -p S2", ["S2MSI1C"]),
        ("pepsasync plan -m E", ["EW"]),
        ("pepsasync plan --sort c", ["clouds", "cover"]),
        ("pepsasync plan --per day,", ["day,tile"]),
        ("pepsasync search --orbit-direction a", ["ascending"]),
        ("pepsasync search -t 31TCJ,31TD", [f"31TCJ,{tile}" for tile in tiles_of("31T") if tile.startswith("31TD")]),
        ("pepsasync search -t T31TCJ", ["T31TCJ"]),
        ("pepsasync search -t 6", ["60"]),
        ("pepsasync search -t 99X", []),
        ("pepsasync login c", ["cdse"]),
        ("pepsasync status ", []),  # of which the shell makes files
    ],
)
def test_values(complete, line, offered):
    assert complete(line) == offered


def test_the_archive_of_the_environment_counts(complete, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "cdse")

    assert "SENTINEL-2" in complete("pepsasync search -c SEN")


def test_zones_come_before_bands_and_tiles(complete):
    assert len(complete("pepsasync search -t ")) == 60
    assert len(complete("pepsasync search -t 31")) == 20
    assert all(find_square(tile).tile == tile for tile in complete("pepsasync search -t 31T"))


def test_products_in_the_folder_and_files(complete, tmp_path):
    for name in ("S2A_X.zip", "S2B_Y.SAFE", "S1A_Z.zip", "found.geojson"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "S1B_A.zip").touch()

    assert complete("pepsasync download S2") == ["S2A_X", "S2B_Y"]
    assert complete("pepsasync download fou") == ["found.geojson"]
    assert complete("pepsasync download da") == ["data/"]
    assert complete("pepsasync fetch -w data --id S1") == ["S1B_A"]
    assert complete("pepsasync fetch --id @fo") == ["@found.geojson"]
    assert complete("pepsasync fetch -t @data/S") == ["@data/S1B_A.zip"]


def test_a_folder_that_cannot_be_read_has_no_products(complete):
    assert complete("pepsasync fetch -w nowhere --id S1") == []


SOURCE = """
export PATH={here}:$PATH
eval "$(env _PEPSASYNC_COMPLETE=source_bash pepsasync)"
COMP_WORDS=(pepsasync search --orbit-direction d) COMP_CWORD=3
_pepsasync_completion pepsasync
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path):
    """The program under its name, in a folder of its own."""
    path = tmp_path / "bin" / "pepsasync"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m pepsasync \"$@\"\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_asks_and_is_answered(program):
    done = subprocess.run(
        ["bash", "-c", SOURCE.format(here=program.parent)], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "descending\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_completion_is_installed_for_the_shell_that_asks(program, tmp_path):
    home = os.environ | {"HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    script = "pepsasync --install-completion; pepsasync --show-completion; exit"  # so that bash is the parent of both
    done = subprocess.run(["bash", "-c", script], env=home, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert "_pepsasync_completion" in done.stdout
    assert "pepsasync" in (tmp_path / ".bashrc").read_text()
