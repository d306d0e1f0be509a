import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.errors import ConfigError
from pepsasync.units import parse_duration, parse_size, show_count, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("500b", 500),
        ("1k", 1024),
        ("10m", 10 << 20),
        ("10M", 10 << 20),
        ("2GiB", 2 << 30),
        ("2gb", 2_000_000_000),
        ("20 MB", 20_000_000),
        ("1.5KiB", 1536),
        (".5k", 512),
        ("1t", 1 << 40),
    ],
)
def test_sizes_are_read(text, size):
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "m", "-1", "1e6", "10 parsecs", "1,5m", "nan", "0x10", "1..5m", "\u0661m"])
def test_other_text_is_no_size(text):
    with pytest.raises(ConfigError, match=r"--limit-rate: .* is not a size"):
        parse_size(text, "--limit-rate")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("10min", 600), ("2h", 7_200), ("3D", 259_200), ("0.25", 0.25)],
)
def test_durations_are_read(text, seconds):
    assert seconds == parse_duration(text)


def test_plain_numbers_count_what_the_option_says():
    assert parse_duration("2", unit=60) == 120
    assert parse_duration("90s", unit=60) == 90


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 weeks", "1:30"])
def test_other_text_is_no_duration(text):
    with pytest.raises(ConfigError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (1_250_000_000, "1.25 GB"),
        (999_999, "1.00 MB"),
        (999_949, "999.9 kB"),
        (5_000_000_000_000, "5.00 TB"),
        (999_999_999_999_999_999, "1000.0 PB"),
    ],
)
def test_sizes_are_shown(size, text):
    assert text == show_size(size)


@given(st.integers(0, 10**20))
def test_any_size_can_be_shown(size):
    assert len(show_size(size)) < 12


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (3_600, "1 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_shown(seconds, text):
    assert text == show_duration(seconds)


def test_counts_are_shown():
    assert [show_count(0), show_count(1), show_count(1234)] == ["0 products", "1 product", "1,234 products"]
