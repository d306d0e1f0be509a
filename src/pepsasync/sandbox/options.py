"""What kind of archive a `Sandbox` is, under the names of its arguments."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from pepsasync.sandbox.checks import above_zero, at_least, at_most, one_of
from pepsasync.sandbox.content import MIN_SIZE
from pepsasync.sandbox.ranges import STREAMING_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pepsasync.sandbox.catalogue import Area, CatalogueProduct

P = ParamSpec("P")
Made = TypeVar("Made")
Owner = TypeVar("Owner")

RANGES = ("ignored", "works", "error")
"""What becomes of a `Range` header in GEODES: the whole file, the part, or 500 (GEODES protocol notes, section 6.2)."""
BAD_KEYS = ("login", "refuse")
"""What a wrong key leads to: redirects to the login page without end, or 401 (GEODES protocol notes, section 2)."""
VERSIONS = ("2.1", "2.2")
"""Versions of GEODES' STAC layer: what the portal runs, and the one after it (sections 3 and 4 of its notes)."""
LEAST_VARIED = math.ceil(MIN_SIZE / 0.8)
"""Smallest size to vary, bytes: the smallest product is a fifth below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of a `Sandbox`, whose description tells what each one does.

    Raises:
        ValueError: An option makes no sense.
    """

    products: int = 50
    product_size: int = 1 << 20
    vary: bool = True
    tape_fraction: float = 0.5
    tape_drives: int = 2
    mount_seconds: float = 0.5
    staging_seconds: float = 5.0
    tape_products: int = 1
    cache_size: int | None = None
    seed: int = 1
    port: int = 0
    faults: Mapping[str, float] = field(default_factory=dict)
    fault_limit: int = 2
    time_scale: float = 1.0
    streaming: str = "php"
    area: Area | None = None
    start: datetime | None = None
    end: datetime | None = None
    accounts: Mapping[str, str] | None = None
    retry_after_ms: int = 180_000
    stall_seconds: float | None = 60.0
    totp: str | None = None
    token_seconds: float = 600.0
    refresh_seconds: float = 3600.0
    cdse_connections: int = 4
    cdse_volume: int | None = None
    cdse_requests: int | None = None
    cdse_redirect: bool = True
    cdse_foreign: bool = False
    cdse_blake3: bool = True
    portal_seconds: float | None = None
    peps_quota: int | None = None
    peps_quota_seconds: float = 604_800.0
    geodes_ranges: str = "ignored"
    geodes_restore: bool = False
    geodes_orders: bool = False
    geodes_quota: int | None = 50
    geodes_quota_seconds: float = 3600.0
    geodes_bad_key: str = "login"
    geodes_strict: bool = False
    geodes_version: str = "2.1"
    wekeo_terms: bool = True
    wekeo_terms_status: int = 404
    wekeo_refusal: int = 401
    wekeo_origin: str | None = None
    wekeo_old_login: bool = False
    wekeo_error_200: bool = False
    wekeo_totals: bool = False
    wekeo_strict: bool = True
    wekeo_new_ids: bool = False
    wekeo_quota: int | None = 100
    wekeo_quota_seconds: float = 3600.0
    wekeo_quota_headers: bool = True
    wekeo_order_seconds: float = 0.0
    wekeo_order_life: float = 86_400.0
    wekeo_ranges: bool = False
    wekeo_redirect: bool = False
    asf_eula: bool = True
    asf_cookie_seconds: float = 86_400.0
    asf_signed_seconds: float = 3600.0
    asf_burst_seconds: float = 2.0
    catalogue: Sequence[CatalogueProduct] | None = None
    held_back: int = 0
    publish_seconds: float | None = None
    supersede_seconds: float | None = None
    withdraw_seconds: float | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        at_least(0, products=self.products, tape_fraction=self.tape_fraction, seed=self.seed, port=self.port)
        at_least(0, mount_seconds=self.mount_seconds, staging_seconds=self.staging_seconds, cache_size=self.cache_size)
        at_least(0, fault_limit=self.fault_limit, retry_after_ms=self.retry_after_ms, stall_seconds=self.stall_seconds)
        at_least(0, portal_seconds=self.portal_seconds, geodes_quota=self.geodes_quota)
        at_least(0, peps_quota=self.peps_quota)
        at_least(0, held_back=self.held_back)
        above_zero(publish_seconds=self.publish_seconds, supersede_seconds=self.supersede_seconds)
        above_zero(withdraw_seconds=self.withdraw_seconds)
        at_least(1, tape_products=self.tape_products)
        at_least(1, tape_drives=self.tape_drives, cdse_connections=self.cdse_connections)
        at_least(1, cdse_requests=self.cdse_requests)
        at_least(LEAST_VARIED if self.vary else MIN_SIZE, product_size=self.product_size)
        at_most(1, tape_fraction=self.tape_fraction)
        at_most(65535, port=self.port)
        above_zero(time_scale=self.time_scale, geodes_quota_seconds=self.geodes_quota_seconds)
        above_zero(peps_quota_seconds=self.peps_quota_seconds)
        above_zero(asf_cookie_seconds=self.asf_cookie_seconds, asf_signed_seconds=self.asf_signed_seconds)
        at_least(0, cdse_volume=self.cdse_volume)
        at_least(0, wekeo_quota=self.wekeo_quota, wekeo_order_seconds=self.wekeo_order_seconds)
        above_zero(wekeo_quota_seconds=self.wekeo_quota_seconds, wekeo_order_life=self.wekeo_order_life)
        at_least(0, asf_burst_seconds=self.asf_burst_seconds)
        above_zero(token_seconds=self.token_seconds, refresh_seconds=self.refresh_seconds)
        one_of(RANGES, geodes_ranges=self.geodes_ranges)
        one_of(BAD_KEYS, geodes_bad_key=self.geodes_bad_key)
        one_of(VERSIONS, geodes_version=self.geodes_version)
        at_most(sys.float_info.max, time_scale=self.time_scale)
        if self.streaming not in STREAMING_MODES:
            raise ValueError(f"unknown streaming mode {self.streaming!r}, known: {', '.join(STREAMING_MODES)}")
        if self.accounts is not None and not self.accounts:
            raise ValueError("accounts must name at least one account")
        _check_area(self.area)
        _check_period(self.start, self.end)


def takes(
    options: Callable[P, Made],
) -> Callable[[Callable[[Owner, Made], None]], Callable[Concatenate[Owner, P], None]]:
    """Let a method that needs an options object be called with the arguments that make one."""

    def wrap(method: Callable[[Owner, Made], None]) -> Callable[Concatenate[Owner, P], None]:
        @functools.wraps(method)
        def wrapped(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> None:
            method(self, options(*args, **kwargs))

        itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        made_of = inspect.signature(options).parameters.values()
        wrapped.__signature__ = inspect.Signature([itself, *made_of])  # type: ignore[attr-defined]
        return wrapped

    return wrap


def _check_area(area: Area | None) -> None:
    if area is None:
        return
    west, south, east, north = area
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError(f"area must be west, south, east, north in degrees with west < east, not {area}")


def _check_period(start: datetime | None, end: datetime | None) -> None:
    for name, moment in (("start", start), ("end", end)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} must have a time zone")
    if start is not None and end is not None and start >= end:
        raise ValueError(f"start must be before end, not {start} and {end}")
