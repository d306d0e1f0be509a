"""`status` and `resume`: what a killed run left, and going on with it."""

import json
import signal

import pytest

from archives import right_files, sandbox

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]
QUICK = ["--poll-interval", "0.1", "--wait", "0.01"]


@pytest.fixture
def served(tmp_path):
    archive = sandbox(8, tape_fraction=0.5, staging_seconds=0.3)
    archive.start()
    (tmp_path / "account.txt").write_text(f"{archive.username} {archive.password}")
    yield archive
    archive.stop()


def fetch(archive, folder, *more):
    account = ["-a", folder / "account.txt"]
    return ["fetch", "--base-url", archive.peps_url, *account, "-w", folder / "data", *PERIOD, *QUICK, *more]


def status(run, folder):
    done = run("status", folder / "data", "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def killed(spawn, archive, folder, *more):
    """A run that was killed as soon as the journal held all products."""
    process = spawn(*fetch(archive, folder, "--events", "-", *more))
    for line in process.stdout:
        if '"staging_requested"' in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)


def test_status_after_a_whole_run(run, served, tmp_path):
    assert run(*fetch(served, tmp_path)).code == 0
    found = status(run, tmp_path)
    told = run("status", tmp_path / "data")

    assert found["is_complete"] is True
    assert found["states"]["delivered"]["products"] == 8
    assert found["states"]["delivered"]["bytes"] == sum(product.size for product in served.catalogue)
    assert (found["owner"], found["failures"]) == (None, [])
    assert "8 of 8 products are here" in told.out
    assert "resume" not in told.out


def test_a_killed_run_is_gone_on_with(run, spawn, served, tmp_path):
    killed(spawn, served, tmp_path)
    before = status(run, tmp_path)
    told = run("status", tmp_path / "data").out
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK)

    assert before["is_complete"] is False
    assert before["owner"] is None
    assert "pepsasync resume" in told
    assert done.code == 0, done.err
    assert right_files(served, tmp_path / "data") == 8
    assert status(run, tmp_path)["is_complete"] is True
    assert max(served.statistics.stagings.values()) <= 2, "at most one staging request more than needed"


def test_resume_without_anything_to_do(run, served, tmp_path):
    run(*fetch(served, tmp_path))
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

    assert done.code == 0
    assert "nothing is unfinished" in done.err


def test_failures_are_told_and_tried_again(run, served, tmp_path):
    lost = next(product.name for product in served.catalogue if product.mode == "disk")
    served.drop_file(lost)
    assert run(*fetch(served, tmp_path)).code == 1
    found = status(run, tmp_path)
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK)

    assert [failure["name"] for failure in found["failures"]] == [lost]
    assert lost in run("status", tmp_path / "data").out
    assert done.code == 1
    assert "going on with 1 product from peps" in done.err


def test_what_was_left_out_stays_out_unless_the_run_waits_for_tape(run, served, tmp_path):
    assert run(*fetch(served, tmp_path, "--skip-tape")).code == 0
    assert status(run, tmp_path)["states"]["left_out"]["products"] == 4
    assert "nothing is unfinished" in run("resume", tmp_path / "data", "-a", tmp_path / "account.txt").err


def test_extracted_products_are_gone_on_with_as_such(run, spawn, served, tmp_path):
    killed(spawn, served, tmp_path, "-x")
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK)

    assert done.code == 0, done.err
    assert len(list((tmp_path / "data").glob("*.SAFE"))) == 8


@pytest.mark.parametrize("command", ["status", "resume"])
def test_a_folder_without_journal_makes_2(run, command, tmp_path):
    done = run(command, tmp_path)

    assert done.code == 2
    assert "has no journal" in done.err


def test_a_damaged_journal_is_told_in_words(run, served, tmp_path):
    run(*fetch(served, tmp_path))
    path = tmp_path / "data" / ".pepsasync" / "journal.db"
    path.write_bytes(path.read_bytes()[:100])
    done = run("status", tmp_path / "data")

    assert done.code == 2
    assert "No product is lost" in done.err
    assert run(*fetch(served, tmp_path)).code == 0
    assert status(run, tmp_path)["states"]["skipped"]["products"] == 8
