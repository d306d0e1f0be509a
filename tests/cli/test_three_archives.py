"""Whole commands against GEODES and CDSE: exit codes, reports, and no secret anywhere."""

import json
import os

import pytest

from archives import account_file, root, running

PERIOD = ["-d", "2015-01-01", "-f", "2018-01-01", "--poll-interval", "0.1"]
SECRETS = {"geodes": "api_key", "cdse": "password", "peps": "password"}


@pytest.fixture
def served():
    with running(6, portal_seconds=0.1, faults={"error-500": 0.2, "cut": 0.2}) as archive:
        yield archive


def arguments(archive, provider, folder, *more):
    target = ["--provider", provider, "--base-url", root(archive, provider), "-w", folder / "data"]
    return ["fetch", *target, *PERIOD, *more]


@pytest.mark.parametrize("provider", SECRETS)
def test_everything_arrives_and_no_secret_is_told(spawn, served, provider, tmp_path):
    auth = account_file(served, tmp_path / "account.txt", provider)
    files = ["--report", tmp_path / "report.json", "--events", tmp_path / "events.jsonl"]
    process = spawn(*arguments(served, provider, tmp_path, "-a", auth, "-vv", *files))
    out, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["provider"] == provider
    assert report["summary"] | {"bytes": 0} == {"matched": 6, "delivered": 6, "skipped": 0, "failed": 0, "bytes": 0}
    assert {product["source"] for product in report["products"]} == {provider}
    secret = getattr(served, SECRETS[provider])
    told = out + err + "".join(path.read_text() for path in tmp_path.glob("*.json*"))
    kept = [path.read_bytes() for path in (tmp_path / "data" / ".pepsasync").rglob("*") if path.is_file()]
    assert secret not in told
    assert "Bearer" not in told
    assert not any(secret.encode() in content for content in kept)


@pytest.mark.parametrize("command", [("search",), ("plan",), ("fetch",), ("fetch", "-n"), ("stage",)], ids=" ".join)
@pytest.mark.parametrize(
    ("provider", "collection", "hint"),
    [
        pytest.param("geodes", "GRD", "see 'pepsasync collections geodes'", id="geodes"),
        pytest.param("cdse", "sentinel2", "did you mean SENTINEL-2?", id="cdse"),
    ],
)
def test_a_collection_that_nobody_lists_is_said_when_nothing_matches(
    *, run, served, monkeypatch, tmp_path, command, provider, collection, hint
):
    monkeypatch.chdir(tmp_path)
    where = ["--provider", provider, "--base-url", root(served, provider)]
    misspelt = run(*command, *where, "-c", collection)
    listed = run(*command, *where, "-c", "s1", "-d", "2030-01-01")

    assert (misspelt.code, listed.code) == (0, 0)
    assert f"note: {provider} lists no collection {collection!r}; {hint}" in misspelt.err
    assert "nothing matches" in misspelt.err or "0 products" in misspelt.out
    assert "lists no collection" not in listed.err


@pytest.mark.parametrize("provider", SECRETS)
def test_refused_credentials_make_3(run, served, provider, tmp_path):
    auth = account_file(served, tmp_path / "account.txt", provider, secret="wrong-secret")
    done = run(*arguments(served, provider, tmp_path, "-a", auth))

    assert done.code == 3, done.err
    assert "wrong-secret" not in done.err


@pytest.mark.parametrize("provider", SECRETS)
def test_no_credentials_make_3_and_say_where_to_put_them(run, served, provider, tmp_path):
    done = run(*arguments(served, provider, tmp_path))

    assert done.code == 3
    assert f"pepsasync login {provider}" in done.err


def test_products_on_tape_are_left_out_and_listed(run, tmp_path):
    with running(6) as archive:
        auth = account_file(archive, tmp_path / "account.txt", "geodes")
        report = tmp_path / "report.json"
        done = run(*arguments(archive, "geodes", tmp_path, "-a", auth, "--skip-tape", "--report", report))
    on_tape = sorted(product.name for product in archive.catalogue if product.mode == "tape")

    assert done.code == 0
    assert sorted(json.loads(report.read_text())["left_out"]) == on_tape
    assert all(name in done.err for name in on_tape)
    assert len(list((tmp_path / "data").glob("*.zip"))) == 6 - len(on_tape)


def test_a_place_is_looked_up_and_told(run, served):
    done = run("search", "--provider", "cdse", "--base-url", served.cdse_url, "-c", "S1", "-l", "toulouse")

    assert done.code == 0
    assert "Toulouse, FR" in done.err
    assert "S1A_" in done.out


def test_the_default_archive_is_geodes(run, served, monkeypatch, tmp_path):
    monkeypatch.delenv("PEPSASYNC_PROVIDER")
    monkeypatch.setenv("PEPSASYNC_GEODES_API_KEY", served.api_key)
    done = run("fetch", "--base-url", served.geodes_url, "-w", tmp_path, *PERIOD, "-n", "--limit", "3")

    assert done.code == 0, done.err
    assert "PEPSASYNC_GEODES_API_KEY" in os.environ
