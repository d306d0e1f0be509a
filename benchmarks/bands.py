"""How long do three bands of many products take, times what their bytes need on the line?

20 Sentinel-2 products of the sandbox, which runs in a process of its own behind a line of limited rate. Nothing else is
counted into the bound: no directory of a zip, no metadata, no request. What the whole products would have taken, as
bytes at the rate of the line, stands beside it.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import anyio
from archive_process import running

from pepsasync import Client, Config

PROVIDERS = ("cdse", "peps", "geodes")

BANDS = "B02,B03,B04"

MB = 1_000_000


def shape(size):
    return {
        "products": 40,
        "product_size": size,
        "vary": False,
        "tape_fraction": 0,
        "geodes_ranges": "works",
        "geodes_quota": 10_000,
    }


async def fetch_bands(archive, provider, count, folder):
    """Seconds of the fetch, bytes of the bands, bytes of the whole products."""
    root, account = archive.roots[provider], archive.credentials(provider)
    config = Config(jobs=4)
    async with Client(provider, base_url=root, credentials=account, config=config) as client:
        products = [product async for product in client.search(collection="S2ST", limit=count)]
        assert count == len(products)
        began = time.monotonic()
        async for delivery in client.fetch(products, folder, bands=BANDS):
            assert delivery.error is None, delivery.error
        seconds = time.monotonic() - began
    bands = list(folder.rglob("*.jp2"))
    assert 3 * count == len(bands)
    return seconds, sum(path.stat().st_size for path in bands), sum(product.size for product in products)


def measure(provider, given):
    with running(shape(given.size * MB), given.rate * MB) as archive, tempfile.TemporaryDirectory() as folder:
        seconds, bands, whole = anyio.run(fetch_bands, archive, provider, given.products, Path(folder))
    return {"seconds": seconds, "bound_s": bands / given.rate / MB, "whole_s": whole / given.rate / MB}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--products", type=int, default=20)
    options.add_argument("--size", type=int, default=30, help="MB of each product")
    options.add_argument("--rate", type=int, default=20, help="MB/s of the line")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    if given.quick:
        given.size, given.repeats = 10, 1
    for provider in PROVIDERS:
        runs = [measure(provider, given) for _ in range(given.repeats)]
        line = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
        print(
            json.dumps({"archive": provider} | line | {"of_bound": round(line["seconds"] / line["bound_s"], 2)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
