"""The key of GEODES: where it goes, and which redirects mean that it was refused (GEODES notes, section 2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pepsasync.http.client import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from pepsasync.credentials import Credentials
    from pepsasync.http.client import Origin

MOST_REDIRECTS = 5
"""Of one request with the key: a good one leads to a store or two, a refused one may lead in circles."""

_LOGIN = re.compile(
    r"(?<![a-z0-9_])(?:login|(?:(?:log|sign)[-_]?[io]n|sso|o?auth2?|auth(?:enticat(?:e|ion)|orize))(?![a-z0-9_]))",
    re.IGNORECASE,
)
"""Words of addresses of login pages, not parts of words: stores have `AUTH_<account>` or signatures in their paths."""


class Key:
    """Goes along with one request from hop to hop: to the archive only, and no further than where it was refused.

    Args:
        key: The secret.
        origin: Of the archive.
        refused: Makes the error, from where the request was sent on to.
        is_token: Send it as `Authorization`, too.
    """

    def __init__(
        self, key: str, origin: Origin, refused: Callable[[httpx.Request], Exception], *, is_token: bool = False
    ) -> None:
        self._is_token = is_token
        self._key = key
        self._origin = origin
        self._refused = refused
        self._first: int | None = None
        self._redirects = 0

    def __call__(self, request: httpx.Request) -> None:
        """Put it on a request.

        Raises:
            AuthError: This is the way to a login page, or one without end.
        """
        self._first = self._first or id(request)  # not the request, which would keep itself alive
        self._redirects = 0 if id(request) == self._first else self._redirects + 1  # it may be sent again
        is_home = origin_of(request.url) == self._origin
        if self._redirects > MOST_REDIRECTS or (self._redirects and _is_login(request.url, is_home=is_home)):
            raise self._refused(request)
        own = {"X-API-Key": self._key, **({"Authorization": f"Bearer {self._key}"} if self._is_token else {})}
        for header, value in own.items():
            if is_home:
                request.headers[header] = value
            else:
                request.headers.pop(header, None)


def _is_login(url: httpx.URL, *, is_home: bool) -> bool:
    """Whether an address is that of a login page.

    Host and query tell only where they cannot be those of a store: the archive's host has answered already, and what
    other hosts are asked for may be signed.
    """
    if _LOGIN.search(url.path) or _LOGIN.search(url.fragment):
        return True
    if is_home:
        return any(_LOGIN.match(value.lstrip("/#!")) for value in url.params.values())
    return any(map(_LOGIN.fullmatch, url.host.split(".")))


def key_of(credentials: Credentials | None) -> str | None:
    """The only secret that GEODES takes."""
    return credentials.key() if credentials else None
