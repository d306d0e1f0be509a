"""Some members of products, from all archives: what is fetched, what stands in the folder, what later runs make of it."""

import errno
import json
import os
from dataclasses import replace

import anyio
import pytest

from archives import QUICK, bytes_by_name, connect, credentials, final_names, members_of, right_files, sandbox
from fakes import leave_part, plain_archive, product
from pepsasync import Client, Config, StorageTier
from pepsasync.engine.deliver import deliver
from pepsasync.engine.one_archive import OneArchive
from pepsasync.engine.order import Order
from pepsasync.errors import DiskFullError, NotFoundError
from pepsasync.events import DownloadProgressed, DownloadRetried, Noticed
from pepsasync.folder.layout import Folder
from pepsasync.folder.space import Space
from pepsasync.http.client import Http
from pepsasync.members import partial_folder
from pepsasync.model import DeliveryStatus, Report
from pepsasync.query.members import build_selection
from pepsasync.report import report_as_dict
from pepsasync.sandbox import content
from pepsasync.transfer.destination import IntoFolder
from pepsasync.transfer.existing import stands
from pepsasync.transfer.reverify import Verdict, recheck
from servers import File, Server

pytestmark = pytest.mark.anyio

ARCHIVES = ["peps", "geodes", "cdse"]
SIZE = 400_000


def archive_of(products=3, **options):
    return sandbox(products, **({"tape_fraction": 0, "product_size": SIZE, "geodes_ranges": "works"} | options))


async def bring(archive, folder, provider="cdse", *, names=None, settings=None, **given):
    """Outcomes by product name, and the events."""
    events = []
    async with connect(archive, provider, **(settings or {})) as client:
        with client.listen(events.append):
            wanted = names or [one.name for one in archive.catalogue]
            return {d.product.name: d async for d in client.fetch(wanted, folder, **given)}, events


def files_in(folder, name):
    top = folder / f"{name}.SAFE"
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def check_members(archive, folder, wants):
    """Each product's folder holds exactly the wanted members, byte for byte; nothing else is there."""
    names = [product.name for product in archive.catalogue]
    assert sorted(f"{name}.SAFE" for name in names) == final_names(folder)
    for name in names:
        expected = {path: data for path, data in members_of(archive, name).items() if wants(path)}
        assert expected
        assert expected == files_in(folder, name)
    assert not any((folder / ".pepsasync" / "unpack").iterdir())


def is_metadata(path):
    return path.endswith((".xml", ".safe"))


@pytest.mark.parametrize("provider", ARCHIVES)
async def test_members_come_without_the_rest(tmp_path, provider):
    async with archive_of(product_size=4_000_000, vary=False) as archive:  # no image is small enough to come in vain
        outcomes, _ = await bring(archive, tmp_path, provider, include=["*.xml", "manifest.safe"])
        sent = sum(archive.statistics.bytes_sent.values())

        check_members(archive, tmp_path, is_metadata)
        for name, delivery in outcomes.items():
            expected = {path: data for path, data in members_of(archive, name).items() if is_metadata(path)}
            assert DeliveryStatus.DELIVERED is delivery.status
            assert tmp_path / f"{name}.SAFE" == delivery.path
            assert set(expected) == set(delivery.members)
            assert sum(map(len, expected.values())) == delivery.bytes
            assert None is delivery.checksum
            assert delivery.attempts in ((2,) if provider == "geodes" else (2, 3))  # the directory, and one or two runs
    if provider == "cdse":  # PEPS sends more than it is asked for, until it sees that nobody reads
        assert sent < 3 * 200_000


async def test_members_come_from_asf_over_its_redirects(tmp_path):
    async with archive_of() as archive:
        names = [product.name for product in archive.catalogue if product.collection == "S1"]
        outcomes, _ = await bring(archive, tmp_path, "asf", names=names, include="*.png")

        assert {None} == {delivery.error for delivery in outcomes.values()}
        for name in names:
            assert {"preview/quick-look.png": members_of(archive, name)["preview/quick-look.png"]} == files_in(
                tmp_path, name
            )


@pytest.mark.parametrize("streaming", ["php", "xsendfile", "nginx", "php-behind-nginx"])
async def test_however_peps_streams_its_files(tmp_path, streaming):
    async with archive_of(streaming=streaming) as archive:
        outcomes, _ = await bring(archive, tmp_path, "peps", include="*.png")

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: path.endswith(".png"))


@pytest.mark.parametrize("ranges", ["ignored", "error"])
async def test_where_no_parts_are_served_all_comes_and_the_rest_is_removed(tmp_path, ranges):
    async with archive_of(geodes_ranges=ranges) as archive:
        outcomes, events = await bring(archive, tmp_path, "geodes", include="*.png")

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert {("preview/quick-look.png",)} == {delivery.members for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: path.endswith(".png"))
    said = [event.message for event in events if isinstance(event, Noticed)]
    assert [
        "geodes does not serve parts of products: whole ones are downloaded, and what is not wanted of them is removed afterwards"
    ] == said


async def test_zips_of_64_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "ZIP64_LIMIT", 0)
    async with archive_of(2) as archive:
        assert b"PK\6\6" in archive.content(archive.catalogue[0].name).read()
        outcomes, _ = await bring(archive, tmp_path, include=["*.xml", "*.png"])

        assert {None} == {delivery.error for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: path.endswith((".xml", ".png")))


async def test_a_run_killed_after_the_whole_zip_came_leaves_a_right_product(tmp_path):
    async with archive_of(2, geodes_ranges="ignored") as archive:
        await bring(archive, tmp_path, "geodes")  # as that run leaves it
        before = bytes_by_name(archive)
        outcomes, _ = await bring(archive, tmp_path, "geodes", include="*.png")

        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in outcomes.values()}
        assert before == bytes_by_name(archive)
        assert 2 == right_files(archive, tmp_path)


async def test_products_whose_zip_is_made_late_come_file_by_file(tmp_path):
    faults = {"zipped-late": 1.0, "cut": 0.3, "flip": 0.2, "error-503": 0.1}
    async with archive_of(4, product_size=1_000_000, faults=faults, fault_limit=1) as archive:
        wanted = ["*.xml", "*.png", "*_B0[2-4].jp2", "*-vv-*"]
        outcomes, _ = await bring(archive, tmp_path, include=wanted)

        assert {None} == {delivery.error for delivery in outcomes.values()}
        check_members(
            archive,
            tmp_path,
            lambda path: path.endswith((".xml", ".png", "B02.jp2", "B03.jp2", "B04.jp2")) or "-vv-" in path,
        )
        before = bytes_by_name(archive)
        again, _ = await bring(archive, tmp_path, include=wanted)
        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in again.values()}
        assert before == bytes_by_name(archive)
        await bring(archive, tmp_path, include="manifest.safe")
        for name in outcomes:
            assert (Verdict.RIGHT, True) == judged(tmp_path, name)


async def test_members_of_products_whose_zip_is_made_late_are_listed():
    async with archive_of(1, faults={"zipped-late": 1.0}) as archive, connect(archive, "cdse") as client:
        name = archive.catalogue[0].name
        listed = {member.path: member.size for member in await client.members(name)}

        assert {path: len(data) for path, data in members_of(archive, name).items()} == listed


async def test_from_tape(tmp_path):
    async with archive_of(tape_fraction=1) as archive:
        outcomes, _ = await bring(archive, tmp_path, "peps", include="*.png")

        assert all(delivery.staged_seconds > 0 for delivery in outcomes.values())
        check_members(archive, tmp_path, lambda path: path.endswith(".png"))


async def test_what_an_earlier_run_received_brings_no_member_from_tape(tmp_path):
    async with archive_of(1, tape_fraction=1) as archive, connect(archive, "peps", skip_tape=True) as client:
        [one] = [each async for each in client.search(collection=archive.catalogue[0].collection)]
        content = archive.content(one.name).read()
        folder = Folder(tmp_path)
        folder.open()
        leave_part(folder, one, content, (0, len(content)))
        with anyio.fail_after(60):
            assert [] == [delivery async for delivery in client.fetch([one], tmp_path, include="*.png")]


async def test_a_product_that_is_one_file_comes_whole(tmp_path):
    content, events = b"\x89HDF\r\n" * 5_000, []
    wanted = product("A.nc", size=len(content), tier=StorageTier.DISK)
    config, folder = Config(), Folder(tmp_path)
    folder.open()
    with Server(File(content)) as server:
        async with Http(config) as http:
            wanted = replace(wanted, download_url=f"http://127.0.0.1:{server.port}/A.nc")
            archive = plain_archive(http, config, events.append)
            selection = build_selection(include="*.png")
            order = Order(folder, IntoFolder(folder), config, events.append, "plain", selection=selection)
            outcomes = [await deliver(wanted, OneArchive(archive, order), order) for _ in range(2)]

    assert [DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED] == [delivery.status for delivery in outcomes]
    assert [(tmp_path / "A.nc", None)] * 2 == [(delivery.path, delivery.members) for delivery in outcomes]
    assert content == (tmp_path / "A.nc").read_bytes()
    assert ["Products that are one file have no members: all of the file is downloaded"] == [
        event.message for event in events if isinstance(event, Noticed)
    ]


async def test_from_several_archives(tmp_path):
    async with archive_of(4) as archive:
        roots = {"cdse": archive.cdse_url, "peps": archive.peps_url}
        accounts = {name: credentials(archive, name) for name in roots}
        config = Config(**(QUICK | {"jobs": 1}))
        async with Client(list(roots), base_url=roots, credentials=accounts, config=config) as client:
            names = [one.name for one in archive.catalogue]
            outcomes = [delivery async for delivery in client.fetch(names, tmp_path, include="*.png")]

        assert 4 == len(outcomes)
        assert {None} == {delivery.error for delivery in outcomes}
        check_members(archive, tmp_path, lambda path: path.endswith(".png"))


async def test_again_with_the_same_nothing_is_asked(tmp_path):
    async with archive_of() as archive:
        await bring(archive, tmp_path, include="*.png")
        before = bytes_by_name(archive)
        outcomes, _ = await bring(archive, tmp_path, include="*.png")

        assert before == bytes_by_name(archive)
        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in outcomes.values()}
        assert {("preview/quick-look.png",)} == {delivery.members for delivery in outcomes.values()}


async def test_other_patterns_add_members(tmp_path):
    async with archive_of(product_size=2_000_000) as archive:
        await bring(archive, tmp_path, include="*.png")
        inodes = {path: path.stat().st_ino for path in tmp_path.rglob("*.png")}
        outcomes, _ = await bring(archive, tmp_path, include="*.xml")

        check_members(archive, tmp_path, lambda path: path.endswith((".png", ".xml")))
        assert inodes == {path: path.stat().st_ino for path in tmp_path.rglob("*.png")}
        assert all(path.endswith(".xml") for delivery in outcomes.values() for path in delivery.members)
        for delivery in outcomes.values():
            note = json.loads((tmp_path / ".pepsasync" / "verified" / f"{delivery.path.name}.json").read_text())
            assert [{"include": ["*.png"]}, {"include": ["*.xml"]}] == note["partial"]["selections"]
            assert set(members_of(archive, delivery.product.name)) == set(note["partial"]["members"])


@pytest.mark.parametrize("provider", ARCHIVES)
async def test_a_partial_folder_passes_for_no_whole_product(tmp_path, provider):
    async with archive_of() as archive:
        await bring(archive, tmp_path, provider, include="*.png")
        outcomes, _ = await bring(archive, tmp_path, provider, extract=True)

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert {None} == {delivery.members for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: True)
        assert not any((tmp_path / ".pepsasync" / "kept").iterdir())
        again, _ = await bring(archive, tmp_path, provider, extract=True)
        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in again.values()}


async def test_a_whole_zip_beside_a_partial_folder_has_everything(tmp_path):
    async with archive_of() as archive:
        await bring(archive, tmp_path, include="*.png")
        outcomes, _ = await bring(archive, tmp_path)

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert 3 == right_files(archive, tmp_path)
        before = bytes_by_name(archive)
        again, _ = await bring(archive, tmp_path, include="*.xml")
        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in again.values()}
        assert before == bytes_by_name(archive)
        await bring(archive, tmp_path, extract=True)
        check_members(archive, tmp_path, lambda path: True)


async def test_a_whole_folder_has_every_member(tmp_path):
    async with archive_of() as archive:
        await bring(archive, tmp_path, extract=True)
        before = bytes_by_name(archive)
        outcomes, _ = await bring(archive, tmp_path, bands="VV,TCI")

        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in outcomes.values()}
        assert before == bytes_by_name(archive)


async def test_all_members_make_a_whole_product(tmp_path):
    async with archive_of() as archive:
        await bring(archive, tmp_path, include="*.png")
        await bring(archive, tmp_path, include="*")
        outcomes, _ = await bring(archive, tmp_path, extract=True)

        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: True)


async def test_what_no_product_has_is_told(tmp_path):
    async with archive_of() as archive:
        outcomes, _ = await bring(archive, tmp_path, include="*.tif5")

        assert {NotFoundError} == {type(delivery.error) for delivery in outcomes.values()}
        assert "pepsasync ls" in str(next(iter(outcomes.values())).error)
        assert [] == final_names(tmp_path)


async def test_bands_that_some_products_lack_are_told(tmp_path):
    async with archive_of(4) as archive:
        outcomes, events = await bring(archive, tmp_path, bands="B02,VV,TCI")

        assert {None} == {delivery.error for delivery in outcomes.values()}
        said = [event.message for event in events if isinstance(event, Noticed)]
        for name in outcomes:
            lacks = "VV" if name.startswith("S2") else "B02, TCI"
            assert f"{name} has no {lacks}; its other members are brought" in said


@pytest.mark.parametrize("provider", ARCHIVES)
async def test_faults_of_the_line_and_of_the_archive_change_nothing(tmp_path, provider):
    faults = {"cut": 0.5, "flip": 0.3, "error-500": 0.2, "error-503": 0.2, "html-200": 0.1, "truncate": 0.2}
    async with archive_of(6, faults=faults, fault_limit=1, product_size=600_000) as archive:
        outcomes, events = await bring(archive, tmp_path, provider, include=["*.xml", "*.png", "*.jp2", "*.tiff"])

        assert {} == {name: delivery.error for name, delivery in outcomes.items() if delivery.error}
        check_members(archive, tmp_path, lambda path: path.endswith((".xml", ".png", ".jp2", ".tiff")))
    assert any(isinstance(event, DownloadRetried) for event in events)


@pytest.mark.parametrize("harm", ["change", "cut", "remove"])
async def test_a_member_that_was_damaged_is_brought_again(tmp_path, harm):
    async with archive_of(1) as archive:
        await bring(archive, tmp_path, include=["*.png", "*.xml"])
        [picture] = tmp_path.rglob("*.png")
        right = picture.read_bytes()
        match harm:
            case "change":
                picture.write_bytes(bytes(len(right)))
            case "cut":
                picture.write_bytes(right[:10])
            case "remove":
                picture.unlink()
        outcomes, _ = await bring(archive, tmp_path, include=["*.png", "*.xml"])

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert right == picture.read_bytes()
        assert not stands_wrong(tmp_path, archive)


def stands_wrong(folder, archive):
    return [one.name for one in archive.catalogue if not stands(one.name, Folder(folder))]


async def test_what_verify_found_wrong_is_read_and_brought_again(tmp_path):
    async with archive_of(1) as archive:
        await bring(archive, tmp_path, include="*.png")
        name = archive.catalogue[0].name
        assert (Verdict.RIGHT, True) == judged(tmp_path, name)
        [picture] = tmp_path.rglob("*.png")
        right, found = picture.read_bytes(), picture.stat()
        picture.write_bytes(bytes(len(right)))
        os.utime(picture, ns=(found.st_atime_ns, found.st_mtime_ns))  # as a disk that fails leaves it

        assert (Verdict.WRONG, True) == judged(tmp_path, name)
        outcomes, _ = await bring(archive, tmp_path, include="*.png")
        assert DeliveryStatus.DELIVERED is outcomes[name].status
        assert right == picture.read_bytes()
        assert (Verdict.RIGHT, True) == judged(tmp_path, name)


def judged(folder, name):
    finding = recheck(folder, name, None)
    return finding.verdict, finding.partial is not None


async def test_files_of_the_user_stay(tmp_path):
    async with archive_of(1) as archive:
        name = archive.catalogue[0].name
        top = tmp_path / f"{name}.SAFE"
        (top / "preview").mkdir(parents=True)
        (top / "preview" / "quick-look.png").write_bytes(b"mine")
        (top / "notes.txt").write_bytes(b"mine, too")
        _, events = await bring(archive, tmp_path, include="*.png")

        assert members_of(archive, name)["preview/quick-look.png"] == (top / "preview" / "quick-look.png").read_bytes()
        assert b"mine, too" == (top / "notes.txt").read_bytes()
        assert [b"mine"] == [path.read_bytes() for path in (tmp_path / ".pepsasync" / "kept").iterdir()]
        assert any("is kept as" in event.message for event in events if isinstance(event, Noticed))


async def test_links_in_the_folder_are_not_followed(tmp_path):
    async with archive_of(1) as archive:
        name = archive.catalogue[0].name
        elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
        elsewhere.mkdir()
        (data / f"{name}.SAFE").mkdir(parents=True)
        (data / f"{name}.SAFE" / "preview").symlink_to(elsewhere)
        outcomes, _ = await bring(archive, data, include="*.png")

        assert "is a link" in str(outcomes[name].error)
        assert [] == [*elsewhere.iterdir()]


async def test_without_its_note_a_partial_folder_is_no_product_and_its_members_are_used(tmp_path):
    async with archive_of(2) as archive:
        await bring(archive, tmp_path, include=["*.png", "manifest.safe"])
        for note in (tmp_path / ".pepsasync" / "verified").iterdir():
            note.unlink()
        inodes = {path: path.stat().st_ino for path in tmp_path.rglob("*.png")}
        outcomes, _ = await bring(archive, tmp_path, include=["*.png", "manifest.safe"])

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in outcomes.values()}
        assert inodes == {path: path.stat().st_ino for path in tmp_path.rglob("*.png")}
        for note in (tmp_path / ".pepsasync" / "verified").iterdir():
            note.unlink()
        await bring(archive, tmp_path, extract=True)
        check_members(archive, tmp_path, lambda path: True)


async def test_a_full_disk_ends_the_run_and_leaves_no_half_member(tmp_path, monkeypatch):
    def full(file, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    async with archive_of(2) as archive:
        with monkeypatch.context() as patched, pytest.raises(DiskFullError):
            patched.setattr(partial_folder, "write_all", full)
            await bring(archive, tmp_path, include="*.png")
        assert [] == [*tmp_path.rglob("*.png")]
        outcomes, _ = await bring(archive, tmp_path, include="*.png")

        assert {None} == {delivery.error for delivery in outcomes.values()}
        check_members(archive, tmp_path, lambda path: path.endswith(".png"))


async def test_no_more_is_begun_than_the_disk_has_room_for(tmp_path, monkeypatch):
    async with archive_of(2) as archive:
        with monkeypatch.context() as patched, pytest.raises(DiskFullError):
            patched.setattr(Space, "_check", refuse_any)
            await bring(archive, tmp_path, include="*.png")


def refuse_any(space, name):
    if space._needs[name]:
        raise DiskFullError("it does not fit", product=name)


async def test_a_run_that_is_cancelled_leaves_complete_members_and_nothing_else(tmp_path):
    async with archive_of(1, product_size=3_000_000) as archive, connect(archive, "cdse", limit_rate=500_000) as client:
        name = archive.catalogue[0].name
        begun = anyio.Event()

        def watch(event):
            if isinstance(event, DownloadProgressed) and event.received > 300_000:
                begun.set()

        with client.listen(watch):
            loop = client.fetch(name, tmp_path, include="*")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loop.__anext__)
                with anyio.fail_after(60):
                    await begun.wait()
                tasks.cancel_scope.cancel()
    found, right = files_in(tmp_path, name), members_of(archive, name)
    assert all(right[path] == data for path, data in found.items())
    assert len(found) < len(right)


async def test_the_report_names_members(tmp_path):
    async with archive_of(2) as archive:
        names = [one.name for one in archive.catalogue]
        some, _ = await bring(archive, tmp_path, names=names[:1], include="*.png")
        whole, _ = await bring(archive, tmp_path, names=names[1:])
        deliveries = (*some.values(), *whole.values())
        report = report_as_dict(
            Report(provider="cdse", started=archive.catalogue[0].start, seconds=1, deliveries=deliveries)
        )

        assert [["preview/quick-look.png"], None] == [entry["members"] for entry in report["products"]]


async def test_where_downloads_are_counted_a_product_costs_two(tmp_path):
    async with archive_of(2, product_size=4_000_000, geodes_quota=4) as archive:
        outcomes, _ = await bring(archive, tmp_path, "geodes", include=["manifest.safe", "*.png"])

        assert {None} == {delivery.error for delivery in outcomes.values()}
        assert {2} == {delivery.attempts for delivery in outcomes.values()}


async def test_several_clients_of_one_folder_wait_for_each_other(tmp_path):
    async with archive_of(2) as archive, connect(archive, "cdse") as client:
        names = [one.name for one in archive.catalogue]
        first = client.fetch(names, tmp_path, include="*.png")
        second = client.fetch(names, tmp_path, include="*.xml")
        outcomes = [await anext(first), await anext(second), await anext(first), await anext(second)]

        assert {None} == {delivery.error for delivery in outcomes}
        check_members(archive, tmp_path, lambda path: path.endswith((".png", ".xml")))
