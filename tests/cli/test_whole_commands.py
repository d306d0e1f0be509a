"""The program as a process of its own: exit codes, interrupts, sandbox and demo."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import pytest

from servers import port_of_nobody

PERIOD = "-d 2015-01-01 -f 2018-01-01"


def query(archive, auth, *more):
    return ["--base-url", archive.peps_url, "-a", auth, *PERIOD.split(), "--poll-interval", "0.1", *more]


def test_refused_credentials_make_3(spawn, archive, tmp_path):
    auth = tmp_path / "peps.txt"
    auth.write_text("demo@pepsasync.example not the password")

    process = spawn("fetch", *query(archive, auth), "-w", tmp_path / "data")
    _, err = process.communicate(timeout=120)

    assert process.returncode == 3
    assert "refused the credentials" in err
    assert "not the password" not in err
    assert "Traceback" not in err


def test_unreachable_archive_makes_4(run, auth, tmp_path):
    with port_of_nobody() as port:
        done = run("fetch", "-c", "S1", "-a", auth, "--base-url", f"http://127.0.0.1:{port}/resto", "-w", tmp_path)

    assert done.code == 4
    assert "cannot connect to 127.0.0.1" in done.err


def test_failed_product_makes_1_and_the_rest_arrives(run, auth, tmp_path):
    sandbox = pytest.importorskip("pepsasync.sandbox")
    archive = sandbox.Sandbox(products=4, product_size=60_000, tape_fraction=0)
    archive.start()
    try:
        lost = archive.catalogue[0].name
        archive.drop_file(lost)
        done = run("fetch", *query(archive, auth), "-w", tmp_path / "data", "--report", tmp_path / "report.json")
    finally:
        archive.stop()

    assert done.code == 1
    assert lost in done.err
    assert len(list((tmp_path / "data").glob("*.zip"))) == 3
    failed = [p for p in json.loads((tmp_path / "report.json").read_text())["products"] if p["status"] == "failed"]
    assert [(lost, "NotFoundError")] == [(product["name"], product["error"]["type"]) for product in failed]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced on Windows")
def test_full_disk_makes_5(run, archive, auth, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    done = run("fetch", *query(archive, auth), "-w", tmp_path / "data")

    assert done.code == 5
    assert "no space left" in done.err


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_interrupted_run_makes_130_and_goes_on_later(*, spawn, archive, auth, tmp_path, number, backend):
    arguments = query(archive, auth, "-w", tmp_path / "data", "--backend", backend)
    process = spawn("fetch", *arguments, "--limit-rate", "100k")
    first = process.stderr.readline()
    assert "found 16 products" in first
    process.send_signal(number)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 130, err
    assert err.endswith("pepsasync: interrupted; run the same command again to go on\n")
    assert "Traceback" not in err
    assert "not finished: " in err

    again = spawn("fetch", *arguments)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert len(list((tmp_path / "data").glob("*.zip"))) == 16


@pytest.mark.skipif(os.name == "nt", reason="terminals hang up otherwise there")
def test_run_under_nohup_outlives_its_terminal(spawn, archive, auth, tmp_path):
    arguments = query(archive, auth, "-w", tmp_path / "data", "--limit-rate", "1m")
    process = spawn("fetch", *arguments, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert "found 16 products" in process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 0, err


@pytest.mark.parametrize("number", SIGNALS)
def test_report_of_an_interrupted_run_names_every_product(*, spawn, archive, auth, tmp_path, number):
    report = tmp_path / "report.json"
    process = spawn("fetch", *query(archive, auth, "-w", tmp_path / "data", "--limit-rate", "100k", "--report", report))
    assert "found 16 products" in process.stderr.readline()
    process.send_signal(number)
    process.communicate(timeout=120)

    written = json.loads(report.read_text())
    assert {product.name for product in archive.catalogue} == {product["name"] for product in written["products"]}
    assert written["summary"]["matched"] == 16
    assert written["summary"]["unfinished"] == 16 - written["summary"]["delivered"]
    assert written["error"] == {"type": "KeyboardInterrupt", "message": "the run was interrupted"}


def test_report_of_a_run_with_a_wrong_password_names_every_product_and_the_error(run, archive, tmp_path):
    auth, report = tmp_path / "peps.txt", tmp_path / "report.json"
    auth.write_text("demo@pepsasync.example not the password")

    assert run("fetch", *query(archive, auth, "-w", tmp_path / "data", "--report", report)).code == 3

    written = json.loads(report.read_text())
    assert {product.name for product in archive.catalogue} == {product["name"] for product in written["products"]}
    assert {"unfinished"} == {product["status"] for product in written["products"]}
    assert written["error"]["type"] == "AuthError"


def test_extracted_products_are_folders(run, archive, auth, tmp_path):
    done = run("fetch", *query(archive, auth, "-w", tmp_path / "data", "-x", "--limit", "3"))

    assert done.code == 0
    assert len(list((tmp_path / "data").glob("*.SAFE"))) == 3
    assert list((tmp_path / "data").glob("*.zip")) == []


def test_saved_search_is_downloaded(run, archive, auth, tmp_path):
    found = tmp_path / "found.geojson"
    assert run("search", "--base-url", archive.peps_url, *PERIOD.split(), "--limit", "3", "-o", found).code == 0

    done = run(
        "download", found, "--base-url", archive.peps_url, "-a", auth, "--poll-interval", "0.1", "-w", tmp_path / "data"
    )

    assert done.code == 0, done.err
    files = list((tmp_path / "data").glob("*.zip"))
    assert len(files) == 3
    assert all(zipfile.is_zipfile(file) for file in files)


def test_staging_waits_until_everything_is_online(run, archive, auth):
    done = run("stage", *query(archive, auth, "--wait"))

    assert done.code == 0, done.err
    assert {product.name for product in archive.catalogue} == set(done.out.splitlines())


@pytest.mark.parametrize("number", SIGNALS)
def test_sandbox_runs_until_it_is_told_to_stop(spawn, run, tmp_path, number):
    process = spawn("sandbox", "--port", "0", "--products", "2", "--product-size", "60k", "--tape-fraction", "0")
    text = ""
    while "Ctrl-C" not in text:
        text += process.stdout.readline()
    url = re.search(r"PEPS +(\S+)", text)[1]
    (tmp_path / "sandbox.txt").write_text(re.search(r"echo '(.*)' >", text)[1])

    done = run("fetch", "--base-url", url, "-a", tmp_path / "sandbox.txt", *PERIOD.split(), "-w", tmp_path / "data")
    process.send_signal(number)
    process.communicate(timeout=120)

    assert (done.code, process.returncode) == (0, 0), done.err
    assert "-a sandbox.txt -c S2ST -d 2017-01-01 -f 2017-02-01 -w data/" in text
    roots = {"PEPS": "resto", "CDSE": "cdse", "ASF": "asf", "WEkEO": "wekeo", "GEODES": "geodes"}
    assert {
        name: re.search(rf"^{name} +http://127\.0\.0\.1:\d+/(\w+)$", text, re.MULTILINE)[1] for name in roots
    } == roots


def test_sandbox_on_a_taken_port_is_bad_usage(run, archive):
    done = run("sandbox", "--port", archive.url.rpartition(":")[2], "--products", "1")

    assert done.code == 2
    assert "cannot listen on port" in done.err


def test_demo_verifies_everything(spawn, tmp_path):
    process = spawn("demo", "--keep", tmp_path / "kept")
    out, err = process.communicate(timeout=100)

    assert process.returncode == 0, err
    staged, resumed, verified = out.splitlines()
    assert staged == "staged from tape: 6"
    assert int(resumed.removeprefix("cut connections resumed: ")) >= 1
    assert verified == "verified against the archive's MD5: 12 of 12"
    assert len(list((tmp_path / "kept").glob("*.zip"))) == 12


def test_demo_does_not_say_where_the_files_were_that_it_deletes(spawn):
    _, err = spawn("demo").communicate(timeout=100)

    assert "files are in" not in err
    assert "the files were temporary; --keep DIR keeps them" in err


def test_reader_that_goes_away_does_not_end_the_run(archive, auth, tmp_path, spawn):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        process = spawn("fetch", *query(archive, auth, "-w", tmp_path / "data", "--events", "-"))
        del gone
    _, err = process.communicate(timeout=120)

    assert process.returncode == 0, err


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo terminal")
@pytest.mark.parametrize("options", [[], ["--no-color"]], ids=["colour", "plain"])
def test_terminal_gets_a_live_display(archive, auth, tmp_path, options):
    terminal, theirs = os.openpty()
    slowly = ["--limit-rate", "500k"]  # else it may be over before anything is drawn
    command = [
        *[sys.executable, "-m", "pepsasync", "fetch"],
        *query(archive, auth, "-w", tmp_path / "data", *slowly, *options),
    ]
    with subprocess.Popen(
        map(str, command), stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        screen = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side was closed
            while chunk := os.read(terminal, 65_536):
                screen += chunk
        os.close(terminal)

    text = screen.decode()
    assert process.returncode == 0, text
    assert "/16 products" in text
    assert f"files are in {tmp_path / 'data'}" in text
    assert "\x1b[?25l" not in text, "a killed run must not leave a terminal without a cursor"
    assert bool(re.search(r"\x1b\[[39]\d", text)) is not bool(options)


def test_several_search_replies_become_one_document(run, archive, tmp_path):
    names = [option for product in archive.catalogue[:3] for option in ("--id", product.name)]
    line = ["search", "--base-url", archive.peps_url, *names]

    done = run(*line, "--json", tmp_path / "raw.json", "--format", "ids")

    assert done.code == 0, done.err
    raw = json.loads((tmp_path / "raw.json").read_text())
    found = {feature["properties"]["productIdentifier"] for feature in raw["features"]}
    assert found == set(done.out.split()) == {product.name for product in archive.catalogue[:3]}


def test_user_whom_the_system_does_not_know_can_work(run, archive, auth, tmp_path, monkeypatch):
    def getpwuid(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    where = ["--base-url", archive.peps_url, "-c", "S1", "--limit", "1"]
    fetched = run("fetch", *where, "-a", auth, "-w", tmp_path / "data", "--poll-interval", "0.1")
    missing = run("fetch", *where, "-w", tmp_path / "more")

    assert fetched.code == 0, fetched.err
    assert missing.code == 3, missing.err
    assert "no credentials for PEPS" in missing.err
