"""One owner for a folder: leases judged on our own clock, on both event loops, and between real processes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from pepsasync.errors import ConfigError
from pepsasync.folder.journal import JournalBusyError, JournalReader, Pulse, State, open_journal
from pepsasync.folder.journal.lease import Lease, LeaseWatch, Owner, look

pytestmark = pytest.mark.anyio

ELSEWHERE = Owner("node12", "node12 boot pid:[1]", 4711, "00", 1_700_000_000.0)


class Clock:
    """Time that passes only while somebody sleeps; what happens at a moment is given as a script."""

    def __init__(self, script=None):
        self.now = 0.0
        self.script = script or (lambda now: None)

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        self.script(self.now)

    @property
    def pulse(self):
        return Pulse(clock=self, sleep=self.sleep)


def lease_file(directory):
    (directory / ".pepsasync").mkdir(exist_ok=True)
    return directory / ".pepsasync" / "journal.lease"


def hold(directory, owner=ELSEWHERE, beat=0):
    lease_file(directory).write_text(f"{beat:020}\n{json.dumps(asdict(owner))}\n")


async def test_owner_elsewhere_that_beats_is_left_alone(tmp_path):
    hold(tmp_path)
    clock = Clock(lambda now: hold(tmp_path, beat=int(now / 3)))
    told = []

    with pytest.raises(JournalBusyError, match="process 4711 on node12 since 2023-11-14 22:13 UTC") as caught:
        async with open_journal(tmp_path, tell=told.append, pulse=clock.pulse):
            pass

    assert isinstance(caught.value, ConfigError)
    assert "choose another folder" in str(caught.value)
    assert 3.0 == clock.now, "it waited longer than for one sign of life"
    assert 1 == len(told)
    assert ELSEWHERE == look(lease_file(tmp_path)).owner


async def test_owner_elsewhere_that_is_silent_is_replaced(tmp_path):
    hold(tmp_path)
    clock = Clock()

    async with open_journal(tmp_path, tell=lambda _: None, pulse=clock.pulse):
        assert os.getpid() == look(lease_file(tmp_path)).owner.pid
    assert 30.0 <= clock.now < 33.0
    assert not lease_file(tmp_path).exists()


@pytest.mark.parametrize("years", [-10, 10])
async def test_clocks_of_others_do_not_matter(tmp_path, years):
    hold(tmp_path, replace(ELSEWHERE, since=1_700_000_000.0 + years * 3e7))
    os.utime(lease_file(tmp_path), (years * 3e7 + 1e9,) * 2)
    clock = Clock(lambda now: hold(tmp_path, beat=1) if now > 20 else None)

    with pytest.raises(JournalBusyError):
        async with open_journal(tmp_path, tell=lambda _: None, pulse=clock.pulse):
            pass


async def test_two_take_over_at_once_and_the_later_one_wins(tmp_path):
    hold(tmp_path)
    rival = replace(ELSEWHERE, token="11")
    clock = Clock(lambda now: hold(tmp_path, rival) if now > 30.5 else None)

    with pytest.raises(JournalBusyError):
        async with open_journal(tmp_path, tell=lambda _: None, pulse=clock.pulse):
            pass

    assert rival == look(lease_file(tmp_path)).owner


@pytest.mark.parametrize("text", ["", "garbage", "00000000000000000000\n[1]", "00000000000000000000\n{}"])
async def test_unreadable_lease_is_watched_too(tmp_path, text):
    lease_file(tmp_path).write_text(text)
    clock = Clock()

    async with open_journal(tmp_path, tell=lambda _: None, pulse=clock.pulse):
        pass

    assert clock.now >= 30.0


def test_watch_says_dead_at_once_for_a_dead_process_of_this_machine(tmp_path):
    lease = Lease(tmp_path / "lease")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    lease.owner = replace(lease.owner, pid=process.pid)
    lease.take()

    assert LeaseWatch(30.0).judge(look(lease.path), 0.0) is False


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="needs /proc to tell a process that only waits for its parent"
)
def test_watch_says_dead_at_once_for_a_process_that_nobody_waited_for(tmp_path):
    lease = Lease(tmp_path / "lease")
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    lease.owner = replace(lease.owner, pid=process.pid)
    lease.take()

    judgement = LeaseWatch(30.0).judge(look(lease.path), 0.0)

    process.wait()
    assert judgement is False


def test_watch_does_not_believe_a_process_id_of_another_boot(tmp_path):
    lease = Lease(tmp_path / "lease")
    lease.owner = replace(lease.owner, place="another boot", pid=1 << 22)
    lease.take()
    watch = LeaseWatch(30.0)

    assert watch.judge(look(lease.path), 0.0) is None
    assert watch.judge(look(lease.path), 29.0) is None
    assert watch.judge(look(lease.path), 30.0) is False


def test_lease_is_taken_once_and_beats_until_it_is_lost(tmp_path):
    first, second = Lease(tmp_path / "lease"), Lease(tmp_path / "lease")

    assert first.take()
    assert not second.take()
    before = look(first.path)
    assert first.beat()
    assert before != look(first.path)
    assert before.owner == look(first.path).owner
    second.take_over()
    assert not first.beat()
    assert second.beat()
    first.release()
    assert second.is_ours()
    second.release()
    assert look(first.path) is None
    assert not first.beat()


async def test_owner_that_lost_the_lease_writes_no_more(tmp_path):
    told = []
    async with open_journal(tmp_path, tell=told.append) as journal:
        journal.note("A", State.DELIVERED)
        await journal.flush()
        hold(tmp_path)
        journal.note("B", State.DELIVERED)
        await journal.flush()

        assert journal.is_quiet
        journal.note("C", State.DELIVERED)
        await journal.flush()

    assert 1 == len(told)
    assert "another pepsasync has the journal now" in told[0]
    with JournalReader(tmp_path) as reader:
        assert 1 == reader.counts()[State.DELIVERED].products
    assert ELSEWHERE == look(lease_file(tmp_path)).owner


HOLD = """
import sys, anyio
from pathlib import Path
from pepsasync.folder.journal import Pulse, State, open_journal

async def main(folder):
    async with open_journal(folder, tell=print, pulse=Pulse(beat=0.05)) as journal:
        journal.note("A", State.DOWNLOADING)
        await journal.flush()
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main, Path(sys.argv[1]))
"""


async def test_second_process_in_the_folder_is_refused_until_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:  # noqa: ASYNC220 - it is waited for
        assert b"ready\n" == process.stdout.readline()

        with pytest.raises(JournalBusyError, match=f"process {process.pid} on"):
            async with open_journal(tmp_path, tell=lambda _: None, pulse=Pulse(look=0.1)):
                pass
        with JournalReader(tmp_path) as reader:
            assert process.pid == reader.owner().pid
            assert 1 == reader.counts()[State.DOWNLOADING].products

        process.send_signal(signal.SIGKILL)

    async with open_journal(tmp_path, tell=pytest.fail, pulse=Pulse(settle=0.0)) as journal:
        with await journal.reader() as reader:
            assert 1 == reader.counts()[State.FOUND].products


async def test_cancelled_while_taking_over_leaves_no_lease(tmp_path):
    hold(tmp_path)
    with anyio.CancelScope() as scope:
        clock = Clock(lambda now: scope.cancel() if now > 30.5 else None)

        async def sleep(seconds):
            await clock.sleep(seconds)
            await anyio.lowlevel.checkpoint()

        async with open_journal(tmp_path, tell=lambda _: None, pulse=Pulse(clock=clock, sleep=sleep)):
            pytest.fail("was not cancelled")

    assert scope.cancelled_caught
    assert look(lease_file(tmp_path)) is None


async def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot write"):
        async with open_journal(tmp_path / "file", tell=pytest.fail):
            pass
