"""An archive on your own machine: PEPS, GEODES, CDSE, WEkEO and ASF as their clients know them, products included.

    async with Sandbox(products=20, tape_fraction=0.5) as archive:
        ...  # talk to archive.peps_url or archive.cdse_url as archive.username with archive.password,
        ...  # or to archive.geodes_url with archive.api_key

One catalogue stands behind the five protocols. It speaks them with their quirks, keeps products on a simulated tape
robot, and can break things on request (`FAULTS`). Programs written for the real archives work against it unchanged as
long as they keep to what `docs/providers.md` does not list as left out.
"""

from __future__ import annotations

try:
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    message = 'pepsasync.sandbox needs starlette and uvicorn: pip install "pepsasync[sandbox]"'
    raise ImportError(message) from error

from pepsasync.sandbox.catalogue import CatalogueProduct
from pepsasync.sandbox.content import ProductContent
from pepsasync.sandbox.faults import FAULTS
from pepsasync.sandbox.ranges import STREAMING_MODES
from pepsasync.sandbox.robot import MODES
from pepsasync.sandbox.sandbox import Sandbox
from pepsasync.sandbox.statistics import Statistics, Transfer

__all__ = [
    "FAULTS",
    "MODES",
    "STREAMING_MODES",
    "CatalogueProduct",
    "ProductContent",
    "Sandbox",
    "Statistics",
    "Transfer",
]
