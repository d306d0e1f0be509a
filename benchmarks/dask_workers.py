"""Workers of a Dask cluster: what a product costs the coordinator, what workers add, and a plain map beside it.

`python benchmarks/dask_workers.py small` brings many small products through four worker processes, and has a plain
`client.map` of requests do the same: that one keeps no limits, checks nothing but MD5, and forces nothing to the disk.
`links` brings large products over connections that nginx limits, with 1 to 8 workers. `check` has 1 and 4 workers hash
and read large products that are here already, as after a kill: nothing but processor and disk.

Needs nginx, and the extra `dask`. Time begins when the cluster is up and its workers have imported everything.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path

import anyio
import distributed
import server

from pepsasync import Checksum, Client, Config, Credentials, Product, StorageTier
from pepsasync.cluster import Dask
from pepsasync.cluster.worker import work as brings
from pepsasync.folder.layout import Folder, PartRecord
from pepsasync.model import Quota

RATE = server.SLOW


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("small", "links", "check"))
    options.add_argument("--products", type=int, default=10_000, help="small ones")
    options.add_argument("--size", type=int, default=20_000, help="bytes of a small one")
    options.add_argument("--large", type=int, default=40 << 20, help="bytes of a large one")
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    given = options.parse_args()
    server.need_commands()
    with tempfile.TemporaryDirectory(prefix="pepsasync-bench-") as folder:
        {"small": small, "links": links, "check": check}[given.what](given, Path(folder))


def small(given, folder):
    with served(folder) as root:
        files = server.make_files(folder, root, 1, given.size, shared=True)
        products = products_of(files[0], given.products)
        with cluster(4, 4) as client:
            seconds, cpu = fetch(root, products, folder / "ours", client, jobs=16)
            print(json.dumps(row("pepsasync", len(products), seconds, cpu)), flush=True)
            seconds, cpu = mapped(client, products, folder / "mapped")
            print(json.dumps(row("client.map of requests", len(products), seconds, cpu)), flush=True)


def links(given, folder):
    with served(folder) as root:
        (file,) = server.make_files(folder, root, 1, given.large, shared=True, slow=True)
        for workers in given.workers:
            products = products_of(file, 2 * workers)
            with cluster(workers, 1) as client:
                seconds, cpu = fetch(root, products, folder / f"of-{workers}", client, jobs=workers)
            rate = sum(product.size for product in products) / seconds
            print(
                json.dumps(
                    row("pepsasync", len(products), seconds, cpu)
                    | {"workers": workers, "MB/s": round(rate / 1e6, 1), "of linear": round(rate / RATE / workers, 3)}
                ),
                flush=True,
            )


def check(given, folder):
    with served(folder) as root:
        (file,) = server.make_files(folder, root, 1, given.large, shared=True)
        for workers in (1, 4):
            products, here = products_of(file, 8), folder / f"by-{workers}"
            for product in products:
                leave_complete(product, Path(file.path), here)
            with cluster(workers, 1) as client:
                seconds, cpu = fetch(root, products, here, client, jobs=workers)
            rate = sum(product.size for product in products) / seconds
            print(
                json.dumps(
                    row("pepsasync", len(products), seconds, cpu)
                    | {"workers": workers, "MB/s": round(rate / 1e6), "processors": os.cpu_count()}
                ),
                flush=True,
            )


@contextlib.contextmanager
def served(folder):
    with server.nginx(folder, with_tls=False) as (root, _):
        yield root


@contextlib.contextmanager
def cluster(workers, threads):
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=threads, dashboard_address=None, silence_logs=logging.ERROR
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.run(lambda: brings.__module__)  # imports it everywhere
        yield client


def products_of(file, count):
    """Products with names of their own and the bytes of one file."""
    md5 = Checksum("md5", file.md5)
    return [
        Product(
            id=str(number),
            name=f"P{number:08d}",
            provider="geodes",
            collection="S2",
            download_url=f"{file.url}?{number}",
            tier=StorageTier.DISK,
            size=file.size,
            checksum=md5,
        )
        for number in range(count)
    ]


def leave_complete(product, file, directory):
    """Leave what a killed run has received and not checked."""
    folder = Folder(directory)
    folder.open()
    folder.part_path(product).write_bytes(file.read_bytes())
    folder.write_record(product, PartRecord(folder.note_for(product), [(0, product.size)]))


def fetch(root, products, directory, dask, *, jobs):
    """Seconds, and processor time of this process, the coordinator."""

    async def bring():
        config = Config(jobs=jobs, quota=Quota(10**9, 1.0))
        account = Credentials(api_key="key")
        async with Client("geodes", base_url=root, credentials=account, config=config) as client:
            began = time.perf_counter(), time.process_time()
            async for delivery in client.fetch(products, directory, executor=Dask(dask)):
                assert delivery.error is None, delivery.error
            return time.perf_counter() - began[0], time.process_time() - began[1]

    return anyio.run(bring)


def mapped(client, products, directory):
    """The same with a plain map, as people write it."""
    directory.mkdir()

    def get(url, path, md5):
        import requests  # noqa: PLC0415 - on the worker

        body = requests.get(url, timeout=60).content
        assert hashlib.md5(body).hexdigest() == md5
        Path(path).write_bytes(body)

    began = time.perf_counter(), time.process_time()
    urls, paths = zip(*((one.download_url, str(directory / f"{one.name}.zip")) for one in products), strict=True)
    client.gather(client.map(get, urls, paths, md5=products[0].checksum.value, pure=False))
    return time.perf_counter() - began[0], time.process_time() - began[1]


def row(who, count, seconds, cpu):
    return {
        "who": who,
        "products": count,
        "seconds": round(seconds, 2),
        "products/s": round(count / seconds),
        "coordinator's ms a product": round(1000 * cpu / count, 2),
    }


if __name__ == "__main__":
    main()
