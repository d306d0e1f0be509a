"""A run that brings members and is killed again and again leaves only right members behind, and ends with all of them."""

import json
import random
import signal

import pytest
from test_kill import in_step

from archives import members_of, sandbox
from pepsasync.folder.layout import Folder
from pepsasync.transfer.existing import stands
from pepsasync.transfer.verified import partial_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

RUN = """
import anyio
from pepsasync import Client, Config, Credentials

async def main(url, username, password, folder):
    config = Config(retry_wait=0.01, retry_wait_max=0.05, limit_rate=20_000_000)
    credentials = Credentials(username=username, password=password)
    async with Client("cdse", base_url=url, credentials=credentials, config=config) as client:
        with client.listen(tell):
            products = [p for c in ("S1", "S2ST") async for p in client.search(collection=c)]
            async for delivery in client.fetch(products, folder, include=["*.xml", "*.jp2", "*.tiff"]):
                assert delivery.error is None, delivery.error

anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""
KILLS = 5


@pytest.fixture
def anyio_backend():
    return "asyncio"


def start(backend, archive, folder):
    return in_step(RUN, backend, archive.cdse_url, archive.username, archive.password, folder)


def kill_after(process, count):
    """Kill the process after so many events of downloads; its exit code."""
    with process.stdout, process.stdin:
        for line in process.stdout:
            count -= json.loads(line)["event"].startswith("download")
            process.stdin.write(b"\n")
            if count <= 0:
                process.send_signal(signal.SIGKILL)
                break
        for _ in process.stdout:
            pass
    return process.wait()


def check_folder(archive, folder, *, is_over):
    """Whatever has a final name has the bytes of a member, and no folder passes for a whole product."""
    for product in archive.catalogue:
        top = folder / f"{product.name}.SAFE"
        right = members_of(archive, product.name)
        found = {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        assert all(right[path] == data for path, data in found.items())
        if top.exists():
            assert partial_of(top, Folder(folder)) is not None
        if is_over:
            assert {path for path in right if path.endswith((".xml", ".jp2", ".tiff"))} == set(found)
            assert stands(product.name, Folder(folder))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_killed_again_and_again_it_ends_with_every_member(backend, tmp_path):
    chance, kills = random.Random(f"members-{backend}"), 0
    async with sandbox(8, tape_fraction=0, product_size=1_500_000, faults={"cut": 0.3, "flip": 0.1}) as archive:
        while True:
            code = kill_after(start(backend, archive, tmp_path), chance.randint(1, 12) if kills < KILLS else 100_000)
            check_folder(archive, tmp_path, is_over=code == 0)
            if code != -signal.SIGKILL:
                break
            kills += 1
        assert (0, KILLS) == (code, kills)
        assert not any((tmp_path / ".pepsasync" / "unpack").iterdir())
