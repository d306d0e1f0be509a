"""`--on-delivered`: a command for each product that arrived."""

import contextlib
import os
import signal
import tracemalloc

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from archives import account_file, connect, everything, right_files, running, sandbox
from fakes import product
from pepsasync.cli.run import make_hook
from pepsasync.events import HookFailed
from pepsasync.model import Delivery, DeliveryStatus

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01", "--poll-interval", "0.1"]


@pytest.fixture
def served(tmp_path):
    with running(3, tape_fraction=0) as archive:
        account_file(archive, tmp_path / "account.txt")
        yield archive


def fetch(archive, folder, *more):
    return [
        "fetch",
        "--base-url",
        archive.peps_url,
        "-a",
        folder / "account.txt",
        "-w",
        folder / "data",
        *PERIOD,
        *more,
    ]


def test_command_runs_once_for_each_product(run, served, tmp_path):
    told = tmp_path / "told.txt"
    command = f'echo "$PEPSASYNC_NAME $PEPSASYNC_SOURCE $PEPSASYNC_PATH" >> "{told}"'
    first = run(*fetch(served, tmp_path, "--on-delivered", command))
    again = run(*fetch(served, tmp_path, "--on-delivered", command))

    assert (first.code, again.code) == (0, 0)
    lines = sorted(line.split() for line in told.read_text().splitlines())
    assert lines == sorted(
        [product.name, "peps", str(tmp_path / "data" / f"{product.name}.zip")] for product in served.catalogue
    )


def test_command_sees_no_account(run, served, tmp_path, monkeypatch):
    for name in ("PEPS_PASSWORD", "CDSE_USERNAME", "CDSE_PASSWORD", "GEODES_API_KEY", "SERVE_TOKEN"):
        monkeypatch.setenv(f"PEPSASYNC_{name}", "hunter2")
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", "you")
    monkeypatch.setenv("PEPSASYNC_BACKEND", "trio")
    told = tmp_path / "told.txt"
    done = run(*fetch(served, tmp_path, "--limit", "1", "--on-delivered", f'env > "{told}"'))

    assert done.code == 0, done.err
    names = {line.partition("=")[0] for line in told.read_text().splitlines() if line.startswith("PEPSASYNC_")}
    assert {"PEPSASYNC_PATH", "PEPSASYNC_NAME", "PEPSASYNC_ID", "PEPSASYNC_SOURCE", "PEPSASYNC_BACKEND"} <= names
    assert not [name for name in names if name.endswith(("_USERNAME", "_PASSWORD", "_API_KEY"))]
    assert "hunter2" not in told.read_text()


def test_products_that_the_command_moves_away_are_not_missed(run, served, tmp_path):
    (tmp_path / "store").mkdir()
    command = f'mv "$PEPSASYNC_PATH" "{tmp_path / "store"}"'
    assert run(*fetch(served, tmp_path, "--on-delivered", command)).code == 0
    resumed = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

    assert len(list((tmp_path / "store").iterdir())) == 3
    assert "3 of 3 products are here" in run("status", tmp_path / "data").out
    assert "nothing is unfinished" in resumed.err
    assert run("verify", tmp_path / "data").code == 0
    assert run(*fetch(served, tmp_path)).code == 0, "whoever asks for them anew gets them"
    assert right_files(served, tmp_path / "data") == 3
    next((tmp_path / "data").glob("*.zip")).unlink()
    assert run("verify", tmp_path / "data").code == 1


def test_command_that_fails_is_told_and_loses_nothing(run, served, tmp_path):
    done = run(*fetch(served, tmp_path, "--on-delivered", "echo 'no such table' >&2; exit 3"))

    assert done.code == 0
    assert done.err.count("ended with 3: no such table") == 3
    assert right_files(served, tmp_path / "data") == 3


def delivery_of(path=None):
    return Delivery(product=product("A"), status=DeliveryStatus.DELIVERED, path=path, source="fake")


@pytest.mark.anyio
async def test_callback_gets_each_delivery_and_may_fail(tmp_path):
    seen, events = [], []

    async def hook(delivery):
        is_first = not seen
        seen.append(delivery.path.name)
        await anyio.lowlevel.checkpoint()
        if is_first:
            raise ValueError("not this one")

    async with sandbox(3, tape_fraction=0) as archive, connect(archive) as client:
        with client.listen(events.append):
            products = await everything(client)
            outcomes = [delivery async for delivery in client.fetch(products, tmp_path, on_delivered=hook)]

    assert [delivery.error for delivery in outcomes] == [None] * 3
    assert sorted(seen) == sorted(f"{product.name}.zip" for product in products)
    assert [event.message for event in events if isinstance(event, HookFailed)] == ["not this one"]


@pytest.mark.anyio
async def test_cancelled_hook_ends_its_command(tmp_path):
    hook = make_hook(f"sleep 30; touch {tmp_path / 'late'}")
    with anyio.move_on_after(0.2) as scope:
        await hook(Delivery(product=product("A"), status=DeliveryStatus.DELIVERED, path=tmp_path, source="fake"))

    assert scope.cancelled_caught
    assert not (tmp_path / "late").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["polite", "deaf"])
async def test_cancelled_hook_ends_what_its_command_has_started(tmp_path, trap):
    """The writing end of a pipe, which each of them inherits, is closed when all of them are gone."""
    os.mkfifo(tmp_path / "pipe")
    alive = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    hook = make_hook(f"exec 3> {tmp_path / 'pipe'}; echo up >&3; {trap}sleep 60 & sleep 60")
    try:
        with anyio.fail_after(60), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(hook, delivery_of(tmp_path))
                await anyio.wait_readable(alive)
                began = anyio.current_time()
                scope.cancel()
        assert anyio.current_time() - began < 30  # the commands sleep for a minute
        assert os.read(alive, 9) == b"up\n"
        with anyio.fail_after(60):
            await anyio.wait_readable(alive)
        assert os.read(alive, 9) == b"", "nobody has it open any more"
    finally:
        os.close(alive)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_interrupted_run_ends_what_its_commands_have_started(spawn, served, tmp_path, monkeypatch, sent, backend):
    monkeypatch.setenv("PEPSASYNC_BACKEND", backend)
    os.mkfifo(tmp_path / "pipe")
    command = f"exec 3> '{tmp_path / 'pipe'}'; echo up >&3; sleep 60 & sleep 60"
    process = spawn(*fetch(served, tmp_path, "--limit", "1", "--on-delivered", command))
    with (tmp_path / "pipe").open() as alive:  # as soon as the command has it open
        assert alive.readline() == "up\n"
        process.send_signal(sent)
        assert alive.read() == "", "comes when nobody has it open any more"
    process.communicate(timeout=120)

    assert process.returncode not in (0, None)


@pytest.mark.anyio
@pytest.mark.parametrize("code", [0, 3])
async def test_what_a_command_leaves_running_is_not_waited_for(tmp_path, code):
    """What it left ends when somebody reads the pipe."""
    os.mkfifo(tmp_path / "pipe")
    hook = make_hook(f"echo done > {tmp_path / 'pipe'} & echo reason >&2; exit {code}")
    failure = pytest.raises(RuntimeError, match=r"^the command ended with 3: reason$")
    with anyio.fail_after(60), failure if code else contextlib.nullcontext():
        await hook(delivery_of(tmp_path))

    assert await to_thread.run_sync((tmp_path / "pipe").read_text) == "done\n", "it is still there"


@pytest.mark.anyio
async def test_whatever_a_command_says_only_its_last_words_are_kept():
    """50 MB on both streams at once, without a line end, and then the reason."""
    flood = "head -c 25000000 /dev/zero"
    hook = make_hook(f"{flood} & {flood} >&2; wait; echo; (echo; echo 'no such table') >&2; exit 3")
    tracemalloc.start()
    try:
        with pytest.raises(RuntimeError, match=r"^the command ended with 3: no such table$"):
            await hook(Delivery(product=product("A"), status=DeliveryStatus.DELIVERED, source="fake"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param("echo one; echo two; exit 1", "two", id="output"),
        pytest.param("echo out; echo err >&2; exit 1", "err", id="both"),
        pytest.param(f"echo {'x' * 300} >&2; exit 1", "x" * 200, id="long"),
        pytest.param(
            "head -c 9000 /dev/zero | tr '\\0' x >&2; echo reason >&2; exit 1", "x" * 194 + "reason", id="end"
        ),
        pytest.param("head -c 9000 /dev/zero >&2; echo reason >&2; exit 1", "reason", id="zeros"),
        pytest.param("echo reason; head -c 9000 /dev/zero >&2; exit 1", "reason", id="nothing-but-zeros"),
        pytest.param("(echo reason; head -c 2000 /dev/zero) >&2; exit 1", "reason", id="zeros-after"),
    ],
)
async def test_last_words_come_from_the_errors_or_else_from_the_output(command, said):
    with pytest.raises(RuntimeError) as caught:
        await make_hook(command)(Delivery(product=product("A"), status=DeliveryStatus.DELIVERED, source="fake"))

    assert str(caught.value) == f"the command ended with 1: {said}"
