"""Whole jobs at WEkEO: orders, their quota, and what becomes of them when a run ends."""

from collections import Counter

import anyio
import pytest
from anyio import to_thread

from archives import QUICK, connect, credentials, everything, fetch_all, right_files, root, sandbox
from pepsasync import AuthError, Client, Config, DeliveryStatus
from pepsasync.errors import ForbiddenError, ProviderError
from pepsasync.events import StagingRequested
from pepsasync.query.criteria import build_query

pytestmark = pytest.mark.anyio


async def test_every_product_is_ordered_once_and_arrives(tmp_path):
    async with sandbox(12, tape_fraction=0.5) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 12
        assert archive.statistics.orders == 12
        assert archive.statistics.tokens == 1


FAULTS = {
    "cut": 0.4,
    "error-500": 0.1,
    "error-503": 0.1,
    "html-200": 0.2,
    "length-none": 0.3,
    "order-lost": 0.05,
    "size-unknown": 0.3,
    "missing-properties": 0.3,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"wekeo_strict": False, "wekeo_new_ids": True},
        {"wekeo_ranges": True, "wekeo_redirect": True, "wekeo_totals": True},
    ],
)
async def test_everything_arrives_whatever_goes_wrong(options, tmp_path):
    async with sandbox(16, faults=FAULTS, fault_limit=1, **options) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo", settings={"retries": 12})

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 16
        assert archive.statistics.leaked_tokens == 0


async def test_an_order_that_failed_is_made_once_more(tmp_path):
    async with sandbox(4, tape_fraction=0, faults={"order-failed": 1.0}, fault_limit=1) as archive:
        outcomes, events = await fetch_all(archive, tmp_path, "wekeo")

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4
        assert archive.statistics.orders == 8
    assert {event.times for event in events if isinstance(event, StagingRequested)} >= {1}


async def test_a_product_whose_orders_fail_again_and_again_is_given_up(tmp_path):
    async with sandbox(2, tape_fraction=0, faults={"order-failed": 1.0}, fault_limit=99) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")

    assert {type(each.error) for each in outcomes.values()} == {ProviderError}
    assert all("The data provider failed" in str(each.error) for each in outcomes.values())


async def test_a_product_that_cannot_be_had_fails_alone(tmp_path):
    async with sandbox(6, tape_fraction=0, faults={"task-error": 0.4}, fault_limit=99) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")
        failed = [each for each in outcomes.values() if each.error]

        assert 0 < len(failed) < 6
        assert all("list index out of range" in str(each.error) for each in failed)
        assert right_files(archive, tmp_path) == 6 - len(failed)


@pytest.mark.parametrize("headers", [True, False])
async def test_the_quota_counts_orders_and_is_waited_for(headers, tmp_path, monkeypatch):
    monkeypatch.setattr("pepsasync.providers.wekeo.QUOTA_PAUSE", 0.1)
    options = {"wekeo_quota": 3, "wekeo_quota_seconds": 600, "wekeo_quota_headers": headers, "time_scale": 1000}
    async with sandbox(8, tape_fraction=0, **options) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 8
        assert archive.statistics.orders == 8


async def test_orders_of_a_run_that_ended_are_found_again(tmp_path):
    async with sandbox(6, tape_fraction=1.0, staging_seconds=3600.0) as archive:
        async with connect(archive, "wekeo") as client:
            products, asked = await everything(client), set()
            is_ordered = anyio.Event()

            def take(event):
                if isinstance(event, StagingRequested):
                    asked.add(event.name)
                    if len(asked) == 6:
                        is_ordered.set()

            async def run():
                async for _ in client.fetch(products, tmp_path):
                    pass

            with client.listen(take):
                async with anyio.create_task_group() as running:
                    running.start_soon(run)
                    await is_ordered.wait()
                    running.cancel_scope.cancel()
        before = archive.statistics.requests["order"]
        for product in archive.catalogue:
            archive.set_tier(product.name, "disk")
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")

        assert {each.error for each in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 6
        assert archive.statistics.orders == 6
        assert archive.statistics.requests["order"] == before == 6


async def test_every_page_is_read_when_nobody_says_that_there_is_another():
    async with sandbox(420, product_size=20_000, faults={"next-missing": 1.0}) as archive:
        async with connect(archive, "wekeo") as client:
            found = [product.name async for product in client.search(collection="S1")]

        assert {*found} == {product.name for product in archive.catalogue if product.collection == "S1"}
        assert len(found) > 200


async def test_products_that_an_account_may_not_have_fail_alone(tmp_path):
    async with sandbox(6, tape_fraction=0) as archive:
        archive.deny("S2ST")
        outcomes, _ = await fetch_all(archive, tmp_path, "wekeo")
        errors = {each.product.collection[-1]: type(each.error) for each in outcomes.values()}

    assert errors == {"1": type(None), "2": ForbiddenError}


async def test_orders_that_have_ended_meanwhile_are_made_again(tmp_path):
    now = [0.0]
    async with sandbox(2, tape_fraction=0, wekeo_order_life=1000, clock=lambda: now[0]) as archive:
        async with connect(archive, "wekeo") as client:
            [product, *_] = await everything(client)
            [online] = [each async for each in client.wait_online(product)]
            now[0] += 2000
            path = await client.download(online, tmp_path)

        assert online.order is not None
        assert path.read_bytes() == archive.content(product.name).read()
        assert archive.statistics.orders == 2


@pytest.mark.parametrize("refusal", [401, 403])
async def test_tokens_end_in_mid_run(refusal, tmp_path):
    now = [0.0]
    async with sandbox(4, tape_fraction=0, wekeo_refusal=refusal, clock=lambda: now[0]) as archive:
        async with connect(archive, "wekeo") as client:
            [first, *others] = await everything(client)
            outcomes = [each async for each in client.fetch(first, tmp_path)]
            now[0] += 5000
            outcomes += [each async for each in client.fetch(others, tmp_path)]

        assert {each.error for each in outcomes} == {None}
        assert right_files(archive, tmp_path) == 4
        assert (archive.statistics.tokens, archive.statistics.refreshes) == (1, 1)


@pytest.mark.parametrize("status", [403, 404])
async def test_terms_are_named_and_never_accepted_silently(status, tmp_path):
    async with sandbox(2, wekeo_terms=False, wekeo_terms_status=status) as archive, connect(archive, "wekeo") as client:
        for _ in range(2):
            with pytest.raises(AuthError, match=r"Copernicus_Sentinel_License.*--accept-terms"):
                await everything(client)
        missing = await client.provider.missing_terms()
        for term in missing:
            await client.provider.accept_term(term)
        products = await everything(client)

        assert missing == {
            "Copernicus_Sentinel_License": "Copernicus Sentinel Data Terms and Conditions",
            "EUMETSAT_Copernicus_Data_Licence": "EUMETSAT Copernicus Data Licence",
        }
        assert len(products) == 2
        assert await client.provider.missing_terms() == {}


@pytest.mark.parametrize(
    "options", [{}, {"wekeo_origin": "cmems"}, {"wekeo_old_login": True}, {"wekeo_error_200": True}]
)
async def test_ways_to_log_in(options):
    async with sandbox(2, **options) as archive:
        async with connect(archive, "wekeo") as client:
            account = await client.provider.account()
        refused = archive.statistics.refused_logins
        async with connect(archive, "wekeo", password="not-it") as client:
            for _ in range(3):
                with pytest.raises(AuthError, match="refuses user name or password"):
                    await client.provider.account()

        assert (account.quota_left, account.quota_products) == (100, 100)
        assert archive.statistics.refused_logins == refused + 3
        assert refused == (2 if options.get("wekeo_origin") else 0)


async def test_what_is_on_tape_elsewhere_is_ordered(tmp_path):
    async with sandbox(6, tape_fraction=1.0) as archive:
        async with Client(
            ["cdse", "wekeo"],
            credentials={name: credentials(archive, name) for name in ("cdse", "wekeo")},
            base_url={name: root(archive, name) for name in ("cdse", "wekeo")},
            config=Config(**QUICK),
        ) as client:
            outcomes = [each async for each in client.fetch(build_query(collection="S1"), tmp_path)]

        assert {each.status for each in outcomes} == {DeliveryStatus.DELIVERED}
        assert Counter(each.source for each in outcomes).keys() <= {"cdse", "wekeo"}
        assert archive.statistics.orders == 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("totals", [True, False])
async def test_the_official_client_works_with_the_sandbox(totals, tmp_path):
    hda = pytest.importorskip("hda")
    async with sandbox(12, tape_fraction=0, wekeo_terms=False, wekeo_totals=totals) as archive:

        def work():
            config = hda.Configuration(
                user=archive.username, password=archive.password, url=f"{archive.wekeo_url}/hda-broker/"
            )
            client = hda.Client(config=config, progress=False)
            found = client.search({"dataset_id": "EO:ESA:DAT:SENTINEL-1", "productType": "GRD"})
            listed = client.metadata("EO:ESA:DAT:SENTINEL-1")
            found[0].download(download_dir=str(tmp_path))
            return [each["id"] for each in found.results], listed

        found, listed = await to_thread.run_sync(work)
        names = {product.name for product in archive.catalogue if product.product_type == "GRD"}
        [path] = tmp_path.iterdir()

        assert {name.removesuffix(".SAFE") for name in found} == names
        assert "productType" in listed["properties"]
        assert path.read_bytes() == archive.content(path.stem).read()
