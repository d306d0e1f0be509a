"""Does a product cost the same in a run of 10,000 and in one of 1,000,000?

A whole run with the real journal and a real folder: pages of a catalogue made while they are asked for, every product
recorded, looked for in the folder and given an outcome. One in `DOWNLOADED` is downloaded, verified and promoted; the
others are on tape and left out, so that a million takes minutes. Not measured: the network, parsing (`search.py`) and
large bodies (`bench.py`). Then `status` as a whole command, and the time until `resume` hands out its first product.
Each size runs in a process of its own, so that peak memory is that of this size.
"""

import hashlib
import io
import resource
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from functools import partial

import anyio
import httpx
import journal
from counts import measure_each

from pepsasync.cli.resume import find_unfinished
from pepsasync.config import Config
from pepsasync.display.counters import Counters
from pepsasync.engine.fetch import fetch
from pepsasync.engine.one_archive import OneArchive
from pepsasync.engine.order import Order
from pepsasync.engine.recorder import Journals
from pepsasync.folder.journal import open_journal
from pepsasync.folder.layout import Folder
from pepsasync.groups import task_group
from pepsasync.http.client import Http
from pepsasync.limits.gate import Gate
from pepsasync.limits.throttle import Throttle
from pepsasync.model import Checksum, Limits, Query, StorageTier
from pepsasync.providers.base import SearchPage
from pepsasync.transfer.buffers import BufferPool
from pepsasync.transfer.context import ArchiveContext

DOWNLOADED = 1_000
"""One product in so many comes over the (pretended) network; the others are on tape and left out."""

PAGE = 500
"""Products a catalogue page."""


def small_zip():
    """The body of every product."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("manifest.safe", "<xfdu/>")
    return body.getvalue()


BODY = small_zip()
SUM = Checksum("md5", hashlib.md5(BODY, usedforsecurity=False).hexdigest())


class Catalogue:
    """A `Provider` whose pages are made while they are asked for."""

    name = "geodes"
    limits = Limits(page_size=PAGE, downloads=4, staging_requests=4, poll_batch=PAGE, bounded_ranges=False)

    def __init__(self, count, http):
        self._pages = -(-count // PAGE)
        self._count = count
        self._products = journal.products(count)
        self._http = http

    def slices(self, query):
        return [query]

    async def search_page(self, _, page):
        first = (page - 1) * PAGE
        made = [next(self._products) for _ in range(first, min(first + PAGE, self._count))]
        products = (online(one) if not (first + n) % DOWNLOADED else one for n, one in enumerate(made))
        return SearchPage(tuple(products), is_last=page >= self._pages, total=self._count)

    async def download_request(self, product):
        return self._http.build("GET", product.download_url)

    def is_own(self, _):
        return True

    def judge_download(self, *_):
        return None


def online(product):
    return replace(product, tier=StorageTier.DISK, size=len(BODY), checksum=SUM)


async def answer(_):
    return httpx.Response(200, headers={"Content-Length": str(len(BODY))}, stream=httpx.ByteStream(BODY))


async def run(count, folder, counters):
    """What `Client.fetch` does, with another archive; returns the outcomes."""
    config, journals = Config(skip_tape=True), Journals(counters.take)
    async with Http(config, transport=httpx.MockTransport(answer)) as http:
        provider, where = Catalogue(count, http), Folder(folder)
        gate = Gate(provider.name, provider.limits, None, config, counters.take)
        archive = ArchiveContext(provider, http, gate, Throttle(None), config, counters.take, BufferPool())
        where.open()
        async with (
            journals.recorder(folder, [provider.name], {"provider": "geodes"}) as recorder,
            task_group() as tasks,
        ):
            order = Order(
                recorder.owned(where),
                config,
                recorder.take,
                source=provider.name,
                asked_before=await recorder.asked_before(),
                in_progress=recorder.in_progress,
            )
            archives = OneArchive(await recorder.recorded(archive), order)
            outcomes, known = anyio.create_memory_object_stream(64)
            tasks.start_soon(fetch, Query(collection="S1"), provider, archives, order, recorder, outcomes)
            return [delivery.status async for delivery in known]


async def fill(count, folder):
    """A journal of products that are all still to be done, as a killed run leaves it."""
    async with open_journal(folder, tell=print) as opened:
        order = opened.record_order({"collection": "S1"}, ["geodes"], {"provider": "geodes"})
        await opened.note_products(order, journal.products(count))
        opened.note_searched(order)


def status_seconds(folder):
    """The whole command, start of the interpreter and all."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pepsasync", "status", folder], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def resume_seconds(folder):
    """Until `resume` knows what is to be done and has the first product of it."""
    began = time.perf_counter()
    jobs = find_unfinished(folder)
    next(iter(jobs[0].wanted))
    return time.perf_counter() - began


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(count, folder):
    counters = Counters()
    (folder / "killed").mkdir()
    wall, cpu = time.perf_counter(), time.process_time()
    statuses = anyio.run(partial(run, count, folder / "run", counters))
    wall, cpu, peak = time.perf_counter() - wall, time.process_time() - cpu, peak_bytes()
    assert counters.delivered == len(statuses) == -(-count // DOWNLOADED)
    assert counters.finished == count
    anyio.run(fill, count, folder / "killed")
    return {
        "products": count,
        "us_per_product": round(wall / count * 1e6, 1),
        "cpu_us_per_product": round(cpu / count * 1e6, 1),
        "peak_MB": round(peak / 1e6, 1),
        "status_s": round(min(status_seconds(folder / "run") for _ in range(3)), 3),
        "resume_s": round(resume_seconds(folder / "killed"), 3),
    }


if __name__ == "__main__":
    measure_each(__file__, __doc__, measure)
