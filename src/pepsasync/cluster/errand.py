"""What goes to a worker for one product, and what comes back.

Schedulers show arguments and results in logs and on pages: everything here is `Sealed` on its way, which shows the name
of the product only.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx

from pepsasync import events
from pepsasync.http.client import put_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pepsasync.config import Config
    from pepsasync.errors import PepsasyncError
    from pepsasync.folder.journal import Owner
    from pepsasync.http.client import Http, Origin
    from pepsasync.model import Product
    from pepsasync.transfer.executor import Brought

T = TypeVar("T")

HEAD = 512
"""Bytes of the beginning of a product that are shown to the coordinator."""


class Sealed(Generic[T]):
    """Something as bytes, which shows nothing of itself but a label.

    Args:
        label: For logs.
        content: What is sent; trusted like all that a cluster of the user's runs.
    """

    def __init__(self, label: str, content: T) -> None:
        self._label = label
        self._bytes = pickle.dumps(content)

    def __repr__(self) -> str:
        return f"<{self._label}>"

    def open(self) -> T:
        """What was sent."""
        content: T = pickle.loads(self._bytes)  # noqa: S301 - whoever can send it can run code on that cluster anyway
        return content


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """What a worker needs to ask for one product: an address, and headers that the archive's own hosts may see."""

    url: str
    headers: tuple[tuple[str, str], ...]

    @property
    def holds_password(self) -> bool:
        """Whether whoever reads it learns the password of the account."""
        return any(name == "authorization" and value.lower().startswith("basic ") for name, value in self.headers)


def ticket_for(request: httpx.Request) -> Ticket:
    """What is needed to send a request of a provider from elsewhere.

    Raises:
        ProviderError: It must not be sent where it would go.
    """
    before = {name for name, _ in request.headers.items()}
    put_credentials(request)
    headers = ((name, value) for name, value in request.headers.items() if name not in before)
    return Ticket(str(request.url), tuple(headers))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Errand:
    """One attempt to bring a product."""

    token: str
    """Of its lease."""
    product: Product
    directory: Path
    owner: Owner
    """Who holds the folder."""
    topic: str
    """Where news go to."""
    provider: str
    root: str | None
    config: Config
    rate: int | None
    """Bytes a second that it may take; None for no limit."""
    ticket: Ticket | None
    """None when every byte was here before: then nothing may be asked for."""
    serves_ranges: Mapping[str, bool]
    has_sent: frozenset[Origin]
    failed_ranges: int


@dataclass(frozen=True, slots=True, repr=False)
class Hop:
    """One request on the way to a product."""

    url: str
    had_credentials: bool
    status: int
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What an archive answered to a download, for its provider at the coordinator, which knows the account."""

    hops: tuple[Hop, ...]
    head: bytes
    """Body of an error, or first bytes of a product."""

    def as_response(self, ticket: Ticket, http: Http) -> httpx.Response:
        """The same as it would have come here; without its body."""
        history: list[httpx.Response] = []
        for hop in self.hops:
            own = dict(ticket.headers) if hop.had_credentials else {}
            request = http.build("GET", hop.url, headers=own)
            history.append(httpx.Response(hop.status, headers=list(hop.headers), request=request))
        response = history.pop()
        response.history = history
        return response


def answer_of(response: httpx.Response, head: bytes, ticket: Ticket) -> Answer:
    """What the coordinator has to know of an answer."""
    secrets = dict(ticket.headers)
    hops = []
    for one in (*response.history, response):
        had = any(one.request.headers.get(name) == value for name, value in secrets.items())
        hops.append(Hop(str(one.request.url), had, one.status_code, tuple(one.headers.raw)))
    is_error = response.status_code not in (200, 206)
    return Answer(tuple(hops), bytes(head) if is_error else bytes(head[:HEAD]))


@dataclass(slots=True, kw_only=True, repr=False)
class Outcome:
    """What became of an errand."""

    token: str
    brought: Brought | None = None
    error: PepsasyncError | None = None
    """Why it was not brought."""
    was_begun_before: bool = False
    """Whether the lease was taken before: by a worker that was lost, or taken back."""
    was_stopped: str = ""
    """Why the lease was lost meanwhile."""
    answer: Answer | None = None
    """The last one of the archive, unless it was not reached."""
    sent_on_to: str | None = None
    """An own host of the archive that a redirect led to and that must not see the credentials: its login."""
    is_answered: bool = False
    """Whether the archive counts it as a download."""
    present: int = 0
    """Bytes that were here before."""
    has_restarted: bool = False
    """Whether those are not used any more."""
    received: int = 0
    """Bytes that are here now."""
    failed_ranges: int = 0
    serves_ranges: dict[str, bool] = field(default_factory=dict)
    has_sent: frozenset[Origin] = frozenset()
    news: list[dict[str, Any]] = field(default_factory=list)
    """Every event but progress, also those that were told before."""


_KINDS = {kind.__name__: kind for kind in (events.DownloadStarted, events.DownloadProgressed, events.Noticed)}
"""Events that workers may send."""


def event_as_dict(event: events.Event) -> dict[str, Any]:
    """An event as plain data."""
    return {"kind": type(event).__name__} | {one.name: getattr(event, one.name) for one in fields(event)}


def event_from(data: Mapping[str, Any]) -> events.Event | None:
    """The event of plain data; None when workers send no such event."""
    kind = _KINDS.get(str(data.get("kind")))
    return kind(**{name: value for name, value in data.items() if name != "kind"}) if kind else None
