"""Signed traces of products: the traceability service of the Copernicus Data Space (CDSE notes, News).

A signature is over a message that stands beside it, compact JSON of the product with its checksums; only what the
message says is believed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import Trace
from pepsasync.providers.cdse.lists import file_name
from pepsasync.providers.reading import as_instant, as_list, as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

_ALGORITHMS = {"BLAKE3": "blake3", "SHA256": "sha256", "SHA3": "sha3_256"}
"""Names of checksums as `Checksum` writes them."""
_DIGEST = re.compile(r"[0-9a-f]{32,128}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def traced_name(name: str) -> str:
    """Name under which the file of a product is traced."""
    return f"{file_name(name) or name}.zip"


def parse_traces(reply: Any, name: str) -> list[Trace]:
    """Read traces and check their signatures.

    Args:
        reply: Decoded JSON.
        name: Of the file that was asked for: the trace of another one is no trace of this one.

    Raises:
        ConfigError: The library that checks signatures is missing.
    """
    return [_parse(as_mapping(entry), name) for entry in as_list(reply) if isinstance(entry, dict)]


def _parse(entry: Mapping[str, Any], name: str) -> Trace:
    signature = as_mapping(entry.get("signature"))
    message = as_text(signature.get("message")) or ""
    certificate, problem = _checked(signature, message)
    told, signed = as_mapping(entry.get("product")), _decoded(message)
    if not problem:
        problem = _difference(told, signed, name)
    contents = {
        path: digest
        for each in as_list(signed.get("contents"))
        if (path := as_text(as_mapping(each).get("path"))) and (digest := _digest(as_mapping(each).get("hash")))
    }
    word = str(entry.get("hash_algorithm")).upper()
    return Trace(
        event=(as_text(entry.get("event")) or "").upper(),
        algorithm=_ALGORITHMS.get(word, word.lower()),
        checksum=_digest(told.get("hash") if problem else signed.get("hash")),
        contents=contents,
        origin=as_text(entry.get("origin")) or "",
        registered=as_instant(entry.get("timestamp")),
        signer=certificate.subject.rfc4514_string() if certificate else "",
        obsolete=as_text(entry.get("obsolescence")) or "",
        problem=problem,
    )


def _digest(value: Any) -> str:
    text = (as_text(value) or "").lower()
    return text if _DIGEST.fullmatch(text) else ""


def _decoded(message: str) -> Mapping[str, Any]:
    try:
        return as_mapping(json.loads(message))
    except (ValueError, RecursionError):
        return {}


def _difference(told: Mapping[str, Any], signed: Mapping[str, Any], name: str) -> str:
    """What a message says otherwise than the trace around it, or than what was asked for."""
    if not _digest(signed.get("hash")) or _digest(signed.get("hash")) != _digest(told.get("hash")):
        return "it has another checksum than what was signed"
    if as_text(signed.get("name")) != name:
        return f"what was signed is about {as_text(signed.get('name')) or 'no product'}"
    return ""


def _checked(signature: Mapping[str, Any], message: str) -> tuple[Certificate | None, str]:
    """The certificate, and what is wrong with a signature."""
    if not as_text(signature.get("signature")):
        return None, "it is not signed"
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra, and needed only with traces
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415
    except ImportError as error:
        hint = "Try: pip install 'pepsasync[trace]'"
        raise ConfigError("checking the signatures of traces needs cryptography", hint=hint) from error
    try:
        certificate = x509.load_der_x509_certificate(_bytes(signature.get("certificate")))
        key, written = certificate.public_key(), _bytes(signature.get("signature"))
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        return None, "its signature or certificate cannot be read"
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(written, message.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(written, message.encode(), ec.ECDSA(hashes.SHA256()))
        else:
            return certificate, "its signature is of a kind that is not known"
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return certificate, "its signature is wrong"
    return certificate, ""


def _bytes(value: Any) -> bytes:
    """Base64, or hexadecimal digits as older traces have them."""
    text = as_text(value) or ""
    return bytes.fromhex(text) if _HEX.fullmatch(text.lower()) else base64.b64decode(text, validate=True)
