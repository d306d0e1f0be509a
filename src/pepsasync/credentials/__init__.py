"""User names, passwords and API keys: where they come from, where `login` keeps them, how they stay out of sight."""

from __future__ import annotations

from pepsasync.credentials.credentials import KEY_PROVIDERS, TOKEN_PROVIDERS, Credentials
from pepsasync.credentials.find import find_credentials, from_environment, host_of, read_auth_file
from pepsasync.credentials.private import ExposedSecretWarning

__all__ = [
    "KEY_PROVIDERS",
    "TOKEN_PROVIDERS",
    "Credentials",
    "ExposedSecretWarning",
    "find_credentials",
    "from_environment",
    "host_of",
    "read_auth_file",
]
