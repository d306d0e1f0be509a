"""What is looked at before the first product: whether the way to a worker is safe, and what the worker has and sees."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.hosts import is_loopback
from pepsasync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_ENCRYPTED = ("tls", "wss", "inproc")
"""Ways on which nobody else reads; the last one does not leave the process."""

SAME = ("pepsasync", "python", "distributed")
"""What has to be the same everywhere: tasks are pickled here and unpickled there."""


def is_safe(address: str) -> bool:
    """Whether what is sent to an address of Dask, such as `tls://10.0.0.7:8786`, is read by nobody on the way."""
    scheme, _, rest = address.rpartition("://")
    host = rest.rpartition(":")[0] if ":" in rest else rest
    return scheme in _ENCRYPTED or is_loopback(host)


def refuse_unsafe(address: str) -> None:
    """Refuse a scheduler or worker to which secrets would go in the clear.

    Raises:
        ConfigError: It is on another machine and has no TLS.
    """
    if not is_safe(address):
        raise ConfigError(
            f"{address} has no TLS: everybody on the way could read the credentials that workers get",
            hint="Start the cluster with TLS and give tls://HOST:PORT, or write --insecure-cluster if you trust "
            "the network",
        )


def versions_here() -> dict[str, str]:
    """Versions of what has to be the same everywhere."""
    return {
        "pepsasync": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "distributed": importlib.metadata.version("distributed"),
    }


def make_probe() -> Callable[..., dict[str, Any]]:
    """A function that looks at the process that runs it.

    It is made inside of another one so that it is sent by value: the process may lack this package.
    """

    def probe(module: str, file: str) -> dict[str, Any]:
        import importlib.metadata  # noqa: PLC0415 - sent with the function
        import os  # noqa: PLC0415
        import platform  # noqa: PLC0415
        import socket  # noqa: PLC0415

        found: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
        versions = found["versions"] = {"python": ".".join(platform.python_version_tuple()[:2])}
        try:
            importlib.import_module(module)
            versions["pepsasync"] = importlib.import_module("pepsasync.version").__version__
            versions["distributed"] = importlib.metadata.version("distributed")
        except ImportError as error:
            found["missing"] = str(error)
            return found
        if not file:
            return found
        try:
            with open(file, encoding="ascii") as there:  # noqa: PTH123 - imports nothing of ours
                found["read"] = there.read()
            mine = f"{file}.{os.getpid()}.{socket.gethostname()}"
            with open(mine, "x", encoding="ascii") as written:  # noqa: PTH123
                written.write(found["read"])
            found["wrote"] = mine
        except OSError as error:
            found["folder"] = error.strerror or str(error)
        return found

    return probe


def why_unfit(found: object, secret: str, directory: str) -> str | None:
    """What is wrong with a process by what `probe` has found there; None when it can be used.

    Args:
        found: Answer of the probe, or the error that it met.
        secret: What stands in the file that it was to read; empty when it was to read none.
        directory: Folder of the products.
    """
    if not isinstance(found, dict):
        return f"it cannot be asked: {type(found).__name__}: {found}"
    if "missing" in found:
        return f"it lacks a package ({found['missing']}): install pepsasync[dask] {__version__} there"
    for name, ours in versions_here().items():
        theirs = found["versions"].get(name)
        if theirs != ours:
            return f"it has {name} {theirs}, this program {ours}: install the same version in both places"
    if not secret:
        return None
    if "folder" in found:
        return f"it cannot use {directory} ({found['folder']}): workers need the folder under the same path"
    wrote = str(found.get("wrote", ""))
    if found.get("read") != secret or not wrote.startswith(directory) or not Path(wrote).exists():
        return f"its {directory} is another folder: workers need the same one under the same path"
    return None
