"""Whole jobs at ASF: sessions that end, signed addresses, faults, and Sentinel-1 from two archives at once."""

import sys
from collections import Counter

import pytest
from anyio import to_thread

from archives import QUICK, connect, credentials, everything, fetch_all, held, right_files, root, sandbox
from pepsasync import AuthError, Client, Config, Credentials, DeliveryStatus
from pepsasync.errors import ServerError
from pepsasync.query.criteria import build_query
from pepsasync.sandbox.asf.download import burst_content
from pepsasync.sandbox.asf.records import burst_id

pytestmark = pytest.mark.anyio
FAULTS = {
    "cut": 0.4,
    "flip": 0.2,
    "error-500": 0.1,
    "error-503": 0.1,
    "html-200": 0.2,
    "session-ended": 0.05,
    "signature-ended": 0.3,
    "store-trouble": 0.3,
    "truncate": 0.1,
    "short-page": 0.5,
}


async def test_everything_arrives_whatever_goes_wrong(tmp_path):
    async with sandbox(24, faults=FAULTS) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "asf", settings={"retries": 12})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == len(held(archive, "asf")) == 12
        assert archive.statistics.leaked_tokens == 0


@pytest.mark.parametrize("secret", ["password", "token"])
async def test_sessions_may_end_in_mid_run(secret, tmp_path):
    now = [0.0]
    async with sandbox(12, asf_cookie_seconds=1000, clock=lambda: now[0]) as archive:
        account = credentials(archive, "asf") if secret == "password" else Credentials(api_key=archive.asf_token)
        config = Config(**QUICK | {"jobs": 1})
        async with Client("asf", base_url=archive.asf_url, credentials=account, config=config) as client:
            first, *others = await everything(client)
            outcomes = [each async for each in client.fetch(first, tmp_path)]
            now[0] += 2000
            outcomes += [each async for each in client.fetch(others, tmp_path)]

        assert {each.error for each in outcomes} == {None}
        assert right_files(archive, tmp_path) == 6
        assert archive.statistics.asf_sessions == 2
        assert archive.statistics.refused_logins == 0


async def test_a_search_that_the_catalogue_cut_off_is_made_again():
    async with sandbox(12, faults={"search-cut": 1.0}, fault_limit=1) as archive:
        async with connect(archive, "asf") as client:
            found = {product.name async for product in client.search(collection="S1")}

        assert found == {product.name for product in archive.catalogue if product.collection == "S1"}


async def test_a_search_that_is_always_cut_off_fails():
    faults = {"search-cut": 1.0}
    async with sandbox(12, faults=faults, fault_limit=99) as archive, connect(archive, "asf", retries=1) as client:
        with pytest.raises(ServerError, match="sent only a part"):
            await everything(client)


async def test_a_wrong_password_is_sent_once(tmp_path):
    async with sandbox(20) as archive, connect(archive, "asf", password="not-it") as client:
        products = await everything(client)
        with pytest.raises(AuthError, match="refuses user name or password"):
            [each async for each in client.fetch(products, tmp_path)]

        assert archive.statistics.refused_logins == 1


@pytest.mark.parametrize("secret", ["password", "token"])
async def test_a_licence_that_was_not_accepted_ends_the_run(secret, tmp_path):
    async with sandbox(4, asf_eula=False) as archive:
        account = credentials(archive, "asf") if secret == "password" else Credentials(api_key=archive.asf_token)
        async with Client("asf", base_url=archive.asf_url, credentials=account, config=Config(**QUICK)) as client:
            products = await everything(client)
            with pytest.raises(AuthError, match="licence"):
                await client.provider.account()
            with pytest.raises(AuthError, match="licence"):
                [each async for each in client.fetch(products, tmp_path)]


async def test_a_cut_download_goes_on_from_the_first_address(tmp_path):
    async with sandbox(8, product_size=400_000, faults={"cut": 1.0}, fault_limit=1) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "asf")

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 4
        assert {transfer.status for transfer in archive.statistics.transfers} == {200, 206}
        assert archive.statistics.requests["elsewhere"] == archive.statistics.requests["egress"]


async def test_a_product_comes_over_several_connections(tmp_path):
    async with sandbox(2, product_size=40_000_000, vary=False) as archive:
        outcomes, _ = await fetch_all(archive, tmp_path, "asf", settings={"segments": 2})

        assert {delivery.error for delivery in outcomes.values()} == {None}
        assert right_files(archive, tmp_path) == 1
        assert len(archive.statistics.transfers) > 1


@pytest.mark.parametrize("secret", ["password", "token"])
async def test_bursts_are_made_on_request(secret, tmp_path):
    async with sandbox(24, asf_burst_seconds=0.3) as archive:
        account = credentials(archive, "asf") if secret == "password" else Credentials(api_key=archive.asf_token)
        async with Client("asf", base_url=archive.asf_url, credentials=account, config=Config(**QUICK)) as client:
            products = [each async for each in client.search(collection="S1", product="BURST")]
            named = [each.name async for each in client.search(id=[each.name for each in products])]
            outcomes = [each async for each in client.fetch(products, tmp_path)]

        scenes = [each for each in held(archive, "asf") if each.product_type == "SLC" and each.sensor_mode == "IW"]
        assert len(outcomes) == len(scenes) == len(named) > 0
        assert {each.error for each in outcomes} == {None}
        for scene in scenes:
            path = tmp_path / f"{burst_id(scene)}.tiff"
            assert path.read_bytes() == burst_content(f"/bursts/{scene.name}/IW3/VV/5.tiff")
        assert archive.statistics.leaked_tokens == 0


async def test_radar_comes_from_both_archives_that_have_it(tmp_path):
    async with (
        sandbox(40, tape_fraction=0) as first,
        sandbox(40, tape_fraction=0) as second,
        Client(
            ["cdse", "asf"],
            credentials={"cdse": credentials(first, "cdse"), "asf": credentials(second, "asf")},
            base_url={"cdse": root(first, "cdse"), "asf": root(second, "asf")},
            config=Config(**QUICK | {"jobs": 2}),
        ) as client,
    ):
        query = build_query(start="2015-01-01", end="2018-01-01")
        outcomes = {each.product.name: each async for each in client.fetch(query, tmp_path)}

        assert {each.status for each in outcomes.values()} == {DeliveryStatus.DELIVERED}
        assert right_files(first, tmp_path) == 40
        sources = Counter(each.source for name, each in outcomes.items() if name.startswith("S1"))
        assert sources.keys() == {"cdse", "asf"}
        assert {each.source for name, each in outcomes.items() if name.startswith("S2")} == {"cdse"}


async def test_radar_that_is_on_tape_comes_from_asf(tmp_path):
    async with sandbox(8, tape_fraction=1.0) as archive:
        async with Client(
            ["cdse", "asf"],
            credentials={name: credentials(archive, name) for name in ("cdse", "asf")},
            base_url={name: root(archive, name) for name in ("cdse", "asf")},
            config=Config(**QUICK),
        ) as client:
            outcomes = [each async for each in client.fetch(build_query(collection="S1"), tmp_path)]

        assert {(each.error, each.source) for each in outcomes} == {(None, "asf")}


@pytest.fixture
def asf_search(monkeypatch):
    """The official client, whose requests to the real hosts lead to a sandbox."""
    if sys.version_info >= (3, 14):
        pytest.skip("not every dependency of asf_search is there yet")
    module = pytest.importorskip("asf_search")
    requests = pytest.importorskip("requests")

    class Detour(requests.adapters.HTTPAdapter):
        def __init__(self, root):
            super().__init__()
            self.root = root

        def send(self, request, **options):
            asked = request.url
            request.url = self.root + "/" + asked.removeprefix("https://")
            response = super().send(request, **options)
            request.url = response.url = asked
            if location := response.headers.get("Location"):
                response.headers["Location"] = location.replace(self.root + "/", "https://")
            if "umm_results" in response.headers.get("Content-Type", ""):
                response._content = response.content.replace(f"{self.root}/".encode(), b"https://")
            return response

    def session(root):
        made = module.ASFSession()
        made.trust_env = False
        made.mount("https://", Detour(root))
        return made

    return module, session


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_official_client_works_with_the_sandbox(asf_search, tmp_path):
    module, session = asf_search
    async with sandbox(12) as archive:

        def work():
            mine = session(archive.asf_url).auth_with_creds(archive.username, archive.password)
            options = module.ASFSearchOptions(session=mine)
            found = module.search(
                dataset="SENTINEL-1",
                processingLevel=["GRD_HD", "SLC", "OCN"],
                intersectsWith="POINT(1.44 43.6)",
                opts=options,
            )
            count = module.search_count(dataset="SENTINEL-1", processingLevel=["GRD_HD", "SLC", "OCN"], opts=options)
            named = module.granule_search([held(archive, "asf")[0].name], opts=options)
            [first, *_] = found
            first.download(str(tmp_path), session=mine)
            by_token = session(archive.asf_url).auth_with_token(archive.asf_token)
            second = module.search(
                dataset="SENTINEL-1", processingLevel="SLC", opts=module.ASFSearchOptions(session=by_token)
            )
            return found, count, named, second

        found, count, named, second = await to_thread.run_sync(work)

        assert {each.properties["sceneName"] for each in found} <= {each.name for each in held(archive, "asf")}
        assert found
        assert count >= len(found)
        assert {each.properties["sceneName"] for each in named} == {held(archive, "asf")[0].name}
        assert second
        name = found[0].properties["sceneName"]
        assert (tmp_path / f"{name}.zip").read_bytes() == archive.content(name).read()
        assert found[0].properties["md5sum"] == archive.content(name).md5
