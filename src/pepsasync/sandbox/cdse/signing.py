"""RS256 signatures, so that clients which check tokens against the published key are content."""

from __future__ import annotations

import hashlib
from typing import Any

from pepsasync.sandbox.web_tokens import to_base64, web_token

KEY_ID = "sandbox-signing-key"
"""Name of the key among the published ones."""
_EXPONENT = 65537
_P = int(
    "db034d6fac69ea820b55ad5dbc9c310c92d769631ed996737b291be8b7555bfe0a205899e487fe82f565d6ccb87acebb"
    "4a0d27fedb843bc0846e4f5c213c5828535690423a68f087ae7602a5e806e9e8634c67f73d574a2321a842a9ffc7bbbb"
    "3de7d6a087ffd137ebc9b31ffb9b23b15133b4ff0fbed7084c421d2f2d18fa15",
    16,
)
_Q = int(
    "ba3e17b7ea916c8d7ebffd6e261dcf6ebd6944471aaba718b3c16d0416b45d144061105e58771d7609a05f5a40152159"
    "3ffec7dd9b247263b0c190cecaae56b1b250471c0d3901ad496537b3ac97b2f1edf0c0031c553e35c424b458640f1183"
    "a2cd28e670e759f0a9c2da8502da4666441c8cbe9261626b1a6e206e240bee0d",
    16,
)
"""The primes of the key. They guard nothing: the tokens open archives that exist for the length of a test."""
_MODULUS = _P * _Q
_SECRETS = [(prime, pow(_EXPONENT, -1, prime - 1)) for prime in (_P, _Q)]
_INVERSE = pow(_Q, -1, _P)
_LENGTH = (_MODULUS.bit_length() + 7) // 8
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")

CERTIFICATE = (
    "MIIDJjCCAg6gAwIBAgIBATANBgkqhkiG9w0BAQsFADBLMSEwHwYDVQQDDBh0cmFjZXMucGVwc2FzeW5jLmV4YW1wbGUxJjAkBgNVBAoMHUVtYm"
    "VkZGVkIGFyY2hpdmUgb2YgcGVwc2FzeW5jMCAXDTAwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjBLMSEwHwYDVQQDDBh0cmFjZXMucGVw"
    "c2FzeW5jLmV4YW1wbGUxJjAkBgNVBAoMHUVtYmVkZGVkIGFyY2hpdmUgb2YgcGVwc2FzeW5jMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCg"
    "KCAQEAn1WFWohPh+BtSWyseJWr+aDQIOVzzBUOYeYStvw6ibsnmdT+D9cdwGjKBx1TrYj0+64iwyOkuAGNgwvK5NOBMJaxdVpKzYOueufIl7YD"
    "pMZ9VzAJ1m2AzZ6FEtqpYEqQQI2LizlwjRxZ4KkVups+dzwgaM75ACkFygTFSn8hrZNwYKNJcSWgIhxnHh0EcvcFzbnXi/IpQYA5Ydk++dEb5r"
    "CWzW/mmUTi9IhODIAjZrcCdXV91KMgG9vk4g/7QX3aTgdeY3hIwz4N6B90gfJUBS1shQv55gBypMD8jiefeE0Xj/llQGJinNm2KtrBPUoi6EJu"
    "KCK5IBRQ39+WNas5EQIDAQABoxMwETAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQAz6kCFcF4tDKpJKNMuLhuUs0WHOPW5gC"
    "D2ZLYPEaMqOcgKCK46KEr0I6pZj0Xh13spVkgM81HZ9l3G+YTy0WHhwfyUBQ6fRBUReC8cqZx3dQ7AtG5KcHy/fWovnxfO8Y3ge84AIgyPVdCz"
    "lHeU/MOrdCy0RfvhkfgdBZPkAsg2LkYXCKCIAeMi1c/c1NZraE8dxo5y7mStauhm6QFMEtNCswu+dtTtJ41+2KnZEq8ntbA5zCeyqCWXWkfWsm"
    "d48zfiV6lqryxtzwBZal+QLFz3LHcOrjFrER7ADu2FWr4KUFUgy3xUxDka3r100xuisTZXFAbCjZJrMG7v8KGMewqS"
)
"""Self-signed X.509 certificate of the key, DER as base64, for whoever checks a signature."""


def token(claims: dict[str, Any]) -> str:
    """Return a signed JSON Web Token."""
    return web_token({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}, claims, signature)


def public_key() -> dict[str, str]:
    """Return the key that checks the signatures, as a JSON Web Key."""
    numbers = {"n": to_base64(_MODULUS.to_bytes(_LENGTH, "big")), "e": to_base64(_EXPONENT.to_bytes(3, "big"))}
    return {"kid": KEY_ID, "kty": "RSA", "alg": "RS256", "use": "sig", **numbers}


def signature(data: bytes) -> bytes:
    """Sign in the manner of PKCS #1 version 1.5 (RFC 8017, section 8.2.1)."""
    digest = _SHA256_PREFIX + hashlib.sha256(data).digest()
    padded = b"\x00\x01" + b"\xff" * (_LENGTH - len(digest) - 3) + b"\x00" + digest
    number = int.from_bytes(padded, "big")
    # One power for each prime, joined afterwards: four times as fast as one power of the whole modulus.
    by_p, by_q = (pow(number, secret, prime) for prime, secret in _SECRETS)
    return (by_q + (by_p - by_q) * _INVERSE % _P * _Q).to_bytes(_LENGTH, "big")
