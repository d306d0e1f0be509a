"""The resume table of docs/resume.md, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pepsasync.transfer.ranges import Action, Judgement, judge_answer, parse_content_range

ROWS = [
    pytest.param(200, None, 100, 0, 100, Action.FROM_START, id="whole-file"),
    pytest.param(200, "bytes 0-99/100", 100, 0, 100, Action.FROM_START, id="php-range-on-200"),
    pytest.param(200, "bytes 0-99/100", None, 0, 100, Action.FROM_START, id="php-range-on-200-chunked"),
    pytest.param(200, None, None, 0, None, Action.FROM_START, id="nothing-known"),
    pytest.param(200, None, 100, 40, 100, Action.FROM_START, id="range-ignored"),
    pytest.param(200, None, 120, 0, 100, Action.CHANGED, id="larger-file"),
    pytest.param(200, None, 80, 0, 100, Action.LATER, id="announced-too-short"),
    pytest.param(206, "bytes 40-99/100", 60, 40, 100, Action.APPEND, id="continues"),
    pytest.param(206, "bytes 40-99/*", 60, 40, 100, Action.APPEND, id="continues-total-unknown"),
    pytest.param(206, "bytes 40-99/100", 60, 40, None, Action.APPEND, id="continues-size-unknown"),
    pytest.param(206, "bytes 30-99/100", 70, 40, 100, Action.ASK_WHOLE, id="starts-elsewhere"),
    pytest.param(206, None, 60, 40, 100, Action.ASK_WHOLE, id="no-content-range"),
    pytest.param(206, "nonsense", 60, 40, 100, Action.ASK_WHOLE, id="content-range-nonsense"),
    pytest.param(206, "bytes 40-119/120", 80, 40, 100, Action.CHANGED, id="continues-another-file"),
    pytest.param(206, "bytes 99-99/100", 1, 100, 100, Action.COMPLETE, id="php-clamps-to-last-byte"),
    pytest.param(206, "bytes 99-99/100", 1, 100, None, Action.ASK_WHOLE, id="clamped-but-size-unknown"),
    pytest.param(416, "bytes */100", 0, 100, None, Action.COMPLETE, id="416-all-here"),
    pytest.param(416, None, 0, 100, 100, Action.COMPLETE, id="416-all-here-by-catalogue"),
    pytest.param(416, "bytes */100", 0, 140, None, Action.ASK_WHOLE, id="416-too-much-here"),
    pytest.param(416, None, 0, 40, 100, Action.ASK_WHOLE, id="416-makes-no-sense"),
]


@pytest.mark.parametrize(("status", "content_range", "length", "offset", "size", "expected"), ROWS)
def test_judge_answer(status, content_range, length, offset, size, expected):
    assert expected == judge_answer(status, content_range, length, offset=offset, size=size).action


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-99/100", (0, 99, 100)),
        ("BYTES 0-99/*", (0, 99, None)),
        ("bytes */100", (None, None, 100)),
        ("items 0-1/2", (None, None, None)),
        (f"bytes 0-99/{'9' * 5000}", (None, None, None)),
        ("", (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_parse_content_range(text, expected):
    assert expected == parse_content_range(text)


@given(st.text(max_size=40))
def test_parse_content_range_never_raises(text):
    first, last, total = parse_content_range(text)

    assert all(value is None or value >= 0 for value in (first, last, total))


class Archive:
    """A file and one of the ways in which servers answer ranges: the model that the table must survive."""

    def __init__(self, content, mode):
        self.content, self.mode = content, mode

    def answer(self, offset):
        size = len(self.content)
        if not offset or self.mode == "ignores-range":
            return 200, f"bytes 0-{size - 1}/{size}" if self.mode == "php" else None, self.content
        if self.mode == "php":
            start = min(offset, size - 1)
            return 206, f"bytes {start}-{size - 1}/{size}", self.content[start:]
        if offset >= size:
            return 416, f"bytes */{size}", b""
        return 206, f"bytes {offset}-{size - 1}/{size}", self.content[offset:]


@given(
    content=st.binary(min_size=1, max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    mode=st.sampled_from(["php", "nginx", "ignores-range"]),
    size_known=st.booleans(),
    leftover=st.binary(max_size=0),
)
def test_any_sequence_of_cuts_ends_with_the_whole_file(content, cuts, mode, size_known, leftover):
    archive, size = Archive(content, mode), len(content) if size_known else None
    part = leftover
    for cut in [*cuts, None, None, None]:
        if len(part) == size:
            break
        status, content_range, body = archive.answer(len(part))
        judged = judge_answer(status, content_range, len(body), offset=len(part), size=size)
        match judged:
            case Judgement(Action.APPEND):
                part += body[:cut]
            case Judgement(Action.FROM_START):
                part = body[:cut]
            case Judgement(Action.COMPLETE):
                break
            case Judgement(Action.ASK_WHOLE):
                part = archive.content[:cut]
            case other:
                raise AssertionError(other)

    assert content == part
