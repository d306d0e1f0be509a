"""ASF: CMR granule search, Earthdata Login, downloads over signed addresses (ASF protocol notes).

Each of the hosts stands under `/asf` as a folder of its name.
"""

from pepsasync.sandbox.asf.routes import routes

__all__ = ["routes"]
