"""Lists of products, as files and pipes hold them, bring these products."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pepsasync.results.tables import SUFFIXES


@pytest.fixture
def line(archive, auth):
    """Where to look, and as whom."""
    return ["--base-url", archive.peps_url, "-a", auth, "--poll-interval", "0.1"]


@pytest.fixture
def search(archive):
    return ["search", "--base-url", archive.peps_url, "-c", "S2ST", "-d", "2015-01-01", "--limit", "3"]


@pytest.fixture
def typed(monkeypatch):
    """Put bytes on standard input."""

    def put(data):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put


def names_in(folder):
    return {path.stem for path in folder.glob("*.zip")}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_search_writes_is_what_download_and_id_read(run, line, search, suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    file = tmp_path / f"found{suffix}"
    found = run(*search, "-o", file, "--format", "ids")
    names = set(found.out.split())
    first = run("download", file, *line, "-w", tmp_path / "one")
    second = run("fetch", "--id", f"@{file}", *line, "-w", tmp_path / "two")

    assert (found.code, first.code, second.code) == (0, 0, 0), first.err + second.err
    assert len(names) == 3
    assert names_in(tmp_path / "one") == names_in(tmp_path / "two") == names


def test_names_come_over_a_pipe(search, line, tmp_path):
    program = [sys.executable, "-m", "pepsasync"]
    with subprocess.Popen([*program, *map(str, [*search, "--format", "ids"])], stdout=-1, stderr=-1) as first:
        arguments = ["download", "-", *line, "-w", tmp_path]
        second = subprocess.run(
            [*program, *map(str, arguments)],
            stdin=first.stdout,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert second.returncode == 0, second.stderr
    assert len(names_in(tmp_path)) == 3


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "geojson", "ids"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_format_can_be_piped(run, clients, typed, form, encoding, tmp_path):
    typed(run("search", "-c", "S1", "--format", form).out.encode(encoding))
    done = run("download", "-", "-w", tmp_path)

    assert done.code == 0
    assert clients.all[-1].query == ["A", "B"]


def test_criteria_take_the_names_of_a_pipe(run, clients, typed):
    typed(b"name\nA\nB\n")
    done = run("search", "--id", "@-")

    assert done.code == 0
    assert clients.all[-1].query.names == ("A", "B")


@pytest.mark.parametrize(("data", "words"), [(b"", "names no products"), (b"\xff\xfe\xff", "is not text")])
def test_a_pipe_without_names_is_refused(run, clients, typed, data, words):
    typed(data)
    done = run("download", "-")

    assert done.code == 2
    assert f"standard input {words}" in done.err
    assert clients.all == []


def test_standard_input_that_cannot_be_read_is_told(run, clients, monkeypatch):
    class Broken:
        def read(self):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Broken(), isatty=lambda: False))
    done = run("download", "-")

    assert done.code == 2
    assert "cannot read standard input: Input/output error" in done.err
