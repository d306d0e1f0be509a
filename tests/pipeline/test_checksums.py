"""Which checksum a run compares, and what later runs and `verify` make of what it noted."""

import json

import pytest

from archives import bytes_by_name, connect, credentials, root, sandbox
from pepsasync import Client, Config, DeliveryStatus
from pepsasync.transfer.reverify import Verdict, recheck

pytestmark = pytest.mark.anyio

SIZES = [100_000, 700_000]
"""Bytes; the smaller ones are verified in memory, the larger ones while they come."""


async def fetch(client, folder):
    found = [product async for product in client.search(collection="S1")]
    assert found
    return {delivery.product.name: delivery async for delivery in client.fetch(found, folder)}


def algorithms(outcomes):
    assert {delivery.error for delivery in outcomes.values()} == {None}
    return {delivery.checksum.algorithm for delivery in outcomes.values()}


def small(size, **options):
    return sandbox(2, tape_fraction=0, product_size=size, vary=False, **options)


@pytest.mark.parametrize("size", SIZES)
async def test_the_fastest_checksum_that_the_archive_gives_is_compared(size, tmp_path):
    async with small(size) as archive, connect(archive, "cdse") as client:
        outcomes = await fetch(client, tmp_path)

    assert algorithms(outcomes) == {"blake3"}


@pytest.mark.usefixtures("without_blake3")
@pytest.mark.parametrize("size", SIZES)
async def test_md5_is_compared_where_nothing_faster_can_be_computed(size, tmp_path):
    async with small(size) as archive, connect(archive, "cdse") as client:
        outcomes = await fetch(client, tmp_path)

    assert algorithms(outcomes) == {"md5"}


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_that_differ_from_blake3_are_refused(size, tmp_path, monkeypatch):
    """The MD5 beside it is right: it is not looked at."""
    async with small(size) as archive, connect(archive, "cdse") as client:
        monkeypatch.setattr("pepsasync.sandbox.cdse.service.Service.blake3", lambda *_: "00" * 32)
        outcomes = await fetch(client, tmp_path)

    assert {"IntegrityError"} == {type(delivery.error).__name__ for delivery in outcomes.values()}
    assert not [*tmp_path.glob("*.zip")]


async def test_archives_with_and_without_blake3_in_one_run(tmp_path):
    async with small(700_000) as archive:
        together = Client(
            ["geodes", "cdse"],
            base_url={name: root(archive, name) for name in ("geodes", "cdse")},
            credentials={name: credentials(archive, name) for name in ("geodes", "cdse")},
            config=Config(jobs=2),
        )
        async with together as client:
            outcomes = await fetch(client, tmp_path)

    assert {None} == {delivery.error for delivery in outcomes.values()}
    for delivery in outcomes.values():
        assert delivery.checksum.algorithm == {"geodes": "md5", "cdse": "blake3"}[delivery.source]


@pytest.mark.parametrize("change", ["as-it-is", "of-an-earlier-version"])
async def test_what_was_verified_by_either_checksum_is_not_read_again(change, tmp_path, monkeypatch):
    async with small(100_000) as archive:
        async with connect(archive, "cdse") as client:
            await fetch(client, tmp_path)
        if change == "of-an-earlier-version":
            rewrite_notes(tmp_path, lambda noted: {"checksum": noted["checksums"][0]})
        monkeypatch.setattr("pepsasync.transfer.existing.digest_file", None)
        before = bytes_by_name(archive)
        async with connect(archive, "cdse") as client:
            again = await fetch(client, tmp_path)

        assert {DeliveryStatus.SKIPPED} == {delivery.status for delivery in again.values()}
        assert bytes_by_name(archive) == before


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("has_blake3", [True, False])
async def test_verify_compares_with_what_can_be_computed(is_damaged, has_blake3, tmp_path, request):
    async with small(100_000) as archive, connect(archive, "cdse") as client:
        name = next(iter(await fetch(client, tmp_path)))
    if is_damaged:
        damage(tmp_path / f"{name}.zip")
    if not has_blake3:
        request.getfixturevalue("without_blake3")

    assert recheck(tmp_path, name, None).verdict is (Verdict.WRONG if is_damaged else Verdict.RIGHT)


def rewrite_notes(folder, change):
    notes = [*(folder / ".pepsasync").rglob("*.zip.json")]
    assert notes
    for path in notes:
        noted = json.loads(path.read_text())
        changed = noted | change(noted)
        assert changed["checksum"].startswith("md5:")
        del changed["checksums"]
        path.write_text(json.dumps(changed))


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
