"""Standard streams that are full, closed, or read by nobody."""

import errno
import io
import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from pepsasync.display import records
from pepsasync.events import DownloadProgressed, Noticed

FULL = OSError(errno.ENOSPC, "No space left on device")

UNWRITABLE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
os.execv(sys.executable, [sys.executable, "-m", "pepsasync", *sys.argv[1:]])
"""
"""Starts the program where no file can grow."""

CLOSED = """
import os, sys
os.close(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "pepsasync", *sys.argv[2:]])
"""
"""Starts the program without one of its streams."""


class Full(io.StringIO):
    def write(self, text):
        raise FULL


@pytest.mark.parametrize(
    "line",
    ["search -c S1", "search -c S1 --format ids", "fetch -c S1 -n", "stage -c S1 --wait", "--help", "search --help"],
)
def test_full_output_makes_5_and_is_called_what_it_is(run, clients, line, monkeypatch):
    monkeypatch.setattr("sys.stdout", Full())
    done = run(*line.split())

    assert done.code == 5
    assert done.err.endswith("pepsasync: error: cannot write to standard output: No space left on device\n")
    assert "bug in pepsasync" not in done.err


@pytest.mark.parametrize("target", ["-", "events.jsonl"])
def test_lost_events_make_5_and_the_run_goes_on_without_them(run, clients, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", Full())
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *how, **more: Full() if path.name == target else opened(path, *how, **more)
    )
    done = run("fetch", "-c", "S1", "--events", target)

    assert done.code == 5
    assert "delivered: 2 products" in done.err
    assert f"--events: cannot write {target}: No space left on device" in done.err


@pytest.mark.skipif(os.name == "nt", reason="needs limits of a process")
def test_full_output_does_not_trouble_the_end_of_the_process(archive, tmp_path):
    with (tmp_path / "found.txt").open("w") as output:
        line = ["search", "--base-url", archive.peps_url, "-d", "2015-01-01"]
        done = subprocess.run(
            [sys.executable, "-c", UNWRITABLE, *line], stdout=output, stderr=-1, text=True, timeout=60, check=False
        )

    assert done.returncode == 5, done.stderr
    assert done.stderr.splitlines() == ["pepsasync: error: cannot write to standard output: File too large"]


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
@pytest.mark.parametrize("form", ["table", "geojson", "ids"])
def test_reader_that_went_away_ends_the_program_quietly(archive, form):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "pepsasync", "search", "--base-url", archive.peps_url, "-d", "2015-01-01"]
    done = subprocess.run([*command, "--format", form], stdout=write, stderr=-1, text=True, timeout=60, check=False)
    os.close(write)

    assert done.returncode == 141, done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_events_that_nobody_reads_make_141_when_the_run_is_over(archive, auth, tmp_path):
    read, write = os.pipe()
    os.close(read)
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "--limit", "2", "-w", tmp_path]
    more = ["--poll-interval", "0.1", "--events", "-", "--report", tmp_path / "report.json"]
    command = [sys.executable, "-m", "pepsasync", *map(str, line + more)]
    done = subprocess.run(command, stdout=write, stderr=-1, text=True, timeout=60, check=False)
    os.close(write)

    assert done.returncode == 141, done.stderr
    assert "delivered: 2 products" in done.stderr
    assert "error" not in done.stderr
    assert "error" not in json.loads((tmp_path / "report.json").read_text())


@pytest.mark.skipif(os.name == "nt", reason="streams are closed otherwise there")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_closed_streams_change_nothing(archive, auth, tmp_path, number):
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "--limit", "2", "-w", tmp_path]
    command = [sys.executable, "-c", CLOSED, str(number), *map(str, line), "--poll-interval", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.zip"))) == 2


@pytest.fixture
def full_pipe():
    """The writing end of a pipe that takes nothing any more and that nobody reads, and its reading end."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for size in (1 << 16, 1):
        while select.select([], [write], [], 0)[1]:
            try:
                os.write(write, b"." * size)
            except BlockingIOError:
                break
    os.set_blocking(write, True)
    yield read, write
    os.close(read)
    os.close(write)


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_goes_on_while_nobody_reads_what_it_tells(archive, auth, tmp_path, full_pipe, backend):
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "-w", tmp_path, "-v"]
    more = ["--poll-interval", "0.1", "--backend", backend, "--events", tmp_path / "events.jsonl"]
    command = [sys.executable, "-m", "pepsasync", *map(str, line + more)]
    done = subprocess.run(command, stdout=-1, stderr=full_pipe[1], timeout=60, check=False)

    assert done.returncode == 0
    assert len(list(tmp_path.glob("*.zip"))) == 16


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
def test_what_waited_for_a_slow_reader_is_told_in_its_order(full_pipe):
    read, write = full_pipe
    told = """
import os, sys
from pepsasync.display import output
for number in range(output.MOST_WAITING + 5):
    output.tell(f"line {number}")
print("told", flush=True)
output.settle(30)
output.tell("the end")
"""
    process = subprocess.Popen([sys.executable, "-c", told], stdout=-1, stderr=write)
    assert process.stdout.readline() == b"told\n"
    got = b""
    while not got.endswith(b"the end\n"):
        assert select.select([read], [], [], 30)[0]
        got += os.read(read, 1 << 16)
    process.communicate(timeout=120)
    lines = got.lstrip(b".").decode().splitlines()

    assert lines[:3] == ["line 0", "line 1", "line 2"]
    kept = len(lines) - 2
    assert lines[:kept] == [f"line {number}" for number in range(kept)]
    assert kept in (10_000, 10_001), "one may be under way"
    assert lines[kept] == f"{10_005 - kept} further lines were dropped: the output was not read"


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_goes_on_while_nobody_reads_its_events_and_tells_them_in_the_end(
    archive, auth, tmp_path, full_pipe, backend
):
    read, write = full_pipe
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "-w", tmp_path]
    more = ["--poll-interval", "0.1", "--backend", backend, "--events", "-"]
    command = [sys.executable, "-m", "pepsasync", *map(str, line + more)]
    with subprocess.Popen(command, stdout=write, stderr=-1, text=True) as process:
        assert any(text.startswith("delivered: 16 products") for text in process.stderr)
        assert len(list(tmp_path.glob("*.zip"))) == 16
        events = [json.loads(text) for text in lines_until(read, '"product_delivered"', 16)]
        process.communicate(timeout=120)

    assert process.returncode == 0
    delivered = [event["name"] for event in events if event["event"] == "product_delivered"]
    assert sorted(delivered) == sorted(product.name for product in archive.catalogue)
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def lines_until(read, word, times=1):
    """Lines of a pipe, without the dots that had filled it, to the one in which a word occurs for the last time."""
    came = b""
    while came.count(word.encode()) < times or not came.endswith(b"\n"):
        assert select.select([read], [], [], 120)[0]
        came += os.read(read, 1 << 16)
    return came.decode().lstrip(".").splitlines()


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
def test_events_that_wait_for_their_reader_are_bounded_and_progress_does_not_wait(full_pipe, monkeypatch):
    read, write = full_pipe
    monkeypatch.setattr(records, "MOST_EVENTS", 3)
    with os.fdopen(os.dup(write), "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with records.EventLog(Path("-")) as log:
            for number in range(9):
                log.take(Noticed(message=str(number)))
                log.take(DownloadProgressed(id="A", name="A", received=number))
            told = lines_until(read, "were dropped")
            log.take(Noticed(message="the end"))
        told += lines_until(read, "the end")

    messages = [json.loads(text)["message"] for text in told]
    kept = len(messages) - 2
    assert messages[:kept] == [str(number) for number in range(kept)]
    assert messages[kept:] == [f"{9 - kept} further events were dropped: the output was not read", "the end"]
    assert kept in (3, 4), "one may be under way"


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
def test_a_reader_of_events_that_goes_away_while_they_wait_ends_the_log_alone(monkeypatch):
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with records.EventLog(Path("-")) as log:
            log.take(Noticed(message="." * (1 << 20)))
            os.close(read)

    assert log.is_unread
