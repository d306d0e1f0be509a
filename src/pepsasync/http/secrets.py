"""What a server knows of an account and may send back: it is taken out of all that is shown of the server's words."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    import httpx

SECRETS = "pepsasync.secrets"
"""Extension of a request that holds the `Secrets` of its client."""

_LEAST = 4
"""Letters of a secret, or of the beginning of one that the end of a text cuts off: fewer are parts of any word."""


class Secrets:
    """The secrets of a client's accounts, in every form in which servers quote what they were sent."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._forms: list[str] = []
        self._pattern: re.Pattern[str] | None = None

    def add(self, *secrets: str | None) -> None:
        """Take note of some; it costs nothing to tell them again."""
        new = {secret for secret in secrets if secret and len(secret) >= _LEAST} - self._known
        if not new:
            return
        self._known |= new
        forms = {form for secret in self._known for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms)), re.IGNORECASE)

    def hide(self, text: str) -> str:
        """The text with `***` in the place of each secret, also of one that its end cuts off."""
        if self._pattern is None:
            return text
        text = self._pattern.sub("***", text)
        for form in self._forms:
            for length in range(len(form) - 1, _LEAST - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + "***"
        return text


def hidden(text: str, of: httpx.Response | httpx.Request) -> str:
    """A text from an exchange without the secrets of the client that had it."""
    request = getattr(of, "request", of)
    secrets: Secrets | None = request.extensions.get(SECRETS)
    return secrets.hide(text) if secrets else text


def _forms(secret: str) -> set[str]:
    """Plain, in URLs and forms, in JSON (PHP escapes slashes, too) and in markup."""
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        in_json,
        in_json.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
    }
