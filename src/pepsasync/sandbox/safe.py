"""The SAFE folder of a Sentinel product: which files it holds and its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pepsasync.sandbox.catalogue import CatalogueProduct

RICH_SIZE = 256 * 1024
"""Products below this many bytes hold one measurement file only: the names alone would fill them."""
S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12", "TCI")
_S2_WEIGHTS = {"B02": 9, "B03": 9, "B04": 9, "B08": 9, "TCI": 9, "B01": 1, "B09": 1, "B10": 1}


@dataclass(frozen=True, slots=True)
class SafeFile:
    """One file of a SAFE folder, path relative to the folder."""

    path: str
    """Path below `NAME.SAFE/`."""
    text: bytes | None = None
    """Content of a small text file; None for a file of pseudo-random bytes."""
    weight: int = 0
    """Share of the product's remaining bytes that a pseudo-random file takes."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One line of a manifest."""

    path: str
    """Path below `NAME.SAFE/`."""
    size: int
    """Bytes."""
    md5: str | None
    """Hexadecimal digest, None for files too large to be digested in passing."""


def files(product: CatalogueProduct) -> list[SafeFile]:
    """Return the files of a product but for its manifest."""
    listed = _sentinel1(product) if product.collection == "S1" else _sentinel2(product)
    return [*listed, SafeFile("preview/quick-look.png", weight=1)]


def manifest(product: CatalogueProduct, entries: Iterable[ManifestEntry]) -> bytes:
    """Return `manifest.safe`: what the product is and the size and MD5 of each file."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="esa/safe/sandbox">',
        f"<metadataSection><platform>{escape(product.platform)}</platform>",
        f"<startTime>{product.start:%Y-%m-%dT%H:%M:%S.%f}</startTime>",
        f"<stopTime>{product.end:%Y-%m-%dT%H:%M:%S.%f}</stopTime>",
        f'<orbitNumber type="start">{product.orbit}</orbitNumber></metadataSection>',
        "<dataObjectSection>",
        *(_data_object(entry) for entry in entries),
        "</dataObjectSection>",
        "</xfdu:XFDU>",
        "",
    ]
    return "\n".join(lines).encode()


def _data_object(entry: ManifestEntry) -> str:
    digest = f'<checksum checksumName="MD5">{entry.md5}</checksum>' if entry.md5 else ""
    return (
        f'<dataObject><byteStream size="{entry.size}">'
        f'<fileLocation locatorType="URL" href="./{escape(entry.path)}"/>{digest}</byteStream></dataObject>'
    )


def _sentinel1(product: CatalogueProduct) -> list[SafeFile]:
    parts = product.name.lower().split("_")
    stem = "-".join([parts[0], parts[1], parts[2][:3], "{}", *parts[-5:-1], "{:03d}"])
    channels = product.polarisation.split() or ["VV"]
    if product.size < RICH_SIZE:
        channels = channels[:1]
    suffix = "nc" if product.product_type == "OCN" else "tiff"
    listed = []
    for number, channel in enumerate(channels, start=1):
        name = stem.format(channel.lower(), number)
        text = f'<?xml version="1.0"?><product><polarisation>{channel}</polarisation></product>\n'
        listed.append(SafeFile(f"annotation/{name}.xml", text.encode()))
        listed.append(SafeFile(f"measurement/{name}.{suffix}", weight=40))
    return listed


def _sentinel2(product: CatalogueProduct) -> list[SafeFile]:
    sensed = product.start.strftime("%Y%m%dT%H%M%S")
    granule = f"GRANULE/L1C_T{product.tile}_A{product.orbit:06d}_{sensed}"
    title = f'<?xml version="1.0"?><PRODUCT_URI>{escape(product.name)}.SAFE</PRODUCT_URI>\n'
    bands = S2_BANDS if product.size >= RICH_SIZE else ("TCI",)
    return [
        SafeFile("MTD_MSIL1C.xml", title.encode()),
        SafeFile(f"{granule}/MTD_TL.xml", title.encode()),
        *(
            SafeFile(f"{granule}/IMG_DATA/T{product.tile}_{sensed}_{band}.jp2", weight=_S2_WEIGHTS.get(band, 4))
            for band in bands
        ),
    ]
