import pytest

from pepsasync.sandbox.clock import Clock
from pepsasync.sandbox.robot import Robot


class Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


def make(time, scale=1.0, **options):
    robot = Robot(Clock(scale, time), mount_seconds=1, staging_seconds=4, **options)
    for name in "abcd":
        robot.add(name, 10, "tape")
    return robot


def test_staging_takes_mount_and_read(time):
    robot = make(time)
    assert robot.request("a") == 5
    assert robot.mode("a") == "staging"
    time.now = 4.9
    assert robot.mode("a") == "staging"
    time.now = 5
    assert robot.mode("a") == "disk"


def test_two_drives_serve_first_come_first_served(time):
    robot = make(time, drives=2)
    assert [robot.request(name) for name in "abcd"] == [5, 5, 10, 10]
    time.now = 7
    assert robot.modes() == {"a": "disk", "b": "disk", "c": "staging", "d": "staging"}


def test_neighbours_on_a_mounted_tape_need_no_other_mount(time):
    robot = make(time, drives=1, tape_products=2)
    assert [robot.request(name) for name in "abcd"] == [5, 9, 14, 18]
    other = make(time, drives=1, tape_products=2)
    assert [other.request(name) for name in "acbd"] == [5, 10, 15, 20]


def test_a_tape_is_in_one_drive(time):
    robot = make(time, drives=2, tape_products=3)
    assert [robot.request(name) for name in "abdc"] == [5, 9, 5, 13]


def test_request_only_works_on_tape(time):
    robot = make(time)
    robot.request("a")
    assert robot.request("a") is None
    for mode in ("disk", "unknown", "unavailable", "tier2", "tier3", "staging"):
        robot.set_mode("b", mode)
        assert robot.request("b") is None
        assert robot.mode("b") == mode


def test_full_cache_sends_the_least_recently_used_back(time):
    robot = make(time, drives=1, cache_size=20)
    for name in "ab":
        robot.request(name)
    time.now = 11
    with robot.reading("a"):
        pass
    robot.request("c")
    time.now = 20
    assert robot.modes() == {"a": "disk", "b": "tape", "c": "disk", "d": "tape"}


def test_product_being_read_stays_until_the_end(time):
    robot = make(time, drives=1, cache_size=10)
    robot.request("a")
    time.now = 6
    with robot.reading("a"):
        robot.request("b")
        time.now = 12
        assert robot.modes() == {"a": "disk", "b": "disk", "c": "tape", "d": "tape"}
    assert sorted(robot.modes().values()) == ["disk", "tape", "tape", "tape"]


def test_setting_by_hand_forgets_the_staging(time):
    robot = make(time)
    robot.request("a")
    robot.set_mode("a", "tape")
    time.now = 100
    assert robot.mode("a") == "tape"


def test_clock_runs_faster(time):
    robot = make(time, scale=60)
    robot.request("a")
    time.now = 5 / 60
    assert robot.mode("a") == "disk"


def test_unknown_mode_and_name(time):
    robot = make(time)
    with pytest.raises(ValueError, match="tier3"):
        robot.set_mode("a", "cloud")
    with pytest.raises(KeyError):
        robot.mode("nothing")
