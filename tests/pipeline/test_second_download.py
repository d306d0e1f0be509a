"""What is reported of a product whose bytes were wrong once, and the room that its second download needs."""

from dataclasses import replace

import pytest

from archives import connect, everything, right_files, sandbox
from pepsasync import DeliveryStatus
from pepsasync.folder.space import Space
from pepsasync.model import Checksum

pytestmark = pytest.mark.anyio


async def test_room_is_set_aside_again_for_a_second_download(tmp_path, monkeypatch):
    needs = []
    renew = Space.renew

    def see(self, name, needed):
        renew(self, name, needed)
        needs.append(self._needs[name])

    monkeypatch.setattr(Space, "renew", see)
    async with (
        sandbox(1, tape_fraction=0, product_size=900_000, faults={"flip": 1.0}, fault_limit=1) as archive,
        connect(archive, "peps") as client,
    ):
        [product] = await everything(client)
        [delivery] = [one async for one in client.fetch([product], tmp_path)]

        assert delivery.status is DeliveryStatus.DELIVERED, delivery.error
        assert needs == [product.size]
        assert right_files(archive, tmp_path) == 1


async def test_checksum_that_nobody_compared_is_not_reported(tmp_path):
    """The archive of the bytes announces none, whatever another one says of a product of that name."""
    async with sandbox(1, tape_fraction=0) as archive, connect(archive, "peps") as client:
        [product] = await everything(client)
        [delivery] = [one async for one in client.fetch([replace(product, checksum=None)], tmp_path)]

        assert delivery.status is DeliveryStatus.DELIVERED, delivery.error
        assert delivery.checksum is None
        [again] = [one async for one in client.fetch([product], tmp_path)]
        assert isinstance(again.checksum, Checksum)


@pytest.mark.parametrize("extract", [False, True])
async def test_unpacking_does_not_count_as_download(tmp_path, monkeypatch, extract):
    ends = []

    async with sandbox(1, tape_fraction=0, product_size=900_000) as archive, connect(archive, "peps") as client:
        [product] = await everything(client)
        with client.listen(lambda event: ends.append(event.event)):
            [delivery] = [one async for one in client.fetch([product], tmp_path, extract=extract)]

    assert 0 < delivery.download_seconds
    assert ends.index("product_verified") < ends.index("product_delivered")
