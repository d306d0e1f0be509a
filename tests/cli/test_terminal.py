"""Text that strangers wrote reaches no terminal as anything but text."""

import csv
import io
import json
import logging
import re
import warnings

import anyio
import pytest
from rich.console import Console

from fakes import product
from pepsasync.compat import _print
from pepsasync.display.live import Progress
from pepsasync.errors import ServerError
from pepsasync.events import (
    DownloadProgressed,
    DownloadStarted,
    HookFailed,
    Noticed,
    ProductFailed,
    ProductFound,
    StagingRequested,
    TiersWatched,
)
from pepsasync.folder.journal import State, open_journal
from pepsasync.results.tables import to_csv
from pepsasync.text import as_json, one_line

EVIL = "S1A\x1b]0;owned\x07\x1b[2J\x9b31m\rX\nY\u202egnp\u2066\u200f\u2028Z\x7f\x00"
"""A title for the window, an empty screen, a colour in one byte, two lines, text from right to left."""

CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

HOSTILE = (product(EVIL, id="one", tier="disk", size=1), product("B", id="two", tier="tape", size=1))


def plain(done):
    """Both streams of a command, with nothing in them that a terminal acts upon."""
    for text in (done.out, done.err):
        assert CONTROLS.findall(text) == []
    return done


@pytest.fixture
def hostile(clients):
    """An archive whose products, and errors, are named by an enemy."""

    def prepare(client):
        client.products = HOSTILE

    clients.prepare = prepare
    return clients


@pytest.mark.parametrize("line", ["search -c S1", "search -c S1 --format table", "fetch -c S1 -n", "plan -c S1"])
def test_tables(run, hostile, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile.prepare = lambda client: setattr(client, "quota", None) or setattr(client, "products", HOSTILE)
    done = plain(run(*line.split()))

    assert done.code == 0
    assert "plan" in line or r"S1A\x1b]0;owned\x07" in done.out
    assert "plan" in line or len(done.out.splitlines()) == 3


def test_names_a_line(run, hostile):
    done = plain(run("search", "-c", "S1", "--format", "ids"))

    assert len(done.out.splitlines()) == len(HOSTILE)
    assert done.out.splitlines()[1] == "B"


@pytest.mark.parametrize("more", [[], ["--wait"]])
def test_staging(run, clients, more):
    def prepare(client):
        client.products = (product(EVIL), product("A" + EVIL, tier="disk"))
        client.errors = {EVIL: ServerError(EVIL)}

    clients.prepare = prepare
    done = plain(run("stage", "-c", "S1", *more))

    assert done.code == 1
    assert more == [] or len(done.out.splitlines()) == 1


def test_lines_summary_and_errors(run, clients, tmp_path):
    def prepare(client):
        client.products = HOSTILE
        client.errors = {EVIL: ServerError(f"HTTP 500: {EVIL}", url=f"https://archive.example/{EVIL}")}
        client.fatal = ServerError(EVIL, hint=EVIL)

    clients.prepare = prepare
    done = plain(run("fetch", "-c", "S1", "-w", tmp_path, "-v"))

    assert done.code == 4
    assert r"HTTP 500: S1A\x1b" in done.err
    assert re.search(r"^pepsasync: error: S1A\\x1b", done.err, re.MULTILINE)


def test_traceback(run, clients, tmp_path):
    clients.prepare = lambda client: setattr(client, "fatal", RuntimeError(EVIL))
    done = plain(run("fetch", "-c", "S1", "-w", tmp_path, "-vv"))

    assert done.code == 1
    assert "Traceback" in done.err


def test_notices_hooks_and_looks(run, clients, tmp_path):
    def prepare(client):
        async def fetch(wanted, directory, *, extract, on_delivered):
            client.emit(Noticed(message=EVIL))
            client.emit(HookFailed(id="one", name=EVIL, message=f"ended with 3: {EVIL}"))
            client.emit(StagingRequested(id="two", name="B", times=1, retry_after=None))
            client.emit(TiersWatched(waiting=1, online=0, next_poll=1, error=EVIL))
            for outcome in ():
                yield outcome

        client.fetch = fetch

    clients.prepare = prepare
    done = plain(run("fetch", "-c", "S1", "-w", tmp_path, "-v"))

    assert done.err.count(r"\x1b]0;owned") == 4


def test_what_the_log_says(run, clients, tmp_path):
    def prepare(client):
        async def search(query):
            logging.getLogger("pepsasync.providers").warning("left out %s", EVIL)
            for found in ():
                yield found

        client.search = search

    clients.prepare = prepare
    done = plain(run("search", "-c", "S1"))

    assert done.err.splitlines()[0].startswith(r"pepsasync: warning: left out S1A\x1b")
    assert not [handler for handler in logging.getLogger().handlers if type(handler).__module__.startswith("pepsasync")]


def test_status(run, tmp_path):
    async def fail():
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            order = journal.record_order({"names": [EVIL]}, ["peps"], {})
            await journal.note_products(order, [product(EVIL)])
            journal.note(EVIL, State.FAILED, error_type="ServerError", error_message=EVIL)

    anyio.run(fail)
    done = plain(run("status", tmp_path))

    assert done.out.count(r"\x1b]0;owned") == 2
    assert json.loads(plain(run("status", tmp_path, "--format", "json")).out)["failures"][0]["message"] == EVIL


def test_live_view():
    screen = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None, legacy_windows=False)
    view = Progress(screen)
    for number in range(2):
        name = f"[bold]{EVIL}{number}"
        view.take(ProductFound(id=str(number), name=name, tier="disk", size=10))
        view.take(DownloadStarted(id=str(number), name=name, offset=0, size=10))
        view.take(DownloadProgressed(id=str(number), name=name, received=5))
    view.take(StagingRequested(id="9", name=f"tape{EVIL}", times=1, retry_after=None))
    view.take(TiersWatched(waiting=1, online=0, next_poll=9, error=EVIL))
    view.take(ProductFailed(id="8", name="F", error="ServerError", message=EVIL))
    drawn = "\n".join(view.lines(200, 40))

    assert CONTROLS.findall(drawn) == []
    assert "[bold]S1A" in drawn, "names are no markup"
    with view:
        view.take(Noticed(message=f"[bold]{EVIL}"))
    above = screen.file.getvalue()
    assert "note: [bold]S1A" in above
    assert CONTROLS.findall(re.sub("\r|\x1b\\[[0-9]*[AKJ]", "", above)) == []


def test_old_function(capsys):
    _print(EVIL)

    assert CONTROLS.findall(capsys.readouterr().out) == []


def test_our_own_warnings(run, clients):
    class OddWarning(UserWarning):
        __module__ = "pepsasync.tests"

    def prepare(client):
        client.fatal = ServerError("no")
        warnings.simplefilter("default")
        warnings.warn(EVIL, OddWarning, stacklevel=1)

    clients.prepare = prepare
    done = plain(run("search", "-c", "S1"))

    assert r"warning: S1A\x1b" in done.err


@pytest.mark.parametrize("form", ["jsonl", "geojson"])
def test_json_keeps_the_text_and_is_harmless_on_a_terminal(run, hostile, form):
    done = run("search", "-c", "S1", "--format", form)
    first = json.loads(done.out.splitlines()[0])

    assert CONTROLS.findall(done.out) == []
    assert (first["features"][0] if form == "geojson" else first)["properties"]["name"] == EVIL


def test_csv_keeps_the_text(run, hostile):
    done = run("search", "-c", "S1", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out, newline="")))

    assert [row["name"] for row in rows] == [EVIL, "B"]


@pytest.mark.parametrize("name", ["=HYPERLINK(0)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"])
def test_csv_cells_are_no_formulas(name):
    rows = list(csv.DictReader(io.StringIO(to_csv([product(name, id=name, size=5)]), newline="")))

    assert rows[0]["name"] == rows[0]["id"] == f"'{name}"
    assert rows[0]["size"] == "5"


def test_one_line_leaves_good_text_alone():
    good = "Île-de-France : été 2017, 東京 … S1A_IW_GRDH"

    assert one_line(good) == good
    assert one_line("two\r\nlines\tand a tab") == "two lines and a tab"
    assert json.loads(as_json(good)) == good
    assert good in as_json(good)


@pytest.mark.parametrize("text", [EVIL, "\udcff\ud800", "\U000e0041\U0001f600"])
def test_json_of_any_text_can_be_written_and_read(text):
    written = as_json({text: [text]})

    assert json.loads(written.encode().decode()) == {text: [text]}
    assert CONTROLS.findall(written) == []
