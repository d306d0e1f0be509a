"""`pepsasync.blocking.Client`: the same names without `await`, from any thread, with nothing left behind."""

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

import pepsasync
from archives import QUICK, credentials, right_files, root, sandbox
from pepsasync import Config, DeliveryStatus, StorageTier, blocking
from pepsasync.errors import AuthError, ConfigError, NotFoundError
from pepsasync.events import DownloadStarted, Noticed, StagingRequested
from pepsasync.folder.journal import JournalBusyError

NEVER = {"staging_seconds": 1_000_000.0, "tape_fraction": 1.0}
"""An archive whose tape robot brings nothing in the time of a test."""


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


@pytest.fixture
def archive():
    archive = sandbox(8)
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def slow_archive():
    archive = sandbox(8, **NEVER)
    archive.start()
    yield archive
    archive.stop()


def connect(archive, provider="peps", *, backend="asyncio", password=None, **settings):
    return blocking.Client(
        provider,
        base_url=root(archive, provider),
        credentials=credentials(archive, provider, secret=password),
        config=Config(**(QUICK | settings)),
        backend=backend,
    )


def wait_for(condition):
    """Until something that happens soon has happened."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def loops():
    return {thread for thread in threading.enumerate() if thread.name == "pepsasync"}


def public(kind):
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


def parameters(method):
    return [(one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()]


def test_everything_has_the_same_name_and_parameters():
    ours, theirs = public(blocking.Client), public(pepsasync.Client)

    assert theirs.keys() | {"close", "provider"} == ours.keys()
    for name, member in theirs.items():
        if callable(member):
            assert parameters(member) == parameters(ours[name]), name
        assert bool(member.__doc__) == bool(ours[name].__doc__), name
    assert parameters(pepsasync.Client) == parameters(blocking.Client)[:-1]


def test_nothing_else_needs_await():
    """What does not block is the same in both worlds: functions of the package, and methods of its other classes."""
    exported = [getattr(pepsasync, name) for name in pepsasync.__all__]
    members = [member for kind in exported if inspect.isclass(kind) for member in public(kind).values()]
    waits = [
        one for one in (*exported, *members) if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
    ]

    assert {"Client"} == {one.__qualname__.partition(".")[0] for one in waits}


def test_no_method_of_the_client_is_async():
    assert [] == [name for name, member in public(blocking.Client).items() if inspect.iscoroutinefunction(member)]


def test_products_come_in_every_way(archive, backend, tmp_path):
    with connect(archive, backend=backend) as client:
        products = [*client.search(collection="S1"), *client.search({"collection": "S2ST"})]
        first, second, third, *others = products

        assert archive.catalogue[0].name in {product.name for product in products}
        assert {product.id for product in products} == client.tiers(products).keys()
        assert client.stage(first) is not None
        assert [second] == list(client.wait_online(second))
        assert client.download(third, tmp_path) == tmp_path / f"{third.name}.zip"
        assert client.download(first.name, tmp_path).exists()
        outcomes = list(client.fetch([second, third, *others], tmp_path))

    assert len(products) - 1 == len(outcomes)
    assert {DeliveryStatus.DELIVERED, DeliveryStatus.SKIPPED} == {outcome.status for outcome in outcomes}
    assert len(products) == right_files(archive, tmp_path)


def test_what_an_archive_bears_is_known(archive):
    with connect(archive, "geodes") as client:
        assert client.provider.name == "geodes"
        assert client.quota.products > 0


def test_errors_are_the_same(archive, tmp_path):
    with connect(archive) as client, pytest.raises(NotFoundError, match="no such product"):
        client.download("S1A_NOTHING", tmp_path)
    with connect(archive, password="wrong") as client, pytest.raises(AuthError):
        list(client.fetch({"collection": "S1"}, tmp_path))
    with connect(archive) as client, pytest.raises(ConfigError, match="no-such-thing"):
        client.search({"no-such-thing": 1})
    with pytest.raises(ConfigError, match="nowhere"):
        blocking.Client("nowhere")
    with pytest.raises(ConfigError, match="no event loop 'curio'"):
        connect(archive, backend="curio")


def test_threads_share_a_client(archive, backend, tmp_path):
    with connect(archive, backend=backend) as client, ThreadPoolExecutor(8) as threads:
        products = list(client.search(collection="S1")) + list(client.search(collection="S2ST"))
        paths = list(threads.map(lambda product: client.download(product, tmp_path), products))

    assert len(products) == len({*paths}) == right_files(archive, tmp_path)


def test_threads_share_a_loop(archive, backend, tmp_path):
    with connect(archive, backend=backend) as client, ThreadPoolExecutor(4) as threads:
        products = client.fetch([*client.search(collection="S1"), *client.search(collection="S2ST")], tmp_path)
        shares = list(threads.map(lambda _: [delivery.product.name for delivery in products], range(4)))

    assert sorted(product.name for product in archive.catalogue) == sorted(name for share in shares for name in share)


@pytest.mark.parametrize(
    ("run", "backend"),
    [(lambda main: asyncio.run(main()), "asyncio"), (lambda main: asyncio.run(main()), "trio"), (trio.run, "asyncio")],
    ids=["asyncio in asyncio", "trio in asyncio", "asyncio in trio"],
)
def test_it_works_inside_an_event_loop(archive, backend, run, tmp_path):
    """As in a cell of a notebook."""

    async def cell():
        with connect(archive, backend=backend) as client:
            return client.download(next(client.search(collection="S1")), tmp_path)

    assert run(cell).exists()


def is_free(archive, folder):
    """Whether another program may work in a folder."""
    try:
        with connect(archive) as other, other.hold(folder):
            return True
    except JournalBusyError:
        return False


def leave_by_break(client, folder):
    for _ in client.fetch({"collection": "S1"}, folder):
        break


def leave_by_block(client, folder):
    with client.fetch({"collection": "S1"}, folder) as outcomes:
        next(outcomes)


def leave_in_a_circle(client, folder):
    outcomes = client.fetch({"collection": "S1"}, folder)
    outcomes.itself = outcomes
    next(outcomes)
    del outcomes
    gc.collect()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_block, leave_in_a_circle])
def test_a_loop_that_is_left_early_ends(archive, backend, leave, tmp_path):
    with connect(archive, backend=backend) as client:
        leave(client, tmp_path)

        wait_for(lambda: is_free(archive, tmp_path))
        assert list(client.search(collection="S1"))


def test_a_loop_ends_for_who_closes_it(archive):
    with connect(archive) as client:
        products = client.search(collection="S1")
        next(products)
        products.close()

        assert [] == list(products)


def test_closing_ends_calls_of_other_threads(slow_archive, backend, tmp_path):
    awaited = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        with connect(slow_archive, backend=backend) as client:
            product = next(client.search(collection="S1"))
            with client.listen(lambda event: isinstance(event, StagingRequested) and awaited.set()):
                download = threads.submit(client.download, product, tmp_path)
                online = threads.submit(list, client.wait_online(product))
                seen = threads.submit(list, client.events())
                assert awaited.wait(60)
        with pytest.raises(RuntimeError, match="the client is closed"):
            download.result(60)
        with pytest.raises(RuntimeError, match="the client is closed"):
            online.result(60)
        assert isinstance(seen.result(60), list)
        for use in (client.search, client.tiers, lambda _: client.fetch([product], tmp_path)):
            with pytest.raises(RuntimeError, match="the client is closed"):
                use([])
    assert is_free(slow_archive, tmp_path)


def test_no_thread_is_left(archive, backend):
    before = loops()
    with connect(archive, backend=backend) as client:
        (thread,) = loops() - before
        client.close()
    assert not thread.is_alive()

    before = loops()
    client = connect(archive, backend=backend)
    (thread,) = loops() - before
    del client
    wait_for(lambda: not thread.is_alive())


def test_a_loop_keeps_its_client(archive, backend):
    assert list(connect(archive, backend=backend).search(collection="S1"))


def test_listeners_hear_everything(archive, tmp_path):
    events, replies = [], []
    with connect(archive) as client, client.listen(events.append):
        with client.raw_replies(lambda url, body: replies.append(url)):
            product = next(client.search(collection="S1"))
        client.download(product, tmp_path)

    assert replies
    assert any(isinstance(event, DownloadStarted) for event in events)


def test_listeners_cannot_call_their_client(archive, tmp_path):
    """Which would wait for itself."""
    events = []

    with (
        connect(archive) as client,
        client.listen(events.append),
        client.listen(lambda event: client.close()),
        client.listen(lambda event: client.tiers([])),
    ):
        client.download(next(client.search(collection="S1")), tmp_path)

    notices = {event.message.partition(": ")[2] for event in events if isinstance(event, Noticed)}
    assert any("a listener cannot call its client" in notice for notice in notices)
    assert any("a listener cannot close its client" in notice for notice in notices)


def test_a_hook_is_a_plain_function_that_may_use_the_client(archive, backend, tmp_path):
    told, before = [], loops()

    def hook(delivery):
        told.append((threading.current_thread() is thread, client.tiers(delivery.product)[delivery.product.id]))

    with connect(archive, backend=backend) as client:
        (thread,) = loops() - before
        list(client.fetch({"collection": "S1"}, tmp_path, on_delivered=hook))

    assert told
    assert {(False, StorageTier.DISK)} == {*told}


def test_a_second_factor_is_asked_for_in_a_thread(tmp_path):
    archive = sandbox(2, tape_fraction=0.0, totp="123456")
    archive.start()
    asked = []

    def ask_code():
        asked.append(threading.current_thread())
        return "123456"

    client = blocking.Client(
        "cdse", base_url=archive.cdse_url, credentials=credentials(archive, "cdse"), ask_code=ask_code
    )
    with client:
        assert client.download(next(client.search(collection="S1")), tmp_path)
    archive.stop()

    assert asked
    assert "pepsasync" not in {thread.name for thread in asked}


def test_products_may_come_from_a_loop_over_the_same_client(archive, tmp_path):
    with connect(archive) as client:
        some = (product for product in client.search(collection="S1") if product.size)

        assert {DeliveryStatus.DELIVERED} == {delivery.status for delivery in client.fetch(some, tmp_path)}


def test_a_folder_is_held(archive, backend, tmp_path):
    told = []
    with connect(archive, backend=backend) as client, client.listen(told.append):
        with client.hold(tmp_path) as (folder, emit):
            assert not is_free(archive, tmp_path)
            emit(Noticed(message="from here"))
            folder.tell("from the folder")
        with pytest.raises(KeyboardInterrupt), client.hold(tmp_path):
            raise KeyboardInterrupt
        assert is_free(archive, tmp_path)
        assert list(client.search(collection="S1"))

    assert {"from here", "from the folder"} <= {event.message for event in told if isinstance(event, Noticed)}


INTERRUPTED = """
import signal, sys, time
from pepsasync import blocking
from pepsasync.events import StagingRequested

def told(event):
    if isinstance(event, StagingRequested):
        print("waiting", flush=True)

wait = {
    "download": lambda: client.download(product, sys.argv[2]),
    "fetch": lambda: list(client.fetch([product], sys.argv[2])),
    "online": lambda: list(client.wait_online(product)),
}[sys.argv[1]]

with blocking.Client("peps", backend=sys.argv[3]) as client:
    product = next(client.search(collection="S1"))
    try:
        with client.listen(told):
            wait()
    except KeyboardInterrupt:
        began = time.monotonic()
    print("usable", len(list(client.search(collection="S1"))), flush=True)
    client.close()
    print("closed after", round(time.monotonic() - began, 3), flush=True)
"""


def environment(archive):
    return os.environ | {
        "PEPSASYNC_PEPS_BASE_URL": archive.peps_url,
        "PEPSASYNC_PEPS_USERNAME": archive.username,
        "PEPSASYNC_PEPS_PASSWORD": archive.password,
        "PATH": "",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize("what", ["download", "fetch", "online"])
def test_an_interrupt_ends_what_waits_and_nothing_else(slow_archive, backend, what, tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED, what, str(tmp_path), backend],
        env=environment(slow_archive),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdout.readline() == "waiting\n"
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=120)

    assert (0, "") == (program.returncode, errors)
    assert output.startswith("usable ")
    assert "closed after" in output


FORGOTTEN = """
import sys
from pepsasync import blocking

client = blocking.Client("peps")
outcomes = client.fetch({"collection": "S1"}, sys.argv[1])
print(next(client.search(collection="S1")).name)
other = blocking.Client("peps").events()
"""


def test_a_program_may_end_without_closing(slow_archive, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGOTTEN, str(tmp_path)],
        env=environment(slow_archive),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("S1")
