"""The programs of the documentation, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archives import sandbox

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    f"{page} {number}": program
    for page in ("README.md", "docs/blocking.md")
    for number, program in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL))
}


@pytest.fixture
def folder(tmp_path):
    """A folder whose config file leads to an embedded archive, where the account is known, too."""
    archive = sandbox(16, tape_fraction=0)
    archive.start()
    config = tmp_path / "config.toml"
    config.write_text(f'[geodes]\nbase_url = "{archive.geodes_url}"\napi_key = "{archive.api_key}"\n')
    config.chmod(0o600)
    yield tmp_path
    archive.stop()


@pytest.mark.parametrize("which", PROGRAMS)
def test_every_program_brings_products(folder, which):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[which]],
        cwd=folder,
        env={**os.environ, "PEPSASYNC_CONFIG": str(folder / "config.toml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert list((folder / "data").glob("*.zip"))
    assert "FAILED" not in done.stdout.upper()
