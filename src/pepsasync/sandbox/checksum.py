"""CRC-32 of data that is known by its parts, without reading the parts again.

Joining two CRCs is a multiplication of polynomials over GF(2) modulo the CRC-32 polynomial: appending `n`
bytes to a message multiplies its CRC by `x**(8 n)`. Numbers are bit-reversed, as everywhere in zip files.
"""

from __future__ import annotations

from functools import lru_cache

POLYNOMIAL = 0xEDB88320
"""The CRC-32 polynomial of zip files, bits reversed."""
_ONE = 1 << 31
_X = 1 << 30


def multiply(a: int, b: int) -> int:
    """Return `a * b` modulo the CRC-32 polynomial."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(maxsize=256)
def shift(length: int) -> int:
    """Return `x**(8 length)`: what a CRC is multiplied by when `length` bytes follow."""
    power, square, exponent = _ONE, _X, 8 * length
    while exponent:
        if exponent & 1:
            power = multiply(square, power)
        square = multiply(square, square)
        exponent >>= 1
    return power


def join(first: int, second: int, second_length: int) -> int:
    """Return the CRC-32 of two byte strings put together, from the CRC-32 of each.

    Args:
        first: CRC-32 of the first string.
        second: CRC-32 of the second string.
        second_length: Length of the second string in bytes.
    """
    return multiply(shift(second_length), first) ^ second
