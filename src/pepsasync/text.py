"""Text that others wrote, such as names and messages of archives, made fit for where it is shown."""

from __future__ import annotations

import json
import re
from typing import Any

_FORMULA = re.compile(r"\s*[=+\-@]")
_BEYOND_ASCII = (
    "\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
"""Controls of one byte, what turns the direction of writing, what is invisible or ends a line, halves of pairs."""

_CONTROL = re.compile(f"[\x00-\x1f{_BEYOND_ASCII}]")
_CONTROL_IN_JSON = re.compile(f"[{_BEYOND_ASCII}]")
_BREAK = re.compile(r"\r?\n|\t")
_TILE = re.compile(r"_(T\d\d[A-Z]{3})(?=_|$)")


_LONG_NUMBER = "set_int_max_str_digits"
"""Part of what Python says of a whole number of more than 4,300 digits."""


def one_line(text: str) -> str:
    r"""Return text that a terminal shows and does not obey, and that stays on its line.

    Line ends and tabs become blanks; other controls, marks of the writing direction and bytes that are no text become
    escapes such as `\x1b`.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), _BREAK.sub(" ", text))


def shorten(name: str, width: int) -> str:
    """Return a name cut in its middle, which stays on its line.

    Mission, type and time, and the tile or the last letters, tell products apart.
    """
    name = one_line(name)
    if len(name) <= width:
        return name
    tile = _TILE.search(name)
    tail = tile[1] if tile else name[-max(4, width // 4) :]
    return f"{name[: max(0, width - len(tail) - 1)]}…{tail}"


def as_json(value: Any, **options: Any) -> str:
    """Return JSON that reads back as exactly the same text, can always be encoded, and that a terminal does not obey.

    Args:
        value: Anything that JSON holds.
        **options: Of `json.dumps`.
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return _CONTROL_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def as_cell(text: str) -> str:
    """Return text that a spreadsheet takes for text: what looks like a formula gets an apostrophe in front."""
    return f"'{text}" if _FORMULA.match(text) else text


def reason(error: BaseException) -> str:
    """What an exception says, or its class when it says nothing; Python's limits of JSON in words for users."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if _LONG_NUMBER in str(error):
        return "it has a number that is too long"
    return str(error) or type(error).__name__


def decoded_text(data: bytes) -> str:
    """Return text in UTF-8 or, as Windows shells write, UTF-16, which they do not always mark.

    Raises:
        UnicodeDecodeError: It is neither.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le")
    return data.decode("utf-8-sig")
