"""Downloads of eodag by pepsasync: the plugin `PepsasyncDownload`, which eodag finds by its entry point.

    geodes:
      download:
        type: PepsasyncDownload
        output_dir: data
        pepsasync:                # optional, beside what the config file of pepsasync says
          provider: geodes,cdse   # without it the archive that eodag has searched
          base_url: https://...   # root of another instance
          jobs: 4                 # any field of pepsasync.Config

Facts about plugins: https://eodag.readthedocs.io, "Plugins", and eodag 4.10.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from eodag.plugins.download.base import Download
from eodag.utils import DEFAULT_DOWNLOAD_TIMEOUT, DEFAULT_DOWNLOAD_WAIT
from eodag.utils.exceptions import AuthenticationError, DownloadError, MisconfiguredError, NotAvailableError

from pepsasync.blocking import Client
from pepsasync.config import SETTINGS
from pepsasync.credentials import Credentials
from pepsasync.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    OfflineError,
    PepsasyncError,
    QuotaError,
    StagingTimeout,
)
from pepsasync.events import DownloadProgressed, DownloadStarted, ProductDownloaded
from pepsasync.query.product_names import product_name
from pepsasync.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pepsasync.events import Event

logger = logging.getLogger("eodag.download.pepsasync")

ARCHIVES = {"geodes": "geodes", "peps": "peps", "cop_dataspace": "cdse", "wekeo_main": "wekeo"}
"""Our provider by that of eodag."""


class PepsasyncDownload(Download):
    """Stages, waits, resumes and verifies as `pepsasync fetch` does, with its journal in the output folder.

    The account is that of eodag's provider; without one, the places are searched where pepsasync keeps accounts.
    """

    def download(
        self,
        product: Any,
        auth: Any = None,  # noqa: ARG002 - sessions are our own
        progress_callback: Callable[..., Any] | None = None,
        executor: Any = None,  # noqa: ARG002
        wait: float = DEFAULT_DOWNLOAD_WAIT,  # noqa: ARG002
        timeout: float = DEFAULT_DOWNLOAD_TIMEOUT,
        **kwargs: Any,
    ) -> str | None:
        """Bring one product.

        Args:
            product: Of a search; its `location` becomes that of the file.
            auth: Not used.
            progress_callback: Called with bytes that came, and `total`.
            executor: Not used.
            wait: Not used: how often the archive is asked depends on what it has said.
            timeout: Longest wait for tape, minutes.
            **kwargs: `output_dir`, `extract`.

        Returns:
            Path of the zip, or of the unpacked folder.

        Raises:
            NotAvailableError: It is on tape still, or the quota is reached.
            AuthenticationError, MisconfiguredError, DownloadError: As eodag means them.
        """
        if (here := _local(product)) is not None:
            return str(here)
        progress = _Progress(progress_callback)
        with _as_eodag_errors(), self._client(product, timeout) as client, client.listen(progress):
            path = client.download(_name(product), **self._where(kwargs))
        product.location = path.absolute().as_uri()
        return str(path.absolute())

    def download_all(
        self,
        products: Any,
        auth: Any = None,  # noqa: ARG002
        downloaded_callback: Callable[[Any], object] | None = None,
        progress_callback: Callable[..., Any] | None = None,
        executor: Any = None,  # noqa: ARG002
        wait: float = DEFAULT_DOWNLOAD_WAIT,  # noqa: ARG002
        timeout: float = DEFAULT_DOWNLOAD_TIMEOUT,
        **kwargs: Any,
    ) -> list[str]:
        """Bring many products in one run; those that fail are logged and left out, as eodag does.

        Args:
            products: Of a search.
            auth: Not used.
            downloaded_callback: Called with each product that is here.
            progress_callback: Called with 1 for each of these.
            executor: Not used.
            wait: As for `download`.
            timeout: As for `download`.
            **kwargs: As for `download`.

        Returns:
            Paths of those that are here.

        Raises:
            AuthenticationError, MisconfiguredError: As eodag means them.
            NotAvailableError, DownloadError: The run cannot go on.
        """
        wanted = {_name(product): product for product in products if _local(product) is None}
        paths = [str(here) for product in products if (here := _local(product)) is not None]
        if not wanted:
            return paths
        with _as_eodag_errors(), self._client(products[0], timeout) as client:
            for delivery in client.fetch([*wanted], **self._where(kwargs)):
                if delivery.path is None:
                    logger.error("%s is skipped: %s", delivery.product.name, delivery.error)
                    continue
                path, product = delivery.path.absolute(), wanted[delivery.product.name]
                product.location = path.as_uri()
                paths.append(str(path))
                if progress_callback:
                    progress_callback(1, total=len(products))
                if downloaded_callback:
                    downloaded_callback(product)
        return paths

    def _client(self, product: Any, timeout: float) -> Client:
        """A client of the archive that a product is from, with the account of eodag's provider."""
        given = dict(getattr(self.config, "pepsasync", None) or {})
        own = ARCHIVES.get(self.provider)
        names = given.pop("provider", None) or own
        if names is None:
            raise ConfigError(
                f"eodag's provider {self.provider} is no archive of pepsasync", hint="Set pepsasync.provider"
            )
        roots = given.pop("base_url", None)
        if unknown := given.keys() - SETTINGS.keys():
            raise ConfigError(f"pepsasync.{min(unknown)} is no setting", hint=f"There are {', '.join(SETTINGS)}")
        if timeout > 0:
            given.setdefault("staging_timeout", timeout * 60.0)
        account = _account(product) if names == own else None  # that of one archive goes to no other
        config = read_settings(os.environ).config(**given)
        return Client(names, credentials=account, config=config, base_url=roots)

    def _where(self, given: dict[str, Any]) -> dict[str, Any]:
        extract = given.get("extract")
        return {
            "directory": given.get("output_dir") or self.config.output_dir,
            "extract": getattr(self.config, "extract", True) if extract is None else extract,
        }


def _local(product: Any) -> Path | None:
    """Where a product is that was downloaded before."""
    address = urlsplit(product.location or "")
    path = Path(url2pathname(address.path)) if address.scheme == "file" else None
    return path if path is not None and path.exists() else None


def _name(product: Any) -> str:
    name = product_name(product.as_dict())
    if name is None:
        raise NotAvailableError(f"{product} does not tell its name")
    return name


def _account(product: Any) -> Credentials | None:
    """The account that eodag has for the archive of a product."""
    known = getattr(getattr(product.downloader_auth, "config", None), "credentials", None) or {}
    if key := known.get("apikey"):
        return Credentials(api_key=key)
    if known.get("username") and known.get("password"):
        return Credentials(username=known["username"], password=known["password"])
    return None


class _Progress:
    """Tells eodag's progress bar what came of one product."""

    def __init__(self, callback: Callable[..., Any] | None) -> None:
        self._callback, self._told = callback, 0
        self._size: int | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, DownloadStarted):
            self._size = event.size
        received = event.received if isinstance(event, DownloadProgressed) else 0
        received = event.bytes if isinstance(event, ProductDownloaded) else received
        if self._callback and received > self._told:
            self._callback(received - self._told, total=self._size)
            self._told = received


@contextlib.contextmanager
def _as_eodag_errors() -> Iterator[None]:
    """Raise what eodag and its users know."""
    try:
        yield
    except AuthError as error:
        raise AuthenticationError(str(error)) from error
    except ConfigError as error:
        raise MisconfiguredError(str(error)) from error
    except (NotFoundError, OfflineError, QuotaError, StagingTimeout) as error:
        raise NotAvailableError(str(error)) from error
    except PepsasyncError as error:
        raise DownloadError(str(error)) from error
