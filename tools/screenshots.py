# /// script
# requires-python = ">=3.11"
# dependencies = ["pepsasync[map,sandbox]"]
# ///
"""Make `docs/map.png`, `docs/report.png` and `docs/plot.png`: pages of a real search and run, in headless Chromium.

pip install -e ".[map,sandbox]" && python tools/screenshots.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from pepsasync.sandbox import Sandbox

DOCS = Path(__file__).parents[1] / "docs"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def pepsasync(folder: Path, *arguments: object) -> None:
    """Run a command in a folder; that a product failed is part of the picture."""
    command = [sys.executable, "-m", "pepsasync", *map(str, arguments)]
    if (code := subprocess.run(command, cwd=folder, check=False).returncode) not in (0, 1):  # noqa: S603 - our own program
        sys.exit(code)


def screenshot(page: Path, picture: Path, size: str, profile: Path) -> None:
    """Draw the upper part of a page."""
    seconds = "--virtual-time-budget=20000"
    more = (f"--user-data-dir={profile}", f"--window-size={size}", "--hide-scrollbars", f"--screenshot={picture}")
    subprocess.run(["chromium", *FLAGS, seconds, *more, page.as_uri()], check=True)  # noqa: S603, S607 - of the system


def main() -> None:
    """Search, fetch, draw."""
    robot = {
        "tape_fraction": 0.5,
        "staging_seconds": 1.0,
        "mount_seconds": 0.5,
        "tape_drives": 3,
        "retry_after_ms": 300,
    }
    archive = Sandbox(products=40, product_size=3_000_000, faults={"cut": 0.2, "flip": 0.3}, **robot)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        archive.start()
        try:
            account = folder / "account"
            account.write_text(f"{archive.username} {archive.password}\n")
            account.chmod(0o600)
            query = ("-c", "S1,S2ST", "-d", "2014", "--provider", "peps", "--base-url", archive.peps_url, "-a", account)
            pepsasync(folder, "search", *query, "--map", folder / "map.html", "--plot", DOCS / "plot.png")
            speed = ("--limit-rate", "6MB", "--poll-interval", "1")
            pepsasync(folder, "fetch", *query, "-w", "data", *speed, "--report", folder / "report.html")
        finally:
            archive.stop()
        screenshot(folder / "map.html", DOCS / "map.png", "1240,840", folder / "profile")
        screenshot(folder / "report.html", DOCS / "report.png", "1240,1130", folder / "profile")


if __name__ == "__main__":
    main()
