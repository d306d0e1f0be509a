"""A journal that is damaged, cut, newer or gone: every command says so in clear words, and no product is lost."""

import random
import sqlite3
from types import SimpleNamespace

import pytest

from archives import right_files, running

pytestmark = pytest.mark.timeout(600)

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]
QUICK = ["--poll-interval", "0.1", "--wait", "0.01"]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """An archive, and what the command line says to reach it."""
    with running(6, tape_fraction=0.5) as archive:
        monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", archive.username)
        monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", archive.password)
        yield archive


def fetch(archive, folder, *more):
    return ["fetch", "--provider", "peps", "--base-url", archive.peps_url, "-w", folder, *PERIOD, *QUICK, *more]


@pytest.fixture
def filled(run, served, tmp_path):
    """A folder that holds everything, and its journal."""
    assert run(*fetch(served, tmp_path / "data")).code == 0
    return SimpleNamespace(folder=tmp_path / "data", journal=tmp_path / "data" / ".pepsasync" / "journal.db")


def cut(path):
    path.write_bytes(path.read_bytes()[:5_000])


def overwrite(path):
    path.write_bytes(b"<html>not a database</html>" + path.read_bytes()[27:])


@pytest.mark.parametrize("damage", [cut, overwrite])
def test_damage_is_told_and_costs_no_product(run, served, filled, damage):
    damage(filled.journal)
    status, verified, resumed = (run(command, filled.folder) for command in ("status", "verify", "resume"))
    fetched = run(*fetch(served, filled.folder))

    assert (status.code, resumed.code) == (2, 2)
    assert "No product is lost" in status.err
    assert "No product is lost" in resumed.err
    assert (verified.code, "6 right" in verified.err) == (0, True)
    assert "is damaged" in verified.err
    assert fetched.code == 0, fetched.err
    assert "already here: 6 products" in fetched.err
    assert filled.journal.with_name("journal.db.damaged-1").is_file()
    assert right_files(served, filled.folder) == 6
    assert run("status", filled.folder).code == 0


def test_bits_flipped_anywhere_are_never_a_fault_of_the_program(run, filled):
    chance, whole = random.Random(7), filled.journal.read_bytes()
    used = [at for at in range(len(whole)) if whole[at]]
    for _ in range(15):
        damaged = bytearray(whole)
        for at in chance.sample(used, 3):
            damaged[at] ^= 1 << chance.randrange(8)
        filled.journal.write_bytes(damaged)
        for command in (["status"], ["status", "--format", "json"], ["status", "--all"], ["verify"]):
            done = run(*command, filled.folder)
            assert done.code in (0, 1, 2), done.err
            assert "bug in pepsasync" not in done.err


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET created = 1e300",
        "UPDATE orders SET created = 'never'",
        "UPDATE orders SET wanted = '7', providers = '[1, null]', options = '[]'",
        """UPDATE orders SET wanted = '{"cloud_cover": "many", "start": 7, "limit": "x"}', options = '{"base_url": 3}'""",
        """UPDATE orders SET options = '{"provider": 5}', searched = 0""",
        "UPDATE products SET state = 'staging', first_asked_at = 1e300, last_asked_at = 'x'",
        "UPDATE products SET state = 'found', record = 'x', source = 'nobody'",
        "UPDATE now SET value = 1e300",
    ],
)
def test_values_that_nobody_wrote_are_never_a_fault_of_the_program(run, filled, change):
    with sqlite3.connect(filled.journal) as connection:
        connection.execute(change)
    connection.close()
    for command in (["status"], ["status", "--format", "json"], ["verify"], ["resume", "--skip-tape"]):
        done = run(*command, filled.folder)
        assert done.code in (0, 1, 2, 3, 4), done.err
        assert "bug in pepsasync" not in done.err, f"{command}: {done.err}"


def test_a_journal_of_a_newer_pepsasync_is_left_alone_and_files_are_still_verified(run, served, filled):
    with sqlite3.connect(filled.journal) as connection:
        connection.executescript("UPDATE about SET schema = 99; PRAGMA user_version = 99")
    connection.close()
    before = filled.journal.read_bytes()
    refused = [run("status", filled.folder), run("resume", filled.folder), run(*fetch(served, filled.folder))]
    verified = run("verify", filled.folder)

    assert [done.code for done in refused] == [2, 2, 2]
    assert all("schema 99" in done.err for done in refused)
    assert (verified.code, "6 right" in verified.err) == (0, True)
    assert filled.journal.read_bytes() == before
    assert right_files(served, filled.folder) == 6


def test_a_deleted_journal_costs_the_search_alone(run, served, filled):
    filled.journal.unlink()
    sent = dict(served.statistics.bytes_sent)
    told = [run(command, filled.folder) for command in ("status", "resume")]
    again = run(*fetch(served, filled.folder))

    assert [done.code for done in told] == [2, 2]
    assert all("has no journal" in done.err for done in told)
    assert again.code == 0, again.err
    assert dict(served.statistics.bytes_sent) == sent


@pytest.mark.parametrize("lost", ["journal.db", "journal.lease"])
def test_a_journal_that_is_deleted_during_a_run_does_not_end_it(run, served, tmp_path, lost):
    state = tmp_path / "data" / ".pepsasync"
    hook = f"rm -f {state / lost}"
    done = run(*fetch(served, tmp_path / "data", "--on-delivered", hook))

    assert done.code == 0, done.err
    assert right_files(served, tmp_path / "data") == 6
    assert run(*fetch(served, tmp_path / "data")).code == 0
    assert '"is_complete": true' in run("status", tmp_path / "data", "--format", "json").out
