"""Past the page cache or through it: every byte is in the file."""

import contextlib
import errno
import mmap
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pepsasync.transfer import direct
from pepsasync.transfer.direct import CACHED, PAGE, SLOW, TRIAL, DirectFile


@pytest.fixture
def path(tmp_path):
    (tmp_path / "part").touch()
    return tmp_path / "part"


@pytest.fixture
def knows_direct(path):
    """A file whose file system can do without its cache."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_DIRECT))
    except (AttributeError, OSError):
        pytest.skip("the file system of temporary files cannot do without its cache")
    return path


class Clock:
    """Each write takes so long."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def __call__(self):
        self.now += self.seconds
        return self.now


@contextlib.contextmanager
def opened(path, offset=0, **options):
    with contextlib.closing(DirectFile(path, offset, **options)) as file:
        yield file


def is_direct(written):
    fcntl = pytest.importorskip("fcntl")
    return bool(fcntl.fcntl(written.file if isinstance(written, DirectFile) else written, fcntl.F_GETFL) & os.O_DIRECT)


def block(size, fill=b"x"):
    memory = mmap.mmap(-1, max(size, 1))
    memory[:size] = fill * size
    return memoryview(memory)[:size]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([0, 1, PAGE]),
    st.lists(st.tuples(st.sampled_from([0, 1, PAGE - 1, PAGE, 3 * PAGE]), st.booleans()), max_size=12),
)
def test_blocks_of_any_length_are_in_the_file(path, offset, blocks):
    path.write_bytes(b"." * offset)
    with opened(path, offset) as written:
        for number, (size, may_be_direct) in enumerate(blocks):
            written.write(block(size, bytes([65 + number])), may_be_direct=may_be_direct)

    assert path.read_bytes() == b"." * offset + b"".join(bytes([65 + n]) * size for n, (size, _) in enumerate(blocks))


def test_the_page_cache_gets_small_pieces(path, monkeypatch):
    """Linux takes pieces of memory as large as what is written at once, and large ones are fresh on virtual machines."""
    pieces, write_all = [], direct.write_all
    monkeypatch.setattr(direct, "write_all", lambda file, block: (pieces.append(len(block)), write_all(file, block)))

    with opened(path) as written:
        written.write(block(2 * CACHED + 1), may_be_direct=False)

    assert (pieces, path.read_bytes()) == ([CACHED, CACHED, 1], b"x" * (2 * CACHED + 1))


def test_only_pages_are_written_directly_and_only_by_who_may(knows_direct):
    seen = []
    with opened(knows_direct) as written:
        for size, may_be_direct in [(PAGE, True), (PAGE, False), (2 * PAGE, True), (1, True), (PAGE, True)]:
            written.write(block(size), may_be_direct=may_be_direct)
            seen.append(is_direct(written))

    assert seen == [True, False, True, False, False]


@pytest.mark.parametrize(("share", "stays"), [(1.1, True), (0.9, False)])
def test_a_slow_disk_is_left_behind_the_page_cache(knows_direct, share, stays):
    size = TRIAL // 4
    with opened(knows_direct, clock=Clock(size / (share * SLOW))) as written:
        for _ in range(5):
            written.write(block(size), may_be_direct=True)

        assert is_direct(written) == stays


def test_what_cannot_be_written_directly_goes_through_the_cache(knows_direct, monkeypatch):
    def picky(file, block):
        if is_direct(file):
            file.write(block[:PAGE])
            raise OSError(errno.EINVAL, "Invalid argument")
        file.write(block)

    monkeypatch.setattr(direct, "write_all", picky)
    with opened(knows_direct) as written:
        for fill in (b"a", b"b"):
            written.write(block(2 * PAGE, fill), may_be_direct=True)
        assert not is_direct(written)

    assert knows_direct.read_bytes() == b"a" * 2 * PAGE + b"b" * 2 * PAGE


def test_a_full_disk_is_told(knows_direct, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(direct, "write_all", full)

    with opened(knows_direct) as written, pytest.raises(OSError, match="No space"):
        written.write(block(PAGE), may_be_direct=True)
