"""Products brought by workers of a real cluster of Dask, with workers, scheduler and coordinator that are killed."""

import contextlib
import json
import os
import random
import signal
import socket
import sys
from subprocess import DEVNULL
from types import SimpleNamespace

import anyio
import pytest
from anyio import to_thread

from archives import account_file, connect, everything, final_names, held, right_files, root, sandbox
from pepsasync import ConfigError, DeliveryStatus, UnreachableError

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from dask_processes import Cluster, keys_in, leases_in, until, workers_in  # noqa: E402 - needs distributed

from pepsasync.cluster import Dask, connection, executor  # noqa: E402

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("dask"), pytest.mark.timeout(200)]

LARGE = {"product_size": 3_000_000, "vary": False, "tape_fraction": 0.0}
"""Products that take some seconds at `SLOW`."""

SLOW = {"limit_rate": 3_000_000}

long = pytest.mark.skipif("PEPSASYNC_LONG_TESTS" not in os.environ, reason="takes long: nox -s dask")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    running = Cluster(tmp_path_factory.mktemp("dask"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def fetch(archive, folder, cluster, provider="cdse", **settings):
    """Outcome by name of a run on a cluster, and its events."""
    events = []
    async with connect(archive, provider, **settings) as client:
        with client.listen(events.append):
            products = await everything(client)
            fetched = client.fetch(products, folder, executor=Dask(cluster.address))
            outcomes = {delivery.product.name: delivery async for delivery in fetched}
    return outcomes, events


def are_delivered(outcomes):
    return {delivery.status for delivery in outcomes.values()} == {DeliveryStatus.DELIVERED}


@pytest.mark.parametrize(
    ("provider", "anyio_backend"),
    [
        ("cdse", "asyncio"),
        ("cdse", "trio"),
        ("geodes", "asyncio"),
        pytest.param("asf", "asyncio", marks=long),
        pytest.param("wekeo", "asyncio", marks=long),
    ],
)
async def test_workers_bring_what_one_machine_brings(tmp_path, cluster, provider, anyio_backend):
    stages = provider == "geodes"
    options = {"tape_fraction": 0.3, "geodes_restore": True} if stages else {"tape_fraction": 0.0}
    settings = {"jobs": 3, "restore": stages}
    async with sandbox(12, product_size=700_000, **options) as archive:
        async with connect(archive, provider, **settings) as client:
            here = {d.product.name: d async for d in client.fetch(await everything(client), tmp_path / "here")}
        outcomes, events = await fetch(archive, tmp_path / "data", cluster, provider, **settings)

        assert are_delivered(outcomes)
        assert len(held(archive, provider)) == len(outcomes)
        assert archive.statistics.peak_downloads <= 3

    def told(delivery):
        path = delivery.path.name
        return path, delivery.bytes, delivery.checksum, delivery.source, delivery.attempts, delivery.resumed_bytes

    assert {name: told(one) for name, one in here.items()} == {name: told(one) for name, one in outcomes.items()}
    for name in final_names(tmp_path / "here"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "data" / name).read_bytes()
    assert all(one.worker and one.worker.startswith("tcp://127.0.0.1:") for one in outcomes.values())
    kinds = [event.event for event in events]
    assert len(outcomes) == kinds.count("product_downloaded") == kinds.count("product_verified")
    assert len(outcomes) <= kinds.count("download_started")
    assert leases_in(tmp_path / "data") == []


async def test_no_quota_is_exceeded(tmp_path, cluster):
    async with sandbox(14, product_size=50_000, tape_fraction=0.0, geodes_quota=5, geodes_quota_seconds=2.0) as archive:
        outcomes, _ = await fetch(archive, tmp_path, cluster, "geodes", jobs=4)

        assert are_delivered(outcomes)
        assert archive.statistics.quota_refusals == 0


@long
async def test_faults_of_the_archive_are_tried_again(tmp_path, cluster):
    faults = {"cut": 0.5, "flip": 0.2, "error-503": 0.2, "token-refused": 0.3}
    async with sandbox(10, product_size=900_000, tape_fraction=0.0, faults=faults, fault_limit=1) as archive:
        outcomes, _ = await fetch(archive, tmp_path, cluster)

        assert are_delivered(outcomes)
        assert len(outcomes) == right_files(archive, tmp_path)
        assert sum(archive.statistics.faults.values()) > 0


async def test_a_password_goes_to_no_worker(tmp_path, cluster):
    async with sandbox(4, tape_fraction=0.0) as archive:
        with pytest.raises(ConfigError, match="workers get no password"):
            await fetch(archive, tmp_path, cluster, "peps")

        assert archive.statistics.transfers == ()


async def test_a_wrong_account_ends_the_run(tmp_path, cluster):
    async with sandbox(4, tape_fraction=0.0) as archive, connect(archive, "geodes", password="wrong") as client:
        products = await everything(client)
        with pytest.raises(Exception, match="does not accept the API key") as caught:
            async for _ in client.fetch(products, tmp_path, executor=Dask(cluster.address)):
                pass
    assert "AuthError" == type(caught.value).__name__


async def test_no_secret_is_in_logs_or_keys(tmp_path, cluster):
    async with sandbox(4, product_size=700_000, tape_fraction=0.0) as archive:
        outcomes, _ = await fetch(archive, tmp_path, cluster, "geodes")
        secret = archive.api_key

    def told():
        with distributed.Client(cluster.address, set_as_default=False) as client:
            log = client.run_on_scheduler(lambda dask_scheduler: repr(dask_scheduler._broker._topics))
            return log + repr(client.get_events()) + cluster.log

    assert are_delivered(outcomes)
    assert secret not in await to_thread.run_sync(told)


async def test_a_killed_worker_costs_no_product(tmp_path, cluster):
    async with sandbox(8, **LARGE) as archive:

        async def kill():
            await to_thread.run_sync(until, lambda: workers_in(tmp_path))
            os.kill(workers_in(tmp_path).pop(), signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            outcomes, events = await fetch(archive, tmp_path, cluster, jobs=3, **SLOW)

        assert are_delivered(outcomes)
        assert len(outcomes) == right_files(archive, tmp_path)
        assert archive.statistics.peak_downloads <= 3
    assert any("its worker was lost" in event.message for event in events if event.event == "noticed")
    assert leases_in(tmp_path) == []


async def test_a_cancelled_run_stops_its_workers(tmp_path, cluster):
    async with sandbox(8, **LARGE) as archive:
        async with connect(archive, "cdse", jobs=3, **SLOW) as client:
            products = await everything(client)
            with anyio.CancelScope() as scope:

                async def cancel():
                    await to_thread.run_sync(until, lambda: len(workers_in(tmp_path)) > 0)
                    scope.cancel()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel)
                    async for _ in client.fetch(products, tmp_path, executor=Dask(cluster.address)):
                        pass
        await to_thread.run_sync(until, lambda: not leases_in(tmp_path))
        assert len(archive.catalogue) > right_files(archive, tmp_path)  # they stopped, and did not go on to the end

        outcomes, _ = await fetch(archive, tmp_path, cluster)
        assert are_delivered({name: one for name, one in outcomes.items() if one.status is not DeliveryStatus.SKIPPED})
        assert len(outcomes) == right_files(archive, tmp_path)


def command(archive, folder, cluster, *more, provider="cdse"):
    auth = account_file(archive, folder.parent / "account.txt", provider)
    where = ["--provider", provider, "--base-url", root(archive, provider), "-a", str(auth), "--dask", cluster.address]
    what = ["-c", "S1,S2ST", "-d", "2015-01-01", "-f", "2019-01-01", "-w", str(folder), "-j", "3"]
    return [sys.executable, "-m", "pepsasync", "fetch", *where, *what, *more]


@long
async def test_a_killed_coordinator_goes_on(tmp_path, cluster):
    folder = tmp_path / "data"
    async with sandbox(8, **LARGE) as archive:
        first = await anyio.open_process(command(archive, folder, cluster, "--limit-rate", "3MB"), stderr=DEVNULL)
        async with first:
            await to_thread.run_sync(until, lambda: len(workers_in(folder)) > 0)
            first.kill()
        second = await anyio.run_process(command(archive, folder, cluster, "--report", str(tmp_path / "report.json")))

        assert 0 == second.returncode, second.stderr.decode()
        assert len(archive.catalogue) == right_files(archive, folder)
        assert archive.statistics.peak_downloads <= 3
    summary = json.loads((tmp_path / "report.json").read_text())["summary"]
    assert 0 == summary["failed"]
    assert leases_in(folder) == []


@long
@pytest.mark.timeout(600)
async def test_limits_hold_whoever_is_killed(tmp_path, cluster):
    count = int(os.environ.get("PEPSASYNC_LONG_PRODUCTS", "250"))
    folder, chance = tmp_path / "data", random.Random(1)
    quota = {"geodes_quota": 60, "geodes_quota_seconds": 4.0}
    async with sandbox(count, product_size=700_000, tape_fraction=0.0, **quota) as archive:
        words = command(archive, folder, cluster, "--limit-rate", "40MB", "--quota", "60/4s", provider="geodes")
        for number in range(1_000):
            async with await anyio.open_process(words, stdout=DEVNULL, stderr=DEVNULL) as run:
                if number < 4:
                    await to_thread.run_sync(until, lambda: workers_in(folder))
                    for _ in range(2):
                        await anyio.sleep(chance.uniform(0, 1.5))
                        for worker in list(workers_in(folder))[:1]:
                            with contextlib.suppress(ProcessLookupError):  # killed before
                                os.kill(worker, signal.SIGKILL)
                    await anyio.sleep(chance.uniform(0, 1.5))
                    run.kill()
            if run.returncode == 0:
                break

        assert len(archive.catalogue) == right_files(archive, folder)
        assert archive.statistics.peak_downloads <= 3
        assert archive.statistics.quota_refusals == 0
    assert leases_in(folder) == []


@long
async def test_ctrl_c_ends_a_run_on_workers_of_its_own_without_a_word_of_dask(tmp_path):
    async with sandbox(8, **LARGE) as archive:
        words = command(archive, tmp_path / "data", SimpleNamespace(address="local:2"), "--limit-rate", "2MB")
        async with await anyio.open_process(words, start_new_session=True, stdout=DEVNULL) as run:
            await to_thread.run_sync(until, lambda: workers_in(tmp_path / "data"))
            os.killpg(run.pid, signal.SIGINT)
            said = b"".join([chunk async for chunk in run.stderr]).decode()

    assert 130 == run.returncode, said
    assert "Traceback" not in said
    assert leases_in(tmp_path / "data") == []


@long
async def test_whole_command_over_tls(tmp_path, tmp_path_factory, monkeypatch):
    keys = keys_in(tmp_path)
    cluster = Cluster(tmp_path_factory.mktemp("tls"), workers=1, keys=keys)
    cluster.start()
    try:
        async with sandbox(4, product_size=700_000, tape_fraction=0.0) as archive:
            env = {**os.environ, **keys}
            ran = await anyio.run_process(command(archive, tmp_path / "data", cluster), env=env, check=False)
            assert 0 == ran.returncode, ran.stderr.decode()
            assert cluster.address.startswith("tls://")
            assert len(archive.catalogue) == right_files(archive, tmp_path / "data")

            without = await anyio.run_process(command(archive, tmp_path / "data", cluster), check=False)
            assert 2 == without.returncode, without.stderr.decode()
            assert b"Traceback" not in without.stderr
    finally:
        cluster.stop()


@long
async def test_a_scheduler_that_comes_back_is_used_again(tmp_path, tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("restarted"), workers=1)
    cluster.start()
    port = int(cluster.address.rpartition(":")[2])
    try:
        async with sandbox(8, **LARGE) as archive:

            def restart():
                until(lambda: workers_in(tmp_path))
                cluster.stop()
                cluster.start(port)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(to_thread.run_sync, restart)
                outcomes, _ = await fetch(archive, tmp_path, cluster, jobs=3, **SLOW)

            assert are_delivered(outcomes)
            assert len(outcomes) == right_files(archive, tmp_path)
            assert archive.statistics.peak_downloads <= 3
    finally:
        cluster.stop()


@long
async def test_a_worker_of_our_own_that_stands_still_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "SILENT", 3.0)
    async with sandbox(6, **LARGE) as archive:
        async with connect(archive, "cdse", jobs=2, **SLOW) as client:
            products = await everything(client)

            async def stop():
                await to_thread.run_sync(until, lambda: workers_in(tmp_path))
                os.kill(workers_in(tmp_path).pop(), signal.SIGSTOP)

            outcomes = {}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                async for delivery in client.fetch(products, tmp_path, executor=Dask("local:2")):
                    outcomes[delivery.product.name] = delivery

        assert are_delivered(outcomes)
        assert len(outcomes) == right_files(archive, tmp_path)
        assert archive.statistics.peak_downloads <= 2


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("tcp://192.0.2.1:8786", "no TLS"),
        ("scheduler:8786", "address of a scheduler"),
        ("local:0", "address of a scheduler"),
        ("tcp://127.0.0.1:1", "no Dask scheduler answers"),
    ],
)
async def test_what_cannot_be_used_is_told_before_the_first_product(tmp_path, monkeypatch, where, words):
    monkeypatch.setattr(connection, "CONNECT", 1.0)
    async with sandbox(2, tape_fraction=0.0) as archive:
        async with connect(archive, "cdse") as client:
            with pytest.raises(Exception, match=words):
                async for _ in client.fetch({"collection": "S1"}, tmp_path, executor=Dask(where)):
                    pass
        assert archive.statistics.requests.get("search", 0) == 0
    assert leases_in(tmp_path) == []
    with contextlib.suppress(FileNotFoundError):
        assert [] == final_names(tmp_path)


async def test_an_address_alone_is_no_executor(tmp_path):
    async with sandbox(1) as archive, connect(archive, "cdse") as client:
        with pytest.raises(TypeError, match="executor is a cluster"):
            client.fetch("A", tmp_path, executor="local:2")


async def test_an_address_that_accepts_and_says_nothing_is_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "CONNECT", 0.5)
    monkeypatch.setattr(connection, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with sandbox(1, tape_fraction=0.0) as archive, connect(archive, "cdse") as client:
            products = await everything(client)
            with pytest.raises(UnreachableError, match="no Dask scheduler answers"):
                async for _ in client.fetch(products, tmp_path, executor=Dask(f"tcp://127.0.0.1:{port}")):
                    pass


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_product_waits_for_a_share_of_the_rate_that_others_have(anyio_backend):
    shares, got = executor._Shares(), []

    async def take():
        async with shares.taken(1_000, 4) as share:
            got.append(share)

    async with anyio.create_task_group() as tasks, contextlib.AsyncExitStack() as others:
        first = [await others.enter_async_context(shares.taken(1_000, 2)) for _ in range(2)]
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        assert (first, got) == ([500, 500], [])
    assert got == [250]
