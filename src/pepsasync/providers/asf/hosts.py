"""The hosts of ASF and of Earthdata Login, and which of them may see which secret (ASF notes, sections 1 and 5.2)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from pepsasync.http.client import origin_of

DATAPOOL = "datapool.asf.alaska.edu"
EGRESS = "sentinel1.asf.alaska.edu"
LOGIN = "urs.earthdata.nasa.gov"
CATALOGUE = "cmr.earthdata.nasa.gov"
CALLBACK = "cumulus.asf.alaska.edu"
"""Where a login ends, which sets the cookie for all hosts of ASF."""
ASF = ".asf.alaska.edu"


class Hosts:
    """Addresses of one instance.

    Args:
        root: Under which each host stands as a folder of its name; None for the public service.
    """

    def __init__(self, root: str | None) -> None:
        self._root = root
        self._origin = origin_of(httpx.URL(root)) if root else None
        self._path = f"{urlsplit(root).path}/" if root else ""

    def url(self, host: str, path: str) -> str:
        """Address of a path at a host of the service."""
        return f"{self._root}/{host}{path}" if self._root else f"https://{host}{path}"

    def is_asf(self, url: httpx.URL) -> bool:
        """Whether it is of ASF: session cookies and tokens may be sent there."""
        return self._name(url).endswith(ASF)

    def is_login(self, url: httpx.URL) -> bool:
        """Whether it is of Earthdata Login: the password may be sent there."""
        return self._name(url) == LOGIN

    def is_own(self, url: httpx.URL) -> bool:
        """Whether it is of any host of the service."""
        if self._origin is not None:
            return origin_of(url) == self._origin
        return self.is_asf(url) or self._name(url) in (LOGIN, CATALOGUE)

    def _name(self, url: httpx.URL) -> str:
        """Name of the host that an address is of; empty for those that are none of ours."""
        if self._origin is None:
            return url.host if url.scheme == "https" and url.port is None else ""
        is_own = origin_of(url) == self._origin and url.path.startswith(self._path)
        return url.path.removeprefix(self._path).partition("/")[0] if is_own else ""
