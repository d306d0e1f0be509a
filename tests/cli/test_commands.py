"""What commands print, write and return, against a client in memory."""

import json
import os

import pytest

from pepsasync import errors
from pepsasync.providers.base import StagingOutcome

FAILURE = errors.TransferError("broke too often", product="B", hint="Run the same command again")


def fail_b(client):
    client.errors = {"B": FAILURE}


def find_nothing(client):
    client.products = ()


def die_of(error):
    return lambda client: setattr(client, "fatal", error)


@pytest.mark.parametrize("command", ["fetch", "search", "stage"])
def test_nothing_found_is_said_and_fine(run, clients, command):
    clients.prepare = find_nothing

    done = run(command, "-c", "S1")

    assert done.code == 0
    assert "nothing matches" in done.err
    assert done.out == ""


def test_fetch_tells_what_it_did(run, clients, tmp_path):
    done = run("fetch", "-c", "S1", "-w", tmp_path)

    assert done.code == 0
    assert "found 2 products, 3.00 MB: 1 on disk, 1 on tape" in done.err
    assert "delivered 2/2 B, 2.00 MB" in done.err
    assert f"files are in {tmp_path}" in done.err
    assert done.out.splitlines() == [f"{tmp_path / name}.zip" for name in "AB"]


def test_failed_product_makes_1_and_is_named_with_its_reason(run, clients):
    clients.prepare = fail_b

    done = run("fetch", "-c", "S1")

    assert done.code == 1
    assert "failed: 1 product\n  B: broke too often" in done.err
    assert "run the same command again to try the failed ones once more" in done.err


def test_products_by_name_are_counted_before_they_are_found(run, clients):
    clients.prepare = lambda client: setattr(client, "products", client.products[:1])

    assert "delivered 1/2 A" in run("fetch", "--id", "A", "--id", "B").err


def test_quiet_says_only_what_went_wrong(run, clients):
    assert run("fetch", "-c", "S1", "-q").err == ""

    clients.prepare = fail_b
    done = run("fetch", "-c", "S1", "--quiet")

    assert done.err.count("\n") == 1
    assert "failed 2/2 B: broke too often" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.ConfigError("no"), 2, id="config"),
        pytest.param(errors.AreaError("no"), 2, id="area"),
        pytest.param(errors.AuthError("no"), 3, id="auth"),
        pytest.param(errors.UnreachableError("no"), 4, id="unreachable"),
        pytest.param(errors.ServerError("no"), 4, id="server"),
        pytest.param(errors.DiskFullError("no"), 5, id="disk"),
        pytest.param(errors.ProtocolError("no"), 1, id="protocol"),
    ],
)
def test_error_that_ends_the_run_has_its_exit_code(run, clients, error, code):
    clients.prepare = die_of(error)

    done = run("fetch", "-c", "S1")

    assert code == done.code
    assert done.err.endswith("pepsasync: error: no\n")
    assert "delivered: 2 products" in done.err


def test_report_and_events_are_written_also_when_the_run_dies(run, clients, tmp_path):
    clients.prepare = die_of(errors.DiskFullError("full"))

    done = run(
        "fetch", "-c", "S1", "--report", tmp_path / "r.json", "--events", tmp_path / "e.jsonl", "--json", tmp_path / "j"
    )

    assert done.code == 5
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["delivered"] == 2
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "product_delivered"
    assert list(events[-1])[:3] == ["time", "event", "id"]
    assert events[-1]["time"].endswith("Z")
    assert (tmp_path / "j").read_bytes() == b'{"features": []}'


def test_report_that_cannot_be_written_does_not_hide_what_ended_the_run(run, clients, tmp_path, monkeypatch):
    clients.prepare = die_of(errors.DiskFullError("full"))

    def refuse(*arguments):
        raise errors.ConfigError("cannot write the report")

    monkeypatch.setattr("pepsasync.report.ReportFile.write", refuse)
    done = run("fetch", "-c", "S1", "--report", tmp_path / "r.json")

    assert done.code == 5
    assert "error: cannot write the report\npepsasync: error: full" in done.err


def test_names_beyond_a_limit_are_not_missed(run, clients):
    clients.prepare = lambda client: setattr(client, "products", client.products[:1])
    limited = run("search", "--id", "A", "--id", "B", "--limit", "1")
    whole = run("search", "--id", "A", "--id", "B")

    assert (limited.code, "not found" in limited.err) == (0, False)
    assert (whole.code, "not found: B" in whole.err) == (1, True)


def test_events_can_go_to_standard_output(run, clients):
    done = run("fetch", "-c", "S1", "--events", "-")

    assert [json.loads(line)["event"] for line in done.out.splitlines()] == [
        "search_finished",
        "product_found",
        "product_found",
        "product_delivered",
        "product_delivered",
    ]


@pytest.mark.parametrize("command", ["fetch", "search"])
def test_search_reply_can_go_to_standard_output(run, clients, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert run(command, "-c", "S1", "--json", "-").out == '{"features": []}'
    assert not list(tmp_path.iterdir())


def test_search_reply_in_a_dry_run_can_go_to_standard_output(run, clients):
    assert run("fetch", "-c", "S1", "-n", "--json", "-").out == '{"features": []}'


def test_report_can_go_to_standard_output(run, clients, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert json.loads(run("fetch", "-c", "S1", "--report", "-").out)["summary"]["delivered"] == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_gets_the_search_reply_once(run, clients, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    assert run("fetch", "-c", "S1", "--json", tmp_path / "pipe").code == 0

    assert os.read(reader, 65_536) == b'{"features": []}'
    os.close(reader)


def test_segments_are_explained_where_they_have_no_effect(run, clients):
    assert "one connection per product" in run("fetch", "-c", "S1", "--segments", "4").err
    assert "one connection" not in run("fetch", "-c", "S1").err


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        pytest.param("ids", ["A", "B"], id="ids"),
        pytest.param("csv", None, id="csv"),
        pytest.param("jsonl", None, id="jsonl"),
        pytest.param("geojson", None, id="geojson"),
        pytest.param("table", None, id="table"),
    ],
)
def test_search_prints_every_format(run, clients, form, lines):
    done = run("search", "-c", "S1", "--format", form)

    assert done.code == 0
    assert lines in (None, done.out.splitlines())
    assert "A" in done.out
    if form == "geojson":
        assert [f["properties"]["name"] for f in json.loads(done.out)["features"]] == ["A", "B"]
    if form == "jsonl":
        assert [json.loads(line)["properties"]["name"] for line in done.out.splitlines()] == ["A", "B"]


def test_search_into_a_file_prints_nothing_but_the_total(run, clients, tmp_path):
    done = run("search", "-c", "S1", "-o", tmp_path / "found.geojson", "--json", tmp_path / "raw.json")

    assert done.out == ""
    assert f"2 products, 3.00 MB: 1 on disk, 1 on tape; written to {tmp_path / 'found.geojson'}" in done.err
    assert (tmp_path / "raw.json").is_file()


def test_saved_search_can_be_downloaded(run, clients, tmp_path):
    run("search", "-c", "S1", "-o", tmp_path / "found.geojson")

    assert run("download", tmp_path / "found.geojson", "C.SAFE", "B").code == 0

    assert clients.all[-1].query == ["A", "B", "C"]


def test_zip_that_is_here_is_a_name_not_a_list(run, clients, tmp_path):
    (tmp_path / "A.zip").write_bytes(b"PK")

    run("download", tmp_path / "A.zip")

    assert clients.all[-1].query == ["A"]


def test_stage_asks_for_what_is_on_tape_only(run, clients):
    done = run("stage", "-c", "S1")

    assert done.code == 0
    assert "online: 1 product; staging requested: 1 product" in done.err


def test_stage_reports_quota_as_failure(run, clients):
    clients.prepare = lambda client: setattr(client, "outcome", StagingOutcome.QUOTA)

    done = run("stage", "-c", "S1")

    assert done.code == 1
    assert "not now B: a quota" in done.err


def test_stage_reports_refused_products(run, clients):
    clients.prepare = lambda client: setattr(client, "errors", {"B": errors.ForbiddenError("not yours")})

    done = run("stage", "-c", "S1")

    assert done.code == 1
    assert "failed B: not yours" in done.err


def test_stage_ends_at_once_when_credentials_are_refused(run, clients):
    clients.prepare = lambda client: setattr(client, "errors", {"B": errors.AuthError("refused")})

    assert run("stage", "-c", "S1").code == 3


def test_stage_can_wait_and_names_what_is_online(run, clients):
    done = run("stage", "-c", "S1", "--wait")

    assert done.code == 0
    assert done.out.splitlines() == ["A", "B"]


def test_stage_that_waits_in_vain_fails(run, clients):
    clients.prepare = fail_b

    done = run("stage", "-c", "S1", "--wait")

    assert done.code == 1
    assert done.out.splitlines() == ["A"]


def test_interrupt_makes_130_and_tells_how_to_go_on(run, clients):
    clients.prepare = die_of(KeyboardInterrupt())

    done = run("fetch", "-c", "S1")

    assert done.code == 130
    assert done.err.endswith("pepsasync: interrupted; run the same command again to go on\n")


def test_commands_run_on_trio_too(run, clients):
    assert run("fetch", "-c", "S1", "--backend", "trio").code == 0


def test_collections_of_peps_are_listed(run):
    done = run("collections")

    assert {"S1", "S2", "S2ST", "S3"} <= {line.split()[0] for line in done.out.splitlines() if line.strip()}


def test_collections_takes_the_provider_as_all_commands_do(run):
    assert "SENTINEL-1" in run("collections", "--provider", "cdse").out
    assert run("collections", "cdse", "--provider", "cdse").out == run("collections", "cdse").out
