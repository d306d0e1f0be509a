"""Which hosts are this machine: to those, plain http is safe."""

from __future__ import annotations

import functools
import ipaddress


@functools.lru_cache
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
