"""Do downloads of online products go on while others wait for tape?

One sandbox, half of its products on tape. Measured beside each other: pepsasync; the old script's way (one product
after the other, then a pause, then the next trial); staging everything first and downloading afterwards. The lower
bound is the larger of the time that the drives need and the time that the line needs.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import anyio
import httpx

from pepsasync import Client, Config, Credentials
from pepsasync.model import StorageTier
from pepsasync.sandbox import Sandbox

PRODUCTS, SIZE, DRIVES, MOUNT, READ, RATE = 24, 4 << 20, 2, 0.2, 0.8, 10 << 20
OLD_PAUSE = 2.0
"""Seconds; the old script waits a minute for stagings of 2 to 6 minutes, here a staging takes about a second."""


def sandbox():
    return Sandbox(
        products=PRODUCTS,
        product_size=SIZE,
        vary=False,
        tape_fraction=0.5,
        tape_drives=DRIVES,
        mount_seconds=MOUNT,
        staging_seconds=READ,
        seed=3,
    )


def bound():
    """Seconds that neither drives nor line can undercut."""
    on_tape = PRODUCTS // 2
    return {"tape": math.ceil(on_tape / DRIVES) * (MOUNT + READ), "line": PRODUCTS * SIZE / RATE}


async def with_pepsasync(archive, folder):
    credentials = Credentials(username=archive.username, password=archive.password)
    config = Config(limit_rate=RATE, poll_interval=0.25, poll_interval_max=1.0, jobs=4)
    async with Client("peps", base_url=archive.peps_url, credentials=credentials, config=config) as client:
        products = [p for c in ("S1", "S2ST") async for p in client.search(collection=c)]
        return [delivery.path async for delivery in client.fetch(products, folder)]


async def stage_then_download(archive, folder):
    credentials = Credentials(username=archive.username, password=archive.password)
    config = Config(limit_rate=RATE, poll_interval=0.25, poll_interval_max=1.0, jobs=4)
    async with Client("peps", base_url=archive.peps_url, credentials=credentials, config=config) as client:
        products = [p for c in ("S1", "S2ST") async for p in client.search(collection=c)]
        on_tape = [product for product in products if product.tier is not StorageTier.DISK]
        async for _ in client.wait_online(on_tape):
            pass
        return [delivery.path async for delivery in client.fetch(products, folder)]


async def like_the_old_script(archive, folder):
    """Search, fetch one after the other what is on disk, ask for the rest, pause, search again."""
    done = []
    async with httpx.AsyncClient(auth=(archive.username, archive.password), timeout=60) as http:
        while len(done) < PRODUCTS:
            for collection in ("S1", "S2ST"):
                url = f"{archive.peps_url}/api/collections/{collection}/search.json?maxRecords=500"
                for feature in (await http.get(url)).json()["features"]:
                    properties = feature["properties"]
                    target = folder / f"{properties['productIdentifier']}.zip"
                    if target in done:
                        continue
                    download = properties["services"]["download"]["url"]
                    if properties["storage"]["mode"] == "disk":
                        await _limited(http, download, target)
                        done.append(target)
                    elif properties["storage"]["mode"] == "tape":
                        await http.get(download)
            if len(done) < PRODUCTS:
                await anyio.sleep(OLD_PAUSE)
    return done


async def _limited(http, url, target):
    began, received = time.perf_counter(), 0
    async with http.stream("GET", url) as response:
        with target.open("wb") as file:
            async for chunk in response.aiter_raw():
                received += len(chunk)
                file.write(chunk)
                await anyio.sleep(max(0.0, received / RATE - (time.perf_counter() - began)))


async def measure(way):
    with tempfile.TemporaryDirectory() as folder:
        async with sandbox() as archive:
            began = time.perf_counter()
            paths = await way(archive, Path(folder))
            seconds = time.perf_counter() - began
            right = sum(path is not None and path.stat().st_size == SIZE for path in paths)
    if right != PRODUCTS:
        sys.exit(f"{way.__name__}: only {right} of {PRODUCTS} products are right")
    return seconds


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=3)
    repeats = options.parse_args().repeats
    ways = (with_pepsasync, stage_then_download, like_the_old_script)
    seconds = {way.__name__: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            seconds[way.__name__].append(anyio.run(measure, way))
    limits = bound()
    print(json.dumps({"bound_seconds": limits}))
    for name, values in seconds.items():
        median = sorted(values)[len(values) // 2]
        ratio = median / max(limits.values())
        print(json.dumps({"way": name, "median_seconds": round(median, 2), "of_bound": round(ratio, 2), "all": values}))


if __name__ == "__main__":
    main()
