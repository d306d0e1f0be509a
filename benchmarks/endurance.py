"""An order from three archives that is killed again and again: does it end right, and what did it cost the archives?

One sandbox for each protocol, with faults, 60 % of the products on tape. `pepsasync fetch`, and from then on `pepsasync
resume`, is killed (SIGKILL) after some seconds until it ends by itself and nothing is left to do. Counted at the end:
right files, staging requests for each product, downloads beyond a quota, and whether `status` could be read at every
moment and never claimed what was not there. Ends with 1 when something of that is not as it should be.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pepsasync.cli.status import read_status
from pepsasync.errors import ConfigError
from pepsasync.sandbox import Sandbox

ARCHIVES = ("peps", "cdse", "geodes")

FAULTS = {"cut": 0.05, "error-503": 0.02, "stall": 0.002, "html-200": 0.01}

SHAPE = {
    "product_size": 60_000,
    "vary": False,
    "tape_fraction": 0.6,
    "tape_drives": 16,
    "mount_seconds": 0.01,
    "staging_seconds": 0.05,
    "retry_after_ms": 100,
    "faults": FAULTS,
    "stall_seconds": 20.0,
}

SETTINGS = """
quota = "{quota}/20s"
in_flight = 400
poll_interval = 0.2
poll_interval_max = 1.0
retry_wait = 0.02
retry_wait_max = 0.2
read_timeout = 8.0
"""

EVERYTHING = ("-d", "2000-01-01", "-f", "2030-01-01")


@dataclass
class Watch:
    """Reads the status as often as possible: it must never claim a file that is not there."""

    folder: Path
    reads: int = 0
    lies: list[tuple[int, int]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `is_over`."""
        while not self.is_over.wait(0.1):
            if not has_journal(self.folder):
                continue
            try:
                here = read_status(self.folder).here
            except ConfigError as error:
                self.unreadable.append(str(error))
                continue
            self.reads += 1
            there = sum(entry.name.endswith(".zip") for entry in os.scandir(self.folder))
            if here > there:
                self.lies.append((here, there))


class Archive:
    """One sandbox in a process of its own: three in one would wait for each other's interpreter lock.

    Args:
        name: Its protocol.
        shape: Arguments of `Sandbox`.
    """

    def __init__(self, name: str, shape: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, shape, theirs), daemon=True)
        self._process.start()
        self.table: str = self._pipe.recv()
        """Of the config file."""

    def stop(self) -> SimpleNamespace:
        """End it; what it has counted."""
        self._pipe.send("stop")
        counted: SimpleNamespace = self._pipe.recv()
        self._process.join()
        return counted


def serve(name: str, shape: dict[str, Any], pipe: Any) -> None:
    """Run a sandbox until something comes through the pipe."""
    sys.setswitchinterval(0.0005)  # its loop and its workers hand over to each other for every reply
    archive = Sandbox(**shape)
    archive.start()
    account = f'username = "{archive.username}"\npassword = "{archive.password}"'
    account = f'api_key = "{archive.api_key}"' if name == "geodes" else account
    pipe.send(f'[{name}]\nbase_url = "{getattr(archive, f"{name}_url")}"\n{account}\n')
    pipe.recv()
    statistics = archive.statistics
    archive.stop()
    counted = {"stagings": dict(statistics.stagings), "quota_refusals": statistics.quota_refusals}
    pipe.send(SimpleNamespace(**counted, delivered_from=len(statistics.bytes_sent)))


def has_journal(folder: Path) -> bool:
    """Whether there is something to go on with."""
    return (folder / ".pepsasync" / "journal.db").exists()


def write_settings(path: Path, archives: Iterable[Archive], quota: int) -> None:
    """The config file of the user: accounts, roots, and pauses that suit archives of this speed."""
    path.touch(mode=0o600)
    path.write_text("\n".join([SETTINGS.format(quota=quota), *(archive.table for archive in archives)]))


def run_until_done(folder: Path, settings: Path, every: float, chance: random.Random) -> list[dict[str, float]]:
    """Start, kill, start again; what each run achieved."""
    runs, began = [], time.monotonic()
    environment = {**os.environ, "PEPSASYNC_CONFIG": str(settings)}
    while True:
        words = ["resume", folder] if has_journal(folder) else ["fetch", "-w", folder, *EVERYTHING]
        command = [sys.executable, "-m", "pepsasync", *words, "-q", "--provider", ",".join(ARCHIVES)]
        process = subprocess.Popen(command, env=environment)
        try:
            code = process.wait(chance.uniform(0.5, 1.5) * every)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        status = read_status(folder) if has_journal(folder) else None
        runs.append({"code": code, "seconds": round(time.monotonic() - began, 1), "here": status.here if status else 0})
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        if code in (2, 3) or (status is not None and status.is_complete):
            return runs


def count_right(folder: Path, archive: Sandbox) -> int:
    """Files that hold exactly what the archive has."""
    paths = ((folder / f"{product.name}.zip", product) for product in archive.catalogue)
    return sum(
        path.exists() and path.read_bytes() == archive.content(product.name).read(0, product.size)
        for path, product in paths
    )


def main() -> int:
    """Run it and print the figures as JSON; the exit code says whether they are as they should be."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--products", type=int, default=5000)
    options.add_argument("--every", type=float, default=15.0, help="seconds between two kills, on average")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    quota = max(10, given.products // 20)
    shape = {"products": given.products, **SHAPE, "geodes_quota": quota, "geodes_quota_seconds": 20.0}
    archives = {name: Archive(name, shape) for name in ARCHIVES}
    with tempfile.TemporaryDirectory() as scratch:
        folder, settings = Path(scratch, "data"), Path(scratch, "config.toml")
        write_settings(settings, archives.values(), quota)
        watch = Watch(folder)
        watcher = threading.Thread(target=watch.run)
        watcher.start()
        try:
            runs = run_until_done(folder, settings, given.every, random.Random(given.seed))
        finally:
            watch.is_over.set()
            watcher.join()
            counted = {name: archive.stop() for name, archive in archives.items()}
        right = count_right(folder, Sandbox(**shape))
        final = {state: one.products for state, one in read_status(folder).counts.items() if one.products}
    stagings, refusals = Counter(counted["peps"].stagings.values()), counted["geodes"].quota_refusals
    result = {
        "products": given.products,
        "right": right,
        "seconds": runs[-1]["seconds"],
        "runs": len(runs),
        "kills": sum(run["code"] < 0 for run in runs),
        "staging_requests": {str(times): count for times, count in sorted(stagings.items())},
        "quota_refusals": refusals,
        "status_reads": watch.reads,
        "status_unreadable": watch.unreadable[:5],
        "status_lies": watch.lies[:5],
        "final": final,
        "products_from": {name: one.delivered_from for name, one in counted.items()},
    }
    print(json.dumps(result))
    is_fine = right == given.products and max(stagings, default=0) <= 2 and not refusals
    return 0 if is_fine and not watch.lies and not watch.unreadable else 1


if __name__ == "__main__":
    sys.exit(main())
