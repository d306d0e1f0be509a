"""Servers that send back the secret they were sent: it is nowhere in what a run tells or leaves."""

import base64
import html
import json
import re
import urllib.parse
import urllib.request

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import root, running
from fakes import product
from pepsasync.config import Config
from pepsasync.credentials import Credentials
from pepsasync.credentials.lookup import Lookup
from pepsasync.http.client import Http
from pepsasync.http.secrets import Secrets
from pepsasync.providers.geodes import Geodes
from servers import Server

PASSWORD, KEY = "hunter2/with space&ö", "Key-0123/hunter2"
SECRETS = {
    "peps": [PASSWORD, base64.b64encode(f"you@example.org:{PASSWORD}".encode()).decode()],
    "geodes": [KEY],
}
CASES = [(name, secret) for name, secrets in SECRETS.items() for secret in secrets]


@pytest.fixture(autouse=True)
def _account(monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PEPS_USERNAME", "you@example.org")
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", PASSWORD)
    monkeypatch.setenv("PEPSASYNC_GEODES_API_KEY", KEY)


@pytest.fixture(scope="module")
def behind():
    """The archive whose catalogue the echoing server shows."""
    with running(2, tape_fraction=0) as archive:
        yield archive


class Echo:
    """Passes on what the archive says without an account; everything else is answered with an echo."""

    def __init__(self, behind, name, answer):
        self._behind, self._answer = root(behind, name), answer
        self.port, self.path = 0, urllib.parse.urlsplit(self._behind).path
        self.sent = []

    def __call__(self, connection, head):
        head, _, body = head.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += connection.recv(65_536)
        if re.search(rb"(?i)\r\n(authorization|x-api-key):", head):
            self.sent.append(target)
            connection.sendall(self._answer)
            return False
        url = self._behind + target.removeprefix(self.path)
        asked = urllib.request.Request(url, body or None, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(asked) as reply:
            told = reply.read().replace(self._behind.encode(), f"http://127.0.0.1:{self.port}{self.path}".encode())
        connection.sendall(_answer("200 OK", told, "Content-Type: application/json"))
        return False


def _answer(status, body, *headers):
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def answers(secret):
    """Every place of an answer that is shown when something is wrong, with the secret in it."""
    quoted = urllib.parse.quote(secret, safe="")
    said = f"no such account: {secret}"
    cut = ("x" * 190 + secret).encode()
    return {
        "400-text": _answer("400 Bad", said.encode(), "Content-Type: text/plain; charset=utf-8"),
        "403-resto": _answer("403 No", json.dumps({"ErrorMessage": said}).encode(), "Content-Type: application/json"),
        "403-regards": _answer("403 No", json.dumps({"messages": [said]}).encode(), "Content-Type: application/json"),
        "404-escaped": _answer("404 No", json.dumps({"detail": said}).replace("/", "\\/").encode()),
        "404-cut": _answer("404 No", cut),
        "200-text": _answer("200 OK", said.encode(), "Content-Type: application/octet-stream"),
        "200-type": _answer("200 OK", b"<html>", f"Content-Type: text/{quoted}"),
        "302-path": _answer("302 Found", b"", f"Location: /away/{quoted}/login"),
        "302-host": _answer("302 Found", b"", f"Location: http://{quoted}.example/"),
        "no-http": f"HTTP/1.1 {quoted}\r\n\r\n".encode(),
    }


@pytest.mark.parametrize("what", answers(""))
@pytest.mark.parametrize(("name", "secret"), CASES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CASES)])
def test_echoed_secret_is_shown_nowhere(run, behind, monkeypatch, tmp_path, name, secret, what):
    config = tmp_path / "config.toml"
    config.write_text("retries = 1\nretry_wait = 0.01\n")
    monkeypatch.setenv("PEPSASYNC_CONFIG", str(config))
    echo = Echo(behind, name, answers(secret)[what])
    with Server(echo) as server:
        echo.port = server.port
        where = ["--provider", name, "--base-url", f"http://127.0.0.1:{server.port}{echo.path}"]
        data, report, events = (tmp_path / path for path in ("data", "report.json", "events.jsonl"))
        files = ["--report", report, "--events", events, "-w", data]
        done = run("fetch", "-c", "S1", "--limit", "1", *where, *files, "-vv")
        told = [done, run("status", data), run("status", data, "--format", "json")]

    assert done.code in (1, 2, 3, 4), done.err
    assert echo.sent
    shown = "".join(each.out + each.err for each in told) + report.read_text() + events.read_text()
    shown += "".join(path.read_bytes().decode("latin-1") for path in data.rglob("*") if path.is_file())
    told_of = re.findall(f".*(?:hunter2|{re.escape(secret[:20])}).*", urllib.parse.unquote(shown))
    assert told_of == []


async def _judged(secret):
    http = Http(Config(), transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    provider = Geodes(http, Lookup.of(Credentials(api_key=secret)), "https://archive.example")
    item = product("A", download_url="https://archive.example/A")
    request = await provider.download_request(item)
    body = f"quota of {secret}".encode()
    return provider.judge_download(item, httpx.Response(420, request=request), body)


@pytest.mark.anyio
async def test_notice_of_a_quota_does_not_show_the_key():
    assert "quota of ***" in str(await _judged(KEY))


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=4))
def test_no_form_of_a_secret_stays(secret):
    secrets = Secrets()
    secrets.add(secret)
    for form in (secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)):
        assert secret.casefold() not in secrets.hide(f"said {form}, and {form}").casefold() or secret in "***"
        assert secrets.hide(form[:-1]) != form[:-1] or len(form) <= 4
