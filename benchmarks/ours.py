"""pepsasync as programs use it: `Client.fetch`, with its journal, its checks, and every file forced to the disk.

`transfer` leaves everything out but the download itself, which the package offers to nobody: for comparison with tools
that do no more.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

import anyio

from pepsasync import Checksum, Client, Config, Credentials, Product, StorageTier
from pepsasync.credentials.lookup import Lookup
from pepsasync.folder.layout import Folder
from pepsasync.hashes import new_hash
from pepsasync.http.client import Http
from pepsasync.limits.gate import Gate
from pepsasync.limits.throttle import Throttle
from pepsasync.providers.peps import Peps
from pepsasync.transfer.buffers import BufferPool
from pepsasync.transfer.context import ArchiveContext
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.download import download

ACCOUNT = Credentials(username="somebody", password="secret")


def fetch(work, folder):
    anyio.run(_fetch, work, folder)


def fetch_on_trio(work, folder):
    anyio.run(_fetch, work, folder, backend="trio")


def transfer(work, folder):
    anyio.run(_transfer, work, folder)


def transfer_with_blake3(work, folder):
    transfer(replace(work, algorithm="blake3"), folder)


def transfer_unverified(work, folder):
    transfer(replace(work, verified=False), folder)


async def _fetch(work, folder):
    async with Client("peps", base_url=work.root, credentials=ACCOUNT, config=settings(work)) as client:
        async for delivery in client.fetch(products(work), folder):
            if delivery.error is not None:
                raise delivery.error


async def _transfer(work, folder):
    config = settings(work)
    async with Http(config) as http, anyio.create_task_group() as tasks:
        where, provider = Folder(Path(folder)), Peps(http, Lookup.of(ACCOUNT), work.root)
        where.open()
        gate = Gate(provider.name, provider.limits, provider.account, config, ignore)
        archive = ArchiveContext(provider, http, gate, Throttle(None), config, ignore, BufferPool())

        async def one(product):
            part = await download(product, archive, IntoFolder(where))
            path, found = part.path, part.checksum()
            if part.memory is not None:
                found = _checksum_of(part.memory, work.algorithm) if work.verified else None
                path.write_bytes(part.memory)
            if found != product.checksum:
                raise SystemExit(f"{product.name} is wrong")
            path.replace(where.zip_path(product))

        for product in products(work):
            tasks.start_soon(one, product)


def _checksum_of(body, algorithm):
    digest = new_hash(algorithm)
    digest.update(body)
    return Checksum(algorithm, digest.hexdigest())


def ignore(event):
    pass


def settings(work):
    return Config(jobs=work.jobs, ca_bundle=Path(work.authority) if work.authority else None)


def products(work):
    return [
        Product(
            id=file.name,
            name=file.name.removesuffix(".zip"),
            provider="peps",
            collection="S1",
            download_url=file.url,
            tier=StorageTier.DISK,
            size=file.size,
            checksum=Checksum(work.algorithm, getattr(file, work.algorithm)) if work.verified else None,
        )
        for file in work.files
    ]


WAYS = {
    "pepsasync": fetch,
    "pepsasync, transfer alone": transfer,
    "pepsasync, transfer alone, BLAKE3": transfer_with_blake3,
    "pepsasync, transfer alone, not verified": transfer_unverified,
}
if importlib.util.find_spec("trio"):
    WAYS["pepsasync on trio"] = fetch_on_trio


def prepare(name):
    """Have anyio import its backend; the clock of others starts when that is done, too."""
    anyio.run(anyio.sleep, 0, backend="trio" if name.endswith("trio") else "asyncio")
