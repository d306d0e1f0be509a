"""How near does a whole run come to what tape drives and line allow?

An order of which half is on tape, time scaled so that a staging of minutes takes a second. Measured in turns:
pepsasync; pepsasync looking at fixed intervals, its shortest or the old script's minute; staging everything first and
downloading afterwards; the old script's way (one product after the other, then a pause, then the next trial).

The archive runs in a process of its own, new for each run and warm, behind a line that is the same for every way; no
way limits itself. Time runs from the first request to the last file on disk, journal and verification included. What
the archive has seen is told, too: looks (requests that ask where products are, the first search included; a look at two
collections is two), staging requests, and all requests. Nothing can undercut the lower bound: the larger of what the
drives need until the last product is online and on disk, and of what the line needs for all bytes.

With `--sources`: three archives, each behind a line of its own; the total beside the sum of the three.

Every line of standard output is a JSON object; tables for people go to standard error.
"""

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import anyio
import archive_process
import httpx
import measure
import table

from pepsasync import Client, Config
from pepsasync.model import Quota, StorageTier
from pepsasync.sandbox.catalogue import generate

SCALE = 240.0
"""Seconds of an archive in one of the benchmark."""

SHRINK = 1000.0
"""Bytes of an archive in one of the benchmark, where sizes are given as archives have them."""

POLL, LONGEST_POLL, OLD_PAUSE = 5.0, 600.0, 60.0
"""Defaults of pepsasync and of the old script, seconds of an archive."""

JOBS = 4

COLLECTIONS = ("S1", "S2ST")


@dataclass(frozen=True)
class Setting:
    """What is scarce."""

    name: str
    rate: int
    """Of the line, bytes a second."""
    products: int = 24
    size: int = 4 << 20
    drives: int = 2
    mount: float = 0.2
    read: float = 0.8
    smallest: int | None = None
    """Bytes of the smallest product, where they differ: `size` is the largest one, and as many lie between a size and
    twice that as between that and four times that."""
    each: float = math.inf
    """Of each connection, bytes a second."""
    tape_products: int = 1
    """Products on one tape, which are neighbours in time."""
    quota: Quota | None = None
    cache: float | None = None
    """Bytes of the archive's disk, as a share of the order."""
    scale: float = SCALE
    """Seconds of an archive in one of this setting."""
    ways: tuple[str, ...] | None = None
    """Which are measured; None for all."""

    @cached_property
    def catalogue(self):
        """The products of the archive, half of them on tape."""
        made = generate(self.products, size=self.size, vary=False, tape_fraction=0.5, seed=3)
        if self.smallest is None:
            return made
        sizes = random.Random(3)
        return tuple(
            replace(one, size=round(self.smallest * (self.size / self.smallest) ** sizes.random())) for one in made
        )

    @property
    def total(self):
        """Bytes of the order."""
        return sum(product.size for product in self.catalogue)

    def bound(self):
        """Seconds that neither drives nor line nor quota can undercut."""
        on_tape = [at // self.tape_products for at, one in enumerate(self.catalogue) if one.mode == "tape"]
        rate = min(self.rate, JOBS * self.each)
        if self.tape_products == 1:
            busy = math.ceil(len(on_tape) / self.drives) * (self.mount + self.read)
        else:
            busy = (len(set(on_tape)) * self.mount + len(on_tape) * self.read) / self.drives
        last = min(one.size for one in self.catalogue) / min(self.rate, self.each)
        windows = math.ceil(self.products / self.quota.products) - 1 if self.quota else 0
        longest = max(one.size for one in self.catalogue) / min(self.rate, self.each * JOBS)
        return max(busy + last, self.total / rate, longest, windows * self.quota.seconds if self.quota else 0)

    def shape(self):
        """Arguments of `Sandbox`."""
        quota = {"peps_quota": self.quota.products, "peps_quota_seconds": self.quota.seconds} if self.quota else {}
        return {
            "catalogue": self.catalogue,
            "tape_drives": self.drives,
            "mount_seconds": self.mount,
            "staging_seconds": self.read,
            "tape_products": self.tape_products,
            "cache_size": round(self.total * self.cache) if self.cache else None,
            "seed": 3,
            **quota,
        }


def as_archives_are(name, scale, ways=None):
    """Sizes, rates and times of a real archive, so many times as fast."""
    return Setting(
        name,
        math.inf,
        products=240,
        smallest=int(50e6 / SHRINK),
        size=int(8e9 / SHRINK),
        each=20e6 * scale / SHRINK,
        mount=150 / scale,
        read=20 / scale,
        tape_products=5,
        quota=Quota(50, 600 / scale),
        cache=0.95,
        scale=scale,
        ways=ways,
    )


SETTINGS = {
    "line": Setting("the line is scarce", 10 << 20),
    "drives": Setting("the drives are scarce", 40 << 20, read=1.3),
    "archive": as_archives_are("as archives are", SCALE),
    "archive-slower": as_archives_are("as archives are, a quarter as fast", SCALE / 4, ("pepsasync",)),
}

WARM_UP = Setting("warm-up", 40 << 20, products=6, read=0.1)


class Ours:
    """pepsasync, with what may differ."""

    def __init__(self, *, poll=POLL, longest_poll=LONGEST_POLL, stages_first=False):
        self.poll, self.longest_poll, self.stages_first = poll, longest_poll, stages_first

    async def __call__(self, setting, archive, folder):
        first, longest = self.poll / setting.scale, self.longest_poll / setting.scale
        config = Config(poll_interval=first, poll_interval_max=longest, jobs=JOBS, quota=setting.quota)
        root, known = archive.roots["peps"], archive.credentials("peps")
        async with Client("peps", base_url=root, credentials=known, config=config) as client:
            products = [p for c in COLLECTIONS async for p in client.search(collection=c)]
            if self.stages_first:
                on_tape = [product for product in products if product.tier is not StorageTier.DISK]
                async for _ in client.wait_online(on_tape):
                    pass
                products = [replace(product, tier=StorageTier.DISK) for product in products]
            return [delivery.path async for delivery in client.fetch(products, folder)]


async def like_the_old_script(setting, archive, folder):
    """Search, fetch one after the other what is on disk, ask for the rest, pause, search again."""
    done = []
    async with httpx.AsyncClient(auth=archive.account, timeout=60) as http:
        while len(done) < setting.products:
            for collection in COLLECTIONS:
                url = f"{archive.roots['peps']}/api/collections/{collection}/search.json?maxRecords=500"
                for feature in (await http.get(url)).json()["features"]:
                    properties = feature["properties"]
                    target = folder / f"{properties['productIdentifier']}.zip"
                    download = properties["services"]["download"]["url"]
                    if target not in done and properties["storage"]["mode"] == "disk":
                        if await save(http, download, target):
                            done.append(target)
                    elif target not in done and properties["storage"]["mode"] == "tape":
                        await http.get(download)
            if len(done) < setting.products:
                await anyio.sleep(OLD_PAUSE / setting.scale)
    return done


async def save(http, url, target):
    async with http.stream("GET", url) as response:
        if response.status_code != 200:  # a quota, or on tape again
            return False
        with target.open("wb") as file:
            async for chunk in response.aiter_raw():
                file.write(chunk)
    return True


WAYS = {
    "pepsasync": Ours(),
    "pepsasync, a look every 5 s": Ours(longest_poll=POLL),
    "pepsasync, a look a minute": Ours(poll=OLD_PAUSE, longest_poll=OLD_PAUSE),
    "stage everything, then download": Ours(stages_first=True),
    "the old script's loop": like_the_old_script,
}


def run(way, setting):
    """Seconds, and what the archive has seen."""
    with tempfile.TemporaryDirectory() as folder, _archive(setting) as archive:

        async def timed():
            began = time.perf_counter()
            paths = await way(setting, archive, Path(folder))
            return time.perf_counter() - began, paths

        seconds, paths = anyio.run(timed)
        sizes = {f"{product.name}.zip": product.size for product in setting.catalogue}
        right = sum(path is not None and path.stat().st_size == sizes.get(path.name) for path in paths)
        if right != setting.products:
            sys.exit(f"only {right} of {setting.products} products are right")
        return seconds, archive.counted()


def _archive(setting):
    return archive_process.running(setting.shape(), setting.rate, setting.each)


def compare(setting, repeats):
    """A line for each way."""
    runs = {name: [] for name in setting.ways or WAYS}
    for turn in range(repeats):
        for name in measure.rotated(list(runs), turn):
            runs[name].append(run(WAYS[name], setting))
    return [summary(setting, name, several) for name, several in runs.items()]


def summary(setting, name, runs):
    seconds = [taken for taken, _ in runs]
    counted = [one for _, one in runs]
    return {
        "setting": setting.name,
        "way": name,
        **spread("seconds", seconds, 2),
        "bound": round(setting.bound(), 2),
        "of_bound": round(statistics.median(seconds) / setting.bound(), 3),
        "looks": statistics.median(one.looks for one in counted),
        "staging_requests": statistics.median(one.staging_requests for one in counted),
        "requests": statistics.median(one.requests for one in counted),
        "runs": len(runs),
    }


def spread(name, values, digits):
    """Median, smallest and largest."""
    found = {"": statistics.median(values), "_min": min(values), "_max": max(values)}
    return {name + end: round(value, digits) for end, value in found.items()}


async def rate_of(providers, opened, count):
    """Bytes a second of so many products from some archives together."""
    async with Client(
        list(providers),
        credentials={name: opened[name].credentials(name) for name in providers},
        base_url={name: opened[name].roots[name] for name in providers},
        config=Config(segments=1, quota=Quota(10_000, 1.0)),
    ) as client:
        products = [product async for product in client.search(start="2015-01-01", end="2018-01-01")]
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            came = [delivery.bytes async for delivery in client.fetch(products[:count], folder)]
            return sum(came) / (time.perf_counter() - began)


def compare_sources(products, size, rate, repeats):
    """One line: each archive alone, and all together."""
    names = ("geodes", "cdse", "peps")
    shape = {"products": products, "product_size": size, "vary": False, "seed": 3}
    shape |= {"tape_fraction": 0.0, "geodes_quota": None}
    rates = {name: [] for name in (*names, "together")}
    with ExitStack() as stack:
        opened = {name: stack.enter_context(archive_process.running(shape, rate)) for name in names}
        anyio.run(rate_of, names, opened, len(names))
        for turn in range(repeats):
            for name in measure.rotated(list(rates), turn):
                several, count = (names, products) if name == "together" else ([name], products // len(names))
                rates[name].append(anyio.run(rate_of, several, opened, count))
    return {
        "MB_per_second": {name: round(statistics.median(values) / 1e6, 2) for name, values in rates.items()},
        **spread("of_sum", [value / (rate * len(names)) for value in rates["together"]], 3),
        "runs": repeats,
    }


def show(lines):
    """JSON for programs, a table for people."""
    for line in lines:
        print(json.dumps(line), flush=True)
    text = ways_table(lines) if "way" in lines[0] else sources_table(lines[0])
    print(f"\n{text}", file=sys.stderr, flush=True)


def ways_table(lines):
    setting, bound, runs = (lines[0][name] for name in ("setting", "bound", "runs"))
    header = ("way", "seconds (min to max)", "of the bound (min to max)", "looks", "staging requests", "requests")
    cells = [
        (
            line["way"],
            told(line, "seconds", ".2f"),
            f"{line['of_bound']:.3f} ({line['seconds_min'] / bound:.3f} to {line['seconds_max'] / bound:.3f})",
            *(f"{line[name]:g}" for name in ("looks", "staging_requests", "requests")),
        )
        for line in lines
    ]
    return f"{setting}: bound {bound:.2f} s, runs {runs}\n\n{table.rows(header, cells)}"


def sources_table(line):
    rates = line["MB_per_second"]
    cells = [(f"MB/s, runs {line['runs']}", *rates.values(), told(line, "of_sum", ".3f"))]
    return table.rows(("three archives", *rates, "of the sum (min to max)"), cells)


def told(line, name, form):
    return f"{line[name]:{form}} ({line[f'{name}_min']:{form}} to {line[f'{name}_max']:{form}})"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--quick", action="store_true", help="one repeat, smaller sources")
    options.add_argument("--sources", action="store_true", help="only the three sources")
    options.add_argument("--setting", choices=SETTINGS, help="only this one, without the three sources")
    options.add_argument("--json", type=Path, metavar="FILE", help="write all lines into a file, too")
    given = options.parse_args()
    repeats, lines = 1 if given.quick else given.repeats, []
    if not given.sources:
        for way in WAYS.values():
            run(way, WARM_UP)
        for name in [given.setting] if given.setting else SETTINGS:
            lines += (found := compare(SETTINGS[name], repeats))
            show(found)
    if given.sources or not given.setting:
        lines += (found := [compare_sources(45 if given.quick else 120, 1 << 20, 3_000_000, repeats)])
        show(found)
    if given.json:
        given.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
