"""Past the page cache or through it: every byte is in the file."""

import errno
import mmap
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pepsasync.transfer import old_direct as direct
from pepsasync.transfer.old_direct import PAGE, SLOW, TRIAL, DirectFile


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "part").open("wb", buffering=0) as opened:
        yield opened


@pytest.fixture
def knows_direct(file):
    """The file, where its file system can do without its cache."""
    fcntl = pytest.importorskip("fcntl")
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_DIRECT)
    except (AttributeError, OSError):
        pytest.skip("the file system of temporary files cannot do without its cache")
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) & ~os.O_DIRECT)
    return file


class Clock:
    """Each write takes so long."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def __call__(self):
        self.now += self.seconds
        return self.now


def is_direct(file):
    fcntl = pytest.importorskip("fcntl")
    return bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT)


def block(size, fill=b"x"):
    memory = mmap.mmap(-1, max(size, 1))
    memory[:size] = fill * size
    return memoryview(memory)[:size]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([0, 1, PAGE - 1, PAGE, 3 * PAGE]), st.booleans()), max_size=12))
def test_blocks_of_any_length_are_in_the_file(tmp_path, blocks):
    path = tmp_path / "part"
    with path.open("wb", buffering=0) as file:
        written = DirectFile(file, 0)
        for number, (size, may_wait) in enumerate(blocks):
            written.write(block(size, bytes([65 + number])), may_wait=may_wait)
        written.close()
        file.write(b"end")

    assert path.read_bytes() == b"".join(bytes([65 + n]) * size for n, (size, _) in enumerate(blocks)) + b"end"


def test_only_pages_are_written_directly_and_only_by_who_may_wait(knows_direct):
    written = DirectFile(knows_direct, 0)
    seen = []
    for size, may_wait in [(PAGE, True), (PAGE, False), (2 * PAGE, True), (1, True), (PAGE, True)]:
        written.write(block(size), may_wait=may_wait)
        seen.append(is_direct(knows_direct))

    assert [True, False, True, False, False] == seen


def test_the_file_is_left_as_it_was(knows_direct):
    written = DirectFile(knows_direct, 0)
    written.write(block(PAGE), may_wait=True)
    written.close()

    assert not is_direct(knows_direct)


@pytest.mark.parametrize(("share", "stays"), [(1.1, True), (0.9, False)])
def test_a_slow_disk_is_left_behind_the_page_cache(knows_direct, share, stays):
    size = TRIAL // 4
    written = DirectFile(knows_direct, 0, Clock(size / (share * SLOW)))
    for _ in range(5):
        written.write(block(size), may_wait=True)

    assert stays == is_direct(knows_direct)


def test_what_cannot_be_written_directly_goes_through_the_cache(knows_direct, monkeypatch):
    def picky(file, block):
        if is_direct(file):
            file.write(block[:PAGE])
            raise OSError(errno.EINVAL, "Invalid argument")
        file.write(block)

    monkeypatch.setattr(direct, "write_all", picky)
    written = DirectFile(knows_direct, 0)
    for fill in (b"a", b"b"):
        written.write(block(2 * PAGE, fill), may_wait=True)

    assert Path(knows_direct.name).read_bytes() == b"a" * 2 * PAGE + b"b" * 2 * PAGE
    assert not is_direct(knows_direct)


def test_a_full_disk_is_told(knows_direct, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(direct, "write_all", full)

    with pytest.raises(OSError, match="No space"):
        DirectFile(knows_direct, 0).write(block(PAGE), may_wait=True)
