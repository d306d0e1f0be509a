"""Full disks, folders that cannot be written, and names that want out."""

import dataclasses
import errno
import functools
import pathlib
import threading

import pytest

from archives import connect, everything, fetch_all, final_names, right_files, sandbox
from fakes import leave_part
from pepsasync import ConfigError, DeliveryStatus, DiskFullError
from pepsasync.engine.order import IN_MEMORY
from pepsasync.events import ProductDownloaded, ProductVerified
from pepsasync.folder import layout
from pepsasync.folder.space import MARGIN, UNPACKED, Space
from pepsasync.sandbox import Sandbox
from pepsasync.transfer import direct
from pepsasync.transfer import verified as notes

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [400_000, 800_000])
async def test_full_disk_ends_the_run_and_the_next_one_goes_on(size, tmp_path, monkeypatch):
    room = [2_000_000]

    def on_a_small_disk(write):
        def checked(where, block, **options):
            if room[0] < len(block):
                raise OSError(errno.ENOSPC, "No space left on device")
            room[0] -= len(block)
            write(where, block, **options)

        return checked

    async with sandbox(6, tape_fraction=0, product_size=size) as archive:
        monkeypatch.setattr(direct, "write_all", on_a_small_disk(direct.write_all))
        monkeypatch.setattr(layout, "write_new", on_a_small_disk(layout.write_new))
        async with connect(archive) as client:
            products = await everything(client)
            with pytest.raises(DiskFullError, match="no space left"):
                async for _ in client.fetch(products, tmp_path):
                    pass
        names = final_names(tmp_path)
        room[0] = 100_000_000
        await fetch_all(archive, tmp_path)

        assert len(names) < 6
        assert 6 == right_files(archive, tmp_path)


async def test_file_system_without_large_files_fails_the_large_products_alone(tmp_path, monkeypatch):
    def too_large(file, block):
        raise OSError(errno.EFBIG, "File too large")

    async with sandbox(2, tape_fraction=0, product_size=800_000) as archive:
        monkeypatch.setattr(direct, "write_all", too_large)
        outcomes, _ = await fetch_all(archive, tmp_path)

    assert {DeliveryStatus.FAILED} == {delivery.status for delivery in outcomes.values()}
    assert all("the file system does not allow files of that size" in str(one.error) for one in outcomes.values())


@pytest.fixture
def leave(monkeypatch):
    """Pretends that so many bytes are free, beside the margin."""

    def free(count):
        monkeypatch.setattr("pepsasync.client.Space", functools.partial(Space, free=lambda _: MARGIN + count))

    return free


async def test_zip_that_is_here_needs_room_for_its_folder_alone(tmp_path, leave):
    async with sandbox(1, tape_fraction=0) as archive:
        first, _ = await fetch_all(archive, tmp_path)
        [[name, zipped]] = first.items()
        leave(int(zipped.bytes * UNPACKED))
        second, _ = await fetch_all(archive, tmp_path, extract=True)

    assert DeliveryStatus.DELIVERED is second[name].status
    assert [f"{name}.SAFE"] == final_names(tmp_path)


async def test_what_further_connections_brought_needs_no_room_again(tmp_path, leave):
    async with sandbox(1, tape_fraction=0, product_size=1_000_000) as archive, connect(archive, "cdse") as client:
        [product] = await everything(client)
        body = archive.content(product.name).read()
        place = layout.Folder(tmp_path)
        place.open()
        leave_part(place, product, body, (1000, len(body)))
        leave(1000)
        [delivery] = [one async for one in client.fetch([product], tmp_path)]

        assert DeliveryStatus.DELIVERED is delivery.status
        assert 1 == right_files(archive, tmp_path)


async def test_small_products_do_not_pile_up_in_memory_before_a_slow_disk(tmp_path, monkeypatch):
    promote, far_behind = layout.Folder.promote, threading.Event()
    backlog, longest = set(), [0]

    def slowly(where, product, body, **how):
        far_behind.wait(1.0)  # more than enough for all downloads
        return promote(where, product, body, **how)

    def count(event):
        match event:
            case ProductDownloaded():
                backlog.add(event.name)
                longest[0] = max(longest[0], len(backlog))
            case ProductVerified():
                backlog.discard(event.name)
        if longest[0] > IN_MEMORY:
            far_behind.set()

    monkeypatch.setattr(layout.Folder, "promote", slowly)
    async with sandbox(120, tape_fraction=0, product_size=20_000) as archive, connect(archive) as client:
        with client.listen(count):
            products = await everything(client)
            async for _ in client.fetch(products, tmp_path):
                far_behind.set()

        assert len(products) == right_files(archive, tmp_path)
    assert longest[0] <= IN_MEMORY


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT])
async def test_folder_that_cannot_be_made_is_a_config_error(number, tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise OSError(number, "cannot")

    monkeypatch.setattr(pathlib.Path, "mkdir", fails)
    async with sandbox(1) as archive, connect(archive) as client:
        with pytest.raises(ConfigError, match="cannot write to"):
            async for _ in client.fetch(["S1A_X"], tmp_path / "data"):
                pass


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", "a/b", "nul", ".hidden", "x" * 250])
async def test_hostile_product_name_stays_in_the_folder(name, tmp_path):
    async with sandbox(1, tape_fraction=0) as model:
        hostile = dataclasses.replace(model.catalogue[0], name=name, id="")
    folder = tmp_path / "data"
    async with Sandbox(catalogue=[hostile]) as archive:
        outcomes, _ = await fetch_all(archive, folder)

    [delivery] = outcomes.values()
    assert DeliveryStatus.DELIVERED is delivery.status
    assert folder == delivery.path.parent
    assert [delivery.path.name] == final_names(folder)
    assert [folder] == [path for path in tmp_path.iterdir() if path.name != "home"]


async def test_full_disk_when_only_the_record_is_left_to_write_costs_nothing(tmp_path, monkeypatch):
    """The product is complete and has its name; the record only saves hashing it again."""

    def fails(path, content, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with sandbox(2, tape_fraction=0) as archive:
        monkeypatch.setattr(notes, "write_new", fails)
        first, _ = await fetch_all(archive, tmp_path)
        second, _ = await fetch_all(archive, tmp_path)

        assert 2 == right_files(archive, tmp_path)
    assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in first.values()}
    assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in second.values()}
