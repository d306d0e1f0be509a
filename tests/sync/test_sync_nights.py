"""Thirty nights of an order: the folder holds what the archive shows, for few requests a night."""

import random
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from archives import QUICK, connect, credentials, final_names, held, sandbox
from pepsasync import Client, Config, UnreachableError
from pepsasync.events import ProductDelivered
from pepsasync.folder.journal import JournalBusyError, open_journal
from pepsasync.model import DeliveryStatus, Quota
from pepsasync.query.criteria import build_query
from pepsasync.query.saved import wanted_as_json
from pepsasync.sync.memory import Memory, write_memory
from pepsasync.sync.run import carry_out, look_only

ORDER = build_query(start="2014-01-01", end="2030-01-01")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
PLENTY = Quota(10_000, 60.0)  # GEODES publishes 50 an hour, and thirty nights pass in seconds
DEAD = "http://127.0.0.1:9"  # nobody listens on the discard port


class Nights:
    """An archive that changes from night to night, and the order that follows it."""

    def __init__(self, archive, provider, folder):
        self.archive, self.provider, self.folder = archive, provider, folder
        self.chance = random.Random(f"nights:{provider}")
        self.day = 0
        self.requests = []

    @property
    def truth(self):
        """What the archive shows, of each acquisition the newest processing."""
        return sorted(f"{product.name}.zip" for product in self.archive.catalogue if product.visible)

    def news(self):
        """A day at the archive. Publications are dated up to two days back; only what has no newer one is withdrawn."""
        self.day += 1
        for _ in range(self.chance.randint(0, 2)):
            self.archive.publish(published=self._date())
        shown = [product for product in self.archive.catalogue if product.visible]
        if self.day % 3 == 0:
            self.archive.supersede(self.chance.choice(shown).name, published=self._date(late=False))
        if self.day % 4 == 0:
            name = self.chance.choice(shown).name.rpartition("_")[0]
            for product in self.archive.catalogue:
                if self._acquisition(product.name) == self._acquisition(f"{name}_"):
                    self.archive.withdraw(product.name)

    def _acquisition(self, name):
        parts = name.split("_")
        return (*parts[:3], *parts[4:6]) if name.startswith("S2") else tuple(parts[:-1])

    def _date(self, *, late=True):
        hours = self.chance.uniform(0, 48) if late else 0
        return FIRST + timedelta(days=self.day) - timedelta(hours=hours)

    async def killed(self):
        """A night that ends when the first product has come."""
        with anyio.CancelScope() as scope:
            async with connect(self.archive, self.provider, quota=PLENTY) as client:

                def stop(event):
                    if isinstance(event, ProductDelivered):
                        scope.cancel()

                with client.listen(stop):
                    await carry_out(client, ORDER, self.folder, replaces=True)

    async def outage(self):
        """A night on which nobody answers."""
        account = credentials(self.archive, self.provider)
        with pytest.raises(UnreachableError):
            async with Client(self.provider, base_url=DEAD, credentials=account, config=Config(**QUICK)) as client:
                await carry_out(client, ORDER, self.folder, replaces=True, prunes=True)

    async def night(self, **words):
        before = sum(self.archive.statistics.requests.values())
        async with connect(self.archive, self.provider, quota=PLENTY) as client:
            done = await carry_out(client, ORDER, self.folder, **words)
        self.requests.append(sum(self.archive.statistics.requests.values()) - before)
        return done


@pytest.mark.parametrize(
    ("provider", "anyio_backend"),
    [("geodes", "asyncio"), ("cdse", "trio"), ("peps", "asyncio")],
    indirect=["anyio_backend"],
)
@pytest.mark.anyio
async def test_thirty_nights(provider, anyio_backend, tmp_path):
    options = {"products": 60, "held_back": 52, "tape_fraction": 0, "product_size": 30_000, "geodes_quota": None}
    async with sandbox(**options, faults={"cut": 0.1}) as archive:
        nights = Nights(archive, provider, tmp_path)
        for number in range(30):
            nights.news()
            if number % 5 == 2:
                await nights.killed()
            if number % 7 == 4:
                await nights.outage()
            done = await nights.night(replaces=True, prunes=True)

            assert all(delivery.error is None for delivery in done.deliveries)
            assert final_names(tmp_path) == [".pepsasync", *nights.truth][1:]

            quiet = await nights.night(replaces=True)
            assert not quiet.changes
            assert final_names(tmp_path) == nights.truth

    # A night without news asks for one page a collection and, of CDSE, logs in.
    assert max(nights.requests[1::2]) <= 4


@pytest.mark.anyio
@pytest.mark.parametrize("provider", ["geodes", "cdse", "peps"])
async def test_nights_that_only_add_and_replace_need_not_look_at_everything(provider, tmp_path):
    async with sandbox(60, held_back=52, tape_fraction=0, product_size=30_000, geodes_quota=None) as archive:
        nights = Nights(archive, provider, tmp_path)
        for _ in range(8):
            nights.day += 1
            archive.publish(published=nights._date())
            if nights.day % 2:
                shown = [product for product in archive.catalogue if product.visible]
                archive.supersede(nights.chance.choice(shown).name, published=nights._date(late=False))
            await nights.night(replaces=True)

        assert final_names(tmp_path) == nights.truth


@pytest.fixture
def few():
    return sandbox(6, held_back=1, tape_fraction=0, product_size=30_000)


@pytest.mark.anyio
@pytest.mark.parametrize("provider", ["geodes", "cdse", "peps"])
async def test_each_word_does_what_it_says(provider, few, tmp_path):
    async with few as archive:
        nights = Nights(archive, provider, tmp_path)
        await nights.night()
        old, gone = (product.name for product in archive.catalogue[:2])
        added, newer = archive.publish(), archive.supersede(old)
        archive.withdraw(gone)

        async with connect(archive, provider) as client:
            plan = await look_only(client, ORDER, tmp_path)
        assert plan.changes.as_json() == {"add": [added], "replace": [{"old": old, "new": newer}], "gone": [gone]}

        def here():
            return {name for name in (old, gone, added, newer) if (tmp_path / f"{name}.zip").exists()}

        assert here() == {old, gone}
        await nights.night()
        assert here() == {old, gone, added}
        done = await nights.night(replaces=True)
        assert (here(), done.removed) == ({gone, added, newer}, [old])
        assert (tmp_path / ".pepsasync" / "replaced" / f"{old}.zip").exists()
        done = await nights.night(prunes=True)
        assert (here(), done.removed) == ({added, newer}, [gone])


@pytest.mark.anyio
async def test_a_plan_writes_nothing(few, tmp_path):
    async with few as archive, connect(archive, "geodes") as client:
        plan = await look_only(client, ORDER, tmp_path / "nothing-here")

    assert len(plan.changes.add) == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.anyio
async def test_an_archive_that_shows_nothing_takes_nothing_away(few, tmp_path):
    async with few as archive:
        nights = Nights(archive, "cdse", tmp_path)
        await nights.night()
        before = final_names(tmp_path)
        for product in archive.catalogue:
            archive.withdraw(product.name)
        done = await nights.night(prunes=True)

    assert final_names(tmp_path) == before
    assert "they are kept, and not treated as withdrawn" in done.notices[0]


@pytest.mark.anyio
async def test_what_does_not_match_any_more_is_not_withdrawn(few, tmp_path):
    async with few as archive:
        nights = Nights(archive, "cdse", tmp_path)
        await nights.night()
        before = final_names(tmp_path)
        async with connect(archive, "cdse") as client:
            done = await carry_out(client, build_query(collection="S1"), tmp_path, prunes=True)

    assert done.changes.gone == ()
    assert final_names(tmp_path) == before


@pytest.mark.anyio
async def test_what_another_archive_does_not_know_is_not_withdrawn(few, tmp_path):
    async with few as archive:
        await Nights(archive, "cdse", tmp_path).night()
        before = final_names(tmp_path)
        async with connect(archive, "asf") as client:  # it has Sentinel-1 alone
            plan = await look_only(client, build_query(collection="S1"), tmp_path)
            done = await carry_out(client, build_query(collection="S1"), tmp_path, prunes=True)
            again = await carry_out(client, build_query(collection="S1"), tmp_path, prunes=True)

    assert any(name.startswith("S2") for name in before)
    assert plan.changes.gone == ()
    assert done.removed == again.removed == []
    assert set(before) <= set(final_names(tmp_path))


@pytest.mark.anyio
async def test_what_another_instance_of_the_archive_does_not_know_is_not_withdrawn(few, tmp_path):
    async with few as archive:
        await Nights(archive, "peps", tmp_path).night()
        before = final_names(tmp_path)
    async with sandbox(2, tape_fraction=0, seed=7) as other:
        moved = await Nights(other, "peps", tmp_path).night(prunes=True)

    assert before
    assert moved.removed == []
    assert set(before) <= set(final_names(tmp_path))


@pytest.mark.anyio
async def test_what_another_archive_shows_stays_with_the_order(few, tmp_path):
    async with few as archive:
        await Nights(archive, "cdse", tmp_path).night()
        before = final_names(tmp_path)
        changed = Nights(archive, "geodes", tmp_path)
        moved = await changed.night(prunes=True)
        name = archive.catalogue[0].name
        archive.withdraw(name)
        done = await changed.night(prunes=True)

    assert moved.removed == []
    assert moved.deliveries == []
    assert done.removed == [name]
    assert len(final_names(tmp_path)) == len(before) - 1


@pytest.mark.anyio
async def test_what_others_put_there_is_never_removed(few, tmp_path):
    async with few as archive:
        nights = Nights(archive, "geodes", tmp_path)
        await nights.night()
        own = tmp_path / "S2A_MSIL1C_OF_MINE.zip"
        own.write_bytes(b"mine")
        archive.withdraw(archive.catalogue[0].name)
        done = await nights.night(replaces=True, prunes=True)

    assert len(done.removed) == 1
    assert own.read_bytes() == b"mine"


@pytest.mark.anyio
async def test_the_marker_waits_for_what_failed(few, tmp_path):
    async with few as archive:
        lost = archive.catalogue[2]
        archive.drop_file(lost.name)
        nights = Nights(archive, "geodes", tmp_path)
        done = await nights.night()

    assert [d.product.name for d in done.deliveries if d.status is DeliveryStatus.FAILED] == [lost.name]
    assert done.memory.marker <= lost.published + timedelta(seconds=1)


@pytest.mark.anyio
async def test_an_outage_changes_nothing(few, tmp_path):
    async with few as archive:
        nights = Nights(archive, "geodes", tmp_path)
        await nights.night()
        before = final_names(tmp_path), (tmp_path / ".pepsasync/orders/sync.json").read_text()
        archive.stop()
        with pytest.raises(UnreachableError):
            await nights.night(replaces=True, prunes=True)

        assert (final_names(tmp_path), (tmp_path / ".pepsasync/orders/sync.json").read_text()) == before


@pytest.mark.anyio
async def test_two_cannot_run_in_one_folder(few, tmp_path):
    async with few as archive, connect(archive) as one, connect(archive) as other, one.hold(tmp_path):
        with pytest.raises(JournalBusyError):
            await carry_out(other, ORDER, tmp_path)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)  # it takes long to make the archive
@pytest.mark.parametrize(
    ("provider", "count", "searches"),
    [("cdse", 4_000, 1), ("geodes", 2_000, 2), ("peps", 2_000, 2), ("asf", 2_000, 1), ("wekeo", 1_000, 9)],
)
@pytest.mark.anyio
async def test_an_order_of_many_products_costs_a_night_few_requests(provider, count, searches, anyio_backend, tmp_path):
    """WEkEO cannot be asked since when something was published: it lists all, two hundred at once."""
    wide = {
        "area": (0.5, 41, 11.5, 47),
        "start": datetime(2016, 1, 1, tzinfo=UTC),
        "end": datetime(2018, 1, 1, tzinfo=UTC),
    }
    async with sandbox(count + 5, held_back=5, tape_fraction=0, product_size=30_000, **wide) as archive:
        nights = Nights(archive, provider, tmp_path)
        async with connect(archive, provider) as client:
            everything = [product async for product in client.search(ORDER)]
        marker = max(product.published for product in everything)
        async with open_journal(tmp_path, tell=print) as journal:
            await journal.note_products(None, everything)
        names = {product.name for product in everything}
        asked = {"query": wanted_as_json(ORDER), "provider": provider}
        write_memory(tmp_path / ".pepsasync/orders/sync.json", Memory(asked, marker, names, names))
        published = {archive.publish(published=marker + timedelta(hours=5)) for _ in range(5)}
        before = archive.statistics.requests["search"]
        done = await nights.night(replaces=True)
        asked_for = archive.statistics.requests["search"] - before
        new = published & {product.name for product in held(archive, provider)}

    assert len(names) == len(held(archive, provider)) - len(new)
    assert {delivery.product.name for delivery in done.deliveries} == new != set()
    assert asked_for <= searches
    assert nights.requests[0] - asked_for - 4 * len(new) <= 4  # accounts; a download is up to four, with its order
