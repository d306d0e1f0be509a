"""What the errors of a store mean: pure decisions over their codes.

The codes are those of the S3 API reference, "Error responses"; stores of others know fewer of them.
"""

from __future__ import annotations

from pepsasync.errors import (
    DestinationError,
    DiskFullError,
    IntegrityError,
    PepsasyncError,
    StoreRefusedError,
    StoreUnreachableError,
    TransferError,
)

KEYS_HINT = "Give keys as for every S3 tool: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"

_KEYS = {
    "InvalidAccessKeyId": "the store does not know the access key",
    "SignatureDoesNotMatch": "the store refuses the signature: the secret key is wrong, or a proxy changes requests",
    "AuthorizationHeaderMalformed": "the store refuses the signature: the region is wrong",
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token has expired",
    "InvalidToken": "the store refuses the session token",
    "RequestTimeTooSkewed": "the clock of this machine differs too much from that of the store",
    "RequestExpired": "the clock of this machine differs too much from that of the store",
    "AccountProblem": "the store refuses the account",
    "InvalidSecurity": "the store refuses the keys",
    "NotSignedUp": "the account is not signed up for the store",
    "401": "the store refuses the keys",
    "Unauthorized": "the store refuses the keys",
}
_HINTS = {
    "AuthorizationHeaderMalformed": "Set AWS_REGION to the region of the bucket",
    "ExpiredToken": "Get a new one and run the same command again",
    "ExpiredTokenException": "Get a new one and run the same command again",
    "TokenRefreshRequired": "Get a new one and run the same command again",
    "RequestTimeTooSkewed": "Set the clock (NTP) and run the same command again",
    "RequestExpired": "Set the clock (NTP) and run the same command again",
}
_FULL = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity", "507"}
)
_REGION = frozenset({"PermanentRedirect", "301", "TemporaryRedirect", "IllegalLocationConstraintException"})
_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "TooManyRequests"})
MISSING = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchUpload"})
"""Codes that say that an object or an upload is not there; a HEAD has no body, so that its code is its status."""
EXISTS = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
"""Codes that say that a key is taken."""
NOT_IMPLEMENTED = frozenset({"NotImplemented", "501", "InvalidArgument"})
"""Codes with which stores refuse a condition that they do not know."""
DIFFERENT = frozenset({"InvalidPart", "InvalidPartOrder", "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})


def explain(code: str, status: int, said: str, what: str, where: str) -> PepsasyncError:
    """Our error for a code of a store.

    Args:
        code: As the store sent it; of an answer without a body its status.
        status: Of HTTP; 0 when unknown.
        said: Its message, without control characters.
        what: Was being done: `list the objects of`, `write`.
        where: The address of the bucket or object.
    """
    if code in _KEYS:
        return StoreRefusedError(f"{_KEYS[code]} ({code})", url=where, hint=_HINTS.get(code, KEYS_HINT))
    if code == "NoSuchBucket":
        hint = "Create it, or write the address as s3://BUCKET/PREFIX; another store needs --endpoint-url"
        return DestinationError("there is no such bucket", url=where, hint=hint)
    if code in _REGION:
        hint = "Set AWS_REGION to the region of the bucket, or give its --endpoint-url"
        return DestinationError("the bucket is in another region", url=where, hint=hint)
    if code in _FULL or status == 507:
        return DiskFullError(
            f"the store has no room for more: {said or code}", url=where, hint="What was sent is kept; make room"
        )
    if code in ("AccessDenied", "AllAccessDisabled", "Forbidden", "403", "MethodNotAllowed") or status == 403:
        return StoreRefusedError(
            f"the keys may not {what} it ({code})",
            url=where,
            hint="They need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, "
            "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload",
        )
    if code in DIFFERENT:
        return IntegrityError(f"the store has other bytes than were sent ({code})", url=where)
    if code in _BUSY or status in (429, 503):
        return TransferError(
            f"the store is too busy to {what} it ({code})", url=where, hint="What was sent is kept; try again later"
        )
    again = "What was sent is kept; run the same command again"
    return TransferError(f"the store could not {what} it: {said or code} ({code})", url=where, hint=again)


def unreachable(reason: str, where: str) -> StoreUnreachableError:
    """Our error for a store that does not answer."""
    hint = "Look at --endpoint-url and the network; then run the same command again: what was sent is kept"
    return StoreUnreachableError(f"the store of the bucket cannot be reached: {reason}", url=where, hint=hint)
