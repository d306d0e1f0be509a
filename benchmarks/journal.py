"""What does the journal cost for 10,000, 100,000 and 1,000,000 products?

Products as catalogues describe them, recorded in bulk, then every one noted as delivered, then counted by a reader of
its own. Each size runs in a process of its own, so that peak memory is that of this size.
"""

import random
import resource
import time
from datetime import UTC, datetime, timedelta

import anyio
from counts import measure_each

from pepsasync.folder.journal import JournalReader, State, open_journal
from pepsasync.model import Checksum, Product, StorageTier

FOOTPRINT = {
    "type": "Polygon",
    "coordinates": [[[1.25, 43.5], [4.41, 43.9], [4.05, 45.41], [0.83, 45.01], [1.25, 43.5]]],
}


def products(count):
    """Made while they are asked for: a list of a million would hide what the journal itself needs."""
    chance, first = random.Random(1), datetime(2015, 1, 1, tzinfo=UTC)
    for number in range(count):
        start = first + timedelta(seconds=25 * number)
        suffix = f"{chance.getrandbits(24):06X}_{chance.getrandbits(16):04X}"
        name = f"S1A_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{start:%Y%m%dT%H%M%S}_{number // 240:06}_{suffix}"
        yield Product(
            id=f"{chance.getrandbits(128):032x}",
            name=name,
            provider="geodes",
            collection="PEPS_S1_L1",
            download_url=f"https://archive.example/api/download/{name}/files/{chance.getrandbits(128):032x}",
            tier=StorageTier.TAPE,
            size=1_000_000_000 + number,
            checksum=Checksum("md5", f"{chance.getrandbits(128):032x}"),
            product_type="GRD",
            sensor_mode="IW",
            platform="S1A",
            start=start,
            end=start + timedelta(seconds=25),
            orbit=number // 240,
            relative_orbit=number // 240 % 175 + 1,
            orbit_direction="ascending",
            polarisation="VV VH",
            footprint=FOOTPRINT,
        )


class Cost:
    """Processor and wall seconds of a block, less those that making the products takes."""

    def __init__(self, making=None):
        self.making = making

    def __enter__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        if self.making:
            self.cpu, self.wall = self.cpu - self.making.cpu, self.wall - self.making.wall

    def rates(self, count, word):
        return {f"{word}_per_second": round(count / self.wall), f"{word}_cpu_us": round(self.cpu / count * 1e6, 1)}


async def measure(count, folder):
    """What a run does with its journal, one thing after the other."""
    with Cost() as making:
        for _ in products(count):
            pass
    async with open_journal(folder, tell=print) as journal:
        with Cost(making) as recording:
            order = journal.record_order({"collection": "S1"}, ["geodes"], {})
            await journal.note_products(order, products(count))
            await journal.flush()
        with Cost(making) as noting:
            for number, product in enumerate(products(count)):
                journal.note(product.name, State.DELIVERED, bytes=product.size, path=f"{product.name}.zip", attempts=1)
                if number % 5_000 == 0:
                    await journal.flush()
            await journal.flush()
        counting, counts = await anyio.to_thread.run_sync(count_once, folder)
        assert counts[State.DELIVERED].products == count
    with Cost() as opening:
        async with open_journal(folder, tell=print):
            pass
    return {
        "products": count,
        "making_cpu_us": round(making.cpu / count * 1e6, 1),
        **recording.rates(count, "recorded"),
        **noting.rates(count, "noted"),
        "counts_ms": round(counting * 1000, 1),
        "opening_s": round(opening.wall, 2),
        "bytes_per_product": round((folder / ".pepsasync" / "journal.db").stat().st_size / count),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, 1),
    }


def count_once(folder):
    """What `status` does: open, count, close."""
    began = time.perf_counter()
    with JournalReader(folder) as reader:
        counts = reader.counts()
    return time.perf_counter() - began, counts


if __name__ == "__main__":
    measure_each(__file__, __doc__, lambda count, folder: anyio.run(measure, count, folder))
