"""QuotaLimiter: when downloads and staging requests of an account may begin.

A quota belongs to the account, not to a download: the engine counts what it starts and stays below, and when the
archive says that it is enough nevertheless, everybody waits.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from pepsasync.errors import AuthError, ProviderError
from pepsasync.events import QuotaReached
from pepsasync.limits.backoff import NEWS, Backoff
from pepsasync.limits.quota_window import Window
from pepsasync.limits.schedule import next_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pepsasync.config import Config
    from pepsasync.errors import QuotaError
    from pepsasync.events import Emit
    from pepsasync.model import Product
    from pepsasync.providers.base import Provider

LOOKS = 12
"""Times a window that the archive is asked what is left, at least, while nothing may begin."""


class NotNowError(ProviderError):
    """The account may have no product from this archive for a while."""


class Turn:
    """One download that is asked for."""

    def __init__(self, books: Window, begun: Callable[[], None] | None) -> None:
        self._books = books
        self._begun = begun
        self.has_begun = False
        """Whether an answer came."""

    def begin(self) -> None:
        """Note that its answer is there; only the first call counts."""
        if not self.has_begun:
            self.has_begun = True
            self._books.begin(anyio.current_time())
            if self._begun:
                self._begun()


class QuotaLimiter:
    """Lets downloads begin no faster than an account may.

    Args:
        provider: Tells its quota, and what is left of it.
        config: `quota` replaces the archive's; `retry_wait` and `retry_wait_max` are for limits nobody published.
        emit: Gets a `QuotaReached` for each wait, and one when it ends earlier than was told.
    """

    def __init__(self, provider: Provider, config: Config, emit: Emit) -> None:
        self._provider = provider
        self._config = config
        self._emit = emit
        self.quota = config.quota or provider.limits.quota
        self._is_published = self.quota == provider.limits.quota
        self._books = Window(self.quota)
        self._was_freed = anyio.Event()
        self.downloads = Backoff(provider.name, "downloads", config, emit)
        self.staging = Backoff(provider.name, "staging requests", config, emit)
        self._turnstile = anyio.Lock()
        self._was_asked = False
        self._check = anyio.Lock()
        self._is_checked = False
        self._paused_until = -math.inf
        self._pause: float | None = None
        self._look: float | None = None
        self._refused_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a download may begin now, as far as is known."""
        return self._wait() <= 0 and not self.downloads.left

    def remember(self, ago: Iterable[float]) -> None:
        """Count downloads of earlier runs, unless this client has counted some of its own.

        Args:
            ago: How many seconds ago each began, oldest first.
        """
        if self._books.is_empty:
            now = anyio.current_time()
            self._books = Window(self.quota, [now - seconds for seconds in ago])

    async def until_open(self, *, wait: bool = True) -> None:
        """Wait until a download may begin. One waits for all, so that the archive is asked once.

        Before the first download the archive is asked what is left, which also tells whether it knows the account.

        Args:
            wait: False to be told instead.

        Raises:
            AuthError: The archive refused the credentials.
            NotNowError: No download may begin now, and `wait` is false.
        """
        if not self._was_asked:
            async with self._turnstile:
                if not self._was_asked:
                    await self.ask()
                    self._was_asked = True
        if self.is_open:
            return
        if not wait:
            raise NotNowError(f"{self._provider.name} lets the account have no product now")
        async with self._turnstile:
            await self._pass()

    async def check_account(self, product: Product) -> None:
        """Have the archive look at the account, once, before a product is waited for: that may take days.

        Args:
            product: Any one.

        Raises:
            AuthError: There are no credentials, or the archive refused them.
        """
        if self._is_checked:
            return
        async with self._check:
            if not self._is_checked:
                try:
                    await self._provider.download_request(product)
                    await self.ask()
                except AuthError:
                    raise
                except ProviderError:
                    pass  # its download will tell
                self._is_checked = True

    async def _pass(self) -> None:
        """Wait, and look now and then whether a download may begin earlier than was thought."""
        told = -math.inf
        while not self.is_open:
            await self.downloads.over()
            if (left := self._wait()) <= 0:
                continue
            now, look = anyio.current_time(), self._until_look()
            if now + left > told + NEWS:
                self._emit(QuotaReached(wait=left, next_look=look if look < left else None))
                told = now + left
            with anyio.move_on_after(min(left, look)) as pause:
                await self._was_freed.wait()
            if pause.cancelled_caught and self._wait() > 0:
                await self.ask()
        if anyio.current_time() + NEWS < told:
            self._emit(QuotaReached(wait=0.0))

    @contextlib.contextmanager
    def turn(self, begun: Callable[[], None]) -> Iterator[Turn | None]:
        """Count a download while it is asked for; None when it may not begin, because another was faster.

        Whoever has no answer at the end of the block is counted no longer: only answers count, and an archive that has
        seen such a request nevertheless tells so when it is asked what is left.

        Args:
            begun: Called when a quota counts it.
        """
        if not self.is_open:
            yield None
            return
        books = self._books
        books.ask()
        turn = Turn(books, begun if self.quota else None)
        try:
            yield turn
        finally:
            if not turn.has_begun:
                books.withdraw()
                self._was_freed.set()
                self._was_freed = anyio.Event()

    def refuse(self, error: QuotaError) -> bool:
        """Make everybody wait because the archive says that it is enough; False when it has said so for too long."""
        now = anyio.current_time()
        self._refused_since = self._refused_since if self._refused_since is not None else now
        if now - self._refused_since > max(self._config.quota_patience, 2 * self.quota.seconds if self.quota else 0):
            return False
        if now < self._paused_until:
            return True
        shortest, longest = self._config.retry_wait, self._config.retry_wait_max
        if self.quota is not None:
            shortest = longest = self.quota.seconds / 4
        self._pause = next_pause(self._pause, moved=False, shortest=shortest, longest=longest)
        advice = max(error.retry_after, self._config.retry_wait) if error.retry_after else None
        self._paused_until = now + (advice or self._pause)
        return True

    def accept(self) -> None:
        """Note that the archive let a download begin: what it refused before is forgotten."""
        self._refused_since = self._pause = self._look = None
        self.downloads.answered()

    async def ask(self) -> None:
        """Ask the archive what is left of the quota, if it has one; a failure tells nothing and changes nothing.

        Raises:
            AuthError: The archive refused the credentials.
        """
        if self._provider.limits.quota is None:
            return
        begun = self._books.begun
        try:
            account = await self._provider.account()
        except AuthError:
            raise
        except ProviderError:
            return
        left, told = account.quota_left, account.quota_products
        if left is None or left < 0 or self.quota is None or not self._is_published:
            return  # or it counts by another window than the user
        now, products = anyio.current_time(), max(self.quota.products if told is None else told, left, 1)
        if self._config.quota is None:
            self.quota = replace(self.quota, products=products)
        # What began while the answer was on its way may not be in it.
        self._books.correct(products - left + self._books.begun - begun, now, self.quota)
        if left > 0:
            self._paused_until = min(self._paused_until, now)

    def _until_look(self) -> float:
        """Seconds until the archive is asked what is left: soon at first, since refusals may be mistakes.

        Never, where its answer would tell nothing: it counts otherwise than the user.
        """
        if self.quota is None or not self._is_published:
            return math.inf
        longest = self.quota.seconds / LOOKS
        self._look = next_pause(self._look, moved=False, shortest=self._config.retry_wait, longest=longest)
        return self._look

    def _wait(self) -> float:
        now = anyio.current_time()
        return max(self._books.wait(now), self._paused_until - now)
