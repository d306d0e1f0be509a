"""`pepsasync check`: what it says, its exit codes, and the recording that it writes."""

import json

import pytest

from archives import sandbox
from pepsasync.providers import provider_names

SECRETS = ["demo-api-key-0001", "demo-password", "demo@pepsasync.example"]


@pytest.fixture(scope="module")
def archive():
    served = sandbox(40, tape_fraction=0)
    served.start()
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def account(archive, monkeypatch):
    for name in provider_names():
        monkeypatch.setenv(f"PEPSASYNC_{name.upper()}_BASE_URL", getattr(archive, f"{name}_url"))
    monkeypatch.setenv("PEPSASYNC_GEODES_API_KEY", archive.api_key)
    for name in ("PEPS", "CDSE", "ASF", "WEKEO"):
        monkeypatch.setenv(f"PEPSASYNC_{name}_USERNAME", archive.username)
        monkeypatch.setenv(f"PEPSASYNC_{name}_PASSWORD", archive.password)


@pytest.mark.parametrize("provider", provider_names())
def test_a_healthy_archive_ends_with_0(run, provider):
    done = run("check", provider)

    assert done.code == 0, done.out + done.err
    marks = {line.split()[1]: line.split()[0] for line in done.out.splitlines() if line[0] != " "}
    assert len(marks) == 7
    assert {step for step, mark in marks.items() if mark != "ok"} == ({"tape"} if provider == "wekeo" else set())
    assert ("everything works" in done.err) is (provider != "wekeo")


def test_a_refused_account_ends_with_3_and_says_what_to_do(run, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PEPS_PASSWORD", "wrong-secret")

    done = run("check", "peps")

    assert done.code == 3
    assert "WRONG  account" in done.out
    assert "wrong-secret" not in done.out + done.err


def test_nobody_there_ends_with_4(run, monkeypatch):
    monkeypatch.setenv("PEPSASYNC_PEPS_BASE_URL", "http://127.0.0.1:9/resto")

    assert run("check", "peps").code == 4


def test_json_holds_each_step(run):
    done = run("check", "geodes", "--format", "json")

    assert [step["step"] for step in json.loads(done.out)][:2] == ["name", "connection"]


@pytest.mark.parametrize("provider", provider_names())
def test_a_recording_holds_no_secret_and_what_a_replay_needs(run, tmp_path, provider):
    done = run("check", provider, "--record", tmp_path / "said.json")
    text = (tmp_path / "said.json").read_text("utf-8")
    document = json.loads(text)

    assert done.code == 0
    assert [secret for secret in SECRETS if secret in text] == []
    assert document["provider"] == provider
    assert document["root"].startswith("http://127.0.0.1")
    assert len(document["exchanges"]) >= 3


@pytest.mark.parametrize("arguments", [("nobody",), ("peps", "--format", "xml")])
def test_what_makes_no_sense_ends_with_2(run, arguments):
    assert run("check", *arguments).code == 2


def test_a_folder_that_is_not_there_ends_with_2_before_anything_is_asked(run, tmp_path):
    done = run("check", "peps", "--record", tmp_path / "no" / "said.json")

    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_nobody_foresaw_is_in_the_table_and_ends_with_1(run, monkeypatch, form):
    async def fail(*_):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("pepsasync.engine.check._check_search", fail)
    done = run("check", "peps", "--format", form)

    assert done.code == 1
    assert "ZeroDivisionError: surprise" in done.out
    assert "account" in done.out
    assert "unexpected" not in done.err
