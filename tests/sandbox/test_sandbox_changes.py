"""Products are published, replaced and withdrawn while the archive runs, and every protocol shows it."""

from datetime import UTC, datetime, timedelta

import pytest

from archives import connect, sandbox
from pepsasync import PepsasyncError
from pepsasync.providers import provider_names

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


@pytest.fixture(params=["cdse", "geodes", "peps"])
def provider(request):
    return request.param


async def shown(archive, provider):
    """Products by name, as a search through the protocol shows them."""
    async with connect(archive, provider) as client:
        return {p.name: p for collection in ("S1", "S2ST") async for p in client.search(collection=collection)}


def is_about(one, other):
    return one is not None and abs(one - other) < timedelta(seconds=1)


def test_the_three_protocols_are_tested():
    assert {"cdse", "geodes", "peps"} <= set(provider_names())


async def test_what_was_held_back_is_published_with_its_date(provider):
    async with sandbox(8, held_back=3) as archive:
        before = await shown(archive, provider)
        name = archive.publish(published=MOMENT)
        after = await shown(archive, provider)

    assert len(before) == 5
    assert after.keys() - before.keys() == {name}
    assert is_about(after[name].published, MOMENT)


async def test_a_product_that_is_published_now_says_so(provider):
    async with sandbox(8, held_back=1) as archive:
        name = archive.publish()
        published = (await shown(archive, provider))[name].published

    assert abs(published - datetime.now(UTC)) < timedelta(minutes=1)


async def test_nothing_is_left_to_publish(provider):
    async with sandbox(2, held_back=1) as archive:
        archive.publish()
        with pytest.raises(LookupError, match="held back"):
            archive.publish()


async def test_a_newer_processing_is_shown(provider):
    async with sandbox(6, tape_fraction=0) as archive:
        older = {p.collection: p.name for p in archive.catalogue}
        newer = {name: archive.supersede(name, published=MOMENT) for name in older.values()}
        after = await shown(archive, provider)

    for old, new in newer.items():
        assert is_about(after[new].published, MOMENT)
        assert (old in after) == (provider == "cdse")  # the others mark it as replaced


async def test_a_newer_processing_is_another_file(provider, tmp_path):
    async with sandbox(2, tape_fraction=0) as archive, connect(archive, provider) as client:
        old = archive.catalogue[0].name
        new = archive.supersede(old)
        path = await client.download(new, tmp_path)

        assert path.read_bytes() == archive.content(new).read(0, archive.content(new).size)
        assert archive.content(new).md5 != archive.content(old).md5


async def test_processings_of_processings_have_names_of_their_own():
    async with sandbox(2) as archive:
        first = archive.catalogue[0].name
        names = [first, second := archive.supersede(first), archive.supersede(second), archive.supersede(first)]

    assert len(set(names)) == 4


async def test_a_withdrawn_product_is_unknown(provider, tmp_path):
    async with sandbox(6, tape_fraction=0) as archive, connect(archive, provider) as client:
        before = await shown(archive, provider)
        gone = next(iter(before.values()))
        archive.withdraw(gone.name)
        after = await shown(archive, provider)

        assert before.keys() - after.keys() == {gone.name}
        with pytest.raises(PepsasyncError):
            await client.download(gone.name, tmp_path)
        with pytest.raises(PepsasyncError):
            await client.download(gone, tmp_path)


async def test_what_was_withdrawn_can_be_published_again(provider):
    async with sandbox(4) as archive:
        product = archive.catalogue[0]
        archive.withdraw(product.name)
        archive.publish(product, published=MOMENT)

        assert is_about((await shown(archive, provider))[product.name].published, MOMENT)


def test_handles_do_not_know_what_is_not_there():
    archive = sandbox(2)
    for handle in (archive.supersede, archive.withdraw):
        with pytest.raises(KeyError):
            handle("S2A_NOTHING")


class Time:
    now = 0.0


def test_time_brings_changes():
    archive = sandbox(
        20, held_back=5, publish_seconds=10, supersede_seconds=25, withdraw_seconds=40, clock=lambda: Time.now
    )
    sizes = []
    for Time.now in range(0, 110, 10):
        sizes.append(len(archive.catalogue))

    # 15 at first; one more every 10 s while there are some, one more at 25, 50, 75, 100, one less at 40 and 80.
    assert sizes == [15, 16, 17, 19, 19, 21, 21, 21, 21, 21, 22]
    assert sum(not product.visible for product in archive.catalogue) in range(2, 5)


def test_changes_of_the_same_seed_are_the_same():
    def names():
        Time.now = 0.0
        archive = sandbox(20, supersede_seconds=1, withdraw_seconds=3, clock=lambda: Time.now)
        Time.now = 12.0
        return [product.name for product in archive.catalogue]

    assert names() == names()


@pytest.mark.parametrize("option", ["publish_seconds", "supersede_seconds", "withdraw_seconds"])
def test_pauses_are_above_zero(option):
    with pytest.raises(ValueError, match=f"{option} must be above 0"):
        sandbox(2, **{option: 0})


def test_less_than_nothing_cannot_be_held_back():
    with pytest.raises(ValueError, match="held_back must be at least 0"):
        sandbox(2, held_back=-1)
