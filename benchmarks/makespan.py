"""How near does a whole run come to what tape drives and line allow?

An order of which half is on tape, time scaled so that a staging of minutes takes a second. Measured in turns:
pepsasync; pepsasync with a look a minute, as the old script did; staging everything first and downloading afterwards;
the old script's way (one product after the other, then a pause, then the next trial). Nothing can undercut the lower
bound: the larger of what the drives need until the last product is online and on disk, and of what the line needs for
all bytes.

With `--sources`: three archives, each behind a line of its own; the total beside the sum of the three.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from pepsasync import Client, Config, Credentials
from pepsasync.events import TiersWatched
from pepsasync.model import Quota, StorageTier
from pepsasync.sandbox import Sandbox

SCALE = 240.0
"""Seconds of an archive in one of the benchmark."""

POLL, LONGEST_POLL, OLD_PAUSE = 5 / SCALE, 600 / SCALE, 60 / SCALE
"""Defaults of pepsasync and of the old script, scaled."""

JOBS = 4


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

    def bound(self):
        """Seconds that neither drives nor line can undercut."""
        on_tape = math.ceil(self.products / 2 / self.drives) * (self.mount + self.read)
        return max(on_tape + self.size / self.rate, self.products * self.size / self.rate)

    def sandbox(self):
        return Sandbox(
            products=self.products,
            product_size=self.size,
            vary=False,
            tape_fraction=0.5,
            tape_drives=self.drives,
            mount_seconds=self.mount,
            staging_seconds=self.read,
            seed=3,
        )


SETTINGS = (Setting("the line is scarce", 10 << 20), Setting("the drives are scarce", 40 << 20, read=1.3))


@dataclass
class Outcome:
    seconds: float
    looks: int = 0


class Ours:
    """pepsasync, with what may differ."""

    def __init__(self, *, longest_poll=LONGEST_POLL, poll=POLL, stages_first=False):
        self.poll, self.longest_poll, self.stages_first = poll, longest_poll, stages_first

    async def __call__(self, setting, archive, folder, outcome):
        config = Config(
            limit_rate=setting.rate, poll_interval=self.poll, poll_interval_max=self.longest_poll, jobs=JOBS
        )
        known = Credentials(username=archive.username, password=archive.password)
        async with Client("peps", base_url=archive.peps_url, credentials=known, config=config) as client:
            with client.listen(lambda event: count(event, outcome)):
                products = [p for c in ("S1", "S2ST") async for p in client.search(collection=c)]
                if self.stages_first:
                    on_tape = [product for product in products if product.tier is not StorageTier.DISK]
                    async for _ in client.wait_online(on_tape):
                        pass
                return [delivery.path async for delivery in client.fetch(products, folder)]


def count(event, outcome):
    outcome.looks += isinstance(event, TiersWatched)


async def like_the_old_script(setting, archive, folder, outcome):
    """Search, fetch one after the other what is on disk, ask for the rest, pause, search again."""
    done = []
    async with httpx.AsyncClient(auth=(archive.username, archive.password), timeout=60) as http:
        while len(done) < setting.products:
            for collection in ("S1", "S2ST"):
                url = f"{archive.peps_url}/api/collections/{collection}/search.json?maxRecords=500"
                outcome.looks += 1
                for feature in (await http.get(url)).json()["features"]:
                    properties = feature["properties"]
                    target = folder / f"{properties['productIdentifier']}.zip"
                    download = properties["services"]["download"]["url"]
                    if target not in done and properties["storage"]["mode"] == "disk":
                        await limited(http, download, target, setting.rate)
                        done.append(target)
                    elif target not in done and properties["storage"]["mode"] == "tape":
                        await http.get(download)
            if len(done) < setting.products:
                await anyio.sleep(OLD_PAUSE)
    return done


async def limited(http, url, target, rate):
    began, received = time.perf_counter(), 0
    async with http.stream("GET", url) as response:
        with target.open("wb") as file:
            async for chunk in response.aiter_raw():
                received += len(chunk)
                file.write(chunk)
                await anyio.sleep(max(0.0, received / rate - (time.perf_counter() - began)))


WAYS = {
    "pepsasync": Ours(),
    "pepsasync, a look a minute": Ours(poll=OLD_PAUSE, longest_poll=OLD_PAUSE),
    "stage everything, then download": Ours(stages_first=True),
    "the old script's loop": like_the_old_script,
}


async def measure(way, setting):
    outcome = Outcome(0.0)
    with tempfile.TemporaryDirectory() as folder:
        async with setting.sandbox() as archive:
            began = time.perf_counter()
            paths = await way(setting, archive, Path(folder), outcome)
            outcome.seconds = time.perf_counter() - began
            right = sum(path is not None and path.stat().st_size == setting.size for path in paths)
    if right != setting.products:
        sys.exit(f"only {right} of {setting.products} products are right")
    return outcome


def compare(repeats):
    for setting in SETTINGS:
        outcomes = {name: [] for name in WAYS}
        for _ in range(repeats):
            for name, way in WAYS.items():
                outcomes[name].append(anyio.run(measure, way, setting))
        for name, several in outcomes.items():
            seconds = statistics.median(one.seconds for one in several)
            told = {
                "setting": setting.name,
                "way": name,
                "seconds": round(seconds, 2),
                "of_bound": round(seconds / setting.bound(), 3),
                "looks": statistics.median(one.looks for one in several),
            }
            print(json.dumps(told), flush=True)


class Line:
    """Forwards the connections of a port at a limited rate, all together.

    Args:
        port: Of this machine.
        rate: Bytes a second towards the client.
    """

    def __init__(self, port, rate):
        self._target, self._rate, self._free_at = port, rate, 0.0

    async def serve(self):
        return await asyncio.start_server(self._forward, "127.0.0.1", 0)

    async def _forward(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer, limited=True))

    async def _pump(self, reader, writer, *, limited=False):
        try:
            while chunk := await reader.read(16_384):
                if limited:
                    now = time.monotonic()
                    self._free_at = max(self._free_at, now - 0.05) + len(chunk) / self._rate
                    await asyncio.sleep(self._free_at - now)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@contextmanager
def lines(ports, rate):
    """A line to each of some ports; yields their own ports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = [asyncio.run_coroutine_threadsafe(Line(port, rate).serve(), loop).result() for port in ports]
    try:
        yield [server.sockets[0].getsockname()[1] for server in opened]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def source(archive, provider, port):
    """Root and account of an archive behind a line."""
    own = {"peps": archive.peps_url, "geodes": archive.geodes_url, "cdse": archive.cdse_url}[provider]
    address = httpx.URL(own)
    known = (
        Credentials(api_key=archive.api_key)
        if provider == "geodes"
        else Credentials(username=archive.username, password=archive.password)
    )
    return address.port, str(address.copy_with(port=port)) if port else own, known


async def rate_of(providers, archives, ports, count):
    """Bytes a second of so many products from some archives together."""
    found = {name: source(archives[name], name, ports[name]) for name in providers}
    async with Client(
        list(providers),
        credentials={name: known for name, (_, _, known) in found.items()},
        base_url={name: root for name, (_, root, _) in found.items()},
        config=Config(segments=1, quota=Quota(10_000, 1.0)),
    ) as client:
        products = [product async for product in client.search(start="2015-01-01", end="2018-01-01")]
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            came = [delivery.bytes async for delivery in client.fetch(products[:count], folder)]
            return sum(came) / (time.perf_counter() - began)


def compare_sources(products, size, rate):
    names = ("geodes", "cdse", "peps")
    with ExitStack() as opened:
        archives = {}
        for name in names:
            options = {"products": products, "product_size": size, "vary": False, "seed": 3}
            archives[name] = Sandbox(**options, tape_fraction=0.0, geodes_quota=None)
            archives[name].start()
            opened.callback(archives[name].stop)
        own = [source(archives[name], name, None)[0] for name in names]
        ports = dict(zip(names, opened.enter_context(lines(own, rate)), strict=True))
        alone = {name: anyio.run(rate_of, [name], archives, ports, products // 3) for name in names}
        together = anyio.run(rate_of, names, archives, ports, products)
    told = {name: round(value / 1e6, 2) for name, value in (alone | {"together": together}).items()}
    print(json.dumps({"MB_per_second": told, "of_sum": round(together / (rate * len(names)), 3)}), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--quick", action="store_true", help="one repeat, smaller sources")
    options.add_argument("--sources", action="store_true", help="only the three sources")
    chosen = options.parse_args()
    if not chosen.sources:
        compare(1 if chosen.quick else chosen.repeats)
    compare_sources(45 if chosen.quick else 120, 1 << 20, 3_000_000)


if __name__ == "__main__":
    main()
