"""Folders that another user has closed, and what else the system refuses: one clear line and exit code 2."""

import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import sqlite3
import sys
import threading

import pytest

from archives import sandbox
from pepsasync.folder.journal import opening

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="drops what Linux lets root do")


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _root_obeys_modes(obeys):
    """Take from this thread, and those that it starts, root's right to enter every folder; or give it back.

    Source: https://man7.org/linux/man-pages/man2/capset.2.html.
    """
    libc, header, sets = ctypes.CDLL(None, use_errno=True), _Header(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(ctypes.byref(header), sets) == 0
    override = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    sets[0] = sets[0] & ~override if obeys else sets[0] | (sets[1] & override)
    assert libc.capset(ctypes.byref(header), sets) == 0


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    _root_obeys_modes(True)
    yield path
    _root_obeys_modes(False)
    for closed in (".", ".pepsasync", ".pepsasync/parts", ".pepsasync/verified"):
        if (path / closed).exists():
            (path / closed).chmod(0o755)
    shutil.rmtree(path)


@pytest.fixture
def serve(monkeypatch):
    archives = []

    def start(**options):
        archives.append(sandbox(**({"products": 6, "tape_fraction": 0} | options)))
        archives[0].start()
        monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", archives[0].username)
        monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", archives[0].password)
        return archives[0]

    yield start
    for archive in archives:
        archive.stop()


def fetch(archive, folder, *more):
    return ["fetch", "--provider", "peps", "--base-url", archive.peps_url, "-w", folder, *PERIOD, *more]


COMMANDS = {
    "fetch": fetch,
    "extract": lambda archive, folder: fetch(archive, folder, "-x"),
    "plan": lambda archive, folder: ["plan", *fetch(archive, folder)[1:]],
    "status": lambda archive, folder: ["status", folder],
    "resume": lambda archive, folder: ["resume", folder],
    "verify": lambda archive, folder: ["verify", folder],
    "repair": lambda archive, folder: ["verify", "--repair", folder],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("closed", [".pepsasync", "."])
def test_folder_that_may_not_be_entered_is_told_in_clear_words(run, serve, folder, command, closed):
    served = serve()
    filled = run(*fetch(served, folder))
    assert filled.code == 0, filled.err
    (folder / closed).chmod(0)

    done = run(*COMMANDS[command](served, folder))

    assert "bug in pepsasync" not in done.err
    assert "Permission denied" in done.err
    can_go_on = closed == ".pepsasync" and command in ("verify", "repair")  # each zip tells whether it is whole
    assert done.code == (0 if can_go_on else 2), done.err


@pytest.mark.parametrize("closed", [".pepsasync", ".pepsasync/parts", ".pepsasync/verified", "."])
@pytest.mark.parametrize("size", [20_000, 900_000])
def test_folder_that_is_closed_during_a_run_is_told_in_clear_words(run, serve, folder, closed, size, monkeypatch):
    settings = folder.with_name("config.toml")
    settings.write_text("in_flight = 1\n")  # so that nothing is brought while the first product's command runs
    monkeypatch.setenv("PEPSASYNC_CONFIG", str(settings))
    served = serve(product_size=size)
    done = run(*fetch(served, folder, "-j", "1", "--on-delivered", f"chmod 000 {folder / closed}"))

    assert "bug in pepsasync" not in done.err
    assert done.code == (0 if closed.endswith("verified") else 2), done.err
    if done.code:
        assert "Permission denied" in done.err


def test_journal_that_another_program_locks_is_told_in_clear_words(run, serve, folder, monkeypatch):
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.01)
    served = serve()
    assert run(*fetch(served, folder)).code == 0
    with contextlib.closing(sqlite3.connect(folder / ".pepsasync" / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        done = run(*fetch(served, folder))
        told = [run(command, folder) for command in ("status", "resume", "verify")]

    assert done.code == 2, done.err
    assert "is locked. End the program that keeps it locked" in done.err
    assert all("bug in pepsasync" not in one.err for one in (done, *told))
    assert not list((folder / ".pepsasync").glob("*.lease"))


def test_parts_on_another_disk_are_refused_before_anything_is_asked_for(run, serve, folder, monkeypatch):
    other, stat = folder / ".pepsasync" / "parts", pathlib.Path.stat

    def moved(path, **options):
        found = stat(path, **options)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if path == other else found

    monkeypatch.setattr(pathlib.Path, "stat", moved)
    done = run(*fetch(serve(), folder))

    assert done.code == 2, done.err
    assert "is on another disk" in done.err


def test_names_that_cannot_be_given_for_another_disk_end_the_run(run, serve, folder, monkeypatch):
    """As where another folder of the same disk is mounted there."""
    replace = pathlib.Path.replace

    def fails(path, target):
        if str(target).endswith(".zip"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, target)

    monkeypatch.setattr(pathlib.Path, "replace", fails)
    done = run(*fetch(serve(), folder))

    assert done.code == 2, done.err
    assert "is on another disk" in done.err


@pytest.mark.parametrize("threads", range(8))
@pytest.mark.parametrize("size", [20_000, 900_000])
def test_too_few_threads_are_told_in_clear_words(run, serve, folder, monkeypatch, threads, size):
    served, left, start = serve(product_size=size, products=2), [threads], threading.Thread.start

    def fails(thread):
        if threading.current_thread() is threading.main_thread():
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails)
    done = run(*fetch(served, folder, "--trials", "1", "--wait", "0.01"))
    monkeypatch.undo()

    assert "bug in pepsasync" not in done.err
    assert done.code in (0, 1, 2), done.err
    if done.code:
        assert "can't start new thread" in done.err
    assert not list((folder / ".pepsasync").glob("*.lease"))
