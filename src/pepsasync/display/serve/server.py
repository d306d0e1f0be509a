"""Serves a page in a thread with an event loop of its own, so that runs on asyncio and on trio can both have one."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from pepsasync.display.serve.app import make_app
from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pepsasync.display.serve.board import Board

TOKEN_VARIABLE = "PEPSASYNC_SERVE_TOKEN"  # noqa: S105 - the name of it
"""Environment variable for a token that stays the same, as a Prometheus that is always there needs it."""

SHORTEST = 16
"""Characters of a token."""

STREAMS_SECONDS = 2
"""How long the end waits for pages to learn that the run is over."""

STARTED_WITHIN = 30.0
"""Seconds."""


@contextlib.contextmanager
def serving(board: Board, port: int) -> Iterator[str]:
    """Serve a page until the block is left; the value is its address.

    Args:
        board: What is shown; told to be over at the end.
        port: On 127.0.0.1; 0 for a free one.

    Raises:
        ConfigError: The port is taken, or the token in the environment is too short.
    """
    token = _token()
    with socket.socket() as listener:
        if os.name != "nt":  # where it would let two programs have the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            hint = "Choose another port, or 0 for a free one"
            why = getattr(error, "strerror", None) or "ports are 0 to 65535"
            raise ConfigError(f"--serve: cannot listen on port {port}: {why}", hint=hint) from error
        config = uvicorn.Config(
            make_app(board, token),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=100,
            timeout_graceful_shutdown=STREAMS_SECONDS,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="progress page", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/"
        finally:
            board.end()
            server.should_exit = True
            thread.join()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause, waited = threading.Event(), 0.0
    while not server.started and thread.is_alive() and waited < STARTED_WITHIN:
        pause.wait(0.02)
        waited += 0.02
    if not server.started:
        raise ConfigError("--serve: the page could not be served", hint="Leave --serve out")


def _token() -> str:
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None:
        return secrets.token_urlsafe(24)
    if len(given) < SHORTEST or not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        hint = "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        raise ConfigError(f"{TOKEN_VARIABLE} must have {SHORTEST} or more letters, digits, - or _", hint=hint)
    return given
