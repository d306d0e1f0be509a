# /// script
# requires-python = ">=3.11"
# dependencies = ["pepsasync[sandbox,serve]"]
# ///
"""Draw `docs/page.png`: the page of a real fetch from the embedded archive, at the width of a phone.

pip install -e ".[sandbox,serve]" && PYTHONPATH=tests python tools/page_picture.py; needs chromium and chromium-driver.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import chromium  # of the tests
from pepsasync.sandbox import Sandbox

PICTURE = Path(__file__).parents[1] / "docs" / "page.png"
SIZE = (420, 1240)
FINISHED = 8
"""Products that are there when the picture is taken."""


def main() -> None:
    """Take the picture."""
    archive = Sandbox(products=40, product_size=6_000_000, tape_fraction=0.5, staging_seconds=3)
    archive.start()
    with tempfile.TemporaryDirectory() as folder, chromium.start() as browser:
        account = Path(folder) / "account.txt"
        account.write_text(f"{archive.username} {archive.password}\n", "utf-8")
        account.chmod(0o600)
        there = ["--provider", "peps", "--base-url", archive.peps_url, "-a", str(account)]
        how = ["--poll-interval", "1", "--limit-rate", "5m", "--serve", "0", "-w", f"{folder}/data"]
        command = [sys.executable, "-m", "pepsasync", "fetch", *there, *how, "-d", "2015-01-01"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:  # noqa: S603
            assert run.stderr is not None  # noqa: S101 - it is a pipe
            address = next(found[0] for line in run.stderr if (found := re.search(r"http://127\S+/", line)))
            browser.open(address, SIZE)
            browser.wait_for(f"return view && view.finished >= {FINISHED} && view.time_left.most !== null")
            browser.wait_for("return document.querySelectorAll('#products li').length >= 40 && coast.rings.length")
            PICTURE.write_bytes(browser.picture())
            run.terminate()
            run.stderr.read()
    archive.stop()


if __name__ == "__main__":
    main()
