"""What is said of a body that is no zip."""

import httpx
import pytest

from fakes import product
from pepsasync.providers.answers import not_a_zip


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("application/zip", r"sent application/zip that begins with b'\\x1f\\x8b\\x08' instead of a zip"),
        ("application/octet-stream", "that begins with b"),
        ("", "sent something that begins with b"),
        ("text/html", "sent text/html instead of a zip"),
    ],
)
def test_a_body_that_is_called_a_zip_is_told_by_what_it_begins_with(kind, told):
    request = httpx.Request("GET", "https://archive.example/A")
    response = httpx.Response(200, headers={"Content-Type": kind} if kind else {}, request=request)

    error = not_a_zip(product(), response, b"\x1f\x8b\x08")

    assert told.replace("\\\\", "\\") in error.message
