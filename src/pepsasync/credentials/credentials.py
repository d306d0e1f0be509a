"""What an archive wants to know of its user."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from pepsasync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_PROVIDERS = frozenset({"geodes"})
"""Providers that want an API key; the others want user name and password."""

TOKEN_PROVIDERS = frozenset({"asf"})
"""Providers that take a token in the place of user name and password; it is kept as API key."""

FIELDS = ("username", "password", "api_key")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What an archive wants to know of its user. Neither `str` nor `repr` shows a secret.

    Raises:
        ConfigError: The API key cannot be sent; the message does not show it.
    """

    username: str | None = None
    """Account name, an e-mail address in most archives."""
    password: str | None = None
    """Secret."""
    api_key: str | None = None
    """Secret; archives that know keys prefer it to the password."""
    source: str = field(default="", compare=False, kw_only=True)
    """Where they were found, in words; empty when a program gave them."""

    def __post_init__(self) -> None:
        _check_key(self.api_key)

    def key(self) -> str | None:
        """The secret for archives that take nothing but a key: who gives them one as password means it.

        Raises:
            ConfigError: It cannot be sent; the message does not show it.
        """
        key = self.api_key or self.password
        _check_key(key)
        return key

    def __repr__(self) -> str:
        """The account name; secrets only as present or not."""
        password, api_key = (None if secret is None else "***" for secret in (self.password, self.api_key))
        return f"Credentials(username={self.username!r}, password={password!r}, api_key={api_key!r})"

    __str__ = __repr__

    @classmethod
    def from_fields(cls, fields: Mapping[str, object], source: str) -> Self | None:
        """Take what a mapping from some place holds of them; None when that is neither a key nor a full pair."""
        texts = {name: text for name in FIELDS if isinstance(text := fields.get(name), str) and text}
        return cls(**texts, source=source) if "api_key" in texts or {"username", "password"} <= texts.keys() else None

    def to_fields(self) -> dict[str, str]:
        """What is there, ready for JSON: not for eyes."""
        return {name: text for name in FIELDS if (text := getattr(self, name))}


def _check_key(key: str | None) -> None:
    # Such a key would be refused further down, in an error that quotes it.
    if key is not None and not all("!" <= letter <= "~" for letter in key):
        raise ConfigError("the API key has invalid characters", hint="Copy it again, without blanks and line ends")
