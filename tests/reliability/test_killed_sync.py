"""A night that is killed with SIGKILL anywhere leaves what the next one brings to the same end."""

import json
import os
import random
import subprocess
import sys

import pytest

from archives import account_file, right_files, running

pytestmark = pytest.mark.timeout(600)


def pepsasync(*words, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "pepsasync", *map(str, words)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PEPSASYNC_BACKEND": "trio"},
        **more,
    )


def killed_after(process, events):
    """Kill the process after so many events, each at another step of its work; returns whether it was still there."""
    with process.stdout:
        for number, line in enumerate(process.stdout, 1):
            if number >= events and json.loads(line):
                process.kill()
                break
    return process.wait() < 0


def test_killed_nights(tmp_path):
    chance, folder = random.Random("killed nights"), tmp_path / "data"
    file = tmp_path / "order.toml"
    with running(16, held_back=8, tape_fraction=0, product_size=60_000) as archive:
        account = account_file(archive, tmp_path / "account.txt")
        where = ["--provider", "cdse", "--base-url", archive.cdse_url, "-a", account, "-w", folder]
        made = pepsasync("order", "new", file, "-d", "2014-01-01", *where)
        made.communicate(timeout=120)
        kills = 0
        for _ in range(4):
            archive.publish()
            archive.publish()
            first = next(product for product in archive.catalogue if product.visible)
            archive.supersede(first.name)
            archive.withdraw(first.name)
            words = chance.choice([[], ["--replace"], ["--replace", "--prune"]])
            kills += killed_after(pepsasync("sync", file, *words, "--events", "-"), chance.randint(1, 12))
        last = pepsasync("sync", file, "--replace", "--prune")
        last.communicate(timeout=120)

        assert (made.returncode, last.returncode) == (0, 0)
        assert kills >= 2
        names = {f"{product.name}.zip" for product in archive.catalogue}
        assert {path.name for path in folder.glob("*.zip")} == names
        assert right_files(archive, folder) == len(names)
