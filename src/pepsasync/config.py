"""Settings of a run: one frozen value, passed in, never global. Each is declared once, as a field of `Config`."""

# ruff: noqa: RUF009 - `_setting` makes a field
from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from pepsasync.model import Quota, Shard

T = TypeVar("T")


class Kind(Enum):
    """What a setting is, and so how the config file and the command line write it."""

    COUNT = "number"
    SIZE = "size"
    TIME = "time"
    QUOTA = "products in a time"
    SHARD = "part/parts"
    FLAG = "true or false"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is said about one field of `Config`; the config file, `--help` and the reference are made from it."""

    kind: Kind
    help: str
    """One line for `--help`."""
    note: str
    """What the reference adds."""
    unset: str
    """What None means."""
    zero: bool
    """Whether 0 is allowed for a count, size or time."""


def _setting(default: T, kind: Kind, about: str, *, note: str = "", unset: str = "", zero: bool = False) -> T:
    return field(default=default, metadata={"setting": Setting(kind, about, note, unset, zero)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a client works. Every time is in seconds, every size in bytes."""

    jobs: int | None = _setting(None, Kind.COUNT, "downloads at once", unset="the archive's limit")
    staging_jobs: int | None = _setting(None, Kind.COUNT, "staging requests at once", unset="the archive's")
    in_flight: int = _setting(
        6_000,
        Kind.COUNT,
        "products in progress or waiting at once, until their outcome is consumed",
        note="the search pauses at this number, to bound memory; a waiting product costs about 15 kB",
    )
    poll_interval: float | None = _setting(
        None, Kind.TIME, "first pause between two polls of the tape queue", unset="the archive's"
    )
    poll_interval_max: float = _setting(
        600.0,
        Kind.TIME,
        "longest pause between two polls of the tape queue",
        note="the pause grows up to it while no product changes its state",
    )
    trials: int | None = _setting(
        None, Kind.COUNT, "polls without any change before a product is given up", unset="no limit"
    )
    staging_timeout: float = _setting(3 * 86_400.0, Kind.TIME, "longest wait for one product from tape: 12h, 3d")
    staging_window: int | None = _setting(
        None, Kind.SIZE, "bytes asked for from tape and not downloaded yet: 500GB", unset="from the download rate"
    )
    unknown_requests: int = _setting(
        4,
        Kind.COUNT,
        "staging requests for a product whose state the archive does not know",
        note="then it is reported as not available",
    )
    retries: int = _setting(
        6,
        Kind.COUNT,
        "tries for each request",
        note="the count starts anew when bytes have arrived; an archive that is not responding is tried for half an "
        "hour whatever the count",
    )
    retry_wait: float = _setting(
        1.0, Kind.TIME, "first pause between two tries", note="it doubles, with jitter, up to `retry_wait_max`"
    )
    retry_wait_max: float = _setting(
        120.0, Kind.TIME, "longest pause between two tries", note="also when the server asks for more"
    )
    connect_timeout: float = _setting(20.0, Kind.TIME, "longest wait for a connection", zero=True)
    read_timeout: float = _setting(
        90.0,
        Kind.TIME,
        "longest time without data on a connection",
        note="also the longest time for a complete reply that is no product and, with `connect_timeout` added, for "
        "complete response headers; PEPS takes up to 30 s for a 202",
    )
    quota: Quota | None = _setting(
        None,
        Kind.QUOTA,
        "download quota of the account, products per time: 50/1h",
        note="with several archives, it applies to those that publish a quota",
        unset="the quota that the archive reports, else the one it publishes",
    )
    quota_patience: float = _setting(
        7_200.0,
        Kind.TIME,
        "longest time for which an archive may refuse downloads because of a quota",
        note="at least twice the period of the quota",
    )
    restore: bool = _setting(
        False, Kind.FLAG, "geodes: let a REGARDS server restore from tape; the public one does not"
    )
    skip_tape: bool = _setting(False, Kind.FLAG, "skip products on tape and list them, instead of waiting")
    min_rate: int = _setting(
        1_000,
        Kind.SIZE,
        "a slower download is restarted on a new connection; 0: never",
        note="bytes per second over a minute; ignored with `limit_rate`",
        zero=True,
    )
    limit_rate: int | None = _setting(None, Kind.SIZE, "bytes per second in total: 10m, 500k", unset="no limit")
    segments: int | None = _setting(
        None,
        Kind.COUNT,
        "connections per product; default: idle slots, when faster",
        note="at most, and only where the archive allows several",
        unset="idle slots, when faster",
    )
    shard: Shard | None = _setting(
        None,
        Kind.SHARD,
        "only this part of the order, by name, with its share of all limits: 2/8",
        note="for as many programs, each with a folder of its own, that have one account",
        unset="all of it",
    )
    share_limits: Path | None = _setting(
        None,
        Kind.PATH,
        "keep downloads at once and quota of the account together with all who give this folder",
        note="on a file system that all of them see; also `PEPSASYNC_SHARE_LIMITS`",
        unset="limits are kept by each program alone",
    )
    ca_bundle: Path | None = _setting(
        None, Kind.PATH, "PEM file with a further certificate authority", note="TLS is always verified", unset="none"
    )

    def __post_init__(self) -> None:
        for name, setting in SETTINGS.items():
            value = getattr(self, name)
            if value is None or setting.zero:
                continue
            if setting.kind is Kind.COUNT and value < 1:
                raise ConfigError(f"{name.replace('_', '-')} must be at least 1, not {value}")
            if setting.kind is Kind.SIZE and value < 1:
                hint = f"Leave it out for {setting.unset}" if setting.unset else ""
                raise ConfigError(f"{name.replace('_', '-')} must be more than 0 bytes, not {value}", hint=hint)
            if setting.kind is Kind.TIME and not value > 0:
                raise ConfigError(f"{name.replace('_', '-')} must be longer than 0 seconds")
        for name, setting in SETTINGS.items():
            if setting.kind is Kind.PATH and (path := getattr(self, name)) is not None:
                expanded = Path(os.path.expanduser(path))  # noqa: PTH111 - a home that nobody has is told below
                object.__setattr__(self, name, expanded)
        if self.ca_bundle is not None and not Path(self.ca_bundle).is_file():
            raise ConfigError(f"the CA bundle {self.ca_bundle} does not exist")


SETTINGS: dict[str, Setting] = {one.name: one.metadata["setting"] for one in fields(Config)}
"""By field of `Config`, which is also its key in the config file."""


def given_settings(*groups: Any) -> dict[str, Any]:
    """Return the fields of `Config` that objects have under the same name; None and False leave the default."""
    found = {name: getattr(group, name, None) for group in groups for name in SETTINGS if hasattr(group, name)}
    return {name: value for name, value in found.items() if value is not None and value is not False}
