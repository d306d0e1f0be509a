"""The addresses of a protocol: each request is counted by its kind, and a refusal becomes its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from starlette.routing import Route

from pepsasync.sandbox.replies import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from pepsasync.sandbox.replies import Reply
    from pepsasync.sandbox.statistics import Ledger

State = TypeVar("State")
Endpoint: TypeAlias = "Callable[[State, Request], Awaitable[Reply]]"


class Endpoints(Generic[State]):
    """Makes the routes of one protocol.

    Args:
        state: What every endpoint is given beside the request.
        ledger: Where requests are counted.
    """

    def __init__(self, state: State, ledger: Ledger) -> None:
        self._state = state
        self._ledger = ledger

    def route(self, path: str, kind: str, endpoint: Endpoint[State], *methods: str) -> Route:
        """Return the route of an endpoint, by GET (and HEAD) unless methods are given."""

        async def answer(request: Request) -> Reply:
            self._ledger.count_request(kind)
            try:
                return await endpoint(self._state, request)
            except Refused as refused:
                return refused.reply

        return Route(path, answer, methods=methods or ("GET",))

    def nothing_else(self, refused: Callable[[], Refused]) -> Route:
        """Return the route of every address, and of every method, that no other route has: the last one."""

        async def refuse(_state: State, _request: Request) -> Reply:
            raise refused()

        return self.route("/{path:path}", "other", refuse, "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
