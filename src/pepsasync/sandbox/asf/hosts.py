"""The hosts of the service, and addresses at them (ASF protocol notes, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pepsasync.sandbox.replies import root_url

if TYPE_CHECKING:
    from starlette.requests import Request

CATALOGUE = "cmr.earthdata.nasa.gov"
SEARCH = "api.daac.asf.alaska.edu"
LOGIN = "urs.earthdata.nasa.gov"
DATAPOOL = "datapool.asf.alaska.edu"
EGRESS = "sentinel1.asf.alaska.edu"
CUMULUS = "cumulus.asf.alaska.edu"
BURSTS = "sentinel1-burst.asf.alaska.edu"
AUTH = "auth.asf.alaska.edu"
STORE = "d1riv60tezqha9.cloudfront.net"


def address(request: Request, host: str, path: str) -> str:
    """Return an address at one of the hosts."""
    return f"{root_url(request)}/{host}{path}"


def foreign_address(request: Request, host: str, path: str) -> str:
    """Return an address at a host that must see no secret: by the other of the two names of this machine."""
    parts = urlsplit(root_url(request))
    name = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    return f"http://{name}:{parts.port or 80}{parts.path}/{host}{path}"
