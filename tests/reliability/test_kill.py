"""A run that is killed again and again ends like one that was not."""

import io
import json
import os
import random
import signal
import subprocess
import sys

import pytest

from archives import bytes_by_name, held, right_files, root, sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

TELL = """
import json, sys

def tell(event):
    print(json.dumps(event.as_dict(), default=str), flush=True)
    sys.stdin.readline()
"""
RUN = """
import anyio
from pepsasync import Client, Config, Credentials

async def main(provider, url, username, password, folder):
    config = Config(poll_interval=0.05, poll_interval_max=0.2, retry_wait=0.01, retry_wait_max=0.05, limit_rate=20_000_000)
    credentials = Credentials(username=username, password=password)
    async with Client(provider, base_url=url, credentials=credentials, config=config) as client:
        with client.listen(tell):
            collections = ("S1",) if provider == "asf" else ("S1", "S2ST")
            products = [p for c in collections async for p in client.search(collection=c)]
            async for delivery in client.fetch(products, folder):
                assert delivery.error is None, delivery.error

anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


def in_step(program, *arguments):
    """Start a program that tells its events, and waits after each for a line, so that it is never far ahead."""
    command = [sys.executable, "-c", TELL + program, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    process = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes)
    process.stdout = io.BufferedReader(process.stdout)
    return process


def start(backend, archive, folder, provider="peps"):
    return in_step(RUN, backend, provider, root(archive, provider), archive.username, archive.password, folder)


def kill_after(process, downloads):
    """Kill the process when so many downloads have started; its events and its exit code."""
    events, started = [], 0
    with process.stdout, process.stdin:
        for line in process.stdout:
            events.append(json.loads(line))
            started += events[-1]["event"] == "download_started"
            process.stdin.write(b"\n")
            if started >= downloads:
                process.send_signal(signal.SIGKILL)
                break
        events += [json.loads(line) for line in process.stdout if line.endswith(b"}\n")]
    return events, process.wait()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_killed_ten_times_ends_with_right_files(backend, tmp_path):
    chance = random.Random(f"kill-{backend}")
    options = {
        "tape_fraction": 0.5,
        "tape_drives": 2,
        "product_size": 400_000,
        "faults": {"cut": 0.4, "error-503": 0.1},
    }
    async with sandbox(40, **options) as archive:
        kills, resumed = 0, 0
        while True:
            process = start(backend, archive, tmp_path)
            sent_before = bytes_by_name(archive)
            finished_before = {path.stem for path in tmp_path.glob("*.zip")}
            events, code = kill_after(process, chance.randint(1, 5) if kills < 10 else 1000)
            sent = bytes_by_name(archive) - sent_before
            assert not finished_before & set(sent), "a finished product was fetched again"
            resumed += sum(event.get("offset", 0) > 0 for event in events if event["event"] == "download_started")
            if code != -signal.SIGKILL:
                break
            kills += 1

        assert 0 == code
        assert 40 == right_files(archive, tmp_path)
        assert resumed > 0
        assert not list((tmp_path / ".pepsasync" / "parts").iterdir())
        assert 10 == kills


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("provider", ["asf", "wekeo"])
async def test_killed_runs_at_other_archives_end_with_right_files(provider, backend, tmp_path):
    options = {"tape_fraction": 0.5, "product_size": 400_000, "faults": {"cut": 0.4, "error-503": 0.1}}
    async with sandbox(16, **options) as archive:
        codes = []
        while not codes or codes[-1] == -signal.SIGKILL:
            _, code = kill_after(start(backend, archive, tmp_path, provider), 3 if len(codes) < 2 else 1000)
            codes.append(code)

        assert 0 == codes[-1]
        assert len(codes) > 1
        assert len(held(archive, provider)) == right_files(archive, tmp_path)
        assert archive.statistics.orders == (16 if provider == "wekeo" else 0), "an order was made twice"
