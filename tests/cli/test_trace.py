"""`verify --trace`: products of CDSE compared with what its traceability service has signed."""

import base64
import json
import sys
from datetime import UTC, datetime

import pytest
import trustme

from archives import account_file, right_files, running
from pepsasync.model import Trace, TraceVerdict
from pepsasync.providers.cdse.traces import parse_traces, traced_name
from pepsasync.sandbox.cdse import signing
from pepsasync.transfer.traced import compare

PERIOD = ("-d", "2015-01-01", "-f", "2018-01-01")


@pytest.fixture
def filled(request, run, tmp_path):
    """An archive, and a folder that holds all of it, as zips or unpacked."""
    pytest.importorskip("cryptography")
    faults, *extract = getattr(request, "param", ({},))
    with running(4, tape_fraction=0, faults=faults) as archive:
        account = account_file(archive, tmp_path / "account.txt")
        where = ("--provider", "cdse", "--base-url", archive.cdse_url, "-a", account)
        done = run("fetch", *where, "-w", tmp_path / "data", *PERIOD, *extract)
        assert done.code == 0, done.err
        yield archive


@pytest.mark.parametrize("filled", [({},), ({}, "-x")], ids=["zips", "folders"], indirect=True)
def test_traces_that_fit_make_0_and_stand_in_the_report(run, filled, tmp_path):
    done = run(
        *("verify", tmp_path / "data", "--trace", "--report", tmp_path / "report.json", "--base-url", filled.cdse_url)
    )

    assert done.code == 0, done.out + done.err
    assert "4 products: 4 right; traces: 4 right" in done.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"right"} == {product["trace"]["verdict"] for product in report["products"]}
    told = report["products"][0]["trace"]
    assert ("COPY", "cdse_csc@dataspace.copernicus.eu") == (told["event"], told["origin"])
    assert "CN=traces.pepsasync.example" in told["signer"]
    assert told["checksum"].partition(":")[0] in ("blake3", "sha256")


@pytest.mark.parametrize(
    ("filled", "word", "reason"),
    [
        (({"trace-missing": 1},), "missing", "has no trace"),
        (({"trace-forged": 1},), "forged", "its signature is wrong"),
        (({"trace-other": 1},), "wrong", "and its trace says"),
        (({"trace-other": 1}, "-x"), "right", ""),
    ],
    ids=["missing", "forged", "another-file", "contents-count-for-folders"],
    indirect=["filled"],
)
def test_traces_that_do_not_fit_make_1(run, filled, tmp_path, word, reason):
    done = run(
        *("verify", tmp_path / "data", "--trace", "--report", tmp_path / "report.json", "--base-url", filled.cdse_url)
    )

    assert (0 if word == "right" else 1) == done.code
    assert f"traces: 4 {word}" in done.err
    assert (4 if reason else 0) == done.out.count(reason or "a reason")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {word} == {product["trace"]["verdict"] for product in report["products"]}
    assert {"failed" if word == "wrong" else "skipped"} == {product["status"] for product in report["products"]}
    assert run("verify", tmp_path / "data").code == 0


def pem(certificate):
    return f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"


def test_only_those_whom_the_user_trusts_may_have_signed(run, filled, tmp_path):
    (tmp_path / "right.pem").write_text(pem(signing.CERTIFICATE))
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    where = ("verify", tmp_path / "data", "--trace", "--base-url", filled.cdse_url, "--trace-ca")

    right, other = (run(*where, tmp_path / f"{name}.pem") for name in ("right", "other"))

    assert right.code == 0, right.err
    assert "traces: 4 right" in right.err
    assert other.code == 1
    assert "traces: 4 forged" in other.err
    assert "none of your authorities has issued the certificate of its signer O=Embedded archive" in other.out


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), (b"", "holds no certificates"), (b"\xff" * 99, "holds no certificates")],
)
def test_a_file_of_no_authorities_is_refused(run, tmp_path, content, words):
    pytest.importorskip("cryptography")
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)

    done = run("verify", tmp_path / "data", "--trace", "--trace-ca", tmp_path / "ca.pem")

    assert done.code == 2
    assert words in done.err
    assert str(tmp_path / "ca.pem") in done.err


def test_authorities_are_for_traces(run, tmp_path):
    done = run("verify", tmp_path, "--trace-ca", tmp_path / "ca.pem")

    assert done.code == 2
    assert "--trace-ca is for --trace" in done.err


def test_a_file_that_was_changed_together_with_its_note_is_found_and_repaired(run, filled, tmp_path):
    """Whoever changes a file may change what stands beside it; not what the archive has signed."""
    one, other, *_ = sorted((tmp_path / "data").glob("*.zip"))
    one.write_bytes(other.read_bytes())
    for note in (tmp_path / "data" / ".pepsasync").rglob(f"{one.name}.json"):
        note.unlink()
    (tmp_path / "data" / ".pepsasync" / "journal.db").unlink()
    where = ("--provider", "cdse", "--base-url", filled.cdse_url, "-a", tmp_path / "account.txt")

    found = run("verify", tmp_path / "data", "--trace", *where)
    repaired = run("verify", tmp_path / "data", "--trace", "--repair", *where)

    assert found.code == 1
    assert f"wrong    {one.stem}" in found.out
    assert repaired.code == 0, repaired.err
    assert right_files(filled, tmp_path / "data") == 4


def test_a_service_that_cannot_be_reached_makes_4(run, filled, tmp_path):
    done = run("verify", tmp_path / "data", "--trace", "--base-url", "http://127.0.0.1:9/cdse")

    assert done.code == 4


def test_products_of_other_archives_have_no_trace(run, tmp_path):
    with running(2, tape_fraction=0) as archive:
        account = account_file(archive, tmp_path / "account.txt")
        where = ("--provider", "peps", "--base-url", archive.peps_url, "-a", account)
        assert run("fetch", *where, "-w", tmp_path / "data", *PERIOD).code == 0
        done = run("verify", tmp_path / "data", "--trace", "--report", tmp_path / "report.json")

    assert done.code == 0, done.err
    assert "traces" not in done.err
    assert {None} == {product["trace"] for product in json.loads((tmp_path / "report.json").read_text())["products"]}


def test_without_the_library_the_extra_is_named(run, filled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.delitem(sys.modules, "pepsasync.providers.cdse.signatures", raising=False)

    done = run("verify", tmp_path / "data", "--trace", "--base-url", filled.cdse_url)

    assert done.code == 2
    assert "pip install 'pepsasync[trace]'" in done.err


NAME = traced_name("S1A_IW_X")


def entry(*, message=None, product=None, certificate=signing.CERTIFICATE, signature=None, **more):
    """A trace as the service sends it."""
    product = product or {"name": NAME, "size": 3, "hash": "ab" * 32}
    message = json.dumps(product) if message is None else message
    signed = base64.b64encode(signing.signature(message.encode())).decode() if signature is None else signature
    return {
        "event": "COPY",
        "hash_algorithm": "SHA256",
        "product": product,
        "origin": "who",
        "timestamp": "2026-07-16T01:11:53Z",
        "signature": {"signature": signed, "algorithm": "RSA-SHA256", "certificate": certificate, "message": message},
        **more,
    }


def test_a_right_trace_is_read():
    pytest.importorskip("cryptography")
    [trace] = parse_traces([entry()], NAME)

    assert ("", "COPY", "sha256", "ab" * 32, "who") == (
        trace.problem,
        trace.event,
        trace.algorithm,
        trace.checksum,
        trace.origin,
    )
    assert datetime(2026, 7, 16, 1, 11, 53, tzinfo=UTC) == trace.registered
    older = entry(
        signature=signing.signature(json.dumps({"name": NAME, "size": 3, "hash": "ab" * 32}).encode()).hex(),
        certificate=base64.b64decode(signing.CERTIFICATE).hex(),
    )
    assert "" == parse_traces([older], NAME)[0].problem


OTHER = {"name": NAME, "size": 3, "hash": "cd" * 32}


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (entry(signature=""), "not signed"),
        (entry(signature="AAAA"), "signature is wrong"),
        (entry(signature="%%"), "cannot be read"),
        (entry(certificate="AAAA"), "cannot be read"),
        (entry(certificate=None), "cannot be read"),
        (entry(message=json.dumps(OTHER)), "another checksum"),
        (entry(message="no json"), "another checksum"),
        (entry(message="[" * 99_999), "another checksum"),
        (entry(product=OTHER | {"name": "S1A_OTHER.SAFE.zip"}), "about S1A_OTHER"),
        (entry(product={"hash": "cd" * 32}), "about no product"),
        (entry(signature={"a": 1}), "not signed"),
        ({"signature": 5}, "not signed"),
        ({}, "not signed"),
    ],
)
def test_what_cannot_be_believed_is_told(told, problem):
    pytest.importorskip("cryptography")
    [trace] = parse_traces([told], NAME)

    assert problem in trace.problem


def test_replies_may_be_anything():
    for reply in (None, {}, "no", [1, None, []]):
        assert [] == parse_traces(reply, NAME)


def test_one_trace_that_fits_is_enough_and_obsolescence_is_told(tmp_path):
    file = tmp_path / "A.zip"
    file.write_bytes(b"abc")
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    made = Trace(event="CREATE", algorithm="sha256", checksum="00" * 32)
    copied = Trace(event="COPY", algorithm="sha256", checksum=right)
    obsolete = Trace(event="OBSOLETE", algorithm="sha256", checksum=right, obsolete="replaced by B")

    assert TraceVerdict.RIGHT is compare(file, [made, copied]).verdict
    assert TraceVerdict.WRONG is compare(file, [made]).verdict
    assert "replaced by B" in compare(file, [copied, obsolete]).reason
    assert (
        TraceVerdict.FORGED
        is compare(file, [Trace(event="COPY", algorithm="sha256", checksum=right, problem="x")]).verdict
    )
    assert TraceVerdict.MISSING is compare(file, [obsolete]).verdict
    assert TraceVerdict.MISSING is compare(file, [Trace(event="COPY", algorithm="whirlpool9", checksum=right)]).verdict


def test_paths_of_a_trace_lead_out_of_no_folder(tmp_path):
    folder = tmp_path / "A.SAFE"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"abc")
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    trace = Trace(event="COPY", algorithm="sha256", checksum=right, contents={"A.SAFE/../secret": right})

    assert TraceVerdict.WRONG is compare(folder, [trace]).verdict
