"""Settings of a run: one frozen value, passed in, never global."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from pepsasync.model import Quota


_COUNTS = (
    "jobs",
    "staging_jobs",
    "staging_window",
    "in_flight",
    "trials",
    "unknown_requests",
    "retries",
    "limit_rate",
    "segments",
)
"""Settings that are 1 at least."""

_TIMES = (
    "poll_interval",
    "poll_interval_max",
    "staging_timeout",
    "retry_wait",
    "retry_wait_max",
    "read_timeout",
    "quota_patience",
)
"""Settings that are longer than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a client works. Every time is in seconds, every size in bytes."""

    jobs: int | None = None
    """Concurrent downloads; None takes what the archive allows (`Limits.downloads`)."""
    staging_jobs: int | None = None
    """Concurrent staging requests; None takes the archive's default."""
    in_flight: int = 6_000
    """Products that are worked on or waited for at once, or whose outcome nobody has taken. Search pauses when it is
    reached, so that memory stays bounded; a waiting product costs about 15 kB."""
    poll_interval: float | None = None
    """First pause between two looks at the products that wait for tape; None takes what suits the archive."""
    poll_interval_max: float = 600.0
    """Longest pause; the pause grows towards it while nothing moves."""
    trials: int | None = None
    """Looks without any movement after which a product is given up; None for no such limit."""
    staging_timeout: float = 3 * 86_400.0
    """Longest wait for one product to come from tape."""
    staging_window: int | None = None
    """Bytes that are asked for from tape and not downloaded yet; None lets them follow the rate of the downloads."""
    unknown_requests: int = 4
    """Staging requests after each of which the archive still did not know where the product is; then it is reported
    as not available."""
    retries: int = 6
    """Tries of one request; for downloads the count starts anew whenever bytes have moved."""
    retry_wait: float = 1.0
    """First pause between two tries; doubles, with jitter, up to `retry_wait_max`."""
    retry_wait_max: float = 120.0
    """Longest pause between two tries, also when the server asks for more."""
    connect_timeout: float = 20.0
    """Longest wait for a connection."""
    read_timeout: float = 90.0
    """Longest silence on a connection, and longest time for a whole reply that is no product; with `connect_timeout`
    added, for the whole head of an answer. PEPS takes up to 30 s for a 202 (PEPS protocol notes, section 5.2)."""
    quota: Quota | None = None
    """Products that the account may download in a window of time; None takes what the archive tells, else what it
    publishes. With several archives it is for those that publish one."""
    quota_patience: float = 7_200.0
    """Longest time for which an archive may go on refusing downloads for a quota; at least twice its window."""
    restore: bool = False
    """Let a REGARDS server restore tape products; the public GEODES does not offer it (GEODES notes, section 5.2)."""
    segments: int | None = None
    """Connections for one product at most, where the archive bears several. None takes slots that no other product
    wants while that makes the product come sooner."""
    skip_tape: bool = False
    """Leave out products that are on tape instead of waiting for them."""
    min_rate: int = 1_000
    """Bytes a second that a download must reach over a minute, else it begins again on a new connection; 0 for any.
    Not looked at with `limit_rate`."""
    limit_rate: int | None = None
    """Bytes a second for all downloads together; None for no limit."""
    ca_bundle: Path | None = None
    """PEM file with a further certificate authority; TLS is always verified. `~` is the home folder."""

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name.replace('_', '-')} must be at least 1, not {value}")
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name.replace('_', '-')} must be longer than 0 seconds")
        if self.ca_bundle is not None:
            expanded = Path(os.path.expanduser(self.ca_bundle))  # noqa: PTH111 - a home that nobody has is told below
            object.__setattr__(self, "ca_bundle", expanded)
        if self.ca_bundle is not None and not Path(self.ca_bundle).is_file():
            raise ConfigError(f"the CA bundle {self.ca_bundle} does not exist")
