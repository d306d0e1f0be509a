"""How much longer than the archive does `pepsasync search` take for one page, from the shell?

The whole command: interpreter, imports, request, parsing, a table. The archive's own time is that of a bare client,
already started, that asks for the same and throws it away. In turns; medians. The archive is a sandbox in a process of
its own, which has made its products before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import anyio
import archive_process
import httpx
import measure
from search import Asked

from pepsasync.config import Config
from pepsasync.credentials.lookup import Lookup
from pepsasync.engine.search import search
from pepsasync.http.client import Http
from pepsasync.providers import make_provider
from pepsasync.query.criteria import build_query

LIMIT = 20
"""Products wanted; a page has as many as the archive gives at once."""

ENDLESS = 1e9
"""Bytes a second of the line in front of the archive."""


def command(name, root):
    where = ["--provider", name, "--base-url", root]
    return [sys.executable, "-m", "pepsasync", "search", *where, "-c", "S1", "--limit", str(LIMIT)]


async def find_requests(name, root):
    """What the command asks the archive for."""
    async with Http(Config()) as http:
        provider, asked = make_provider(name, http, Lookup.of(None), root), Asked(http)
        async with search(build_query(collection="S1", limit=LIMIT), provider, lambda _: None) as pages:
            async for _ in pages:
                pass
    return asked.requests


def measure_archive(name, root, repeats):
    """Milliseconds of the command and of the archive."""
    requests, ours, bare = anyio.run(find_requests, name, root), [], []
    with httpx.Client(timeout=60) as client:
        for _ in range(repeats + 1):
            began = time.perf_counter()
            subprocess.run(command(name, root), stdout=subprocess.DEVNULL, check=True)
            between = time.perf_counter()
            for request in requests:
                headers = {"Content-Type": "application/json"}
                client.request(request.method, request.url, content=request.content, headers=headers).raise_for_status()
            ours.append(1000 * (between - began))
            bare.append(1000 * (time.perf_counter() - between))
    (middle, low, high), served = measure.spread(ours[1:]), statistics.median(bare[1:])
    more = statistics.median(a - b for a, b in zip(ours[1:], bare[1:], strict=True))
    found = {"ms": middle, "ms_min": low, "ms_max": high, "archive_ms": served, "more_ms": more}
    return {"archive": name, "runs": repeats} | {key: round(value) for key, value in found.items()}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=9)
    given = options.parse_args()
    with archive_process.running({"products": 1000, "product_size": 10_240}, ENDLESS) as archive:
        for name, root in archive.roots.items():
            print(json.dumps(measure_archive(name, root, given.repeats)), flush=True)


if __name__ == "__main__":
    main()
