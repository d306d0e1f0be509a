"""A part that somebody else changes on the disk is never delivered as verified."""

import pytest

from archives import connect, everything, right_files, sandbox
from pepsasync import DeliveryStatus
from pepsasync.events import DownloadProgressed, Noticed, ProductDownloaded
from pepsasync.folder.layout import Folder

pytestmark = pytest.mark.anyio


def damage(part):
    """Change bytes in place; again until the file system's clock, which ticks every few ms, tells it from a write of ours."""
    before = part.stat().st_mtime_ns
    while part.stat().st_mtime_ns == before:
        with part.open("r+b") as file:
            file.seek(1000)
            file.write(b"not what came")


def replace(part):
    """Put another zip of the same length in its place."""
    other = part.with_name("other")
    body = part.read_bytes()
    other.write_bytes(body[:1000] + b"not what came" + body[1013:])
    other.replace(part)


def lengthen(part):
    with part.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    ("change", "when"),
    [
        pytest.param(damage, DownloadProgressed, id="damaged-while-it-comes"),
        pytest.param(damage, ProductDownloaded, id="damaged-when-it-is-complete"),
        pytest.param(replace, ProductDownloaded, id="replaced"),
        pytest.param(lengthen, ProductDownloaded, id="longer"),
    ],
)
@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
async def test_part_that_was_changed_is_fetched_afresh(provider, change, when, tmp_path):
    notices, is_changed = [], []

    def see(event):
        if isinstance(event, Noticed):
            notices.append(event.message)
        part = Folder(tmp_path).part_path(product)
        if isinstance(event, when) and not is_changed and part.exists() and part.stat().st_size > 2000:
            is_changed.append(True)
            change(part)

    rate = 2_400_000 if when is DownloadProgressed else None
    async with (
        sandbox(1, tape_fraction=0, product_size=2_000_000) as archive,
        connect(archive, provider, limit_rate=rate) as client,
    ):
        [product] = await everything(client)
        with client.listen(see):
            [delivery] = [one async for one in client.fetch([product], tmp_path)]

        assert is_changed
        assert delivery.status is DeliveryStatus.DELIVERED, delivery.error
        assert right_files(archive, tmp_path) == 1
    assert any("downloading it again from the start" in message for message in notices)
