"""Parts of an order: together they are the whole of it, and they share the limits of the account."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import account_file, connect, everything, final_names, sandbox
from pepsasync import Config, ConfigError, DeliveryStatus
from pepsasync.archives import share_of
from pepsasync.events import SearchFinished
from pepsasync.model import Limits, Quota, Shard
from pepsasync.units import parse_shard

anywhere = pytest.mark.anyio
COUNTS = st.integers(1, 50)


@given(COUNTS, st.text())
def test_a_product_belongs_to_one_part(count, name):
    assert sum(Shard(number, count).has(name) for number in range(1, count + 1)) == 1


@given(COUNTS, st.integers(0, 10**12))
def test_shares_make_the_whole(count, total):
    shares = [Shard(number, count).share(total) for number in range(1, count + 1)]

    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 6), st.integers(6, 40), st.integers(6, 400), st.none() | st.integers(6, 40))
def test_limits_of_all_parts_are_those_of_the_account(count, downloads, quota, jobs):
    limits = Limits(
        page_size=10,
        downloads=downloads,
        staging_requests=4,
        poll_batch=1,
        bounded_ranges=True,
        quota=Quota(quota, 3600.0),
    )
    shared = [share_of(Shard(number, count), limits, Config(jobs=jobs)) for number in range(1, count + 1)]

    assert sum(config.jobs for _, config in shared) == (jobs or downloads)
    assert sum(one.quota.products for one, _ in shared) == quota


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3", "1/9999999", "²/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ConfigError):
        parse_shard(text)


def test_there_are_no_more_parts_than_downloads_at_once():
    limits = Limits(page_size=10, downloads=4, staging_requests=4, poll_batch=1, bounded_ranges=True)

    with pytest.raises(ConfigError, match="Take 4 parts at most"):
        share_of(Shard(1, 5), limits, Config())


@anywhere
@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
async def test_parts_together_bring_everything_once(tmp_path, provider):
    counted = []
    async with sandbox(24, tape_fraction=0.0) as archive:
        for number in (1, 2):
            async with connect(archive, provider, shard=Shard(number, 2), jobs=2) as client:
                with client.listen(lambda event: counted.append(event) if isinstance(event, SearchFinished) else None):
                    async for delivery in client.fetch({"collection": ["S1", "S2ST"]}, tmp_path / str(number)):
                        assert delivery.error is None

    parts = [set(final_names(tmp_path / str(number))) for number in (1, 2)]
    assert not parts[0] & parts[1]
    assert sorted(parts[0] | parts[1]) == sorted(f"{product.name}.zip" for product in archive.catalogue)
    assert [event.products for event in counted] == [len(part) for part in parts]


@anywhere
async def test_names_and_products_of_other_parts_are_not_asked_for(tmp_path):
    shard = Shard(1, 2)
    async with sandbox(8, tape_fraction=0) as archive, connect(archive, shard=shard) as client:
        products = await everything(client)
        wanted = [products[0].name, *products[1:], "S2A_UNKNOWN_1", "S2A_UNKNOWN_2", "S2A_UNKNOWN_3", "S2A_UNKNOWN_4"]
        outcomes = {d.product.name: d.status async for d in client.fetch(wanted, tmp_path)}

    assert outcomes.keys() == {name for one in wanted if shard.has(name := one if isinstance(one, str) else one.name)}
    assert {outcomes[p.name] for p in products if shard.has(p.name)} == {DeliveryStatus.DELIVERED}


@pytest.fixture
def archive():
    served = sandbox(16, product_size=20_000, tape_fraction=0)
    served.start()
    yield served
    served.stop()


def test_resume_goes_on_with_the_part_of_its_folder(archive, run, tmp_path, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", archive.peps_url)
    place = ["--provider", "peps", "-a", account_file(archive, tmp_path / "account.txt")]

    first = run("fetch", *place, "-c", "S2ST", "--shard", "2/2", "-w", tmp_path / "data")
    brought = final_names(tmp_path / "data")
    for name in brought:
        (tmp_path / "data" / name).unlink()
    again = run("resume", tmp_path / "data", *place)
    planned = json.loads(run("plan", *place, "-c", "S2ST", "--shard", "2/2", "--format", "json").out)

    assert (first.code, again.code) == (0, 0), again.err
    assert brought
    assert final_names(tmp_path / "data") == brought
    assert planned["products"] == len(brought)


def test_orders_for_sync_are_whole(run, tmp_path):
    done = run("order", "new", tmp_path / "order.toml", "--provider", "peps", "-c", "S2ST", "--shard", "1/2")

    assert done.code == 2
    assert "--shard" in done.err
