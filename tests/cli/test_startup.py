"""`pepsasync --help` answers at once: nothing heavy is loaded before a command needs it."""

import subprocess
import sys

import pytest

from pepsasync.sandbox import Sandbox

ALLOWED = {"pepsasync", "typer", "click", "shellingham", "annotated_doc", "typing_extensions", "colorama"}
"""Top-level modules outside the standard library that start-up may load: ours, and what typer itself loads."""

WITH_OLD_TYPER = {"attr", "markdown_it", "mdurl", "pygments", "rich"}
"""What older releases of typer load as well, whether help is coloured or not."""

NEVER = {
    "anyio",
    "boto3",
    "botocore",
    "geopandas",
    "httpx",
    "keyring",
    "numpy",
    "pandas",
    "rich.live",
    "shapely",
    "sqlite3",
    "starlette",
    "tenacity",
    "uvicorn",
}

SHOW = """
import sys
before = set(sys.modules)
from pepsasync.cli import main
code = main(sys.argv[1:])
print("MODULES", *(set(sys.modules) - before))
sys.exit(code)
"""


def loaded_by(*arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHOW, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_loads_nothing_but_the_parser():
    roots = {name.partition(".")[0] for name in loaded_by("--help")}

    strangers = {
        name for name in roots - ALLOWED - WITH_OLD_TYPER - sys.stdlib_module_names if not name.startswith("__")
    }
    assert set() == strangers


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--help",), id="help"),
        pytest.param((), id="nothing"),
        pytest.param(("fetch", "--help"), id="fetch"),
        pytest.param(("search", "--help"), id="search"),
        pytest.param(("sandbox", "--help"), id="sandbox"),
        pytest.param(("collections",), id="collections"),
    ],
)
def test_heavy_modules_wait_until_they_are_needed(arguments):
    assert set() == loaded_by(*arguments) & NEVER


@pytest.mark.parametrize("command", ["fetch", "search", "plan", "stage", "download", "resume", "status", "check"])
def test_help_of_a_command_loads_no_run(command):
    """Nor does the completion of a word, which must come while a key is down."""
    loaded = loaded_by(command, "--help")

    assert {"pepsasync.events", "pepsasync.cli.run", "pepsasync.display.counters"} & loaded == set()


@pytest.mark.parametrize("words", ["--property cl", "--provider ge", "-c S", "-p GR", "-t 31T"])
def test_completion_loads_no_network(words, monkeypatch):
    monkeypatch.setenv("_PEPSASYNC_COMPLETE", "complete_bash")
    monkeypatch.setenv("PEPSASYNC_PROVIDER", "geodes")
    monkeypatch.setenv("COMP_WORDS", f"pepsasync fetch {words}")
    monkeypatch.setenv("COMP_CWORD", "3")

    assert loaded_by() & NEVER == set()


def test_searching_loads_neither_pipeline_nor_journal():
    archive = Sandbox(products=4)
    archive.start()
    try:
        loaded = loaded_by("search", "--provider", "peps", "--base-url", archive.peps_url, "-c", "S1", "--limit", "1")
    finally:
        archive.stop()

    assert "httpx" in loaded
    assert set() == {name for name in loaded if name.startswith(("pepsasync.pipeline", "pepsasync.folder.journal"))}


def test_package_itself_costs_nothing():
    code = "import sys; b = set(sys.modules); import pepsasync; print(*sorted(set(sys.modules) - b))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert {"pepsasync"} == {
        name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names
    }
