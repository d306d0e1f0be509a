"""Signed traces of products: the traceability service of the Copernicus Data Space (CDSE notes, News).

A signature is over a message that stands beside it, compact JSON of the product with its checksums. Name and checksums
are believed from there only; event, origin, date and obsolescence stand around it, and nobody has signed them. Who has
signed is looked at when authorities are given.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

from pepsasync.errors import ConfigError
from pepsasync.model import Trace
from pepsasync.providers.cdse.lists import file_name
from pepsasync.providers.reading import as_instant, as_list, as_mapping, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

_ALGORITHMS = {"BLAKE3": "blake3", "SHA256": "sha256", "SHA3": "sha3_256"}
"""Names of checksums as `Checksum` writes them."""
_DIGEST = re.compile(r"[0-9a-f]{32,128}")


def traced_name(name: str) -> str:
    """Name under which the file of a product is traced."""
    return f"{file_name(name) or name}.zip"


def read_authorities(path: Path) -> Sequence[Any]:
    """Read certificates of authorities whose signatures count, for `parse_traces`. Blocks.

    Args:
        path: PEM file with one or several.

    Raises:
        ConfigError: It cannot be read, or holds none; or the library that reads them is missing.
    """
    certificates: list[Any] = _signatures().read_authorities(path)
    return certificates


def parse_traces(reply: Any, name: str, authorities: Sequence[Any] | None = None) -> list[Trace]:
    """Read traces and check their signatures.

    Args:
        reply: Decoded JSON.
        name: Of the file that was asked for: the trace of another one is no trace of this one.
        authorities: Whose signatures, and those of whom they have issued certificates for, count; None for anybody's.

    Raises:
        ConfigError: The library that checks signatures is missing.
    """
    return [_parse(as_mapping(entry), name, authorities) for entry in as_list(reply) if isinstance(entry, dict)]


def _parse(entry: Mapping[str, Any], name: str, authorities: Sequence[Any] | None) -> Trace:
    signature = as_mapping(entry.get("signature"))
    message = as_text(signature.get("message")) or ""
    signer, problem = "", "it is not signed"
    if as_text(signature.get("signature")):
        signer, problem = _signatures().check(signature, message, authorities)
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
        signer=signer,
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


def _signatures() -> ModuleType:
    try:
        return importlib.import_module("pepsasync.providers.cdse.signatures")
    except ImportError as error:
        hint = "Try: pip install 'pepsasync[trace]'"
        raise ConfigError("checking the signatures of traces needs cryptography", hint=hint) from error
