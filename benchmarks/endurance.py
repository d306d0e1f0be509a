"""An order from three archives that is killed again and again: does it end right, and what did it cost the archives?

One sandbox for each protocol, with faults, 60 % of the products on tape. The program is killed (SIGKILL) every few
seconds until it ends by itself. Counted at the end: right files, products staged more often than needed, quota
refusals, and whether `status` could be read at every moment and never claimed what was not there.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from pepsasync.cli.standing import read_status
from pepsasync.errors import ConfigError
from pepsasync.sandbox import Sandbox

FAULTS = {"cut": 0.05, "error-503": 0.02, "stall": 0.002, "html-200": 0.01}

RUN = """
import sys, json, anyio
from pepsasync import Client, Config, Credentials, build_query
from pepsasync.model import Quota

async def main(urls, username, password, key, folder, quota, seconds):
    config = Config(
        poll_interval=0.2, poll_interval_max=1.0, retry_wait=0.02, retry_wait_max=0.2, read_timeout=2.0,
        quota=Quota(int(quota), float(seconds)), staging_timeout=3600.0,
    )
    account = Credentials(username=username, password=password)
    known = {"peps": account, "cdse": account, "geodes": Credentials(api_key=key)}
    query = build_query(start="2000-01-01", end="2030-01-01")
    names, roots = ["peps", "cdse", "geodes"], json.loads(urls)
    async with Client(names, credentials=known, base_url=roots, config=config) as client:
        async for delivery in client.fetch(query, folder):
            assert delivery.error is None, delivery.error

anyio.run(main, *sys.argv[1:])
"""


def watch(folder, archives, stop, lies):
    """Read the status as often as possible; it must never claim a file that is not there."""
    reads = 0
    while not stop.is_set():
        try:
            here = read_status(folder).here
        except ConfigError:
            continue
        reads += 1
        there = len(list(folder.glob("*.zip")))
        if here > there:
            lies.append((here, there))
        stop.wait(0.05)
    return reads


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--products", type=int, default=5000)
    options.add_argument("--every", type=float, default=6.0, help="seconds between two kills, on average")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    chance = random.Random(given.seed)
    quota = (max(10, given.products // 20), 20.0)
    shape = {
        "product_size": 60_000,
        "vary": False,
        "tape_fraction": 0.6,
        "tape_drives": 16,
        "mount_seconds": 0.01,
        "staging_seconds": 0.05,
        "retry_after_ms": 100,
        "faults": FAULTS,
        "stall_seconds": 5.0,
        "geodes_quota": quota[0],
        "geodes_quota_seconds": quota[1],
    }
    archives = {name: Sandbox(products=given.products, **shape) for name in ("peps", "cdse", "geodes")}
    for archive in archives.values():
        archive.start()
    peps = archives["peps"]
    urls = json.dumps({name: getattr(archive, f"{name}_url") for name, archive in archives.items()})
    with tempfile.TemporaryDirectory() as scratch:
        folder, stop, lies = Path(scratch), threading.Event(), []
        watcher = threading.Thread(target=watch, args=(folder, archives, stop, lies))
        watcher.start()
        arguments = [urls, peps.username, peps.password, peps.api_key, scratch, str(quota[0]), str(quota[1])]
        began, kills = time.monotonic(), 0
        while True:
            process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], env=os.environ)
            try:
                code = process.wait(timeout=chance.uniform(0.3, 1.7) * given.every)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
        seconds = time.monotonic() - began
        stop.set()
        watcher.join()
        right = sum(
            (folder / f"{product.name}.zip").read_bytes() == peps.content(product.name).read(0, product.size)
            for product in peps.catalogue
        )
        stagings = Counter(peps.statistics.stagings.values())
        result = {
            "exit": code,
            "products": given.products,
            "right": right,
            "kills": kills,
            "seconds": round(seconds, 1),
            "staging_requests": {str(times): count for times, count in sorted(stagings.items())},
            "quota_refusals": archives["geodes"].statistics.quota_refusals,
            "status_lies": len(lies),
            "final": {state: one.products for state, one in read_status(folder).counts.items() if one.products},
            "sources": {name: len(archive.statistics.bytes_sent) for name, archive in archives.items()},
        }
    for archive in archives.values():
        archive.stop()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
