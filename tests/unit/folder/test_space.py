"""Room that is set aside on the disk."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.errors import DiskFullError
from pepsasync.folder.space import MARGIN, Space, free_bytes


class Disk:
    """Free bytes beside the margin, and how often they were asked for."""

    def __init__(self, free):
        self.free = free
        self.looks = 0
        self.now = 0.0

    def __call__(self, directory):
        self.looks += 1
        return self.free + MARGIN

    def clock(self):
        return self.now


class Room(Space):
    """With blocks, which read better here."""

    @contextlib.contextmanager
    def reserved(self, name, needed, *, later=0):
        self.reserve(name, needed, later=later)
        yield
        self.release(name)


def space(disk, folder):
    return Room(folder, disk, disk.clock)


def test_what_fits_is_set_aside_and_what_does_not_is_refused_with_the_numbers(tmp_path):
    room = space(Disk(100), tmp_path)
    numbers = f"101 bytes are still needed .*: {MARGIN + 100:,} are free, and the last {MARGIN:,} are kept back"
    told = pytest.raises(DiskFullError, match=numbers)
    with room.reserved("A", 60), room.reserved("B", 40), told, room.reserved("C", 1):
        pass
    with room.reserved("C", 100):
        pass


def test_what_needs_nothing_fits_on_any_disk(tmp_path):
    with space(Disk(-10), tmp_path).reserved("A", 0):
        pass


def test_what_came_is_on_the_disk_and_not_needed_any_more(tmp_path):
    disk = Disk(100)
    room = space(disk, tmp_path)
    with room.reserved("A", 60):
        room.shrink("A", 10)
        disk.free = 50
        disk.now = 2.0
        with room.reserved("B", 40):
            pass
        with pytest.raises(DiskFullError), room.reserved("B", 41):
            pass


def test_what_came_twice_sets_no_more_aside(tmp_path):
    room = space(Disk(100), tmp_path)
    with room.reserved("A", 60):
        room.shrink("A", 10)
        room.shrink("A", 50)
        with room.reserved("B", 90):
            pass


def test_what_is_unpacked_later_stays_set_aside(tmp_path):
    room = space(Disk(100), tmp_path)
    with room.reserved("A", 40, later=50):
        room.shrink("A", 0)
        with pytest.raises(DiskFullError), room.reserved("B", 51):
            pass


def test_the_disk_is_looked_at_once_a_second_unless_it_seems_full(tmp_path):
    disk = Disk(100)
    room = space(disk, tmp_path)
    for _ in range(10):
        with room.reserved("A", 10):
            pass
    assert disk.looks == 1
    with pytest.raises(DiskFullError), room.reserved("A", 101):
        pass
    assert disk.looks == 2


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") > 0


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8))
def test_after_all_blocks_nothing_is_set_aside(tmp_path_factory, needs):
    room = space(Disk(100), tmp_path_factory.getbasetemp())
    for number, (needed, later) in enumerate(needs):
        try:
            with room.reserved(str(number), needed, later=later):
                room.shrink(str(number), needed // 2)
        except DiskFullError:
            assert needed + later > 100
    with room.reserved("all", 100):
        pass
