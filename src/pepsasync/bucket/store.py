"""The store of a bucket over S3's protocol; the only module that knows boto3. Everything here blocks, `call` but.

Keys, region, profile and endpoint are found by boto3, as every S3 tool finds them. They are in no error, journal or
report. boto3 itself repeats requests that fail for a moment, with growing pauses (503 SlowDown, 500, cut connections).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

import anyio

from pepsasync.bucket.answers import EXISTS, MISSING, NOT_IMPLEMENTED, explain, unreachable
from pepsasync.errors import ConfigError, PepsasyncError, StoreRefusedError, TransferError
from pepsasync.groups import poster
from pepsasync.text import one_line, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pepsasync.bucket.address import Address

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

TRIES = 8
"""Of each request, with pauses that grow to 20 s: about a minute."""

CONNECTIONS = 64
"""Kept open at most."""


class TakenError(Exception):
    """A key that should have been free, or as it was, is not: somebody else has written it."""


class GoneError(TransferError):
    """An upload was completed or aborted: by somebody else, or by a request whose answer was lost."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a bucket."""

    key: str
    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What it was written with; empty when it was only listed."""


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of an unfinished upload."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload that was begun and neither completed nor aborted."""

    key: str
    id: str


class Store:
    """What is asked of a store about one bucket.

    Args:
        address: Of the bucket.
        endpoint_url: Of a store that is not Amazon's; None for what boto3 finds.

    Raises:
        ConfigError: boto3 is missing, or what it finds makes no sense.
        StoreRefusedError: There are no keys.
    """

    def __init__(self, address: Address, endpoint_url: str | None = None) -> None:
        self.address = address
        self._has_conditions = True
        try:
            import boto3  # noqa: PLC0415 - an extra
            import botocore.config  # noqa: PLC0415
            import botocore.exceptions  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                "a bucket (s3://...) needs more packages", hint="Try: pip install 'pepsasync[s3]'"
            ) from error
        self._exceptions: Any = botocore.exceptions
        config = botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=CONNECTIONS,
            connect_timeout=10,
            read_timeout=120,
            # Older stores know no others than MD5, which every part gets.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent_extra="pepsasync",
        )
        with self._asking("use", ""):
            session = boto3.session.Session()
            if session.get_credentials() is None:
                raise StoreRefusedError(
                    "there are no keys for the store",
                    url=str(address),
                    hint="Give them as for every S3 tool: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
                )
            try:
                region = session.region_name or "us-east-1"
                self._s3: Any = session.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
            except ValueError:
                raise _senseless() from None

    def check(self) -> None:
        """Look whether the bucket is there and may be listed.

        Raises:
            PepsasyncError: It may not; why.
        """
        with self._asking("list"):
            self._s3.list_objects_v2(Bucket=self.address.bucket, Prefix=self.address.prefix, MaxKeys=1)

    def listed(self, prefix: str, *, deep: bool = False) -> Iterator[Object]:
        """Objects whose keys begin so; without those below a further `/`, unless `deep`."""
        more = {} if deep else {"Delimiter": "/"}
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.address.bucket, Prefix=prefix, **more)
        with self._asking("list"):
            for page in pages:
                for one in page.get("Contents", ()):
                    yield Object(one["Key"], one["Size"], one.get("ETag", ""))

    def head(self, key: str) -> Object | None:
        """What is known of an object; None when there is none."""
        told: dict[str, Any] = {}
        with self._asking("read", key, missing_is_none=True):
            told = self._s3.head_object(Bucket=self.address.bucket, Key=key)
        if not told:
            return None
        metadata = {name.lower(): text for name, text in told.get("Metadata", {}).items()}
        return Object(key, told["ContentLength"], told.get("ETag", ""), metadata)

    def read(self, key: str, start: int, length: int, etag: str) -> bytes:
        """Bytes of an object, which must still be the same.

        Raises:
            TakenError: It is another one, or none, now.
            TransferError: The store sends more or less than was asked for.
        """
        span = f"bytes={start}-{start + length - 1}"
        tries_left = TRIES
        while True:
            tries_left -= 1
            with self._asking("read", key):
                told = self._s3.get_object(Bucket=self.address.bucket, Key=key, Range=span, IfMatch=etag)
                try:
                    with contextlib.closing(told["Body"]) as body:
                        data: bytes = body.read(length + 1)
                except self._exceptions.BotoCoreError:  # boto3 repeats requests, not bodies that are cut
                    if not tries_left:
                        raise
                else:
                    if len(data) == length:
                        return data
                    if len(data) > length or not tries_left:
                        wrong = "the store sends other bytes of it than were asked for"
                        raise TransferError(wrong, url=self.address.url(key))

    def write(self, key: str, body: bytes | bytearray, metadata: Mapping[str, str], *, over: str | None) -> None:
        """Write an object at once.

        Args:
            key: Whole.
            body: All of it.
            metadata: Of the object.
            over: ETag of what it takes the place of; None when there must be none.

        Raises:
            TakenError: Something else has that key now.
        """
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        self._conditional(
            self._s3.put_object,
            key,
            over,
            Bucket=self.address.bucket,
            Key=key,
            Body=bytes(body),
            ContentMD5=digest,
            Metadata=dict(metadata),
        )

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._asking("remove", key, missing_is_none=True):
            self._s3.delete_object(Bucket=self.address.bucket, Key=key)

    def begin(self, key: str, metadata: Mapping[str, str] | None = None) -> str:
        """Begin an upload in parts; returns its id."""
        with self._asking("write", key):
            told = self._s3.create_multipart_upload(Bucket=self.address.bucket, Key=key, Metadata=dict(metadata or {}))
            upload: str = told["UploadId"]
        return upload

    def send(self, key: str, upload: str, number: int, body: bytes | bytearray) -> SentPart:
        """Send a part, with its MD5, so that the store refuses what has changed on the way."""
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        with self._asking("write", key):
            told = self._s3.upload_part(
                Bucket=self.address.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, ContentMD5=digest
            )
        return SentPart(number, len(body), told["ETag"])

    def copy_part(self, key: str, upload: str, number: int, source: Object, first: int, last: int) -> SentPart:
        """Have the store copy bytes of an object, which must still be the same, into a part.

        Raises:
            TakenError: It is another one, or none, now.
        """
        span: dict[str, Any] = {
            "CopySource": {"Bucket": self.address.bucket, "Key": source.key},
            "CopySourceRange": f"bytes={first}-{last}",
        }
        target: dict[str, Any] = {"Bucket": self.address.bucket, "Key": key, "UploadId": upload, "PartNumber": number}
        try:
            with self._asking("copy", key):
                told = self._s3.upload_part_copy(**target, **span, CopySourceIfMatch=source.etag)
        except TakenError:  # Swift says so of every object that was sent in parts
            found = self.head(source.key)
            if found is None or found.etag != source.etag:
                raise
            with self._asking("copy", key):
                told = self._s3.upload_part_copy(**target, **span)
        return SentPart(number, last - first + 1, told["CopyPartResult"]["ETag"])

    def parts(self, key: str, upload: str) -> list[SentPart]:
        """What an unfinished upload has, by number; empty when there is no such upload."""
        pages = self._s3.get_paginator("list_parts").paginate(Bucket=self.address.bucket, Key=key, UploadId=upload)
        found: list[SentPart] = []
        with self._asking("list", key, missing_is_none=True):
            for page in pages:
                found += [SentPart(one["PartNumber"], one["Size"], one["ETag"]) for one in page.get("Parts", ())]
        return found

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Uploads under way, or left behind, of keys that begin so."""
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.address.bucket, Prefix=prefix)
        with self._asking("list"):
            for page in pages:
                for one in page.get("Uploads", ()):
                    yield Unfinished(one["Key"], one["UploadId"])

    def complete(self, key: str, upload: str, parts: Sequence[SentPart], *, over: str | None = "") -> str:
        """Make an object of the parts of an upload; returns its ETag.

        Args:
            key: Whole.
            upload: Its id.
            parts: All of them, as the store answered them.
            over: ETag of what it takes the place of; None when there must be none; empty when that does not matter.

        Raises:
            TakenError: Something else has that key now.
            IntegrityError: The upload has other parts.
        """
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        told = self._conditional(
            self._s3.complete_multipart_upload,
            key,
            over,
            Bucket=self.address.bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": listed},
        )
        return str(told.get("ETag", ""))

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload and its parts; one that is not there is no error."""
        with self._asking("abort the upload of", key, missing_is_none=True):
            self._s3.abort_multipart_upload(Bucket=self.address.bucket, Key=key, UploadId=upload)

    def _conditional(self, ask: Callable[..., Any], key: str, over: str | None, **arguments: Any) -> dict[str, Any]:
        """Write only if what has the key is what it should be; where the store knows no such condition, look before.

        Returns:
            What the store answers.
        """
        told: dict[str, Any] = {}
        condition = {} if over == "" else {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        if condition:
            found = self.head(key)
            if (found.etag if found else None) != over:
                raise TakenError(key)
        if condition and self._has_conditions:
            try:
                with self._asking("write", key):
                    told.update(ask(**arguments, **condition))
            except _NotImplementedError:
                self._has_conditions = False
            except TakenError:
                found = self.head(key) if over else None
                if found is None or found.etag != over:
                    raise
                # Nothing has changed: Swift says so of every object that was sent in parts.
            else:
                return told
        with self._asking("write", key):
            told.update(ask(**arguments))
        return told

    @contextlib.contextmanager
    def _asking(self, what: str, key: str = "", *, missing_is_none: bool = False) -> Iterator[None]:
        """To be put around requests: raises our errors.

        Args:
            what: Is being done.
            key: To which object; empty for the bucket.
            missing_is_none: Whether the block just ends when there is no such object.
        """
        where = self.address.url(key) if key else str(self.address)
        try:
            yield
        except self._exceptions.ClientError as error:
            told, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            code, number = str(told.get("Code", "")), int(status.get("HTTPStatusCode", 0))
            if missing_is_none and code in MISSING:
                return
            if code in EXISTS:
                raise TakenError(key) from None
            if code == "NoSuchUpload":
                hint = "Run the same command again; two programs have probably brought the same product"
                raise GoneError("its upload is not there any more", url=where, hint=hint) from None
            ours = explain(code, number, one_line(str(told.get("Message", ""))), what, where)
            if code in NOT_IMPLEMENTED and what == "write":
                raise _NotImplementedError(ours.message, url=ours.url, hint=ours.hint) from None
            raise ours from None
        except self._exceptions.NoCredentialsError:
            raise StoreRefusedError("there are no keys for the store", url=where) from None
        except (
            self._exceptions.ProfileNotFound,
            self._exceptions.PartialCredentialsError,
            self._exceptions.ConfigParseError,
            self._exceptions.InvalidRegionError,
            self._exceptions.ParamValidationError,
            self._exceptions.InvalidEndpointConfigurationError,
        ) as error:
            raise ConfigError(f"S3: {one_line(str(error))}", url=where) from None
        except (
            self._exceptions.CredentialRetrievalError,
            self._exceptions.TokenRetrievalError,
            self._exceptions.UnauthorizedSSOTokenError,
        ) as error:
            raise StoreRefusedError(f"the keys cannot be had: {one_line(str(error))}", url=where) from None
        except self._exceptions.BotoCoreError as error:
            is_senseless = isinstance(error, self._exceptions.EndpointProviderError)
            raise (_senseless() if is_senseless else unreachable(_why(error), where)) from None


class _NotImplementedError(PepsasyncError):
    """The store refuses a request, perhaps because it does not know its condition."""


def _senseless() -> ConfigError:
    """Our error for an address of a store; boto3's repeats the address, and what may be in it."""
    return ConfigError("the address of the store makes no sense", hint="Write http://HOST:PORT")


def _why(error: Exception) -> str:
    """What went wrong with a connection, without the address, which may hold anything."""
    inner = getattr(error, "kwargs", {}).get("error")
    return one_line(reason(inner) if isinstance(inner, Exception) else type(error).__name__)[:200]


async def call(work: Callable[[Unpack[Arguments]], T], *arguments: *Arguments) -> T:
    """Do blocking work in a thread of its own, which nobody waits for at the end of the program.

    Cancellation: answered at once; the request that is under way ends unheard.
    """
    done, post = anyio.Event(), poster()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            errors.append(error)
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            post(done.set)

    threading.Thread(target=run, daemon=True, name="pepsasync bucket").start()
    await done.wait()
    if errors:
        raise errors[0]
    return results[0]
