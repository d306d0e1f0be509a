"""Refusals as the broker writes them (section 8)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pepsasync.sandbox.replies import Refused, json_reply

if TYPE_CHECKING:
    from pepsasync.sandbox.replies import Headers


class WekeoError(Refused):
    """A request that is answered by an error.

    Args:
        status: HTTP status.
        title: What kind of error it is.
        detail: What happened.
        headers: Beside those of the reply.
    """

    def __init__(self, status: int, title: str, detail: str, headers: Headers = ()) -> None:
        body = {"status_code": status, "title": title, "detail": detail}
        super().__init__(json_reply(body, status, headers))


def task_error() -> WekeoError:
    """The error of a product that cannot be had, with that of the service behind it inside."""
    inner = {"status_code": 500, "title": "Upstream", "detail": "message='list index out of range', url='https://x'"}
    return WekeoError(500, "Task Error", json.dumps(inner))
