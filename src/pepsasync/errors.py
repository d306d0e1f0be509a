"""Everything that can go wrong, as one tree.

PepsasyncError
 ├─ ConfigError            an option, a setting or a credentials file is wrong        (exit 2)
 │   └─ AreaError          the area of interest cannot be used
 ├─ ProviderError          the archive answered, but not as wanted
 │   ├─ AuthError          credentials missing or refused                             (exit 3)
 │   ├─ ForbiddenError     this account may not have this product
 │   ├─ RefusedError       the archive refuses such a request (HTTP 400 and the like)
 │   ├─ NotFoundError      the archive has no such product or collection
 │   │   └─ ReplacedError  the product has a newer version under another id
 │   ├─ OfflineError       the product is not on disk in the archive now
 │   ├─ ProtocolError      an invalid answer (HTML instead of a zip, broken JSON)
 │   │   ├─ AddressError   it names an invalid address, or one that must not be used
 │   │   ├─ UnreadableReplyError  its reply is too large, or in no form that is read
 │   │   └─ IncompleteError  a search found fewer products than the archive announced
 │   ├─ NotNowError        no download may begin now, and the caller does not wait (inside the engine)
 │   └─ ServerError        5xx and the like, worth another try
 │       ├─ QuotaError     a quota or rate limit was reached
 │       ├─ UnavailableError  the archive does not serve any request: 502, 503, 504
 │       └─ UnreachableError  no connection at all                                    (exit 4)
 ├─ StagingTimeout         the product did not come from tape in time
 ├─ DeliveryError          the bytes of one product
 │   ├─ TransferError      the transfer broke more often than allowed; the part is kept
 │   ├─ IntegrityError     size, checksum or zip structure is wrong
 │   └─ ExtractError       the zip cannot be unpacked safely
 ├─ DiskFullError          no space left on the device                                (exit 5)
 └─ DestinationError       the bucket that products go to cannot be used                (exit 2)
     ├─ StoreRefusedError  its store refuses the keys, or what they ask for           (exit 3)
     └─ StoreUnreachableError  its store cannot be reached                            (exit 4)

An error of one product becomes the outcome of that product; `ConfigError`, `AuthError`, `UnreachableError`,
`DiskFullError` and `DestinationError` end the run. Messages say what happened, to which product, and what to do
next. They never hold a secret: URLs are shown without their query.
"""

from __future__ import annotations

from typing import Any


class PepsasyncError(Exception):
    """Base of every error that pepsasync raises on purpose.

    Args:
        message: What happened, in one line.
        product: Name of the product it happened to, if there is one.
        url: Where, without user, password and query.
        hint: What to do next.
    """

    def __init__(self, message: str, *, product: str | None = None, url: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.attempts = 0
        """Download requests that were sent before it, of an error that ended a download."""
        self.message = message
        self.product = product
        self.url = url
        self.hint = hint

    def __str__(self) -> str:
        """Product, message, URL and hint in one line."""
        text = self.message
        if self.product and self.product not in text:
            text = f"{self.product}: {text}"
        if self.url and self.url not in text:
            text = f"{text} ({self.url})"
        return f"{text}. {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are made past `__init__`, whose arguments are not the same for all errors."""
        return _made_again, (type(self), self.args), vars(self)


def _made_again(kind: type[PepsasyncError], args: tuple[Any, ...]) -> PepsasyncError:
    return kind.__new__(kind, *args)


class ConfigError(PepsasyncError):
    """An option, a setting or a file that the user gave is wrong; nothing was sent."""


class AreaError(ConfigError):
    """The area of interest is empty, invalid, unreadable or ambiguous."""


class ProviderError(PepsasyncError):
    """The archive answered, but not as wanted."""


class AuthError(ProviderError):
    """Credentials are missing or were refused (HTTP 401)."""


class TermsError(AuthError):
    """The archive knows the account, which has not accepted the archive's terms yet."""


class NoCredentialsError(AuthError):
    """Credentials are missing; nothing was sent."""


class ForbiddenError(ProviderError):
    """The account is right but may not have this product (HTTP 403)."""


class RefusedError(ProviderError):
    """The archive refuses the request itself, so that asking again is of no use (HTTP 400, 405, 422, ...)."""


class NotFoundError(ProviderError):
    """The archive has no such product, file or collection (HTTP 404)."""


class ReplacedError(NotFoundError):
    """The product was replaced by a newer version.

    Args:
        message: As for every error.
        replaced_by: The archive's id of the new version, None when it is not available either.
        product: Name of the old product.
        url: Where.
        hint: What to do next.
    """

    def __init__(
        self,
        message: str,
        *,
        replaced_by: str | None,
        product: str | None = None,
        url: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, product=product, url=url, hint=hint)
        self.replaced_by = replaced_by


class OfflineError(ProviderError):
    """The archive does not have the product on disk at this moment.

    Args:
        message: As for every error.
        retry_after: Seconds after which the archive wants to be asked again, if it said so.
        product: Name of the product.
        url: Where.
        if_online: What is wrong instead when the archive says that it has the product on disk; None when there is no
            doubt.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        product: str | None = None,
        url: str | None = None,
        if_online: ProviderError | None = None,
    ) -> None:
        super().__init__(message, product=product, url=url)
        self.retry_after = retry_after
        self.if_online = if_online


class ServerError(ProviderError):
    """The archive or something in front of it failed; the same request may work later.

    Args:
        message: As for every error.
        retry_after: Seconds that the server asked to wait, if it did.
        product: Name of the product, if the request was about one.
        url: Where.
        hint: What to do next.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        product: str | None = None,
        url: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, product=product, url=url, hint=hint)
        self.retry_after = retry_after


class QuotaError(ServerError):
    """A quota or rate limit was reached (HTTP 420, 421, 429)."""


class LeaseLostError(QuotaError):
    """Others with the account may have what this run had of its limits, since it stood still; it begins again."""


class TooManyAtOnceError(QuotaError):
    """More downloads at once than the archive gives the account; those under way go on."""


class UnavailableError(ServerError):
    """The archive, or what stands in front of it, cannot answer at the moment (HTTP 502, 503, 504)."""


class NotNowError(ProviderError):
    """No download from this archive may begin now, and the caller does not wait; the engine tries another archive."""


class ProtocolError(ProviderError):
    """An answer that does not follow the archive's protocol, such as HTML instead of a zip."""


class AddressError(ProtocolError):
    """The archive sent an invalid address, or one of plain http to another machine; it is not tried again."""


class UnreadableReplyError(ProtocolError):
    """A reply beyond the bounds within which replies are read, or in a form that is not read; it is not tried again."""


class IncompleteError(ProtocolError):
    """The archive sent fewer search results than it had announced, also when it was asked again.

    Args:
        announced: By the archive.
        sent: What came, products or not.
        archive: Its name.
    """

    def __init__(self, announced: int, sent: int, archive: str) -> None:
        super().__init__(
            f"{archive} announced {announced:,} results and sent {sent:,}",
            hint="Run the same command again later, or search shorter periods",
        )
        self.announced, self.sent = announced, sent


class UnreachableError(ServerError):
    """No connection to the archive could be made."""


class StagingTimeout(PepsasyncError):  # noqa: N818 - the promised public name
    """The archive did not bring the product from tape in time."""


class DeliveryError(PepsasyncError):
    """The bytes of one product could not be delivered."""


class TransferError(DeliveryError):
    """The transfer broke more often than allowed; what was received is kept for the next run."""


class IntegrityError(DeliveryError):
    """Size, checksum or zip structure is not what the archive announced."""


class ExtractError(DeliveryError):
    """The zip cannot be unpacked safely."""


class DiskFullError(PepsasyncError):
    """No space is left on the device; everything received so far is kept and resumable."""


class DestinationError(PepsasyncError):
    """The bucket that products go to is not there, or cannot be used as it is."""


class StoreRefusedError(DestinationError):
    """The store of the bucket refuses the keys, or does not let them do what is needed."""


class StoreUnreachableError(DestinationError):
    """The store of the bucket cannot be reached, or does not answer."""


FATAL = (ConfigError, AuthError, UnreachableError, DiskFullError, DestinationError)
"""Errors that end a whole run: the next product would meet the same."""

NOT_OF_ARCHIVES = (ConfigError, DiskFullError, DestinationError)
"""Those among them that another archive would not help."""
