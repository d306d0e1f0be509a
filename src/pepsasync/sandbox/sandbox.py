"""The embedded archive as one object: options, start and stop, and handles for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pepsasync.sandbox import asf, cdse, geodes, peps, wekeo
from pepsasync.sandbox.accounts import DEFAULT_API_KEY
from pepsasync.sandbox.archive import Archive
from pepsasync.sandbox.asf.tokens import earthdata_token
from pepsasync.sandbox.options import Options, takes
from pepsasync.sandbox.server import ServerThread

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.content import ProductContent
    from pepsasync.sandbox.statistics import Statistics

DEFAULT_ACCOUNTS = {"demo@pepsasync.example": "demo-password"}
"""Accounts of an archive that is not given others."""
HOSTS = ("127.0.0.1", "localhost")
"""Names that the archive answers to: pages of other sites, whose names may lead here, get nothing."""


class Sandbox:
    """An archive that listens on 127.0.0.1 while its `async with` block runs, on asyncio or trio.

    Plain programs call `start` and `stop`. The archive lives in its own thread; every method and attribute may be used
    from any other.

    Args:
        products: Number of products to generate, half Sentinel-1, half Sentinel-2.
        product_size: Bytes of a product.
        vary: Let sizes differ by up to 20 %.
        tape_fraction: Part of the products that is on tape, 0 to 1.
        tape_drives: Products that are read from tape at the same time.
        mount_seconds: Archive seconds to mount a tape.
        staging_seconds: Archive seconds to read one product.
        tape_products: Products on one tape, neighbours in time; what is on a mounted tape needs no other mount.
        cache_size: Bytes of the disk cache, None for no limit.
        seed: The same seed makes the same archive.
        port: TCP port, 0 for a free one.
        faults: Probability (0 to 1) by fault name, see `FAULTS`.
        fault_limit: Times that a passing fault strikes one product at most.
        time_scale: Archive seconds per real second: staging, announced waits, storage timeouts and stalls.
        streaming: How files are sent, one of `STREAMING_MODES`.
        area: West, south, east, north in degrees (EPSG:4326), around Toulouse by default.
        start: First acquisition, UTC; by default January 2017 for Sentinel-2 and November 2015 for Sentinel-1.
        end: Acquisitions are before this moment, UTC.
        accounts: Password by e-mail address, `DEFAULT_ACCOUNTS` by default.
        retry_after_ms: What a 202 asks to wait, in archive milliseconds.
        stall_seconds: Archive seconds that the fault `stall` lasts, None for ever.
        totp: Second factor that CDSE asks for, None for none.
        token_seconds: Life of a CDSE access token in archive seconds.
        refresh_seconds: Life of a CDSE refresh token in archive seconds.
        cdse_connections: Downloads at the same time of one account of CDSE.
        cdse_volume: Bytes after which an account of CDSE gets one download at a time.
        cdse_requests: Requests to the catalogue of CDSE per archive minute, None for no limit.
        cdse_redirect: Whether CDSE redirects downloads to its zipper.
        cdse_foreign: Whether CDSE redirects downloads to another host name, which must not see the token.
        cdse_blake3: Whether CDSE announces BLAKE3 beside MD5, as the real one does; not without the package `blake3`.
        portal_seconds: Archive seconds after which a product that GEODES or CDSE showed on tape is staged as if its
            user had asked in the portal, None for never.
        peps_quota: Products that an account of PEPS may download in a window of time, None for no limit; only requests
            that begin a product count.
        peps_quota_seconds: Length of that window in archive seconds.
        geodes_ranges: What GEODES makes of a `Range` header: `ignored`, `works` or `error`.
        geodes_restore: Whether GEODES offers to restore products by request.
        geodes_orders: Whether GEODES takes orders of its users, as REGARDS does.
        geodes_quota: Downloads that an account of GEODES may start in a window of time, None for no limit.
        geodes_quota_seconds: Length of that window in archive seconds.
        geodes_bad_key: What a wrong key leads to: `login`, redirects without end, or `refuse`, a 401.
        geodes_strict: Whether GEODES refuses pages that are too long and unknown attributes.
        geodes_version: Version of GEODES' STAC layer, `2.1` or `2.2`.
        wekeo_terms: Whether the accounts have accepted the terms of WEkEO.
        wekeo_terms_status: HTTP status with which WEkEO refuses an account that has not.
        wekeo_refusal: HTTP status with which WEkEO refuses a token, 401 or 403.
        wekeo_origin: Where the accounts of WEkEO are from: None, `eumetsat` or `cmems`.
        wekeo_old_login: Whether WEkEO hands out tokens where it did before July 2026.
        wekeo_error_200: Whether WEkEO refuses passwords with status 200.
        wekeo_totals: Whether WEkEO tells the number of results, instead of where the next page begins.
        wekeo_strict: Whether WEkEO refuses parameters that it does not know, or ignores them.
        wekeo_new_ids: Whether an order that is repeated at WEkEO gets another id; neither counts again.
        wekeo_quota: Products that an account of WEkEO may order in a window of time, None for no limit.
        wekeo_quota_seconds: Length of that window in archive seconds.
        wekeo_quota_headers: Whether WEkEO tells what is left of it.
        wekeo_order_seconds: Archive seconds that every order of WEkEO takes at least.
        wekeo_order_life: Archive seconds after which WEkEO forgets an order.
        wekeo_ranges: Whether WEkEO sends parts of files.
        wekeo_redirect: Whether WEkEO redirects downloads to another host name, which must not see the token.
        asf_eula: Whether the accounts have accepted the licence of ASF.
        asf_cookie_seconds: Life of a session of ASF in archive seconds.
        asf_signed_seconds: Archive seconds for which ASF's signed addresses are good.
        asf_burst_seconds: Archive seconds that ASF takes to make a burst.
        catalogue: Products to serve instead of generated ones, each in its own `mode`.
        held_back: Products at the end of the catalogue that are not published when the archive opens.
        publish_seconds: Archive seconds after which one of them is published, again and again, None for never.
        supersede_seconds: Archive seconds after which a newer processing replaces a product, again and again.
        withdraw_seconds: Archive seconds after which a product is withdrawn, again and again.
        clock: Source of real monotonic seconds.

    Raises:
        ValueError: An option makes no sense; the message says which and why.
    """

    @takes(Options)
    def __init__(self, options: Options) -> None:
        accounts = DEFAULT_ACCOUNTS if options.accounts is None else options.accounts
        self.username, self.password = next(iter(accounts.items()))
        self.api_key = DEFAULT_API_KEY
        self._archive = Archive(options, accounts)
        protocols = [protocol.routes(self._archive) for protocol in (peps, cdse, geodes, asf, wekeo)]
        own_names = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
        self._server = ServerThread(Starlette(routes=protocols, middleware=[own_names]), options.port)

    @property
    def url(self) -> str:
        """Address of the archive, `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def peps_url(self) -> str:
        """Address of the PEPS service."""
        return f"{self.url}/resto"

    @property
    def geodes_url(self) -> str:
        """Root of the GEODES service, under which `/api/stac` stands."""
        return f"{self.url}/geodes"

    @property
    def cdse_url(self) -> str:
        """Root of the CDSE service, under which `/odata/v1` and `/auth/realms/CDSE` stand."""
        return f"{self.url}/cdse"

    @property
    def asf_url(self) -> str:
        """Root of the ASF service, under which each of its hosts is a folder, as `cmr.earthdata.nasa.gov`."""
        return f"{self.url}/asf"

    @property
    def wekeo_url(self) -> str:
        """Root of the WEkEO service, under which `/hda-broker` and `/identity` stand."""
        return f"{self.url}/wekeo"

    @property
    def asf_token(self) -> str:
        """Earthdata token of the first account."""
        return earthdata_token(self._archive.options.seed, self.username)

    @property
    def catalogue(self) -> tuple[CatalogueProduct, ...]:
        """The products, as the archive knows them now."""
        return self._archive.products

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._archive.statistics

    def content(self, name: str) -> ProductContent:
        """Return the bytes of a product, even of one that was withdrawn.

        Raises:
            KeyError: No product has this name.
        """
        return self._archive.content(name)

    def tier(self, name: str) -> str:
        """Return where a product is now: one of `MODES`.

        Raises:
            KeyError: No product has this name.
        """
        return self._archive.robot.mode(name)

    def set_tier(self, name: str, mode: str) -> None:
        """Put a product somewhere by hand; `staging` set this way lasts for ever.

        Raises:
            KeyError: No product has this name.
            ValueError: `mode` is not one of `MODES`.
        """
        self._archive.robot.set_mode(name, mode)

    def restore(self, name: str) -> None:
        """Have a product brought from tape, as if its user had asked in the portal of GEODES or CDSE.

        Raises:
            KeyError: No product has this name.
        """
        self._archive.stage(self._archive.product(name).name)

    def hide(self, name: str, new_id: str | None = None) -> None:
        """Mark a product as replaced by the feature `new_id`, None for not available.

        Raises:
            KeyError: No product has this name.
        """
        self._archive.hide(name, new_id)

    def publish(self, product: CatalogueProduct | None = None, *, published: datetime | None = None) -> str:
        """Publish a product while the archive runs; return its name.

        Args:
            product: A new one; None for the first of those that were held back.
            published: Publication date to show, with a time zone. Else that of a given product; now for one that was
                held back.

        Raises:
            LookupError: None is held back any more.
        """
        if product is None:
            return self._archive.publish_held_back(published).name
        self._archive.publish(product if published is None else replace(product, published=published))
        return product.name

    def supersede(self, name: str, *, published: datetime | None = None) -> str:
        """Replace a product by a newer processing, as archives do; return the name of the newer one.

        PEPS shows only the newer one from then on. GEODES shows both and tells which is the latest. CDSE shows both
        until the older one is withdrawn.

        Args:
            name: Of the older one.
            published: Publication date of the newer one, with a time zone; None for now.

        Raises:
            KeyError: No product has this name.
        """
        return self._archive.supersede(name, published).name

    def withdraw(self, name: str) -> None:
        """Take a product out of the catalogue: no search shows it, its id is unknown, its file cannot be had.

        Raises:
            KeyError: No product has this name.
        """
        self._archive.withdraw(name)

    def drop_file(self, name: str) -> None:
        """Lose the file of a product: still listed, every download answers 404.

        Raises:
            KeyError: No product has this name.
        """
        self._archive.drop_file(name)

    def deny(self, collection: str, username: str | None = None) -> None:
        """Take away the right to download a collection, from one account or from all."""
        self._archive.accounts.deny(collection, username)

    def start(self) -> None:
        """Listen, and return when requests are answered.

        Raises:
            OSError: The port is taken.
        """
        self._server.start()

    def stop(self) -> None:
        """Drop every connection and end the server; does nothing if it is not running."""
        self._server.stop()

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self.stop)
