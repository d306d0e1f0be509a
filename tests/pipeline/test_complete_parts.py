"""A part that a killed run left complete is verified and named at once: it needs neither tape, quota nor slot."""

import anyio
import pytest

from archives import bytes_by_name, connect, credentials, everything, right_files, root, sandbox
from fakes import leave_part
from pepsasync import Client, Config, DeliveryStatus
from pepsasync.events import Noticed
from pepsasync.folder.layout import Folder
from pepsasync.model import Quota

pytestmark = pytest.mark.anyio
LARGE = 1_000_000


async def left_complete(client, archive, directory, body=None, **note):
    """A product of an archive all of whose bytes are in its part."""
    product = (await everything(client))[0]
    folder = Folder(directory)
    folder.open()
    body = body or archive.content(product.name).read()
    leave_part(folder, product, body, (0, len(body)), **note)
    return product


@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
async def test_complete_part_does_not_wait_for_the_quota(provider, tmp_path):
    async with (
        sandbox(2, tape_fraction=0, product_size=LARGE) as archive,
        connect(archive, provider, quota=Quota(1, 3600)) as client,
    ):
        product = await left_complete(client, archive, tmp_path / "complete")
        await client.download(product, tmp_path / "quota")
        sent = bytes_by_name(archive)
        with anyio.fail_after(60):
            [delivery] = [delivery async for delivery in client.fetch([product], tmp_path / "complete")]

        assert (DeliveryStatus.DELIVERED, 0) == (delivery.status, delivery.attempts)
        assert (delivery.bytes, delivery.bytes) == (product.size, delivery.resumed_bytes)
        assert 0.0 == delivery.download_seconds
        assert sent == bytes_by_name(archive)
        assert [True] == [path.exists() for path in (tmp_path / "complete").glob("*.zip")]


@pytest.mark.parametrize("skips_tape", [False, True])
@pytest.mark.parametrize("providers", [["peps"], ["geodes"], ["cdse"], ["geodes", "peps"]])
async def test_complete_part_of_a_product_on_tape_is_not_staged(providers, skips_tape, tmp_path):
    async with (
        sandbox(1, tape_fraction=1, product_size=LARGE, staging_seconds=3600) as archive,
        Client(
            providers,
            credentials={name: credentials(archive, name) for name in providers},
            base_url={name: root(archive, name) for name in providers},
            config=Config(skip_tape=skips_tape),
        ) as client,
    ):
        product = await left_complete(client, archive, tmp_path)
        with anyio.fail_after(60):
            [delivery] = [delivery async for delivery in client.fetch([product], tmp_path)]

        assert (DeliveryStatus.DELIVERED, providers[0]) == (delivery.status, delivery.source)
        assert (0.0, not archive.statistics.stagings) == (delivery.staged_seconds, True)
        assert 1 == right_files(archive, tmp_path)


@pytest.mark.parametrize("providers", [["peps"], ["cdse", "peps"]])
async def test_complete_part_that_is_wrong_is_staged_and_downloaded_anew(providers, tmp_path):
    notices = []
    async with (
        sandbox(1, tape_fraction=1, product_size=LARGE) as archive,
        Client(
            providers,
            credentials={name: credentials(archive, name) for name in providers},
            base_url={name: root(archive, name) for name in providers},
            config=Config(poll_interval=0.05, retry_wait=0.01),
        ) as client,
    ):
        [size] = {product.size for product in await everything(client)}
        product = await left_complete(client, archive, tmp_path, body=bytes(size))
        with client.listen(lambda event: notices.append(event.message) if isinstance(event, Noticed) else None):
            [delivery] = [delivery async for delivery in client.fetch([product], tmp_path)]

        assert DeliveryStatus.DELIVERED == delivery.status
        assert 1 == right_files(archive, tmp_path)
        assert any("downloading it again from the start" in notice for notice in notices)


async def test_complete_part_of_another_file_is_none_of_a_product_on_tape(tmp_path):
    async with (
        sandbox(1, tape_fraction=1, product_size=LARGE) as archive,
        connect(archive, "peps", skip_tape=True) as client,
    ):
        product = await left_complete(client, archive, tmp_path, checksums=[f"md5:{'0' * 32}"])
        outcomes = [delivery async for delivery in client.fetch([product], tmp_path)]

        assert [] == outcomes
        assert not archive.statistics.stagings
