"""`status` and `resume`: what a killed run left, and going on with it."""

import json
import os
import re
import shutil
import signal
import time
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from archives import account_file, right_files, root, running
from fakes import product
from pepsasync.bucket.address import Address
from pepsasync.cli.status import criterion_words, order_words, read_status, text_lines
from pepsasync.folder.journal import State, open_journal
from pepsasync.folder.layout import Folder, PartNote, PartRecord
from pepsasync.limits.estimate import TimeLeft, Work
from pepsasync.query.criteria import build_query
from pepsasync.query.saved import wanted_as_json
from pepsasync.target import Target

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]
QUICK = ["--poll-interval", "0.1", "--wait", "0.01"]


@pytest.fixture
def served(tmp_path, monkeypatch):
    with running(8, tape_fraction=0.5, staging_seconds=0.3) as archive:
        monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", archive.peps_url)
        account_file(archive, tmp_path / "account.txt")
        yield archive


@pytest.fixture
def online():
    with running(8, tape_fraction=0) as archive:
        yield archive


def fetch(archive, folder, *more, provider="peps", pace=QUICK):
    where = ["--provider", provider, "--base-url", root(archive, provider), "-a", folder / "account.txt"]
    return ["fetch", *where, "-w", folder / "data", *PERIOD, *pace, *more]


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
    process.communicate(timeout=120)


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


def test_status_tells_when_the_quota_of_a_run_allows_the_next_download(run, spawn, served, tmp_path):
    process = spawn(*fetch(served, tmp_path, "--quota", "2/1h", "--events", "-"))
    next(line for line in process.stdout if '"quota_reached"' in line)
    until, patience = None, time.monotonic() + 120
    while until is None and time.monotonic() < patience:
        until = status(run, tmp_path)["quota_until"]

    assert until is not None
    assert 3_000 < datetime.fromisoformat(until).timestamp() - time.time() <= 3_600
    assert "the quota is used up: the next download may begin in " in run("status", tmp_path / "data").out


@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
def test_status_tells_of_tape_before_the_first_look(*, run, spawn, served, tmp_path, provider):
    account_file(served, tmp_path / "account.txt", provider)
    pace = ["--poll-interval", "1h", "--wait", "60"]
    process = spawn(*fetch(served, tmp_path, "--events", "-", provider=provider, pace=pace))
    next(line for line in process.stdout if '"tiers_watched"' in line)
    # What waits and when the next look comes are written one after the other, and status may come between the two.
    found, patience = status(run, tmp_path), time.monotonic() + 120
    while not (found["waiting_longest"] and found["next_poll"]) and time.monotonic() < patience:
        found = status(run, tmp_path)

    assert 3_000 < datetime.fromisoformat(found["next_poll"]).timestamp() - time.time() <= 3_600
    assert 0 <= time.time() - datetime.fromisoformat(found["waiting_longest"]["since"]).timestamp() < 600


def test_resume_without_anything_to_do(run, served, tmp_path):
    run(*fetch(served, tmp_path))
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

    assert done.code == 0
    assert "nothing is unfinished" in done.err


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def touched(path):
    os.utime(path, ns=(1, 1))


def other(path):
    """Other bytes of the same size, at another time."""
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(1, 1))


def gone(path):
    path.unlink()


def link(path):
    """A file of the right size and time, elsewhere."""
    moved = path.rename(path.parents[1] / path.name)
    path.symlink_to(moved)


@pytest.mark.parametrize("provider", ["peps", "geodes", "cdse"])
@pytest.mark.parametrize("harm", [gone, cut, other])
def test_files_that_are_gone_or_changed_are_told_and_fetched_again(*, run, online, tmp_path, harm, provider):
    account_file(online, tmp_path / "account.txt", provider)
    there = ["--provider", provider, "--base-url", root(online, provider)]
    assert run(*fetch(online, tmp_path, provider=provider)).code == 0
    one, two, *_ = (tmp_path / "data").glob("*.zip")
    harm(one)
    harm(two)
    before, told = status(run, tmp_path), run("status", tmp_path / "data").out
    words = ["-a", tmp_path / "account.txt", *there, *QUICK]
    resumed = run("resume", tmp_path / "data", *words)

    assert (before["is_complete"], before["gone"]["products"]) == (False, 2)
    assert before["states"]["delivered"]["products"] == 6
    assert before["states"]["delivered"]["bytes"] + before["gone"]["bytes"] == sum(
        product.size for product in online.catalogue
    )
    assert "6 of 8 products are here" in told
    assert re.search(r"gone, changed or unchecked +2 ", told)
    assert "pepsasync resume" in told
    assert "continuing 2 products" in resumed.err
    assert resumed.code == 0, resumed.err
    assert right_files(online, tmp_path / "data") == 8
    assert status(run, tmp_path)["is_complete"] is True
    assert "nothing is unfinished" in run("resume", tmp_path / "data", *words).err


def test_files_that_were_only_touched_are_read_and_kept(run, served, tmp_path):
    assert run(*fetch(served, tmp_path)).code == 0
    touched(next((tmp_path / "data").glob("*.zip")))
    sent = dict(served.statistics.bytes_sent)
    before = status(run, tmp_path)
    resumed = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

    assert before["gone"]["products"] == 1
    assert resumed.code == 0, resumed.err
    assert dict(served.statistics.bytes_sent) == sent
    assert status(run, tmp_path)["is_complete"] is True


def test_link_in_place_of_a_file_is_told_and_fails(run, served, tmp_path):
    assert run(*fetch(served, tmp_path)).code == 0
    link(next((tmp_path / "data").glob("*.zip")))
    before = status(run, tmp_path)
    resumed = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt")

    assert before["gone"]["products"] == 1
    assert resumed.code == 1
    assert "is a link" in resumed.err


def test_files_of_folders_that_are_gone_are_told_and_fetched_again(run, served, tmp_path):
    assert run(*fetch(served, tmp_path, "-x")).code == 0
    folder, other_one, *_ = (tmp_path / "data").glob("*.SAFE")
    next(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.safe").unlink()
    shutil.rmtree(other_one)
    before = status(run, tmp_path)
    resumed = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK)

    assert before["gone"]["products"] == 2
    assert resumed.code == 0, resumed.err
    assert other_one.is_dir(), "they are unpacked again, as the order wants it"
    assert status(run, tmp_path)["is_complete"] is True
    assert run("verify", tmp_path / "data").code == 0


def test_folder_that_was_moved_is_looked_at_where_it_is(run, served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*fetch(served, Path())).code == 0
    monkeypatch.chdir("/")
    (tmp_path / "data").rename(tmp_path / "moved")

    assert "8 of 8 products are here" in run("status", tmp_path / "moved").out
    assert "nothing is unfinished" in run("resume", tmp_path / "moved").err


def test_what_was_skipped_and_is_gone_is_fetched_again(run, served, tmp_path):
    assert run(*fetch(served, tmp_path)).code == 0
    assert run(*fetch(served, tmp_path)).code == 0
    next((tmp_path / "data").glob("*.zip")).unlink()
    before = status(run, tmp_path)

    assert (before["states"]["skipped"]["products"], before["gone"]["products"]) == (7, 1)
    assert run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK).code == 0
    assert right_files(served, tmp_path / "data") == 8


def test_failures_are_told_and_tried_again(run, served, tmp_path):
    lost = next(product.name for product in served.catalogue if product.mode == "disk")
    served.drop_file(lost)
    assert run(*fetch(served, tmp_path)).code == 1
    found = status(run, tmp_path)
    done = run("resume", tmp_path / "data", "-a", tmp_path / "account.txt", *QUICK)

    assert [failure["name"] for failure in found["failures"]] == [lost]
    assert lost in run("status", tmp_path / "data").out
    assert done.code == 1
    assert "continuing 1 product from peps" in done.err


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


def write_journal(folder, work):
    async def write():
        async with open_journal(folder, tell=pytest.fail) as journal:
            await work(journal)

    anyio.run(write)


def test_only_the_latest_failures_are_listed_unless_all_are_asked_for(run, tmp_path):
    async def fail_many(journal):
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product(f"P{n:02}") for n in range(25)])
        for n in range(25):
            journal.note(f"P{n:02}", State.FAILED, error_type="TransferError", error_message="broken")

    write_journal(tmp_path, fail_many)
    few, everything = run("status", tmp_path).out, run("status", tmp_path, "--all").out
    listed = json.loads(run("status", tmp_path, "--all", "--format", "json").out)["failures"]

    assert few.count(": broken") == 20
    assert "and 5 more; --all lists them" in few
    assert everything.count(": broken") == 25
    assert "--all" not in everything
    assert [failure["name"] for failure in listed] == [f"P{n:02}" for n in reversed(range(25))]


def test_every_key_for_programs_is_explained(run, tmp_path):
    async def wait(journal):
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product("A")])
        journal.note("A", State.STAGING, staging_requests=1, last_asked_at=1_700_000_000.0)

    write_journal(tmp_path, wait)
    found = json.loads(run("status", tmp_path, "--format", "json").out)
    text = (Path(__file__).parents[2] / "docs" / "journal.md").read_text("utf-8")
    section = text.split("## For programs")[1].split("##")[0]
    explained = set(re.findall(r"`(\w+)`", section))

    assert set(found) | set(found["orders"][0]) | set(found["waiting_longest"]) <= explained
    assert found["waiting_longest"] == {"name": "A", "since": "2023-11-14T22:13:20Z"}


def test_an_order_that_matched_nothing_is_complete(run, tmp_path):
    async def find_nothing(journal):
        journal.note_searched(journal.record_order({"tile": "31TCJ"}, ["peps"], {}))

    write_journal(tmp_path, find_nothing)

    assert json.loads(run("status", tmp_path, "--format", "json").out)["is_complete"] is True
    assert "resume" not in run("status", tmp_path).out


def write_part(directory, name, length, *filled):
    """A part with gaps, as several connections leave it: its length is that of the last byte."""
    folder = Folder(directory)
    folder.parts.mkdir(parents=True, exist_ok=True)
    (folder.parts / f"{name}.part").write_bytes(bytes(length))
    folder.write_record(product(name), PartRecord(PartNote("peps", name, length), list(filled)))


def learned(journal, **figures):
    journal.note_now(wait_low=60.0, wait_high=90.0, interval_low=10.0, interval_high=20.0, updated=1000.0, **figures)


def test_the_time_left_counts_line_tape_and_quota(run, tmp_path):
    async def begin(journal):
        products = [product(name, tier="disk" if name < "C" else "tape", size=600) for name in "ABCDEF"]
        order = journal.record_order({}, ["peps"], {})
        await journal.note_products(order, products)
        journal.note_searched(order)
        journal.note("A", State.DOWNLOADING)
        for name in "CD":
            journal.note(name, State.STAGING, staging_requests=1, last_asked_at=900.0)
        learned(journal, speed=10.0, arrival=980.0)

    write_journal(tmp_path, begin)
    write_part(tmp_path, "A", 600, (0, 100), (500, 600))
    found = read_status(tmp_path, now=1000.0)

    assert found.work == Work(products=6, size=3_400, on_tape=2, maybe_on_tape=2, waited=0.0, idle=20.0)
    assert found.time_left == TimeLeft(340.0, 60 + 4 * 20 + 340.0)
    assert "what is left takes" in "\n".join(text_lines(found, 1000.0))


def test_the_time_left_is_not_known_before_anything_was_measured(run, tmp_path):
    async def begin(journal):
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product("A", tier="tape", size=600)])

    write_journal(tmp_path, begin)

    told = json.loads(run("status", tmp_path, "--format", "json").out)["time_left"]
    assert told == {"least": 0.0, "most": None, "unknown": ["search", "speed", "tape"]}
    assert "what is left takes" not in run("status", tmp_path).out


def test_parts_of_an_ended_run_are_counted_and_called_begun(run, tmp_path):
    async def begin(journal):
        await journal.note_products(
            journal.record_order({}, ["peps"], {}), [product("A", size=600), product("B", size=400)]
        )
        journal.note("A", State.DOWNLOADING)

    write_journal(tmp_path, begin)
    write_part(tmp_path, "A", 500, (0, 100), (350, 500))
    told = run("status", tmp_path).out

    assert json.loads(run("status", tmp_path, "--format", "json").out)["part_bytes"] == 250
    assert "0 of 2 products are here, 250 B of 1.0 kB  [#######.......................] 25 %" in told
    assert re.search(r"^  begun +1 +600 B$", told, re.MULTILINE)
    assert "downloading" not in told


def test_all_bytes_are_not_yet_everything(run, tmp_path):
    async def begin(journal):
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product("A", size=4)])

    write_journal(tmp_path, begin)
    write_part(tmp_path, "A", 4, (0, 4))

    assert " 99 %" in run("status", tmp_path).out


def test_a_clock_that_was_set_back_makes_no_negative_time(run, tmp_path):
    async def wait(journal):
        await journal.note_products(journal.record_order({}, ["peps"], {}), [product("A", size=10)])
        journal.note("A", State.STAGING, staging_requests=1, last_asked_at=4_000_000_000.0)
        journal.note_now(speed=5.0, next_poll=4_000_000_000.0, quota_until=4_000_000_000.0, updated=4_000_000_000.0)

    write_journal(tmp_path, wait)
    found = read_status(tmp_path, now=1_700_000_000.0)
    told = run("status", tmp_path).out

    assert set(found.figures.values()) == {None}, "no run is under way"
    assert "waiting longest: A" in told
    assert "-" not in told.split("waiting longest: A,")[1].splitlines()[0]


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        (
            {"collection": "S1", "product": "GRD", "sensor_mode": "IW", "start": "2015-11-01", "end": "2015-12-01"},
            "S1 GRD IW, from 2015-11-01 to 2015-12-01",
        ),
        ({"start": "2015-11-01T06:30:00"}, "from 2015-11-01T06:30:00"),
        ({"collection": "S2", "tile": "31TCJ", "clouds": 20}, "S2, tile 31TCJ, clouds up to 20 %"),
        ({"bbox": "1,43,2,44", "orbit": 8, "latest": True}, "an area, orbit 8, newest processing only"),
        ({"collection": "S2", "tile": "31TCJ,31TDJ", "orbit": "8,51"}, "S2, tile 31TCJ,31TDJ, orbit 8,51"),
        ({"orbit": [1, 2, 3, 4, 5, 6, 7]}, "orbit 1,2,3,4,5,... (7)"),
        ({"collection": "S1", "published_since": "2017-01-01"}, "S1, published since 2017-01-01"),
        ({"collection": "S1", "limit": 5_000}, "S1, at most 5,000 products"),
        ({"collection": "S1", "limit": 1}, "S1, at most 1 product"),
    ],
)
def test_orders_are_told_in_words(criteria, words):
    assert order_words(json.loads(json.dumps(wanted_as_json(build_query(**criteria))))) == words


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["A"], "A"),
        (["A", "B"], "2 products by name"),
        ({}, "everything"),
        (None, "unreadable"),
        ({"cloud_cover": "x"}, "unreadable"),
        ({"start": 5}, "unreadable"),
    ],
)
def test_other_orders_too(wanted, words):
    assert order_words(wanted) == words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("orbit_direction", "ascending", "orbit direction ascending"),
        ("polarisation", ["VV", "VH"], "polarisation VV,VH"),
        ("reprocessed", True, "reprocessed"),
    ],
)
def test_a_criterion_without_words_of_its_own_has_its_name(name, value, words):
    assert criterion_words(name, value) == words


def test_what_is_left_of_a_bucket_is_continued_there(tmp_path):
    async def begin(journal):
        order = journal.record_order({}, ["peps"], {})
        await journal.note_products(order, [product("A", tier="disk", size=600)])
        journal.note_searched(order)

    write_journal(tmp_path, begin)
    target = Target(tmp_path, Address("lab", "in/"), "http://127.0.0.1:9000")

    lines = text_lines(read_status(tmp_path, now=1000.0), 1000.0, target)

    words = f"pepsasync resume s3://lab/in --state {tmp_path} --endpoint-url http://127.0.0.1:9000"
    assert f"'{words}' continues" in lines
