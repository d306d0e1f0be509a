"""Signatures of traces. Importing this needs the extra `trace`.

The certificate stands beside the signature. Unless the user names authorities, a right signature only shows that the
trace is as its maker has left it, whoever that was.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from pepsasync.errors import ConfigError
from pepsasync.paths import in_home
from pepsasync.providers.reading import as_text
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def read_authorities(path: Path) -> list[x509.Certificate]:
    """Read certificates of authorities, or of signers themselves. Blocks.

    Args:
        path: PEM file with one or several; `~` is the home folder.

    Raises:
        ConfigError: It cannot be read, or holds none.
    """
    file = in_home(path)
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        hint = "It should be a PEM file of the authority that signs"
        raise ConfigError(f"{path} holds no certificates: {reason(error)}", hint=hint) from error


def check(
    signature: Mapping[str, Any], message: str, authorities: Sequence[x509.Certificate] | None
) -> tuple[str, str]:
    """Check the signature of a message.

    Args:
        signature: Of a trace: `signature` and `certificate`, base64 or hexadecimal digits.
        message: What was signed.
        authorities: The signer's certificate is one of them or issued by one; None for whoever it is.

    Returns:
        The signer, empty when nobody knows, and what is wrong, empty when nothing is.
    """
    try:
        certificate = x509.load_der_x509_certificate(_bytes(signature.get("certificate")))
        key, written = certificate.public_key(), _bytes(signature.get("signature"))
        signer = certificate.subject.rfc4514_string()
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        return "", "its signature or certificate cannot be read"
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(written, message.encode(), padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePublicKey():
                key.verify(written, message.encode(), ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PublicKey():
                key.verify(written, message.encode())
            case _:
                return signer, "its signature is of a kind that is not known"
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return signer, "its signature is wrong"
    if authorities is not None and not any(_vouches(authority, certificate) for authority in authorities):
        return signer, f"none of your authorities has issued the certificate of its signer {signer}"
    return signer, ""


def _vouches(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether a certificate is the authority's own, or was issued by it."""
    if authority == certificate:
        return True
    try:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return constraints.ca


def _bytes(value: Any) -> bytes:
    """Base64, or hexadecimal digits as older traces have them."""
    text = as_text(value) or ""
    return bytes.fromhex(text) if _HEX.fullmatch(text.lower()) else base64.b64decode(text, validate=True)
