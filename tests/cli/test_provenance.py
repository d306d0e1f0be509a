"""`status` tells of each product where it is from, when it came, and what it was found by."""

import csv
import io
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from archives import account_file, running
from pepsasync.cli import status
from pepsasync.folder.journal import JournalReader, open_journal
from pepsasync.folder.journal.schema import MIGRATIONS


@pytest.fixture
def archive():
    with running(4, held_back=1, tape_fraction=0, product_size=30_000) as archive:
        yield archive


@pytest.fixture
def words(archive, tmp_path):
    account = account_file(archive, tmp_path / "account.txt")
    return ["--provider", "peps", "--base-url", archive.peps_url, "-a", account, "-w", tmp_path / "data"]


def rows(run, tmp_path):
    done = run("status", tmp_path / "data", "--format", "csv")
    assert done.code == 0, done.err
    return {row["name"]: row for row in csv.DictReader(io.StringIO(done.out))}


def test_what_was_fetched(archive, words, run, tmp_path):
    assert run("fetch", "-c", "S2ST", *words).code == 0
    listed = rows(run, tmp_path)

    assert listed.keys() == {product.name for product in archive.catalogue if product.collection == "S2ST"}
    for name, row in listed.items():
        assert (row["source"], row["query"]) == ("peps", "S2ST")
        assert row["checksum"] == f"md5:{archive.content(name).md5.lower()}"
        assert row["path"] == str(tmp_path / "data" / f"{name}.zip")
        assert int(row["bytes"]) == archive.content(name).size
        assert abs(datetime.fromisoformat(row["came"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_later_order_changes_nothing_of_it(words, run, tmp_path):
    run("fetch", "-c", "S2ST", *words)
    before = rows(run, tmp_path)
    run("fetch", "-d", "2017-01-01", *words)

    assert rows(run, tmp_path) == before


def test_json_says_the_same(words, run, tmp_path):
    run("fetch", "-d", "2014-01-01", *words)
    products = json.loads(run("status", tmp_path / "data", "--format", "json").out)["products"]

    assert {
        p["name"]: {key: "" if value is None else str(value) for key, value in p.items()} for p in products
    } == rows(run, tmp_path)


def test_a_sync_names_its_query_and_not_what_it_has_taken_out(archive, words, run, tmp_path):
    run("order", "new", tmp_path / "a.toml", "-d", "2014-01-01", *words)
    assert run("sync", tmp_path / "a.toml").code == 0
    gone = archive.catalogue[0].name
    archive.withdraw(gone)
    assert run("sync", tmp_path / "a.toml", "--prune").code == 0
    listed = rows(run, tmp_path)

    assert listed.keys() == {product.name for product in archive.catalogue}
    assert {row["query"] for row in listed.values()} == {"from 2014-01-01"}


def test_what_was_here_before_came_at_no_known_time(archive, words, run, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    product = next(product for product in archive.catalogue if product.collection == "S2ST")
    content = archive.content(product.name)
    (folder / f"{product.name}.zip").write_bytes(content.read(0, content.size))
    run("fetch", "-c", "S2ST", *words)

    assert rows(run, tmp_path)[product.name]["came"] == ""


def test_a_cell_that_a_spreadsheet_would_compute_gets_an_apostrophe(tmp_path, monkeypatch):
    row = dict.fromkeys(status.PROVENANCE) | {"name": "=HYPERLINK(1)", "bytes": 5}
    monkeypatch.setattr(status, "provenance", lambda directory: iter([row]))

    assert next(itertools.islice(status.csv_rows(tmp_path), 1, None)).startswith("'=HYPERLINK(1),")


def test_nothing_and_no_journal(words, run, tmp_path):
    (tmp_path / "data").mkdir()
    done = run("status", tmp_path / "data", "--format", "csv")
    assert (done.code, done.out) == (2, "")
    assert run("status", tmp_path / "data", "--format", "xml").code == 2
    run("fetch", "-d", "2040-01-01", *words)
    assert (
        run("status", tmp_path / "data", "--format", "csv").out
        == "name,source,checksum,came,bytes,path,query,members\n"
    )


@pytest.mark.anyio
async def test_older_journals_are_read(tmp_path):
    async with open_journal(tmp_path, tell=print, migrations=MIGRATIONS[:2]):
        pass
    with JournalReader(tmp_path) as reader:
        assert list(reader.provenance()) == []
