"""What each way of streaming makes of a Range header; the tables are the archive's recorded behaviour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.sandbox.ranges import OVERFLOW, STREAMING_MODES, Slice, answer

SIZE = 60486
LAST = SIZE - 1

PHP = {
    None: (200, 0, SIZE, SIZE, "0-60485"),
    "bytes=0-": (200, 0, SIZE, SIZE, "0-60485"),
    "bytes=0-0": (200, 0, SIZE, SIZE, "0-60485"),
    "bytes=0-60485": (200, 0, SIZE, SIZE, "0-60485"),
    "bytes=abc": (200, 0, SIZE, SIZE, "0-60485"),
    "bytes=100-": (206, 100, SIZE - 100, SIZE - 100, "100-60485"),
    "items=5-": (206, 5, SIZE - 5, SIZE - 5, "5-60485"),
    "bytes=0-99": (206, 0, 100, SIZE, "0-99"),
    "bytes=1-1": (206, 1, 1, SIZE - 1, "1-1"),
    "bytes=100-199": (206, 100, 100, SIZE - 100, "100-199"),
    "bytes=100-61485": (206, 100, SIZE - 100, SIZE - 100, "100-60485"),
    "bytes=-500": (206, 0, 501, SIZE, "0-500"),
    "bytes=0-9,20-29": (206, 0, 10, SIZE, "0-9"),
    "bytes=10-19,30-39": (206, 10, 10, SIZE - 10, "10-19"),
    "bytes=60485-": (206, LAST, 1, 1, "60485-60485"),
    "bytes=60486-": (206, LAST, 1, 1, "60485-60485"),
    "bytes=61486-": (206, LAST, 1, 1, "60485-60485"),
    "bytes=60491-60496": (206, LAST, 1, 1, "60485-60485"),
    "bytes=200-100": (206, 200, OVERFLOW, SIZE - 200, "200-100"),
}
APACHE = {
    None: (200, 0, SIZE, SIZE, None),
    "bytes=100-": (206, 100, SIZE - 100, SIZE - 100, "100-60485"),
    "bytes=100-199": (206, 100, 100, 100, "100-199"),
    "bytes=0-0": (206, 0, 1, 1, "0-0"),
    "bytes=-500": (206, SIZE - 500, 500, 500, "59986-60485"),
    "bytes=-99999": (206, 0, SIZE, SIZE, "0-60485"),
    "bytes=100-99999": (206, 100, SIZE - 100, SIZE - 100, "100-60485"),
    "bytes=60486-": (416, 0, 0, 0, "*"),
    "bytes=200-100": (200, 0, SIZE, SIZE, None),
    "bytes=-": (200, 0, SIZE, SIZE, None),
    "bytes=abc": (200, 0, SIZE, SIZE, None),
    "items=5-": (200, 0, SIZE, SIZE, None),
    "Bytes=100-199": (206, 100, 100, 100, "100-199"),
    "bytes=-0": (416, 0, 0, 0, "*"),
    "bytes=": (200, 0, SIZE, SIZE, None),
}
NGINX = APACHE | dict.fromkeys(["bytes=200-100", "bytes=-", "bytes=abc", "bytes=5", "bytes=1-x"], (416, 0, 0, 0, "*"))
NGINX |= {"bytes= 100 - 199 ": (206, 100, 100, 100, "100-199")}


def expected(status, start, declared, sent, part):
    return Slice(status, start, declared, sent, None if part is None else f"bytes {part}/{SIZE}")


@pytest.mark.parametrize("header", PHP)
def test_php(header):
    assert answer("php", header, SIZE) == expected(*PHP[header])


@pytest.mark.parametrize("header", PHP)
def test_php_behind_nginx_cuts_what_is_too_much(header):
    status, start, declared, sent, part = PHP[header]
    assert answer("php-behind-nginx", header, SIZE) == expected(status, start, declared, min(sent, declared), part)


@pytest.mark.parametrize("header", NGINX)
def test_nginx_refuses_what_makes_no_sense(header):
    assert answer("nginx", header, SIZE) == expected(*NGINX[header])


@pytest.mark.parametrize("header", APACHE)
def test_apache(header):
    assert answer("xsendfile", header, SIZE) == expected(*APACHE[header])


@pytest.mark.parametrize("streaming", ["xsendfile", "nginx"])
def test_if_range(streaming):
    fresh = answer(streaming, "bytes=100-", SIZE, if_range='"a"', validators=('"a"', "date"))
    stale = answer(streaming, "bytes=100-", SIZE, if_range='"b"', validators=('"a"', "date"))
    assert (fresh.status, stale.status) == (206, 200)


def test_php_ignores_if_range():
    assert answer("php", "bytes=100-", SIZE, if_range='"b"').status == 206


@given(st.sampled_from(STREAMING_MODES), st.text() | st.from_regex(r"bytes=\d{0,6}-\d{0,6}"), st.integers(1, 99999))
def test_any_header_is_answered_within_the_file(streaming, header, size):
    part = answer(streaming, header, size)
    assert part.status in {200, 206, 416}
    assert 0 <= part.start < size
    assert 0 <= part.sent <= size - part.start
