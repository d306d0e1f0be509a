"""The live view of a run that goes on elsewhere, from its journal."""

import os
import signal
import time

import anyio
import pytest

from archives import account_file, running
from fakes import product
from pepsasync.cli.watch import PATIENCE, JournalView, Life
from pepsasync.display.counters import Amount
from pepsasync.display.view import Download
from pepsasync.folder.journal import JournalReader, State, open_journal
from pepsasync.folder.layout import Folder, PartNote, PartRecord
from pepsasync.limits.estimate import TimeLeft

SIZE = 1_000_000


class Clock:
    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


def write_part(folder, name, length):
    (folder.parts / f"{name}.part").write_bytes(bytes(length))
    folder.write_record(product(name), PartRecord(PartNote("peps", name, SIZE), [(0, length)]))


@pytest.mark.anyio
async def test_the_view_is_that_of_the_run(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    async with open_journal(tmp_path, tell=pytest.fail) as journal:
        order = journal.record_order({}, ["peps"], {})
        tiers = dict(zip("ABCDEF", ["disk", "disk", "disk", "tape", "tape", "tape"], strict=True))
        await journal.note_products(order, [product(name, tier=tier, size=SIZE) for name, tier in tiers.items()])
        journal.note_searched(order)
        journal.note("A", State.DELIVERED, path="A.zip", bytes=SIZE)
        journal.note("B", State.DOWNLOADING)
        journal.note("C", State.FAILED, error_type="X", error_message="C: broken")
        for name in "DE":
            journal.note(name, State.STAGING, staging_requests=1, last_asked_at=1e10)
        journal.note_now(speed=50_000.0, next_poll=1e10 + 42, updated=1e10)
        journal.note_now(wait_low=60.0, wait_high=90.0, interval_low=10.0, interval_high=20.0)
        write_part(folder, "B", 100_000)
        await journal.flush()
        wall, clock = Clock(1e10 + 2), Clock(7.0)
        with JournalReader(tmp_path) as reader:
            look = JournalView(reader, wall=wall, clock=clock)
            first = look.view()
            clock.now += 2
            write_part(folder, "B", 300_000)
            second = look.view()
            assert look.life() is Life.RUNS
            journal.note("B", State.DELIVERED, path="B.zip", bytes=SIZE)
            await journal.flush()
            last, news = look.view(), list(look.news())

    assert first.total == Amount(6, 6 * SIZE)
    assert first.amounts == {
        "done": Amount(1, SIZE),
        "waiting": Amount(2, 2 * SIZE),
        "under way": Amount(1, SIZE),
        "queued": Amount(1, SIZE),
    }
    assert (first.failed, first.last_failure, first.finished) == (1, "C: broken", 2)
    assert (first.speed, first.next_look, first.oldest_wait) == (50_000.0, 40.0, 2.0)
    assert first.time_left == TimeLeft(78.0, 60 + 3 * 20 + 78.0)
    assert f"process {os.getpid()} on " in first.note
    assert first.downloads == (Download(name="B", received=100_000, size=SIZE, speed=0.0),)
    assert second.downloads == (Download(name="B", received=300_000, size=SIZE, speed=100_000.0),)
    assert last.downloads == ()
    assert news == ["delivered B, 1.00 MB"]


@pytest.mark.anyio
async def test_a_run_that_gives_no_sign_of_life_is_dead_after_a_while(tmp_path):
    async with open_journal(tmp_path, tell=pytest.fail):
        pass
    lease, clock = tmp_path / ".pepsasync" / "journal.lease", Clock()
    with JournalReader(tmp_path) as reader:
        look = JournalView(reader, clock=clock)
        assert look.life() is Life.ENDED
        lives = []
        for beat in ("1", "2", "2", "2"):
            lease.write_text(beat.zfill(20) + '{"host": "far", "place": "far", "pid": 1, "token": "t", "since": 0}')
            lives.append(look.life())
            clock.now += PATIENCE * 0.6

    assert lives == [Life.RUNS, Life.RUNS, Life.RUNS, Life.DEAD]
    assert look.owner == "process 1 on far since 1970-01-01 00:00 UTC"


@pytest.fixture
def waiting_run(tmp_path, spawn):
    """A run that waits for tape for an hour."""
    auth = tmp_path / "account.txt"
    with running(8, tape_fraction=0.5) as archive:
        account_file(archive, auth)
        line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "-w", tmp_path / "data"]
        process = spawn(*line, "--poll-interval", "1h", "--wait", "60", "--events", "-")
        next(line for line in process.stdout if '"tiers_watched"' in line)
        with JournalReader(tmp_path / "data") as reader:
            while not is_told(reader.counts()):
                assert process.poll() is None
                time.sleep(0.05)
        yield process


def is_told(counts):
    """Whether the journal, which is written a moment later, has all that the run does until tape comes."""
    return (counts[State.DELIVERED].products, counts[State.STAGING].products) == (4, 4)


@pytest.mark.skipif(os.name == "nt", reason="other signals there")
@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "the run is dead: process "), (signal.SIGTERM, "the run has ended")]
)
def test_it_ends_with_the_run_and_tells_how(waiting_run, spawn, tmp_path, number, words):
    watching = spawn("watch", tmp_path / "data")
    first = watching.stderr.readline()
    waiting_run.send_signal(number)
    waiting_run.communicate(timeout=60)
    out, err = watching.communicate(timeout=60)

    assert "4/8 products, " in first
    assert "4 waiting for tape, " in first
    assert words in err
    assert "of 8 products are here" in out
    assert "pepsasync resume " in out
    assert watching.returncode == 1


def test_without_a_run_it_tells_what_is_known_and_ends(run, archive, auth, tmp_path):
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "--limit", "2", "-w", tmp_path]
    assert run(*line, "--poll-interval", "0.1").code == 0
    done = run("watch", tmp_path)

    assert done.code == 0
    assert "no run is under way" in done.err
    assert "2 of 2 products are here" in done.out


def test_it_changes_nothing_in_the_folder(run, tmp_path):
    Folder(tmp_path).open()
    anyio.run(fill, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}
    done = run("watch", tmp_path)

    assert done.code == 1
    assert before == {path: path.stat().st_mtime_ns for path in [tmp_path, *tmp_path.rglob("*")]}


async def fill(folder):
    async with open_journal(folder, tell=pytest.fail) as journal:
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product("A", size=SIZE)])


def test_a_folder_without_a_journal_makes_2(run, tmp_path):
    done = run("watch", tmp_path)

    assert done.code == 2
    assert "has no journal" in done.err
