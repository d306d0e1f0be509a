"""Paths of delivered products on standard output, for whatever comes behind the pipe."""

import io
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

PACE = ["--poll-interval", "0.1"]


def line(archive, auth, folder, *more, command="fetch"):
    there = [command, "--base-url", archive.peps_url, "-a", auth, "-w", folder, *PACE, *more]
    return [str(word) for word in (there if command != "fetch" else [*there, "-d", "2015-01-01", "--limit", "4"])]


def files(folder):
    return sorted(str(path) for path in folder.glob("S*"))


def test_each_delivered_product_is_one_line_and_words_go_elsewhere(run, archive, auth, tmp_path):
    done = run(*line(archive, auth, tmp_path))

    assert sorted(done.out.splitlines()) == files(tmp_path)
    assert len(files(tmp_path)) == 4
    assert "delivered: 4 products" in done.err


def test_what_was_here_before_is_not_listed(run, archive, auth, tmp_path):
    run(*line(archive, auth, tmp_path))
    gone = files(tmp_path)[0]
    Path(gone).unlink()
    done = run(*line(archive, auth, tmp_path))

    assert done.out == f"{gone}\n"


def test_paths_end_with_a_zero_byte_and_the_folder_is_named_as_it_was_given(run, archive, auth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*line(archive, auth, "new\nline", "-0", "-x"))

    assert done.code == 0
    *paths, rest = done.out.split("\0")
    assert rest == ""
    assert sorted(paths) == sorted(f"new\nline/{path.name}" for path in (tmp_path / "new\nline").glob("*.SAFE"))
    assert len(paths) == 4


def test_download_and_resume_list_what_they_bring(run, archive, auth, tmp_path):
    names = [product.name for product in archive.catalogue[:2]]
    downloaded = run(*line(archive, auth, tmp_path, *names, command="download")).out
    (tmp_path / f"{names[0]}.zip").unlink()
    resumed = run("resume", tmp_path, "--base-url", archive.peps_url, "-a", auth, *PACE).out

    assert sorted(downloaded.splitlines()) == sorted(str(tmp_path / f"{name}.zip") for name in names)
    assert resumed == f"{tmp_path / names[0]}.zip\n"


def test_a_repair_lists_only_what_was_wrong(run, archive, auth, tmp_path):
    run(*line(archive, auth, tmp_path))
    broken = next(tmp_path.glob("*.zip"))
    broken.write_bytes(b"no zip")
    done = run("verify", tmp_path, "--repair", "--base-url", archive.peps_url, "-a", auth, *PACE)

    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1
    assert done.out.startswith("wrong")


@pytest.mark.parametrize("option", ["--events", "--report"])
def test_other_things_on_standard_output_come_alone(run, archive, auth, tmp_path, option):
    done = run(*line(archive, auth, tmp_path, option, "-"))
    both = run(*line(archive, auth, tmp_path, option, "-", "-0"))

    assert {text[0] for text in done.out.splitlines()} <= set('{ "}]'), "JSON"
    assert both.code == 2
    assert f"{option} and --null cannot both be standard output" in both.err


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_paths_that_cannot_be_written_make_5_when_the_run_is_over(run, archive, auth, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", Full())
    done = run(*line(archive, auth, tmp_path))

    assert done.code == 5
    assert len(files(tmp_path)) == 4
    assert done.err.endswith("pepsasync: error: cannot write to standard output: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_went_away_ends_no_run(archive, auth, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "pepsasync", *line(archive, auth, tmp_path)]
    done = subprocess.run(command, stdout=write, stderr=-1, text=True, timeout=60, check=False)
    os.close(write)

    assert done.returncode == 141, done.stderr
    assert "delivered: 4 products" in done.stderr
    assert len(files(tmp_path)) == 4


@pytest.mark.skipif(os.name == "nt", reason="pipes are asked otherwise there")
def test_a_slow_reader_holds_up_no_download_and_gets_every_path(archive, auth, tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    filling = 0
    while select.select([], [write], [], 0)[1]:
        filling += os.write(write, b".")
    os.set_blocking(write, True)
    command = [sys.executable, "-m", "pepsasync", *line(archive, auth, tmp_path)]
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    with process, os.fdopen(read, "rb") as pipe:
        told = next(text for text in process.stderr if "delivered: 4 products" in text)
        got = pipe.read().decode()
        process.communicate(timeout=60)

    assert told
    assert process.returncode == 0
    assert got[:filling] == "." * filling
    assert sorted(got[filling:].splitlines()) == files(tmp_path)
