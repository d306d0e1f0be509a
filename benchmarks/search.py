"""How long does it take to list 100,000 products of each archive, and how much of that is our work?

With `--tiles 40`, an order as people write them instead: so many tiles, a year, both collections.

A sandbox in another process lists them. A bare client asks for the same pages, as many at once, and throws them away:
that is the server's own time. The server makes its products when they are first asked for, so everything is listed once
before. Both share the processors, so the processor seconds of client and server are told, too.
Parsing is measured by itself, on a page in memory. Each archive is listed in a process of its own.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx

from pepsasync.config import Config
from pepsasync.credentials.lookup import Lookup
from pepsasync.engine.search import search
from pepsasync.http.client import Http
from pepsasync.model import Product
from pepsasync.providers import make_provider
from pepsasync.query.criteria import build_query
from pepsasync.sandbox import Sandbox

ARCHIVES = ("peps", "geodes", "cdse")

PARSINGS = 7
"""Of one page; the quickest counts, since the others were disturbed."""


YEAR = {"start": datetime(2017, 1, 1, tzinfo=UTC), "end": datetime(2018, 1, 1, tzinfo=UTC)}
WIDE = (-3.0, 41.0, 6.0, 48.0)
"""West, south, east, north in degrees."""
OTHERS = [f"32T{column}{row}" for column in "LMNPQ" for row in "PQRS"]
"""Tiles without products, when those with products are too few."""


def serve(count, tiles, pipe):
    """Half of a catalogue is Sentinel-1; with tiles, both spread over a year."""
    spread = {**YEAR, "area": WIDE} if tiles else {}
    archive = Sandbox(products=2 * count, product_size=10_240, tape_fraction=1.0, **spread)
    archive.start()
    known = Counter(product.tile for product in archive.catalogue if product.tile)
    chosen = sorted([*(tile for tile, _ in known.most_common()), *OTHERS][:tiles])
    pipe.send(({name: getattr(archive, f"{name}_url") for name in ARCHIVES}, chosen))
    pipe.recv()


def wanted(tiles):
    """What is listed: a collection, or an order for tiles."""
    if not tiles:
        return build_query(collection="S1")
    return build_query(collection=["S1", "S2ST"], tile=tiles, start="2017-01-01", end="2018-01-01")


def cpu_seconds(pid):
    """Processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cost:
    """Seconds of a block, and processor seconds of this process and of the server."""

    def __init__(self, server):
        self._server = server

    def _now(self):
        return time.perf_counter(), time.process_time(), cpu_seconds(self._server)

    def __enter__(self):
        self._began = self._now()
        return self

    def __exit__(self, *_):
        self.wall, self.own, self.server = (b - a for a, b in zip(self._began, self._now(), strict=True))


class Asked:
    """Keeps every request as it is sent, and the longest page."""

    def __init__(self, http):
        self.requests = []
        self.page = b""
        self._send = http.json
        http.json, http.on_search_reply = self.json, self.take

    async def json(self, request, **options):
        self.requests.append(request)
        return await self._send(request, **options)

    def take(self, _, body):
        self.page = max(self.page, body, key=len)

    def leave(self, http):
        http.json, http.on_search_reply = self._send, None


async def measure(name, url, server, repeats, tiles):
    query = wanted(tiles)
    async with Http(Config()) as http:
        provider = make_provider(name, http, Lookup.of(None), url)
        await list_all(provider, query)
        peak = peak_bytes()  # before requests are kept, and without those of the bare client
        asked = Asked(http)
        await list_all(provider, query)
        asked.leave(http)
        bare, ours = [], []
        for _ in range(repeats):
            with Cost(server) as cost:
                await fetch_bare(asked.requests, provider.limits.search_pages)
            bare.append(cost)
            with Cost(server) as cost:
                found = await list_all(provider, query)
            ours.append(cost)
        parsing, reading = await parse(provider, http, asked.page, query)
    return {
        "archive": name,
        "products": found,
        "requests": len(asked.requests),
        "at_once": provider.limits.search_pages,
        "seconds": round(middle(ours, "wall"), 2),
        "bare_seconds": round(middle(bare, "wall"), 2),
        "ratio": round(middle(ours, "wall") / middle(bare, "wall"), 2),
        "ratios": [round(mine.wall / theirs.wall, 2) for mine, theirs in zip(ours, bare, strict=True)],
        "cpu_s": round(middle(ours, "own"), 2),
        "server_cpu_s": round(middle(ours, "server"), 2),
        "bare_cpu_s": round(middle(bare, "own"), 2),
        "bare_server_cpu_s": round(middle(bare, "server"), 2),
        "parse_us": round(parsing * 1e6, 1),
        "json_us": round(reading * 1e6, 1),
        "peak_MB": round(peak / 1e6, 1),
    }


def middle(costs, which):
    return statistics.median(getattr(cost, which) for cost in costs)


async def list_all(provider, query):
    """Products that match, each forgotten at once."""
    found = 0
    async with search(query, provider, lambda _: None) as pages:
        async for products in pages:
            found += len(products)
    return found


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def fetch_bare(requests, at_once):
    """The same requests, so many at once, thrown away."""
    turns = anyio.CapacityLimiter(at_once)

    async def fetch(client, request):
        async with turns:
            again = client.build_request(
                request.method, request.url, content=request.content, headers={"Content-Type": "application/json"}
            )
            (await client.send(again)).raise_for_status()

    async with httpx.AsyncClient(timeout=60) as client, anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(fetch, client, request)


async def parse(provider, http, body, whole):
    """Processor seconds a product: from decoded JSON to products, and from bytes to decoded JSON."""
    query = provider.slices(whole)[0]
    parsing = reading = float("inf")
    for _ in range(PARSINGS):
        began = time.process_time()
        reply = json.loads(body)
        reading = min(reading, time.process_time() - began)

        async def answer(*_, reply=reply, **__):
            return reply

        http.json = answer
        began = time.process_time()
        page = await provider.search_page(query, 1)
        parsing = min(parsing, time.process_time() - began)
    assert all(isinstance(product, Product) for product in page.products)
    return parsing / len(page.products), reading / len(page.products)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--products", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=3, help="in turns; medians are told")
    options.add_argument("--tiles", type=int, default=0, help="so many tiles, a year, both collections")
    options.add_argument("--archives", nargs="+", choices=ARCHIVES, default=ARCHIVES)
    options.add_argument("--here", nargs=3, metavar=("ARCHIVE", "URL", "PID"), help="measure in this process")
    options.add_argument("--of", nargs="*", default=[], metavar="TILE", help="these tiles, with --here")
    chosen = options.parse_args()
    if chosen.here:
        name, url, server = chosen.here
        print(json.dumps(anyio.run(measure, name, url, int(server), chosen.repeats, chosen.of)), flush=True)
        return
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(chosen.products, chosen.tiles, theirs), daemon=True)
    server.start()
    theirs.close()  # so that a server that fails is an end of file, not a wait for ever
    urls, tiles = ours.recv()
    try:
        for name in chosen.archives:
            here = ["--here", name, urls[name], str(server.pid), "--repeats", str(chosen.repeats), "--of", *tiles]
            subprocess.run([sys.executable, __file__, *here], check=True)
    finally:
        ours.send("done")
        server.join()


if __name__ == "__main__":
    main()
