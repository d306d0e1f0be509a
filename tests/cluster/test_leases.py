"""Leases of products: one worker begins, once, and stops when it is told to or left alone."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import pytest

from archives import connect, sandbox
from fakes import product
from pepsasync.cluster.checks import is_safe, make_probe, versions_here, why_unfit
from pepsasync.cluster.errand import Sealed, Ticket, ticket_for
from pepsasync.cluster.executor import _Shares
from pepsasync.cluster.worker import is_akin
from pepsasync.folder import leases
from pepsasync.folder.journal import Owner, open_journal
from pepsasync.folder.layout import Folder
from pepsasync.folder.leases import Claim, Leases, TakenBackError, recall_all

pytest.importorskip("distributed", reason="needs the extra dask")
cloudpickle = pytest.importorskip("cloudpickle", reason="needs the extra dask")
pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.open()
    Leases(folder).prepare()
    return folder


async def test_one_worker_begins_and_only_once(folder):
    async with open_journal(folder.directory, tell=print) as journal:
        given = Leases(folder)
        given.give("a", "product")
        assert not given.has_begun("a")
        claims = [Claim(folder, "a", journal.owner, Clock()) for _ in range(3)]

        assert [True, False, False] == [claim.take() for claim in claims]
        assert given.has_begun("a")
        assert os.getpid() == given.worker("a").pid
        assert not given.is_over("a")
        claims[0].check()
        claims[0].give_back()
        assert given.is_over("a")
        assert not claims[1].take()


NOBODY = {"host": "here", "place": "here", "pid": 4711, "token": "a", "since": 0.0}


@pytest.mark.parametrize("wrong", [{"pid": -1}, {"pid": 0}, {"pid": "1"}, {"pid": True}, {"place": 1}, {"host": None}])
async def test_a_lease_that_somebody_wrote_into_names_no_process(wrong, folder):
    given = Leases(folder)
    (folder.leases / "a.taken").write_text(f"product\n{json.dumps(NOBODY | wrong)}\n")

    assert given.worker("a") is None
    assert not given.is_over("a")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
async def test_a_lease_that_is_a_link_is_not_read(folder, tmp_path):
    (tmp_path / "theirs").write_text(f"product\n{json.dumps(NOBODY)}\n")
    (folder.leases / "a.taken").symlink_to(tmp_path / "theirs")

    assert Leases(folder).worker("a") is None
    assert not Leases(folder).is_over("a")


async def test_what_was_taken_back_before_it_began_never_begins(folder):
    async with open_journal(folder.directory, tell=print) as journal:
        given = Leases(folder)
        given.give("a", "product")
        await given.recall(["a"])

        assert not Claim(folder, "a", journal.owner, Clock()).take()
        assert set() == given.left()


async def test_a_worker_that_is_told_to_stop_sees_it(folder):
    async with open_journal(folder.directory, tell=print) as journal:
        given, claim = Leases(folder), Claim(folder, "a", journal.owner, Clock())
        given.give("a", "product")
        claim.take()
        given.take_back("a")

        assert not given.is_over("a")
        with pytest.raises(TakenBackError, match="taken back"):
            claim.check()
        claim.give_back()
        assert given.is_over("a")


async def test_a_worker_of_another_owner_stops(folder):
    claim = Claim(folder, "a", Owner.here(), Clock())
    Leases(folder).give("a", "product")
    claim.take()
    with pytest.raises(TakenBackError, match="no such owner"):
        claim.check()
    async with open_journal(folder.directory, tell=print):
        with pytest.raises(TakenBackError, match="no such owner"):
            claim.check()


async def test_a_worker_whose_coordinator_is_silent_stops(folder, monkeypatch):
    clock = Clock()
    async with open_journal(folder.directory, tell=print) as journal:
        claim = Claim(folder, "a", journal.owner, clock)
        Leases(folder).give("a", "product")
        claim.take()
        lease = folder.state / "journal.lease"
        seen = leases.look(lease)
        monkeypatch.setattr(leases, "look", lambda _: seen)
        claim.check()
        clock.now += leases.SILENCE + 1
        with pytest.raises(TakenBackError, match="no sign of life"):
            claim.check()


async def test_a_worker_that_does_not_see_the_folder_stops(folder, monkeypatch):
    clock = Clock()
    async with open_journal(folder.directory, tell=print) as journal:
        claim = Claim(folder, "a", journal.owner, clock)
        Leases(folder).give("a", "product")
        claim.take()

        def fail(path):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(leases, "look", fail)
        claim.check()
        clock.now += leases.BLIND + 1
        with pytest.raises(TakenBackError, match="cannot be seen"):
            claim.check()


async def test_the_next_owner_waits_for_workers_that_were_left_behind(folder):
    told = []
    Leases(folder).give("a", "product")
    Leases(folder).give("b", "product")
    ended = await anyio.run_process([sys.executable, "-c", "import os; print(os.getpid())"])
    dead = Owner.here()
    line = {**{name: getattr(dead, name) for name in Owner.__slots__}, "pid": int(ended.stdout.decode())}
    (folder.leases / "a.given").rename(folder.leases / "a.taken")
    with (folder.leases / "a.taken").open("a") as file:
        file.write(json.dumps(line) + "\n")

    await recall_all(folder, told.append)

    assert ["waiting until workers of an earlier run have stopped (2 products)"] == told
    assert set() == Leases(folder).left()


@pytest.mark.anyio
async def test_shares_of_a_rate_are_never_more_than_the_rate():
    shares = _Shares()
    async with shares.taken(10, 3) as first, shares.taken(10, 3) as second, shares.taken(10, 3) as third:
        assert 10 == first + second + third
        assert 3 == first
    async with shares.taken(None, 3) as free:
        assert free is None


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tls://node7:8786", True),
        ("tcp://node7:8786", False),
        ("ws://10.0.0.7:8786", False),
        ("node7:8786", False),
        ("tcp://127.0.0.1.example.org:8786", False),
    ],
)
def test_secrets_go_over_tls_or_stay_here(address, safe):
    assert safe is is_safe(address)


def found(**more):
    return {"versions": versions_here()} | more


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"missing": "No module named 'pepsasync'"}, "lacks a package"),
        ({"versions": versions_here() | {"pepsasync": "0.0.1"}}, "it has pepsasync 0.0.1, this program"),
        ({"versions": versions_here() | {"python": "3.8"}}, "it has python 3.8"),
        (found(folder="No such file or directory"), "cannot use"),
        (found(read="other", wrote="/data/x"), "another folder"),
        (found(read="secret", wrote="/data/not-there"), "another folder"),
        (OSError("gone"), "cannot be asked"),
    ],
)
def test_why_a_worker_is_not_used(answer, words):
    assert words in why_unfit(answer, "secret", "/data")


def test_a_process_without_the_package_is_told_from_one_with_it(tmp_path):
    sent = tmp_path / "probe"
    sent.write_bytes(cloudpickle.dumps(make_probe()))
    home = str(Path(cloudpickle.__file__).parents[1])
    program = f"""
import sys, json, pickle
sys.path.insert(0, {home!r})
probe = pickle.load(open({str(sent)!r}, "rb"))
sys.modules["pepsasync"] = None
print(json.dumps(probe("pepsasync.cluster.worker", "")))
"""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, env=env, check=True)

    assert "lacks a package" in why_unfit(json.loads(ran.stdout), "", "")


async def test_a_ticket_holds_credentials_apart_and_shows_none():
    async with sandbox(1) as archive, connect(archive, "geodes") as client:
        request = await client.provider.download_request(product(download_url=archive.geodes_url))
        ticket = ticket_for(request)
    assert (("x-api-key", archive.api_key),) == ticket.headers
    assert not ticket.holds_password
    assert Ticket("https://example.org", (("authorization", "Basic x"),)).holds_password
    sealed = pickle.loads(pickle.dumps(Sealed("name", ticket)))
    assert archive.api_key not in repr(ticket) + repr(sealed) + str(sealed)
    assert ticket == sealed.open()


@pytest.mark.parametrize(
    ("url", "akin"),
    [
        ("https://data.example.org/x", True),
        ("https://download.example.org/x", True),
        ("http://download.example.org/x", False),
        ("https://login.example.com/x", False),
        ("https://example.org/x", False),
        ("https://data.example.org.evil.net/x", False),
    ],
)
def test_credentials_go_to_hosts_of_the_same_domain(url, akin):
    assert akin is is_akin(httpx.URL(url), httpx.URL("https://data.example.org/product"))
