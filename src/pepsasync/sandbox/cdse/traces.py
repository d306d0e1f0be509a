"""The traceability service: what happened to each product, signed (CDSE protocol notes, News).

What is signed is the trace's product with its event, as compact JSON; that stands beside the signature.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import uuid
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from pepsasync.sandbox.cdse import records, signing
from pepsasync.sandbox.cdse.replies import CdseError
from pepsasync.sandbox.replies import Reply, json_reply
from pepsasync.sandbox.times import timestamp

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.cdse.service import Service

ORIGIN = "cdse_csc@dataspace.copernicus.eu"
LARGEST = 16 * 2**20
"""Bytes of a product up to which the files in it are listed."""


async def traces(service: Service, request: Request) -> Reply:
    """Answer the traces of a product, by the name of its file.

    Raises:
        CdseError: 404 for a product without any.
    """
    name = request.path_params["productname"]
    product = next((each for each in service.archive.products if file_name(each) == name), None)
    if product is None or service.archive.faults.strikes("trace-missing", product.name):
        raise CdseError(404, "No traces found")
    return json_reply([await to_thread.run_sync(_trace, service, product)])


def file_name(product: CatalogueProduct) -> str:
    """Return the name of a product's zip there."""
    return f"{records.file_name(product)}.zip"


def _trace(service: Service, product: CatalogueProduct) -> dict[str, Any]:
    data = b"".join(service.archive.content(product.name).blocks())
    blake3 = service.blake3(product)
    algorithm, digest = ("BLAKE3", blake3) if blake3 else ("SHA256", hashlib.sha256(data).hexdigest())
    if service.archive.faults.strikes("trace-other", product.name):
        digest = digest[::-1]
    described: dict[str, Any] = {"name": file_name(product), "size": len(data), "hash": digest, "inputs": []}
    if len(data) <= LARGEST:
        described["contents"] = _contents(data, algorithm)
    message = json.dumps(described | {"event": "COPY"}, separators=(",", ":"))
    signed = message.encode()
    if service.archive.faults.strikes("trace-forged", product.name):
        signed += b" "
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, product.name)),
        "product": described,
        "event": "COPY",
        "hash_algorithm": algorithm,
        "signature": {
            "signature": base64.b64encode(signing.signature(signed)).decode(),
            "algorithm": "RSA-SHA256",
            "certificate": signing.CERTIFICATE,
            "message": message,
        },
        "timestamp": timestamp(records.published(product) + timedelta(minutes=5)),
        "origin": ORIGIN,
    }


def _contents(data: bytes, algorithm: str) -> list[dict[str, str]]:
    """List the files of a zip."""
    digest: Any = importlib.import_module("blake3").blake3 if algorithm == "BLAKE3" else hashlib.sha256
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        names = [name for name in file.namelist() if not name.endswith("/")]
        return [{"path": name, "hash": str(digest(file.read(name)).hexdigest())} for name in names]
