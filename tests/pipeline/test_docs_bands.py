"""The program in docs/bands.md, run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

from archives import sandbox

DOCS = (Path(__file__).parents[2] / "docs" / "bands.md").read_text("utf-8")


def test_the_program_lists_members_and_reads_one(tmp_path):
    [program] = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    archive = sandbox(8, tape_fraction=0)
    archive.start()
    try:
        config = tmp_path / "config.toml"
        account = f'username = "{archive.username}"\npassword = "{archive.password}"'
        config.write_text(f'[cdse]\nbase_url = "{archive.cdse_url}"\n{account}\n')
        config.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PEPSASYNC_CONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        archive.stop()

    assert done.returncode == 0, done.stderr
    assert "manifest.safe" in done.stdout
    assert "PRODUCT_URI" in done.stdout
