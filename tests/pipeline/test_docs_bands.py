"""The program and the commands in docs/bands.md, run as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from archives import sandbox

DOCS = (Path(__file__).parents[2] / "docs" / "bands.md").read_text("utf-8")
[PROGRAM] = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
COMMANDS = re.findall(r"^\$ pepsasync (.*)$", DOCS, re.MULTILINE)


@pytest.fixture(scope="module")
def served():
    archive = sandbox(8, tape_fraction=0, product_size=400_000)
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def run(served, tmp_path):
    config = tmp_path / "config.toml"
    account = f'username = "{served.username}"\npassword = "{served.password}"'
    config.write_text(f'[cdse]\nbase_url = "{served.cdse_url}"\n{account}\n')
    config.chmod(0o600)

    def run(*words):
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PEPSASYNC_CONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.mark.timeout(600)
def test_the_program_lists_members_and_reads_one(run):
    done = run("-c", PROGRAM)

    assert done.returncode == 0, done.stderr
    assert "manifest.safe" in done.stdout
    assert "PRODUCT_URI" in done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works(run, tmp_path, command):
    done = run("-m", "pepsasync", *shlex.split(command))

    assert done.returncode == 0, done.stderr
    if command.startswith("fetch"):
        assert {"B02", "B03", "B04"} == {path.stem[-3:] for path in (tmp_path / "data").rglob("*.jp2")}
    else:
        assert ("B02.jp2" if command.startswith("ls") else "saved") in done.stdout
