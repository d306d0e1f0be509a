import errno
import io
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes import product
from pepsasync.errors import ConfigError, DiskFullError, StagingTimeout
from pepsasync.events import ProductFailed, ProductFound, ProductLeftOut, ProductSkipped
from pepsasync.model import Checksum, Delivery, DeliveryStatus, Report, StorageTier
from pepsasync.report import ReportFile, report_as_dict, write_report

DELIVERED = Delivery(
    product=product("A", tier=StorageTier.TAPE),
    status=DeliveryStatus.DELIVERED,
    path=Path("data") / "A.zip",
    bytes=61728,
    checksum=Checksum("MD5", "9FC3"),
    staged_seconds=4.2,
    download_seconds=0.80049,
    attempts=2,
    resumed_bytes=12,
    data_path="drained",
    source="peps",
)
SKIPPED = Delivery(product=product("B", tier=StorageTier.DISK), status=DeliveryStatus.SKIPPED, bytes=7, source="peps")
FAILED = Delivery(
    product=product("C", tier=StorageTier.UNKNOWN),
    status=DeliveryStatus.FAILED,
    error=StagingTimeout("too slow", product="C", hint="Try again"),
)
REPORT = Report(
    provider="peps",
    started=datetime(2026, 11, 22, 10, tzinfo=UTC),
    seconds=12.3456,
    deliveries=(DELIVERED, SKIPPED, FAILED),
)


def who(name):
    return {"id": f"id-{name}", "name": name}


def test_report_has_the_promised_shape():
    assert {name: value for name, value in report_as_dict(REPORT).items() if name != "products"} == {
        "schema": 1,
        "provider": "peps",
        "started": "2026-11-22T10:00:00Z",
        "seconds": 12.346,
        "summary": {"matched": 3, "delivered": 1, "skipped": 1, "failed": 1, "bytes": 61728},
    }


def test_report_keeps_the_order_of_fields():
    actual = report_as_dict(REPORT)

    assert list(actual) == ["schema", "provider", "started", "seconds", "summary", "products"]
    assert list(actual["products"][0]) == [
        "id",
        "name",
        "status",
        "path",
        "bytes",
        "checksum",
        "algorithm",
        "tier_at_start",
        "staged_seconds",
        "download_seconds",
        "attempts",
        "resumed_bytes",
        "data_path",
        "source",
        "trace",
        "members",
        "worker",
        "error",
    ]


def test_delivered_product_is_described_in_full():
    assert report_as_dict(REPORT)["products"][0] == {
        "id": "id-A",
        "name": "A",
        "status": "delivered",
        "path": "data/A.zip",
        "bytes": 61728,
        "checksum": "md5:9fc3",
        "algorithm": "md5",
        "tier_at_start": "tape",
        "staged_seconds": 4.2,
        "download_seconds": 0.8,
        "attempts": 2,
        "resumed_bytes": 12,
        "data_path": "drained",
        "source": "peps",
        "trace": None,
        "members": None,
        "worker": None,
        "error": None,
    }


def test_failed_product_has_an_error_and_no_path():
    actual = report_as_dict(REPORT)["products"][2]

    assert actual["error"] == {"type": "StagingTimeout", "message": "C: too slow. Try again"}
    assert (actual["path"], actual["checksum"], actual["source"]) == (None, None, None)


def test_written_report_reads_back_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")

    write_report(REPORT, path)

    assert json.loads(path.read_text("utf-8")) == report_as_dict(REPORT)
    assert [path] == list(tmp_path.iterdir())


def test_what_a_link_points_to_is_replaced_not_the_link(tmp_path):
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "report.json").symlink_to("old.json")

    write_report(REPORT, tmp_path / "report.json")

    assert (tmp_path / "report.json").is_symlink()
    assert json.loads((tmp_path / "old.json").read_text("utf-8")) == report_as_dict(REPORT)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_gets_the_report_and_stays_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    write_report(REPORT, path)

    assert json.loads(os.read(reader, 65_536)) == report_as_dict(REPORT)
    os.close(reader)
    assert path.is_fifo()


def test_report_names_products_in_whose_place_another_one_came():
    written = report_as_dict(replace(REPORT, superseded=(("older", "A"),)))

    assert [{"id": "older", "name": "A"}] == written["superseded"]
    assert written["summary"]["matched"] == len(written["products"]) + 1


def test_report_of_nothing_and_of_what_was_left_out_reads_back(tmp_path):
    report = replace(REPORT, deliveries=(), left_out=("D", "É"))

    write_report(report, tmp_path / "report.json")

    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report_as_dict(report)
    assert report_as_dict(report)["left_out"] == ["D", "É"]


def test_run_that_ended_early_names_what_it_had_begun_counts_the_rest_and_tells_why(tmp_path):
    with ReportFile(tmp_path / "report.json") as file:
        for name in "ABCDEF":
            file.watch(ProductFound(**who(name), tier="tape", size=1))
        file.take(DELIVERED)
        file.watch(ProductSkipped(**who("B"), path="data/B.zip", bytes=7))
        file.watch(ProductFailed(**who("C"), error="TransferError", message="broke"))
        file.take_unfinished(ProductFound(**who(name), tier="disk", size=1) for name in "AFG")
        file.watch(ProductLeftOut(**who("D"), tier="tape", size=1))
        file.write(replace(REPORT, left_out=("D",), error=DiskFullError("full"), matched=9))

    actual = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert actual["summary"] == {
        "matched": 9, "delivered": 1, "skipped": 1, "failed": 1, "unfinished": 5, "bytes": 61728,
    }  # fmt: skip
    assert actual["error"] == {"type": "DiskFullError", "message": "full"}
    assert {tuple(product) for product in actual["products"]} == {tuple(actual["products"][0])}
    assert [(product["name"], product["status"], product["path"]) for product in actual["products"]] == [
        ("A", "delivered", "data/A.zip"),
        ("G", "unfinished", None),
        ("B", "skipped", "data/B.zip"),
        ("C", "failed", None),
        ("E", "unfinished", None),
        ("F", "unfinished", None),
    ]
    assert actual["products"][3]["error"] == {"type": "TransferError", "message": "broke"}


def test_outcomes_that_cannot_be_noted_are_told_when_the_report_is_written(tmp_path, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda *args, **options: Full())

    with ReportFile(tmp_path / "report.json") as file:
        file.take(DELIVERED)
        with pytest.raises(DiskFullError, match=r"cannot write the report .*No space left"):
            file.write(REPORT)
    assert not list(tmp_path.iterdir())


def test_report_that_cannot_be_written_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot write the report"):
        write_report(REPORT, tmp_path / "missing" / "report.json")


def test_failed_write_keeps_the_old_report_and_no_rest(tmp_path):
    (tmp_path / "report.json").mkdir()

    with pytest.raises(ConfigError, match="cannot write the report"):
        write_report(REPORT, tmp_path / "report.json")

    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_report_that_finds_no_room_says_so(tmp_path, monkeypatch):
    def write(report, file, more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ReportFile, "_write", write)
    with pytest.raises(DiskFullError, match="cannot write the report"):
        write_report(REPORT, tmp_path / "report.json")


def test_report_that_nobody_reads_is_no_error_of_the_program(monkeypatch):
    class Gone(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    with ReportFile(Gone()) as file, pytest.raises(BrokenPipeError):
        file.write(REPORT)
