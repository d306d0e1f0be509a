"""A run that is stopped (SIGSTOP), loses its folder to another one, and goes on when that one has left."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from test_kill import start

from archives import fetch_all, right_files, sandbox
from pepsasync.folder.journal.opening import JOURNAL
from pepsasync.folder.journal.reading import LEASE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs SIGSTOP, and to know when it has worked"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def declare_dead(lease):
    """Make the lease that of a process which has ended, as if this one had not shown a sign of life for long."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    beat, owner = lease.read_text().splitlines()
    new = lease.with_name("dead")
    new.write_text(f"{beat}\n{json.dumps(json.loads(owner) | {'pid': ended.pid, 'token': 'dead'})}\n")
    new.replace(lease)


def stop(process, journal):
    """Stop it between two commits: within one it would keep the journal locked, and nobody could take over."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        with contextlib.closing(sqlite3.connect(journal, isolation_level=None, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
            else:
                return


def stands(folder):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.zip")}


@pytest.mark.parametrize("size", [200_000, 3_000_000])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_stopped_run_touches_nothing_when_another_has_had_its_folder(backend, size, tmp_path):
    state = tmp_path / ".pepsasync"
    async with sandbox(8, tape_fraction=0, product_size=size) as archive:
        process = start(backend, archive, tmp_path)
        with process, process.stdin, process.stdout:
            for line in process.stdout:
                if json.loads(line)["event"] == "download_progressed":
                    break
                process.stdin.write(b"\n")
            stop(process, state / JOURNAL)
            declare_dead(state / LEASE)
            outcomes, _ = await fetch_all(archive, tmp_path)
            before = stands(tmp_path)
            process.send_signal(signal.SIGCONT)
            process.stdin.close()
            process.stdout.read()
        code = process.wait()

        assert all(outcome.error is None for outcome in outcomes.values())
        assert right_files(archive, tmp_path) == 8
        assert stands(tmp_path) == before
    assert code == 1
    assert not [*(state / "parts").iterdir()]
    assert not (state / LEASE).exists()
