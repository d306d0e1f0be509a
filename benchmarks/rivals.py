"""Other libraries for Python, each used as its documentation shows, `Work.jobs` files at once.

Where a library compares no MD5 itself, the files are read again, as its users have to; with one exception: aiohttp
gives out chunks, so that its users would hash them on the way.
"""

# ruff: noqa: ASYNC230, FURB122, PLC0415 - as users write it, and nobody imports what another uses

import asyncio
import hashlib
import importlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from work import BLOCK, md5_of


def with_aiohttp(work, folder):
    import aiohttp

    async def one(session, seats, file):
        digest = hashlib.md5(usedforsecurity=False)
        async with seats, session.get(file.url) as response:
            response.raise_for_status()
            with Path(folder, file.name).open("wb") as part:
                async for chunk in response.content.iter_chunked(BLOCK):
                    part.write(chunk)
                    if work.verified:
                        digest.update(chunk)
        if work.verified:
            expect(file, digest.hexdigest())

    async def run():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            seats = asyncio.Semaphore(work.jobs)
            await asyncio.gather(*(one(session, seats, file) for file in work.files))

    asyncio.run(run())


def with_httpx(work, folder):
    import httpx

    async def one(client, seats, file):
        async with seats, client.stream("GET", file.url) as response:
            response.raise_for_status()
            with Path(folder, file.name).open("wb") as part:
                async for chunk in response.aiter_bytes():
                    part.write(chunk)

    async def run():
        async with httpx.AsyncClient(timeout=60) as client:
            seats = asyncio.Semaphore(work.jobs)
            await asyncio.gather(*(one(client, seats, file) for file in work.files))

    asyncio.run(run())
    read_again(work, folder)


def with_requests(work, folder):
    import requests

    def one(file):
        with session.get(file.url, stream=True, timeout=60) as response:
            response.raise_for_status()
            with Path(folder, file.name).open("wb") as part:
                for chunk in response.iter_content(BLOCK):
                    part.write(chunk)
        if work.verified:
            expect(file, md5_of(Path(folder, file.name)))

    with requests.Session() as session, ThreadPoolExecutor(work.jobs) as threads:
        list(threads.map(one, work.files))


def with_obstore(work, folder):
    import obstore
    from obstore.store import HTTPStore

    # It takes no certificate authority of ours, so it is spared the check of the certificate.
    store = HTTPStore.from_url(work.root, client_options={"allow_http": True, "allow_invalid_certificates": True})

    def one(file):
        with Path(folder, file.name).open("wb") as part:
            for chunk in obstore.get(store, file.url.removeprefix(f"{work.root}/")).stream(min_chunk_size=BLOCK):
                part.write(chunk)
        if work.verified:
            expect(file, md5_of(Path(folder, file.name)))

    with ThreadPoolExecutor(work.jobs) as threads:
        list(threads.map(one, work.files))


def with_stac_asset(work, folder):
    import stac_asset

    async def one(seats, client, file):
        async with seats:
            await stac_asset.download_file(file.url, Path(folder, file.name), clients=[client])

    async def run():
        async with await stac_asset.HttpClient.from_config(stac_asset.Config()) as client:
            seats = asyncio.Semaphore(work.jobs)
            await asyncio.gather(*(one(seats, client, file) for file in work.files))

    asyncio.run(run())
    read_again(work, folder)


def with_parfive(work, folder):
    import parfive

    downloader = parfive.Downloader(max_conn=work.jobs, max_splits=1, progress=False)
    for file in work.files:
        checksum = f"md5={file.md5}" if work.verified else None
        downloader.enqueue_file(file.url, path=folder, filename=file.name, checksum=checksum)
    if errors := downloader.download().errors:
        raise SystemExit(str(errors[0]))


def with_pypdl(work, folder):
    import pypdl

    tasks = [{"url": file.url, "file_path": str(Path(folder, file.name))} for file in work.files]
    checks = {"hash_algorithms": "md5"} if work.verified else {}
    results = pypdl.Pypdl(max_concurrent=work.jobs).start(tasks=tasks, display=False, **checks)
    if work.verified:
        wanted = {file.name: file.md5 for file in work.files}
        for _, result in results:
            if not result.validate_hash(wanted[Path(result.path).name], "md5"):
                raise SystemExit(f"{result.path} is wrong")


def with_pygeodes(work, folder):
    from pygeodes.utils.request import AsyncRequestMaker

    urls, sums = [file.url for file in work.files], [file.md5 for file in work.files]
    targets = [str(Path(folder, file.name)) for file in work.files]
    # Three files at once, and always their checksums: neither can be chosen.
    AsyncRequestMaker("secret", work.root).download_files(urls, targets, sums)


def with_eodag(work, folder):
    from eodag import EOProduct
    from eodag.config import PluginConfig
    from eodag.plugins.download.http import HTTPDownload

    plugin = HTTPDownload("measured", PluginConfig.from_mapping({"type": "HTTPDownload", "timeout": 60}))

    def one(file):
        name = file.name.removesuffix(".zip")
        product = EOProduct(
            "measured",
            {"id": name, "title": name, "geometry": "POINT(0 0)", "eodag:download_link": file.url},
        )
        product.register_downloader(plugin, None)
        product.downloader_auth = None
        path = plugin.download(product, output_dir=folder, extract=False, wait=1, timeout=1)
        if work.verified:
            expect(file, md5_of(path))

    with ThreadPoolExecutor(work.jobs) as threads:
        list(threads.map(one, work.files))


def read_again(work, folder):
    if work.verified:
        with ThreadPoolExecutor(work.jobs) as threads:
            sums = threads.map(lambda file: md5_of(Path(folder, file.name)), work.files)
            for file, md5 in zip(work.files, sums, strict=True):
                expect(file, md5)


def expect(file, md5):
    if md5 != file.md5:
        raise SystemExit(f"{file.name} is wrong")


WAYS = {
    "aiohttp": with_aiohttp,
    "httpx": with_httpx,
    "requests": with_requests,
    "obstore": with_obstore,
    "stac-asset": with_stac_asset,
    "parfive": with_parfive,
    "pypdl": with_pypdl,
    "pygeodes": with_pygeodes,
    "eodag": with_eodag,
}
"""By the name of the package."""

MODULES = {"pygeodes": "pygeodes.utils.request", "eodag": "eodag.plugins.download.http", "stac-asset": "stac_asset"}
"""What is imported before the clock starts, where it has another name than the package."""


def prepare(name):
    """Import what a way uses."""
    importlib.import_module(MODULES.get(name, name))


def find_version(package):
    """None when it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
