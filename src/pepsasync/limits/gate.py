"""The gate of an archive: every download and every staging request enters here, and nowhere else."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import (
    AuthError,
    LeaseLostError,
    NotNowError,
    ProviderError,
    QuotaError,
    TooManyAtOnceError,
)
from pepsasync.limits.backoff import Backoff
from pepsasync.limits.connections import Connections
from pepsasync.limits.quota import QuotaLimiter
from pepsasync.limits.slots import DownloadSlots, StagingSlots
from pepsasync.limits.staging_window import StagingWindow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pepsasync.config import Config
    from pepsasync.events import Emit
    from pepsasync.limits.quota import Permit
    from pepsasync.limits.shared.member import Member
    from pepsasync.model import Account, Limits, Product


class Gate:
    """Limits of one archive and one account: slots, quota, pauses, and the staging window.

    Each is held only while it is used: a product that waits for tape, or between two tries, holds none.

    Args:
        name: Of the archive.
        limits: Of the archive.
        account: Asks the archive what is left of the account's quota.
        config: May replace the limits.
        emit: Told of pauses.
        account_name: Returns the name of the account in `config.share_limits`.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        account: Callable[[], Awaitable[Account]],
        config: Config,
        emit: Emit,
        account_name: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._name = name
        self._check = anyio.Lock()
        self._is_checked = False
        self.slots = DownloadSlots(config.jobs or limits.downloads)
        self.connections = Connections(name, self.slots, emit)
        self.backoff = Backoff(name, "downloads", config, emit)
        self.quota = QuotaLimiter(limits, account, config, emit)
        self.shared: Member | None = None
        """Our part in the limits, where other programs keep them with us."""
        if config.share_limits and account_name:
            from pepsasync.limits.shared.member import Member  # noqa: PLC0415 - for those who share only

            slots, limiter = self.slots, self.quota
            self.shared = Member(
                config.share_limits, account_name, slots, limits.downloads, lambda: limiter.quota, emit
            )
        self.staging_backoff = Backoff(name, "staging requests", config, emit)
        self.staging_slots = StagingSlots(config.staging_jobs or limits.staging_requests)
        # Where programs cannot ask for staging, somebody asks by hand: everything is waited for.
        self.window = StagingWindow(config.staging_window if limits.stages else sys.maxsize)

    @property
    def is_open(self) -> bool:
        """Whether a download may begin now, as far as is known."""
        is_open = self.quota.is_open and not self.backoff.left
        return is_open and (self.shared is None or self.shared.may_begin)

    async def until_open(self, *, wait: bool = True) -> None:
        """Wait until a download may begin.

        Args:
            wait: False to get a `NotNowError` instead.

        Raises:
            AuthError: The archive refused the credentials.
            ConfigError: The folder of shared limits cannot be used.
            NotNowError: No download may begin now, and `wait` is false.
        """
        await self.quota.ask_first()
        if self.shared:
            await self.shared.until_fresh()
        while not self.is_open:
            if not wait:
                raise NotNowError(f"{self._name}: download quota reached, or the archive asked for a pause")
            await self.backoff.over()
            await self.quota.until_open()
            if self.shared:
                await self.shared.until_open()

    async def check_account(self, request: Callable[[], Awaitable[object]]) -> None:
        """Have the archive look at the account, once, before a product is waited for: that may take days.

        Args:
            request: Makes the download request of any product, for which the archive may have to know the account.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
        """
        async with self._check:
            if not self._is_checked:
                try:
                    await request()
                    await self.quota.ask()
                except AuthError:
                    raise
                except ProviderError:
                    pass  # its download will tell
                self._is_checked = True

    @contextlib.asynccontextmanager
    async def download(
        self, size: int, what: str = "", *, wait: bool = True, counted: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Permit]:
        """Enter to download: with a slot, when quota and pauses allow it. The outcome is noted.

        Args:
            size: Bytes to come, 0 when unknown; the larger goes first.
            what: Id of the product, to tell one that is never served from an archive that serves nobody.
            wait: False to get a `NotNowError` instead of waiting.
            counted: Called when the quota counts the download.

        Raises:
            AuthError: The archive refused the credentials.
            NotNowError: No download may begin now, and `wait` is false.

        Cancellation: nothing is held.
        """
        while True:
            await self.until_open(wait=wait)
            async with self.slots.take(size):
                if not self.is_open:  # another one was faster
                    continue
                with (
                    self.connections.counted() as served,
                    self.quota.permit(counted, lambda: self._accepted(served)) as permit,
                    self.shared.download(permit) if self.shared else contextlib.nullcontext(),
                    self.backoff.obeyed(what),
                ):
                    try:
                        yield permit
                    except LeaseLostError:
                        raise
                    except TooManyAtOnceError as error:
                        if not self.connections.refuse(error):
                            self.quota.refuse(error)
                        raise
                    except QuotaError as error:
                        self.quota.refuse(error)
                        raise
                return

    def _accepted(self, served: Callable[[], None]) -> None:
        served()
        self.quota.accept()
        self.backoff.answered()

    @contextlib.asynccontextmanager
    async def staging(self, product: Product, *, goes_first: bool = False) -> AsyncIterator[None]:
        """Enter to ask about the tape: with a slot, after the pauses that the archive asked for.

        Args:
            product: What is asked about; the earliest acquisition enters first.
            goes_first: Before all for which this is not set.

        Cancellation: nothing is held.
        """
        await self.staging_slots.enter(acquired=product.start, goes_first=goes_first)
        try:
            await self.staging_backoff.over()  # with the slot: nobody else could use it
            with self.staging_backoff.obeyed(product.id):
                yield
                self.staging_backoff.answered()
        finally:
            self.staging_slots.leave()

    def has_served_since(self, moment: float | None) -> bool:
        """Whether somebody was served since a moment, on the clock of the event loop."""
        return moment is not None and (self.backoff.last_answer > moment or self.backoff.serves_others(moment))
