"""The record of a part: whatever a kill or a full disk leaves of it, it claims no byte that was not written."""

import contextlib
import dataclasses
import errno
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import leave_part, product
from pepsasync.errors import DiskFullError
from pepsasync.folder.layout import Folder
from pepsasync.model import Checksum
from pepsasync.transfer.part import SMALL, Part

SIZE = SMALL + 5000
CONTENT = bytes(range(1, 251)) * (SIZE // 250 + 1)
ONE = product(size=SIZE)


@pytest.fixture
def folder(tmp_path):
    opened = Folder(tmp_path)
    opened.open()
    return opened


def bytes_of(filled):
    return {byte for start, end in filled for byte in range(start, end)}


WRITES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=30)
@given(WRITES, st.integers(0, 40))
def test_record_and_part_cut_anywhere_claim_only_what_was_written(writes, cut):
    """Several connections write, some of them more than once; then everything is cut, as kills and full disks do."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Folder(Path(directory))
        folder.open()
        part = Part(ONE, folder)
        part.open()
        for start, count, again in writes:
            if segment := part.division.claim(share=100 * (start + 1), smallest=10, leads=False):
                for _ in range(1 + again):
                    block = CONTENT[segment.filled : min(segment.filled + 37 * count, segment.end)]
                    segment.received += len(block)
                    part.write(segment, bytearray(block))
        written = bytes_of(part.division.filled())
        record, file = folder.part_record_path(ONE), folder.part_path(ONE)
        part.close()
        content = file.read_bytes()
        assert written
        assert all(content[byte] == CONTENT[byte] for byte in written)
        text, head = record.read_bytes(), len(record.read_bytes().split(b"\n")[0])

        for length in range(len(text) + 1):
            record.write_bytes(text[:length])
            found = folder.read_record(ONE)
            assert found is not None or length < head
            claimed = bytes_of(found.filled) if found else set()
            assert claimed <= written
            whole_lines = text[:length].decode().split("\n")[1:-1]
            assert claimed == bytes_of(tuple(map(int, line.split())) for line in whole_lines)

        with file.open("r+b") as shorter:
            shorter.truncate(max(0, file.stat().st_size - 37 * cut))
        there = file.stat().st_size
        assert bytes_of(folder.read_record(ONE).filled) == {byte for byte in written if byte < there}


class FullDisk:
    """A record of which a disk takes so many bytes, at most three at once, and then no more."""

    def __init__(self, file, room):
        self._file, self.room = file, room

    def write(self, line):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self._file.write(line[: min(3, self.room)])
        self.room -= count
        return count

    def close(self):
        self._file.close()


@pytest.mark.parametrize("room", [0, 1, 4, 5, 9])
def test_a_line_that_a_full_disk_cut_costs_no_other(folder, room):
    """Every write that was told to have succeeded is in the record."""
    part, written = Part(ONE, folder), []
    part.open()
    record = part._record = FullDisk(part._record, 9999)
    for fails in (False, True, False, False):
        segment = part.division.claim(share=1000, smallest=10, leads=False)
        record.room = room if fails else 9999
        start = segment.filled
        block = CONTENT[start : start + 500]
        segment.received += len(block)
        with pytest.raises(DiskFullError) if fails else contextlib.nullcontext():
            part.write(segment, bytearray(block))
            written.append((start, start + 500))
    part.close()

    assert len(written) == 3
    assert bytes_of(written) <= bytes_of(folder.read_record(ONE).filled)


@pytest.mark.parametrize("kept", range(0, 25, 3))
def test_a_line_that_was_added_to_a_half_one_claims_no_more_than_was_written(folder, kept):
    """As when the disk was full in the middle of a line, and not any more at the next one."""
    leave_part(folder, ONE, CONTENT, (0, 1000), (2000, 3000), (7000, 8000))
    record = folder.part_record_path(ONE)
    head, *lines = record.read_text().split("\n")
    halves = "\n".join(lines[:2])[:kept]
    record.write_text(f"{head}\n{halves}7000 8000\n")

    found = folder.read_record(ONE)

    claimed = bytes_of(found.filled) if found else set()
    assert claimed <= bytes_of([(0, 1000), (2000, 3000), (7000, 8000)])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["0 10", "5 20", "20 30"], [(0, 30)], id="overlap-and-touch"),
        pytest.param(["50 60", "0 10", "52 55"], [(0, 10), (50, 60)], id="any-order"),
        pytest.param(["10 10", "30 20", "-5 8"], [], id="senseless"),
        pytest.param(["0 10", "90 1000000000"], [(0, 10), (90, 100)], id="behind-the-end"),
        pytest.param(["100 200"], [], id="all-behind-the-end"),
        pytest.param(["0 10", "20 3", "4", "0 x", "0 1 2", "\0\0", "", "50 60"], [(0, 10), (50, 60)], id="unreadable"),
    ],
)
def test_stretches_are_joined_and_senseless_ones_left_out(folder, lines, expected):
    folder.part_path(ONE).write_bytes(bytes(100))
    head = json.dumps(dataclasses.asdict(folder.note_for(ONE)))
    folder.part_record_path(ONE).write_text("\n".join([head, *lines, ""]))

    assert folder.read_record(ONE).filled == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]\n0 10\n",
        "null\n",
        "{\n0 10\n",
        '{"id": 1}\n0 10\n',
        "[" * 100_000 + "\n",
    ],
)
def test_a_record_that_nobody_can_read_claims_nothing(folder, text):
    folder.part_path(ONE).write_bytes(bytes(100))
    head = json.dumps(dataclasses.asdict(folder.note_for(ONE)))
    folder.part_record_path(ONE).write_text(text.replace("HEAD", head))

    assert folder.read_record(ONE) is None
    assert folder.unfinished_length(ONE) == 0


MD5, BLAKE3, OTHER = Checksum("md5", "aa"), Checksum("blake3", "bb"), Checksum("md5", "cc")


@pytest.mark.parametrize(
    ("first", "then", "is_same"),
    [
        pytest.param([BLAKE3, MD5], [MD5], True, id="begun-by-both-continued-by-one"),
        pytest.param([MD5], [BLAKE3, MD5], True, id="begun-by-one-continued-by-both"),
        pytest.param([BLAKE3, OTHER], [BLAKE3, MD5], False, id="one-of-them-differs"),
        pytest.param([MD5], [BLAKE3], False, id="nothing-in-common"),
        pytest.param([MD5], [], False, id="none-any-more"),
    ],
)
def test_a_part_is_of_the_same_file_whatever_checksums_an_archive_has_beside_the_common_one(
    folder, first, then, is_same
):
    begun = dataclasses.replace(ONE, provider="cdse", checksum=first[0], checksums=tuple(first))
    wanted = dataclasses.replace(ONE, provider="geodes", checksum=then[0] if then else None, checksums=tuple(then))
    leave_part(folder, begun, CONTENT, (0, 1000))

    part = Part(wanted, folder)
    part.open()
    part.close()

    assert part.resumed_bytes == 1000 * is_same


def test_a_record_of_an_earlier_version_with_one_checksum_is_continued(folder):
    wanted = dataclasses.replace(ONE, checksum=BLAKE3, checksums=(BLAKE3, MD5))
    leave_part(folder, wanted, CONTENT, (0, 1000))
    record = folder.part_record_path(wanted)
    head, *lines = record.read_text().split("\n")
    note = json.loads(head)
    del note["checksums"]
    record.write_text("\n".join([json.dumps(note | {"checksum": "md5:aa"}), *lines]))

    part = Part(wanted, folder)
    part.open()
    part.close()

    assert part.resumed_bytes == 1000


def test_a_record_without_its_part_claims_nothing(folder):
    leave_part(folder, ONE, CONTENT, (0, 1000))
    folder.part_path(ONE).unlink()

    assert folder.read_record(ONE) is None
    assert folder.unfinished_length(ONE) == 0


def test_a_part_of_version_0_1_has_no_gaps(folder):
    folder.part_path(ONE).write_bytes(CONTENT[:700])
    note = dataclasses.asdict(folder.note_for(ONE))
    folder.part_record_path(ONE).with_suffix(".json").write_text(json.dumps(note))

    assert folder.read_record(ONE).filled == [(0, 700)]
    assert folder.read_record(ONE).note == folder.note_for(ONE)
