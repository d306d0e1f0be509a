"""Whole commands that put products into a bucket, as programs of their own."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

import stores
from archives import account_file, bytes_by_name, running

COMMON = ("--provider", "peps", "--poll-interval", "0.1", "--wait", "0.05")


@pytest.fixture(scope="module")
def archive():
    with running(4, product_size=300_000) as served:
        yield served


def command(archive, bucket, tmp_path, *arguments, **environ):
    """The arguments and the environment of a program."""
    account = account_file(archive, tmp_path / "account.txt")
    archives = ("--base-url", archive.peps_url, "-a", str(account), *COMMON)
    known = archives if arguments[0] in ("fetch", "download", "resume") else ()
    at = ("--endpoint-url", bucket.url) if any(text.startswith("s3://") for text in arguments) else ()
    environment = stores.environment(tmp_path) | environ
    return [sys.executable, "-m", "pepsasync", *arguments, *known, *at], environment


def run(archive, bucket, tmp_path, *arguments, **environ):
    line, environment = command(archive, bucket, tmp_path, *arguments, **environ)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=200, check=False)


def report(path):
    """What a report tells of each product, but for what differs from run to run."""
    told = json.loads(path.read_text())
    times = ("staged_seconds", "download_seconds", "attempts", "path", "data_path", "tier_at_start")
    products = [{key: value for key, value in one.items() if key not in times} for one in told["products"]]
    return told["summary"], sorted(products, key=lambda one: one["name"])


def test_bucket_and_folder_get_the_same_products_and_report(archive, bucket, tmp_path):
    for where, file in ((str(tmp_path / "data"), "disk.json"), (bucket.address, "s3.json")):
        done = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", where, "--report", str(tmp_path / file))
        assert 0 == done.returncode, done.stderr
    paths = done.stdout.split()

    assert report(tmp_path / "disk.json") == report(tmp_path / "s3.json")
    assert paths == [
        f"s3://{bucket.name}/{key}"
        for key in sorted(keys(bucket), key=lambda key: paths.index(f"s3://{bucket.name}/{key}"))
    ]
    for key in keys(bucket):
        name = key.removeprefix("in/here/")
        assert (tmp_path / "data" / name).read_bytes() == stores.content_of(bucket, key, bucket.name)
        metadata = bucket.s3.head_object(Bucket=bucket.name, Key=key)["Metadata"]
        assert f"md5:{archive.content(name.removesuffix('.zip')).md5.lower()}" == metadata["pepsasync-checksum"]
        assert ("peps", True) == (metadata["pepsasync-source"], bool(metadata["pepsasync-time"]))

    again = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address)
    assert (0, "") == (again.returncode, again.stdout)
    assert f"files are in {bucket.address}" in again.stderr
    status = run(archive, bucket, tmp_path, "status", bucket.address, "--format", "json")
    assert "s3://" in status.stdout, status.stderr
    assert not [*tmp_path.rglob("S1*.zip")] or {(tmp_path / "data")} == {
        path.parent for path in tmp_path.rglob("S1*.zip")
    }


def keys(bucket):
    return stores.keys_of(bucket, bucket.name)


def test_wrong_objects_of_others_are_told_kept_and_replaced(archive, bucket, tmp_path):
    done = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "--limit", "1", "-w", bucket.address)
    key = done.stdout.strip().removeprefix(f"s3://{bucket.name}/")
    content = stores.content_of(bucket, key, bucket.name)
    bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"of somebody else")

    done = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "--limit", "1", "-w", bucket.address)

    assert (0, True) == (done.returncode, "it was replaced, and is kept as" in done.stderr), done.stderr
    assert content == stores.content_of(bucket, key, bucket.name)
    kept = [each for each in keys(bucket) if "/.pepsasync/kept/" in each]
    assert [b"of somebody else"] == [stores.content_of(bucket, each, bucket.name) for each in kept]


def test_lost_journal_costs_no_verified_object(archive, bucket, tmp_path):
    first = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address, "--state", str(tmp_path / "one"))
    sent = bytes_by_name(archive)
    again = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address, "--state", str(tmp_path / "two"))

    assert (0, 0) == (first.returncode, again.returncode), again.stderr
    assert sent == bytes_by_name(archive)
    assert "already here: " in again.stderr


def test_secrets_of_the_store_are_written_nowhere(archive, bucket, tmp_path):
    secret, token = "zz-secret-key-zz", "zz-session-token-zz"
    done = run(
        archive,
        bucket,
        tmp_path,
        *("fetch", "-c", "S1", "-w", bucket.address, "-v", "--report", str(tmp_path / "report.json")),
        *("--events", str(tmp_path / "events.jsonl"), "--state", str(tmp_path / "state")),
        AWS_SECRET_ACCESS_KEY=secret,
        AWS_SESSION_TOKEN=token,
    )

    assert 0 == done.returncode, done.stderr
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for one in (secret, token):
        assert one.encode() not in written
        assert one not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["fetch", "-x"], "products are not unpacked in a bucket", id="extract"),
        pytest.param(["fetch", "--bands", "VV"], "only whole products go into a bucket", id="bands"),
        pytest.param(["fetch", "--save-order", "o.toml"], "an order for sync needs a folder", id="order"),
    ],
)
def test_what_needs_a_disk_is_refused_in_words(archive, bucket, tmp_path, arguments, words):
    done = run(archive, bucket, tmp_path, *arguments, "-c", "S1", "-w", bucket.address)

    assert 2 == done.returncode
    assert words in done.stderr
    assert [] == keys(bucket)


@pytest.mark.parametrize("name", ["catalog", "plan"])
def test_commands_that_need_a_folder_refuse_buckets(run, bucket, name):
    where = ("-c", "S1", "-w", bucket.address) if name == "plan" else (bucket.address,)

    done = run(name, *where)

    assert (2, True) == (done.code, f"{name} needs a folder on a disk" in done.err)


@pytest.mark.parametrize("where", ["s3://", "s3://a", "s3://key:secret@lab/x", "s3://lab/../x", "s3://lab/a//b"])
def test_addresses_that_make_no_sense(run, where):
    done = run("fetch", "-c", "S1", "-w", where)

    assert (2, "") == (done.code, done.out)
    assert "key:secret" not in done.err


@pytest.mark.parametrize("url", ["nonsense", "ftp://store", "http://", "http://127.0.0.1:99999"])
def test_addresses_of_stores_that_make_no_sense(run, bucket, tmp_path, url):
    done = run("fetch", "-c", "S1", "-w", bucket.address, "--endpoint-url", url, "--state", tmp_path / "journal")

    assert (2, True) == (done.code, "the address of the store makes no sense" in done.err), done.err


@pytest.mark.parametrize("option", ["--state", "--report", "--events"])
def test_files_of_this_machine_are_no_addresses_of_buckets(run, bucket, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)

    done = run("fetch", "-c", "S1", "-w", bucket.address, "--endpoint-url", bucket.url, option, f"{bucket.address}/x")

    assert (2, True) == (done.code, "is the address of a bucket" in done.err), done.err
    assert not (tmp_path / "s3:").exists()


def test_orders_are_not_written_to_buckets(run, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    done = run("order", "new", bucket.address, "-c", "S1", "-d", "2015")

    assert (2, True) == (done.code, "is the address of a bucket" in done.err), done.err
    assert not (tmp_path / "s3:").exists()


def test_options_of_buckets_are_refused_for_folders(run, tmp_path):
    done = run("fetch", "-c", "S1", "-w", tmp_path, "--endpoint-url", "http://127.0.0.1:1")

    assert (2, True) == (done.code, "--endpoint-url says something of a bucket" in done.err)


def test_missing_extra_is_named(archive, bucket, tmp_path):
    hidden = tmp_path / "hidden" / "boto3"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('hidden')")
    path = os.pathsep.join(filter(None, [str(hidden.parent), os.environ.get("PYTHONPATH")]))

    done = run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address, PYTHONPATH=path)

    assert (2, True) == (done.returncode, "pip install 'pepsasync[s3]'" in done.stderr)


def test_killed_runs_go_on_with_the_parts_that_were_sent(bucket, tmp_path):
    with running(2, product_size=90_000_000) as archive:
        [name] = [product.name for product in archive.catalogue if product.collection == "S1"]
        for _ in range(2):
            line, environment = command(
                archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address, "--limit-rate", "12MB"
            )
            before = sent_parts(bucket)
            with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as program:
                until = time.monotonic() + 100
                while sent_parts(bucket) <= before and time.monotonic() < until and program.poll() is None:
                    time.sleep(0.05)
                program.kill()
                said = program.stderr.read()
            assert before < sent_parts(bucket), said
        assert [] == [key for key in keys(bucket) if ".pepsasync" not in key]
        parts, sent = sent_parts(bucket), bytes_by_name(archive)[name]

        done = run(
            archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address, "--report", str(tmp_path / "r.json")
        )

        assert 0 == done.returncode, done.stderr
        [entry] = json.loads((tmp_path / "r.json").read_text())["products"]
        assert parts * (16 << 20) <= entry["resumed_bytes"]
        assert bytes_by_name(archive)[name] - sent <= archive.content(name).size - entry["resumed_bytes"]
        assert archive.content(name).md5.lower() == stores.md5_of(bucket, f"in/here/{name}.zip", bucket.name)
        assert [] == stores.uploads_of(bucket, bucket.name)
        assert [f"in/here/{name}.zip"] == keys(bucket)


def sent_parts(bucket):
    uploads = bucket.s3.list_multipart_uploads(Bucket=bucket.name).get("Uploads", ())
    return sum(
        len(bucket.s3.list_parts(Bucket=bucket.name, Key=one["Key"], UploadId=one["UploadId"]).get("Parts", ()))
        for one in uploads
    )


def test_clean_aborts_what_is_unfinished_and_nothing_else(archive, bucket, tmp_path):
    s3, name = bucket.s3, bucket.name
    for key in ("in/here/.pepsasync/parts/A/1", "in/here/other.zip", "elsewhere/.pepsasync/parts/A/1"):
        s3.create_multipart_upload(Bucket=name, Key=key)
    for key in ("in/here/.pepsasync/parts/B/2", "in/here/B.zip"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    s3.create_multipart_upload(Bucket=name, Key="in/here/B.zip")

    done = run(archive, bucket, tmp_path, "clean", bucket.address)

    assert 0 == done.returncode, done.stderr
    assert re.search(r"aborted: 2 unfinished uploads; removed: 1 object ", done.stderr), done.stderr
    assert ["elsewhere/.pepsasync/parts/A/1", "in/here/other.zip"] == sorted(stores.uploads_of(bucket, name))
    assert ["in/here/B.zip"] == keys(bucket)


def test_clean_removes_parts_of_a_folder(run, tmp_path):
    parts = tmp_path / ".pepsasync" / "parts"
    parts.mkdir(parents=True)
    (parts / "A.part").write_bytes(b"1234")
    (parts / "A.part.record").write_text('{"source": "peps", "id": "1", "size": 10}\n0 4\n')
    (tmp_path / "B.zip").write_bytes(b"x")

    done = run("clean", tmp_path)

    assert 0 == done.code, done.err
    assert "removed: 1 unfinished download, 4 B" in done.err
    assert [] == [*parts.glob("A*")]
    assert (tmp_path / "B.zip").exists()


def test_resume_brings_back_what_was_removed(archive, bucket, tmp_path):
    assert 0 == run(archive, bucket, tmp_path, "fetch", "-c", "S1", "-w", bucket.address).returncode
    gone = keys(bucket)[0]
    bucket.s3.delete_object(Bucket=bucket.name, Key=gone)

    done = run(archive, bucket, tmp_path, "resume", bucket.address)

    assert 0 == done.returncode, done.stderr
    assert f"s3://{bucket.name}/{gone}\n" == done.stdout
    assert gone in keys(bucket)
