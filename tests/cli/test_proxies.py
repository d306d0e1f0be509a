"""Proxies of the environment: a wrong one disturbs nobody who needs none, and is named by its variable."""

import sys

import pytest

from archives import running

WRONG = [
    "socks5://me:hunter2@127.0.0.1:9",
    "socks://me:hunter2@127.0.0.1:9",
    "http://me:hunter2@proxy:port",
    "http://me:hunter2@[::1",
    "ftp://me:hunter2@127.0.0.1:9",
    "http://",
    "hunter2://",
    "http://me:hunter2@127.0.0.1:99999",
]


@pytest.fixture(autouse=True)
def _without_socks(monkeypatch):
    monkeypatch.setitem(sys.modules, "socksio", None)


@pytest.fixture(scope="module")
def online():
    with running(2, tape_fraction=0) as archive:
        yield archive


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("proxy", WRONG)
def test_proxy_that_nothing_needs_may_be_wrong(run, online, monkeypatch, tmp_path, proxy, backend):
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", online.username)
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", online.password)
    where = ["--base-url", online.peps_url, "--backend", backend]
    done = run("fetch", *where, "-c", "S1", "--limit", "1", "-w", tmp_path / "data")

    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("proxy", WRONG)
def test_wrong_proxy_is_named_by_its_variable(run, monkeypatch, name, proxy):
    monkeypatch.setenv(name, proxy)
    done = run("search", "-c", "S1", "--base-url", "https://archive.example", "-vv")

    assert done.code == 2, done.err
    assert f"error: {name} " in done.err
    assert "hunter2" not in done.err
    assert "127.0.0.1" not in done.err
    assert ("pepsasync[socks]" in done.err) == proxy.startswith("socks5")


def test_the_variable_that_counts_is_named(run, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "ftp://127.0.0.1:9")
    done = run("search", "-c", "S1", "--base-url", "https://archive.example")

    assert (done.code, "error: https_proxy " in done.err) == (2, True)
