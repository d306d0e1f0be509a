"""Accounts: `login` and `logout`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from typer import Option

from pepsasync.cli.options import ARCHIVE, ArchiveOptions, OutputOptions, ProviderName, flatten
from pepsasync.cli.session import Session
from pepsasync.display.output import answer
from pepsasync.errors import AuthError, ConfigError, PepsasyncError
from pepsasync.units import show_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from pepsasync.credentials import Credentials
    from pepsasync.model import Account


@flatten(without=("-a", "--auth", "--provider"))
def login(
    *,
    provider: ProviderName = None,
    archive: ArchiveOptions,
    output: OutputOptions,
    no_check: Annotated[
        bool, Option("--no-check", rich_help_panel=ARCHIVE, help="store without asking the archive")
    ] = False,
    accept_terms: Annotated[
        bool, Option("--accept-terms", rich_help_panel=ARCHIVE, help="accept the terms of the archive (wekeo)")
    ] = False,
) -> None:
    """Store your account for an archive.

    The account is asked for, checked against the archive and stored in the keyring of this system, or where there is
    none in a file that only you can read. Without a terminal it is read from standard input, one value per line: user
    name and password, or the API key.
    """
    from pepsasync.credentials import from_environment  # noqa: PLC0415 - not needed for help
    from pepsasync.credentials.stored import store  # noqa: PLC0415

    session = Session(output)
    name, host = _target(provider, archive)
    comes_first = from_environment(name, os.environ)
    if accept_terms and name != "wekeo":
        raise ConfigError(f"{name} has no terms that a program can accept", hint="Leave --accept-terms out")
    credentials = _ask(name)
    if accept_terms:
        session.run(_accept, replace(archive, provider=name), credentials, session.say)
    if not no_check:
        account = _check(session, replace(archive, provider=name), credentials)
        left = "" if account.quota_left is None else f"; {show_count(account.quota_left)} may be downloaded now"
        session.say(f"{name} accepts this account{left}")
    where = store(name, host, credentials)
    session.say(f"stored for {name} ({host}) in {where}")
    if comes_first:
        session.say(f"note: the environment also holds an account for {name}, which is used first")


@flatten(without=("-a", "--auth", "--provider", "--ca-bundle"))
def logout(*, provider: ProviderName = None, archive: ArchiveOptions, output: OutputOptions) -> None:
    """Remove what login stored."""
    from pepsasync.credentials import find_credentials  # noqa: PLC0415 - not needed for help
    from pepsasync.credentials.stored import forget  # noqa: PLC0415
    from pepsasync.settings import read_settings  # noqa: PLC0415

    session = Session(output)
    name, host = _target(provider, archive)
    removed = forget(name, host)
    if removed:
        session.say(f"removed what was stored for {name} ({host}) from {' and from '.join(removed)}")
    else:
        session.say(f"nothing is stored for {name} ({host})")
    configured = read_settings(os.environ).credentials(name, host)
    if find_credentials(name, host, environ=os.environ, configured=configured):
        session.say(f"note: the environment, ~/.netrc or the config file still holds an account for {name}")


def _target(provider: str | None, archive: ArchiveOptions) -> tuple[str, str]:
    """Provider and host that an account is for."""
    from pepsasync.providers import public_url  # noqa: PLC0415 - not needed for help
    from pepsasync.settings import read_settings  # noqa: PLC0415

    settings = read_settings(os.environ)
    names = settings.choose_all(provider)
    if len(names) > 1:
        raise ConfigError("an account is for one archive", hint=f"Name one of {', '.join(names)}")
    name = names[0]
    public_url(name)  # refuses unknown names
    return name, settings.host(name, archive.base_url)


def _ask(provider: str) -> Credentials:
    """Ask on the terminal without showing secrets, or read lines of standard input.

    Raises:
        ConfigError: Standard input does not hold what is needed.
    """
    from pepsasync.credentials import KEY_PROVIDERS, TOKEN_PROVIDERS, Credentials  # noqa: PLC0415 - not needed for help

    if provider in KEY_PROVIDERS:
        return Credentials(api_key=answer(f"API key for {provider}", is_secret=True).strip())
    if provider in TOKEN_PROVIDERS:
        username = answer(f"User name for {provider}, or the word token to give one").strip()
        if username == "token":
            return Credentials(api_key=answer(f"Token for {provider}", is_secret=True).strip())
    else:
        username = answer(f"User name for {provider} (e-mail)").strip()
    return Credentials(username, answer("Password", is_secret=True))


def _check(session: Session, archive: ArchiveOptions, credentials: Credentials) -> Account:
    """Have the archive look at an account.

    Raises:
        PepsasyncError: It was refused, or could not be looked at.
    """
    try:
        return session.run(_look, archive, credentials)
    except AuthError:
        session.say("nothing was stored")
        raise
    except PepsasyncError:
        session.say("nothing was stored; --no-check stores without asking the archive")
        raise


async def _accept(archive: ArchiveOptions, credentials: Credentials, say: Callable[[str], None]) -> None:
    """Show what the account has not accepted, then accept just that."""
    from pepsasync.providers.base import HasTerms  # noqa: PLC0415 - not needed for help

    async with archive.client(credentials=credentials, retries=2) as client:
        provider = client.provider
        missing = await provider.missing_terms() if isinstance(provider, HasTerms) else {}
        for title in missing.values():
            say(f"to be accepted: {title}")
        for term, title in missing.items():
            if isinstance(provider, HasTerms):
                await provider.accept_term(term)
            say(f"accepted for this account: {title}")


async def _look(archive: ArchiveOptions, credentials: Credentials) -> Account:
    # Somebody waits for the answer: not as many tries as a run of days.
    async with archive.client(credentials=credentials, retries=2) as client:
        return await client.provider.account()
