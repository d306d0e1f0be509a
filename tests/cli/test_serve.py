"""The page of a run: who gets it, what it tells, and how it looks in a browser."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import anyio
import httpx
import pytest

from archives import account_file, running
from fakes import product
from pepsasync.display.counters import Counters
from pepsasync.events import (
    DownloadStarted,
    ProductDelivered,
    ProductFailed,
    ProductFound,
    ProductStaged,
    SearchFinished,
    StagingRequested,
)
from pepsasync.folder.journal import open_journal

pytest.importorskip("sse_starlette", reason="needs the extra serve")
pytest.importorskip("prometheus_client", reason="needs the extra serve")
from prometheus_client.parser import text_string_to_metric_families

from pepsasync.display.serve.board import Board
from pepsasync.display.serve.server import TOKEN_VARIABLE, serving

EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>\'\u2028\x00\x1b]0;'
PHONE = (390, 844)


def who(name):
    return {"id": f"id-{name}", "name": name}


def fed(board, *more):
    board.take(SearchFinished(products=3, bytes=300))
    for name, tier in (("A", "disk"), ("B", "tape"), (EVIL, "disk")):
        board.take(ProductFound(**who(name), tier=tier, size=100))
    board.take(StagingRequested(**who("B"), times=1, retry_after=None))
    board.take(DownloadStarted(**who("A"), offset=0, size=100))
    board.take(ProductFailed(**who(EVIL), error="X", message=f"why {EVIL}"))
    for event in more:
        board.take(event)
    return board


@pytest.fixture
def board(tmp_path):
    return fed(Board(Counters(), tmp_path))


@contextlib.contextmanager
def visitor(board):
    with serving(board, 0) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


def messages(client, most):
    """The first events of the stream."""
    found, event = [], None
    with client.stream("GET", "events") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            name, _, value = line.partition(": ")
            event = value if name == "event" else event
            if name == "data":
                found.append((event, json.loads(value)))
                if len(found) == most:
                    break
    return found


def test_changes_are_told_once(board):
    moment, changed = board.changes(0)
    assert [(one["n"], one["state"]) for one in changed] == [(0, "downloading"), (1, "waiting"), (2, "failed")]
    assert changed[2]["message"] == f"why {EVIL}"
    assert board.changes(moment) == (moment, [])

    board.take(ProductDelivered(**who("A"), path="A.zip", bytes=100))
    assert board.changes(moment)[1] == [{"n": 0, "state": "delivered", "message": ""}]


@pytest.mark.parametrize(
    ("shape", "rings"),
    [
        (None, []),
        (
            {"type": "Polygon", "coordinates": [[[1, 43], [2.00049, 43], [2, 44], [1, 43]]]},
            [[[1, 43], [2, 43], [2, 44], [1, 43]]],
        ),
        ({"type": "MultiPolygon", "coordinates": [[[[1, 1, 0]]], [[[2, 2, 0]]]]}, [[[1, 1]], [[2, 2]]]),
        ({"type": "Polygon", "coordinates": [[[179, 1], [-179, 1], [-179, 2]]]}, [[[179, 1], [181, 1], [181, 2]]]),
        ({"type": "Polygon", "coordinates": [[["x", 1]]]}, []),
        ({"type": "Polygon"}, []),
        ({"type": "Point", "coordinates": [1, 2]}, []),
    ],
)
def test_footprints_are_outlines_or_nothing(tmp_path, shape, rings):
    async def fill():
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            await journal.note_products(None, [product("A", footprint=shape)])

    anyio.run(fill)
    [first, *_] = fed(Board(Counters(), tmp_path)).described(0)

    assert first == {"n": 0, "name": "A", "size": 100, "tier": "disk", "footprint": rings}


def test_products_that_the_journal_has_not_got_yet_come_later(tmp_path):
    async def fill():
        async with open_journal(tmp_path, tell=pytest.fail) as journal:
            await journal.note_products(None, [product("A"), product(EVIL)])

    anyio.run(fill)
    board = fed(Board(Counters(), tmp_path))
    described = [[one["name"] for one in board.described(first)] for first in (0, 1, 2, 3)]
    board.end()

    assert described == [["A"], [], [EVIL], []]
    assert [one["name"] for one in board.described(0)] == ["A", "B", EVIL]


def test_the_stream_tells_the_run_and_its_end(board):
    with visitor(board) as client:
        [(event, news)] = messages(client, 1)
        board.end()
        last = messages(client, 2)

    assert event == "view"
    assert news["view"]["states"]["waiting"] == {"products": 1, "bytes": 100}
    assert news["view"]["total"] == {"products": 3, "bytes": 300}
    assert news["view"]["failed"] == 1
    assert [event for event, _ in last] == ["view", "over"]


def test_nobody_gets_anything_without_the_token(board):
    with visitor(board) as client:
        root = str(client.base_url).rsplit("/", 2)[0]
        token = str(client.base_url).rstrip("/").rpartition("/")[2]
        wrong = [
            f"{root}/{path}"
            for path in ("", "metrics", "page.js", "events", f"{token[:-1]}x/", f"{token}x/", "%C3%A9/")
        ]
        answers = [httpx.get(url, trust_env=False).status_code for url in wrong]
        bearer = [
            httpx.get(
                f"{root}/metrics", headers={"Authorization": f"Bearer {word}".encode()}, trust_env=False
            ).status_code
            for word in (token, token[:-1], "é", "-")
        ]
        redirected = httpx.get(f"{root}/{token}", trust_env=False)

    assert answers == [404] * len(wrong)
    assert bearer == [200, 404, 404, 404]
    assert redirected.headers["location"] == f"{token}/"


@pytest.mark.parametrize(
    ("host", "code"),
    [("127.0.0.1:9", 200), ("localhost:8080", 200), ("evil.example", 400), ("evil.example:80", 400), ("", 400)],
)
def test_a_page_elsewhere_cannot_ask_under_a_name_of_its_own(board, host, code):
    with visitor(board) as client:
        assert client.get("page.js", headers={"Host": host}).status_code == code


def test_answers_allow_the_browser_nothing_else(board):
    with visitor(board) as client:
        answers = [
            client.get(path) for path in ("", "page.js", "page.css", "products", "land?box=0,40,5,45", "metrics")
        ]

    assert [answer.status_code for answer in answers] == [200] * 6
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
    assert not re.search(rb"https?://|innerHTML|eval\(", answers[0].content + answers[1].content + answers[2].content)


@pytest.mark.parametrize(
    "query", ["", "?box=1,2,3", "?box=a,b,c,d", "?box=nan,0,1,1", "?box=0,0,inf,1", "?box=5,0,1,1"]
)
def test_a_box_that_is_none_is_refused(board, query):
    with visitor(board) as client:
        assert client.get(f"land{query}").status_code == 400


def test_metrics_tell_what_the_page_tells(board):
    board.take(ProductStaged(**who("B"), seconds=12.5))
    with visitor(board) as client:
        families = {one.name: one for one in text_string_to_metric_families(client.get("metrics").text)}
    products = {one.labels["state"]: one.value for one in families["pepsasync_products"].samples}

    assert products == {"done": 0, "waiting": 0, "under_way": 1, "queued": 1, "failed": 1, "left_out": 0}
    assert {one.name: one.value for one in families["pepsasync_tape_wait_seconds"].samples} == {
        "pepsasync_tape_wait_seconds_count": 1,
        "pepsasync_tape_wait_seconds_sum": 12.5,
    }
    assert families["pepsasync_received_bytes"].type == "counter"


@pytest.fixture
def window(browser):
    """The browser, without the page of an earlier test, which may miss its server."""
    browser.open("about:blank")
    browser.console()
    yield browser
    browser.open("about:blank")


def test_hostile_names_are_text(board, window):
    with serving(board, 0) as url:
        window.open(url, PHONE)
        shown = window.wait_for("return document.getElementById('trouble').textContent")
        window.wait_for("return document.getElementById('downloads').children.length")

        assert "<img src=x" in shown
        assert window.script("return [window.pwned === undefined, document.querySelectorAll('img').length]") == [
            True,
            0,
        ]
        assert window.console() == []


def spawn_run(spawn, archive, folder, *more):
    auth = account_file(archive, folder / "account.txt")
    line = ["fetch", "--base-url", archive.peps_url, "-a", auth, "-d", "2015-01-01", "-w", folder / "data"]
    process = spawn(*line, "--poll-interval", "1h", "--wait", "60", "--serve", "0", *more)
    told = process.stderr.readline()
    return process, re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", told)[0]


@pytest.mark.parametrize("size", [PHONE, (1240, 960)], ids=["phone", "desk"])
def test_the_page_of_a_real_run(spawn, tmp_path, window, size):
    with running(8, tape_fraction=0.5) as archive:
        process, url = spawn_run(spawn, archive, tmp_path)
        window.open(url, size)
        window.wait_for("return document.querySelectorAll('#products li').length === 8")
        states = (
            "return [...document.querySelectorAll('#states tr')].map((row) => row.innerText.split('\\t').slice(0, 2))"
        )
        window.wait_for(f"return (() => {{ {states} }})().join() === 'done,4,waiting for tape,4'")
        window.wait_for("return !document.getElementById('map-section').hidden")
        wide, inner = window.script("return [document.documentElement.scrollWidth, window.innerWidth]")
        colours = window.script(
            "const map = document.getElementById('map'); const pen = map.getContext('2d');"
            "const data = new Uint32Array(pen.getImageData(0, 0, map.width, map.height).data.buffer);"
            "return new Set(data).size"
        )
        option = "document.querySelector('#state option[value=waiting]')"
        window.wait_for(f"return {option} && {option}.text === 'waiting for tape (4)'")
        window.script("document.getElementById('state').value = 'waiting'")
        window.script("document.getElementById('state').dispatchEvent(new Event('change'))")
        listed = window.script("return document.querySelectorAll('#products li').length")
        picture, complaints = window.picture(), window.console()
        if os.name != "nt":
            process.send_signal(signal.SIGTERM)
            window.wait_for("return document.getElementById('life').textContent === 'the run is over'")
        process.communicate(timeout=60)

    assert wide <= inner, "nothing must be scrolled sideways"
    assert colours > 3, "sea, land and footprints are drawn"
    assert listed == 4
    assert picture.startswith(b"\x89PNG")
    assert complaints == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_works_on_every_event_loop_and_ends_with_the_run(spawn, tmp_path, backend):
    with running(4, tape_fraction=0.5) as archive:
        process, url = spawn_run(spawn, archive, tmp_path, "--backend", backend, "--events", "-")
        next(line for line in process.stdout if '"tiers_watched"' in line)
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            [(_, news)] = messages(client, 1)
        process.terminate()
        process.communicate(timeout=60)

    assert news["view"]["total"]["products"] == 4
    with contextlib.suppress(httpx.TransportError):  # another program may have the port by now
        assert httpx.get(url, trust_env=False).status_code != 200


@pytest.mark.parametrize(
    ("environ", "more", "words"),
    [
        ({TOKEN_VARIABLE: "short"}, [], "must have 16 or more letters"),
        ({TOKEN_VARIABLE: "x" * 20 + "/"}, [], "must have 16 or more letters"),
        ({}, ["-n"], "-n fetches nothing: leave out --serve"),
    ],
)
def test_what_makes_no_sense_is_refused(run, clients, monkeypatch, tmp_path, environ, more, words):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = run("fetch", "-c", "S1", "-w", tmp_path, "--serve", "0", *more)

    assert done.code == 2
    assert words in done.err


def test_a_port_that_is_taken_is_refused(run, clients, board, tmp_path):
    with visitor(board) as client:
        done = run("fetch", "-c", "S1", "-w", tmp_path, "--serve", client.base_url.port)

    assert done.code == 2
    assert "cannot listen on port" in done.err


def test_a_token_that_stays_the_same_comes_from_the_environment_and_stays_there(board, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "k" * 20)

    with serving(board, 0) as url:
        assert url.endswith(f"/{'k' * 20}/")


def test_without_the_extra_its_name_is_told(run, clients, tmp_path):
    code = (
        "import sys; sys.modules['sse_starlette'] = None; from pepsasync.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    line = ["fetch", "-c", "S1", "-w", str(tmp_path), "--serve", "0"]
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "pip install 'pepsasync[serve]'" in done.stderr
