"""Whole runs against GEODES and CDSE: tape by hand, quotas, sessions that end, refused ranges."""

import contextlib
import re
import time

import anyio
import pytest

from archives import connect, credentials, everything, fetch_all, portal, right_files, root, sandbox
from pepsasync import AuthError, Client, Config, ConfigError, DeliveryStatus, ForbiddenError, StagingTimeout
from pepsasync.events import (
    DownloadStarted,
    Noticed,
    ProductAwaited,
    ProductLeftOut,
    QuotaReached,
    StagingRequested,
    TiersWatched,
)
from pepsasync.model import Account, Quota
from pepsasync.providers.geodes import Geodes

pytestmark = pytest.mark.anyio
ANYWHERE = ("geodes", "cdse")


@pytest.mark.parametrize("provider", ANYWHERE)
async def test_tape_products_arrive_when_somebody_asks_in_the_portal(provider, tmp_path):
    events = []
    async with sandbox(8) as archive, connect(archive, provider) as client:
        with client.listen(events.append), client.listen(portal(archive)):
            products = await everything(client)
            outcomes = [delivery async for delivery in client.fetch(products, tmp_path)]

        assert {delivery.status for delivery in outcomes} == {DeliveryStatus.DELIVERED}
        assert right_files(archive, tmp_path) == 8
    assert sum(isinstance(event, ProductAwaited) for event in events) >= 4
    assert len([event for event in events if isinstance(event, Noticed)]) == 1, "the user is told once"


async def test_products_that_availability_never_mentions_arrive_when_somebody_asks_in_the_portal(tmp_path):
    """Only a download tells that they came: they are tried now and then, without a hot loop."""
    looks, faults = [], {"availability-gap": 1.0}
    async with sandbox(4, tape_fraction=1.0, faults=faults, fault_limit=10_000) as archive:
        async with connect(archive, "geodes") as client:
            with client.listen(portal(archive)), client.listen(looks.append):
                outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert {delivery.error for delivery in outcomes} == {None}
        assert right_files(archive, tmp_path) == 4
        assert archive.statistics.requests["download"] <= 4 + sum(isinstance(look, TiersWatched) for look in looks)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("key", r"a str is not the account of geodes.*Credentials\(api_key=", id="key"),
        pytest.param("", "a str is not the account", id="empty"),
        pytest.param(("you", "secret"), "a tuple is not the account", id="pair"),
        pytest.param({"geodes": "key"}, "a str is not the account", id="key-by-name"),
        pytest.param({"api_key": "key"}, "there is no provider 'api_key'", id="fields"),
    ],
)
async def test_what_is_no_account_is_said_and_not_shown(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Client("geodes", credentials=given)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("provider", ANYWHERE)
async def test_tape_products_that_nobody_asks_for_end_with_the_staging_timeout(provider, tmp_path):
    async with sandbox(6) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, provider, settings={"staging_timeout": 0.4})
        on_tape = {product.name for product in archive.catalogue if product.mode == "tape"}

        assert {name for name, delivery in outcomes.items() if delivery.error} == on_tape
        assert {type(outcomes[name].error) for name in on_tape} == {StagingTimeout}
        assert right_files(archive, tmp_path) == 6 - len(on_tape)


@pytest.mark.parametrize("provider", ["geodes", "cdse", "peps"])
async def test_tape_products_are_left_out_and_listed(provider, tmp_path):
    async with sandbox(6) as archive:
        outcomes, events = await fetch_all(archive, tmp_path, provider, settings={"skip_tape": True})
        on_tape = {product.name for product in archive.catalogue if product.mode == "tape"}

        assert {event.name for event in events if isinstance(event, ProductLeftOut)} == on_tape
        assert {product.name for product in archive.catalogue} - on_tape == set(outcomes)
        assert right_files(archive, tmp_path) == 6 - len(on_tape)
        assert archive.statistics.stagings == {}


@pytest.mark.parametrize("gaps", [1, 10_000])
async def test_tape_products_that_availability_leaves_out_are_left_out_as_well(gaps, tmp_path):
    async with sandbox(3, tape_fraction=1.0, faults={"availability-gap": 1.0}, fault_limit=gaps) as archive:
        outcomes, events = await fetch_all(archive, tmp_path, "geodes", settings={"skip_tape": True})

        assert {} == outcomes
        assert {product.name for product in archive.catalogue} == {
            event.name for event in events if isinstance(event, ProductLeftOut)
        }
        assert archive.statistics.requests.get("download", 0) == (3 if gaps > 1 else 0)


async def test_a_restore_is_asked_for_where_the_server_offers_it(tmp_path):
    async with sandbox(4, tape_fraction=1.0, geodes_restore=True) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "geodes", settings={"restore": True})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4


async def test_a_regards_server_takes_orders_of_its_users_once(tmp_path):
    options = {"geodes_orders": True, "faults": {"error-503": 0.3}, "fault_limit": 1}
    async with sandbox(4, tape_fraction=1.0, staging_seconds=3600.0, **options) as archive:
        async with connect(archive, "geodes", restore=True) as client:
            products, is_ordered = await everything(client), anyio.Event()

            def take(event):
                if isinstance(event, StagingRequested) and archive.statistics.orders == 4:
                    is_ordered.set()

            async def run():
                async for _ in client.fetch(products, tmp_path):
                    pass

            with client.listen(take):
                async with anyio.create_task_group() as running:
                    running.start_soon(run)
                    await is_ordered.wait()
                    running.cancel_scope.cancel()
        for product in archive.catalogue:
            archive.set_tier(product.name, "disk")
        outcomes, _ = await fetch_all(archive, tmp_path, "geodes", settings={"restore": True})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4
        assert archive.statistics.orders == 4


async def test_the_quota_is_kept_not_run_into(tmp_path):
    async with sandbox(10, tape_fraction=0, time_scale=1000, geodes_quota=4, geodes_quota_seconds=600) as archive:
        began = time.monotonic()
        outcomes, _ = await fetch_all(archive, tmp_path, "geodes", settings={"quota": Quota(4, 0.6)})
        took = time.monotonic() - began

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 10
        assert archive.statistics.quota_refusals == 0
    assert took >= 1.2


async def test_waiting_for_the_quota_is_no_downloading(tmp_path):
    async with sandbox(4, tape_fraction=0) as archive:
        began = time.monotonic()
        outcomes, events = await fetch_all(archive, tmp_path, settings={"quota": Quota(2, 2.0)})
        took = time.monotonic() - began

    waited = [*dict.fromkeys(event.name for event in events if isinstance(event, DownloadStarted))][2:]
    assert len(waited) == 2
    assert all(0 < outcomes[name].download_seconds <= took - 2.0 for name in waited)


@pytest.mark.parametrize(("quota", "waits"), [(99, False), (7, True)])
async def test_the_archive_knows_its_quota(tmp_path, quota, waits):
    """Published are 50 an hour."""
    archive = sandbox(55 if quota > 50 else 9, tape_fraction=0, product_size=20_000, geodes_quota=quota)
    async with archive:
        async with connect(archive, "geodes") as client:
            events, outcomes, is_reached = [], [], anyio.Event()

            def see(event):
                events.append(event)
                if isinstance(event, QuotaReached):
                    is_reached.set()

            with client.listen(see), anyio.fail_after(120):
                async with contextlib.aclosing(client.fetch(await everything(client), tmp_path)) as found:
                    async for outcome in found:
                        outcomes.append(outcome)
                        if waits and len(outcomes) == quota:  # an hour would have to pass
                            await is_reached.wait()
                            break

        assert len(outcomes) == min(quota, len(archive.catalogue))
        assert archive.statistics.quota_refusals == 0
        assert right_files(archive, tmp_path) == min(quota, len(archive.catalogue))
    assert waits is any(isinstance(event, QuotaReached) for event in events)


async def test_a_quota_that_others_use_up_is_waited_for(tmp_path):
    """The archive refuses although our own count is far from the quota."""
    now = 0.0

    def see(event):
        nonlocal now
        if isinstance(event, QuotaReached):
            now += 301.0

    quota = {"geodes_quota": 4, "geodes_quota_seconds": 300.0, "clock": lambda: now}
    async with sandbox(6, tape_fraction=0, **quota) as archive:
        async with connect(archive, "geodes", quota=Quota(1000, 1.2)) as client:
            with client.listen(see), anyio.fail_after(120):
                outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert {delivery.error for delivery in outcomes} == {None}
        assert right_files(archive, tmp_path) == 6
    assert now > 0


async def test_a_session_that_ends_in_mid_run_is_refreshed(tmp_path):
    async with sandbox(4, tape_fraction=0, vary=False, token_seconds=2.0) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "cdse", settings={"jobs": 1, "limit_rate": 400_000})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4
        assert (archive.statistics.tokens, archive.statistics.leaked_tokens) == (1, 0)
        assert archive.statistics.refreshes >= 1


@pytest.mark.parametrize("size", [100_000, 3_000_000])
async def test_zips_that_are_made_while_they_are_sent(size, tmp_path):
    """The catalogue's length is that of the folder; what comes is checked by its own CRCs."""
    faults = {"zipped-late": 1.0, "cut": 1.0}
    async with sandbox(4, tape_fraction=0, product_size=size, faults=faults, fault_limit=1) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "cdse")

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4
        again, _ = await fetch_all(archive, tmp_path, "cdse")
        assert {delivery.status for delivery in again.values()} == {DeliveryStatus.SKIPPED}


@pytest.mark.parametrize("late", [0.0, 1.0])
async def test_ranges_that_are_refused_cost_no_product(late, tmp_path):
    faults = {"range-refused": 1.0, "cut": 1.0, "zipped-late": late}
    async with sandbox(4, tape_fraction=0, product_size=3_000_000, faults=faults, fault_limit=1) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "cdse")

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4


@pytest.mark.parametrize("foreign", [False, True])
async def test_tokens_stay_at_home_when_downloads_are_redirected(foreign, tmp_path):
    async with sandbox(4, tape_fraction=0, cdse_foreign=foreign) as archive:
        async with connect(archive, "cdse") as client:
            outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert archive.statistics.leaked_tokens == 0
        assert archive.statistics.tokens == 1
        assert {delivery.error for delivery in outcomes} == {None}


@pytest.mark.parametrize("ranges", ["ignored", "works", "error"])
async def test_cut_downloads_end_right_however_ranges_are_answered(ranges, tmp_path):
    faults = {"cut": 0.7}
    async with sandbox(6, tape_fraction=0, geodes_ranges=ranges, geodes_quota=None, faults=faults) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "geodes", settings={"quota": Quota(1000, 1.0)})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 6
        assert archive.statistics.faults["cut"] > 0


@pytest.mark.parametrize("provider", ANYWHERE)
@pytest.mark.parametrize("bad_key", ["login", "refuse"])
async def test_refused_credentials_end_the_run(provider, bad_key, tmp_path):
    async with sandbox(4, geodes_bad_key=bad_key) as archive:
        wrong = credentials(archive, provider, secret="wrong-secret")
        async with Client(provider, base_url=root(archive, provider), credentials=wrong, config=Config()) as client:
            with pytest.raises(AuthError) as caught:
                [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

    assert "wrong-secret" not in str(caught.value)


async def test_a_product_that_is_forbidden_to_a_good_key_fails_alone(tmp_path):
    async with sandbox(6, tape_fraction=0) as archive:
        archive.deny("S1")
        outcomes, _ = await fetch_all(archive, tmp_path, "geodes")
        denied = {product.name for product in archive.catalogue if product.collection == "S1"}

    assert dict.fromkeys(denied, ForbiddenError) == {
        name: type(delivery.error) for name, delivery in outcomes.items() if delivery.error
    }


async def test_a_key_that_is_revoked_in_mid_run_ends_the_run(tmp_path, monkeypatch):
    """Its downloads are forbidden, as may be those of a good one: only the rest of the quota tells."""
    answers = [Account(50, 50)]

    async def account(_):
        if answers:
            return answers.pop()
        raise AuthError("GEODES does not accept the API key")

    monkeypatch.setattr(Geodes, "account", account)
    async with sandbox(6, tape_fraction=0) as archive:
        archive.deny("S1")
        with pytest.raises(AuthError):
            await fetch_all(archive, tmp_path, "geodes")


@pytest.mark.parametrize("provider", ["geodes", "cdse", "peps"])
async def test_faults_pass_or_are_reported(provider, tmp_path):
    faults = {"cut": 0.3, "error-500": 0.3, "html-200": 0.2, "stall": 0.1}
    settings = {"read_timeout": 0.5, "quota": Quota(1000, 1.0), "retries": 12}
    async with sandbox(12, tape_fraction=0.3, faults=faults, geodes_quota=None) as archive:
        async with connect(archive, provider, **settings) as client:
            with client.listen(portal(archive)):
                outcomes = [delivery async for delivery in client.fetch(await everything(client), tmp_path)]

        assert {delivery.error for delivery in outcomes} == {None}
        assert right_files(archive, tmp_path) == 12


async def test_quicklooks_are_found_with_the_products():
    async with sandbox(4) as archive, connect(archive, "cdse") as client:
        links = [product.quicklook_url for product in await everything(client)]

    assert 4 == len({link for link in links if link and link.startswith(f"{archive.cdse_url}/odata/v1/Assets(")})


SECRETS = re.compile(r"demo-password|ZGVtb0|Bearer \S|eyJ[A-Za-z0-9_-]{10}|X-API-Key", re.IGNORECASE)


@pytest.mark.parametrize("provider", ["geodes", "cdse", "peps"])
async def test_no_secret_is_told_anywhere(provider, tmp_path, caplog):
    caplog.set_level("DEBUG")
    async with sandbox(6, faults={"error-500": 0.5, "cut": 0.5}, token_seconds=0.5) as archive:
        outcomes, events = await fetch_all(archive, tmp_path, provider, settings={"staging_timeout": 0.5})
        told = [str(event.as_dict()) for event in events] + [repr(outcome) for outcome in outcomes.values()]
        told += [repr(delivery.error) for delivery in outcomes.values()] + [caplog.text]
        kept = [path.read_bytes() for path in (tmp_path / ".pepsasync").rglob("*") if path.is_file()]

        assert not SECRETS.search("\n".join(told))
        assert archive.api_key not in "\n".join(told)
        assert not any(archive.api_key.encode() in content or b"demo-password" in content for content in kept)


@pytest.mark.parametrize(("collection", "notes"), [("SENTINEL1", ["did you mean SENTINEL-1?"]), ("S3", []), ("S1", [])])
async def test_programs_are_told_of_a_collection_that_is_not_known(collection, notes):
    events = []
    async with sandbox(2, tape_fraction=0) as archive, connect(archive, "cdse") as client:
        with client.listen(events.append):
            async for _ in client.search(collection=collection):
                pass

    assert [event.message.partition("; ")[2] for event in events if isinstance(event, Noticed)] == notes
