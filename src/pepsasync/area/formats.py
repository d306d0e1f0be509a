"""Vector files to tables: a few formats, told by their content, and nothing that leads to another file or a server.

GDAL takes a file for whatever its content looks like, name or not: for a virtual format that reads other files, or for
a web service. So it gets binary files only, whose first bytes leave no doubt: its drivers for text formats end at the
first zero byte. GeoJSON and KML are read here.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import tempfile
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree as ET  # no external entities, and expat bounds how far the others expand

import shapely
from shapely.errors import ShapelyError

from pepsasync.area.geojson import read_crs, read_shapes
from pepsasync.errors import AreaError
from pepsasync.text import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

_KNOWN = "Shapefile (also zipped), GeoPackage, GeoJSON, FlatGeobuf, KML, KMZ, GeoParquet or File Geodatabase"
_DRIVERS = {"ESRI Shapefile", "GPKG", "FlatGeobuf", "OpenFileGDB"}
"""What GDAL may take a file for."""
_BINARY = re.compile(rb"\0\0\x27\x0a|SQLite format 3\0|fgb\x03fgb.{4}\0", re.DOTALL)
"""Beginnings of a shapefile or its index, a GeoPackage, and FlatGeobuf whose header has less than 16 MiB."""
_GEODATABASE = {".gdbtable", ".gdbtablx", ".gdbindexes", ".atx", ".spx", ".freelist", ".horizon", ".lock", ".cdf", ""}
"""Files of a File Geodatabase; a folder that holds others might be taken for something else."""
_IN_ZIPS = (".shp", ".gpkg", ".fgb", ".geojson", ".kml", ".parquet", ".geoparquet")
_BESIDE = (".shx", ".prj", ".cpg", ".json")
_SIDES = ("outer", "inner")
_MOST_MEMBERS = 20_000
_MOST_UNZIPPED = 2 << 30
"""Bytes."""
_SURFACE = re.compile(r"\btype(?: is not supported:)? 1[567]$")
"""How pyogrio and GEOS refuse the WKB types of surfaces."""
_UNREADABLE = (OSError, RuntimeError, ValueError, ShapelyError, sqlite3.Error, zipfile.BadZipFile, ET.ParseError)


def read_layers(file: Path) -> list[Any]:
    """All layers of a file that have geometry, as GeoSeries or GeoDataFrames in whatever coordinate system they have.

    Args:
        file: Exists.

    Raises:
        AreaError: Unreadable, damaged, or in no format that is known.
    """
    try:
        with warnings.catch_warnings():
            # Drivers warn of what does not matter here or is repaired: unclosed rings, odd attribute types.
            warnings.simplefilter("ignore")
            return list(_layers(file.absolute(), may_be_zip=True))
    except AreaError as error:
        raise AreaError(f"the file {file} cannot be read: {error.message}", hint=error.hint or _hint(file)) from error
    except RecursionError as error:
        raise AreaError(f"the file {file} cannot be read: it is nested too deeply", hint=_hint(file)) from error
    except _UNREADABLE as error:
        if _SURFACE.search(str(error)):
            words = "it has surfaces (TIN, POLYHEDRALSURFACE or TRIANGLE)"
            raise AreaError(f"the file {file} cannot be read: {words}", hint="Save them as polygons") from error
        raise AreaError(f"the file {file} cannot be read: {_first_line(error)}", hint=_hint(file)) from error


def _layers(file: Path, *, may_be_zip: bool) -> Iterator[Any]:
    if file.is_dir():
        if not (file / "a00000001.gdbtable").is_file() or {one.suffix for one in file.iterdir()} - _GEODATABASE:
            raise AreaError("it is a folder, and no File Geodatabase", hint="Give a file within it")
        yield from _by_gdal(file)
        return
    with file.open("rb") as content:
        head = content.read(64)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")
    if head.startswith(b"PK\x03\x04") and may_be_zip:
        yield from _zipped(file)
    elif _BINARY.match(head):
        yield from _by_gdal(file)
    elif head.startswith(b"PAR1"):
        yield from _parquet(file)
    elif text.startswith((b"{", b"[")):
        yield _geojson(file.read_text("utf-8-sig"))
    elif text.startswith(b"<"):
        yield _kml(file)
    else:
        raise AreaError("its content is not in a known vector format")


def _by_gdal(file: Path) -> Iterator[Any]:
    """Layers of a file that GDAL takes for nothing but what it is."""
    import geopandas  # noqa: PLC0415 - slow to import
    import pyogrio  # noqa: PLC0415 - as geopandas

    with contextlib.ExitStack() as stack:
        # pyogrio takes some signs for something else than parts of a name, and knows no bytes that are no text.
        if {"!", ";"} & set(str(file)) or not str(file).isprintable():
            file = _copied(file, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        if file.suffix.lower() == ".gpkg":
            _check_database(file)
        for name, kind in geopandas.list_layers(file)[["name", "geometry_type"]].values:
            if not kind:
                continue
            if (driver := pyogrio.read_info(file, layer=name)["driver"]) not in _DRIVERS:
                raise AreaError(f"its content is detected as {driver}")
            yield geopandas.read_file(file, layer=name, columns=[])


def _copied(file: Path, folder: Path) -> Path:
    """A copy under a plain name, with what belongs to it."""
    if file.is_dir():
        return Path(shutil.copytree(file, folder / "copy.gdb"))
    for one in file.parent.iterdir():
        if one.stem == file.stem and one.suffix.lower() in (file.suffix.lower(), *_BESIDE):
            shutil.copyfile(one, folder / f"copy{one.suffix.lower()}")
    return folder / f"copy{file.suffix.lower()}"


def _check_database(file: Path) -> None:
    """Refuse a GeoPackage with tables that are made of something else than itself.

    Raises:
        AreaError: It has some.
    """
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        for (written,) in database.execute("SELECT sql FROM sqlite_master WHERE sql LIKE '%VIRTUAL%TABLE%'"):
            if not re.search(r"\sUSING\s+\"?rtree\"?\s*\(", written, re.IGNORECASE):
                raise AreaError("it has tables that may read other files")


def _parquet(file: Path) -> Iterator[Any]:
    import geopandas  # noqa: PLC0415 - slow to import

    try:
        with file.open("rb") as content:  # not every name means to pyarrow what it means to the system
            yield geopandas.read_parquet(content)
    except ImportError as error:
        hint = "Install pepsasync with the extra 'parquet', or save it as a GeoPackage"
        raise AreaError("GeoParquet needs pyarrow", hint=hint) from error


def _geojson(text: str) -> Any:
    """GeoJSON, also one feature a line."""
    import geopandas  # noqa: PLC0415 - slow to import

    try:
        value = json.loads(text)
    except ValueError:
        lines = [line.strip(" \t\r\x1e") for line in text.splitlines()]
        value = {"type": "FeatureCollection", "features": [json.loads(line) for line in lines if line]}
    return geopandas.GeoSeries(read_shapes(value), crs=read_crs(value))


def _kml(file: Path) -> Any:
    import geopandas  # noqa: PLC0415 - slow to import

    root = ET.parse(file).getroot()  # noqa: S314 - see the import
    if _tag(root) != "kml":
        raise AreaError(f"it is XML, but no KML: its root is {_tag(root)!r}")
    return geopandas.GeoSeries(list(_kml_shapes(root)), crs="EPSG:4326")


def _kml_shapes(element: ET.Element) -> Iterator[BaseGeometry]:
    match _tag(element):
        case "Point":
            yield from (shapely.Point(point) for point in _kml_points(element))
        case "LineString" | "LinearRing":
            yield shapely.LineString(_kml_points(element))
        case "Polygon":
            shells, holes = ([_kml_points(e) for e in element if _tag(e) == f"{side}BoundaryIs"] for side in _SIDES)
            yield from (shapely.Polygon(shell, holes) for shell in shells)
        case _:
            for inner in element:
                yield from _kml_shapes(inner)


def _kml_points(element: ET.Element) -> list[tuple[float, float]]:
    """Longitudes and latitudes of all coordinates within an element."""
    texts = (inner.text or "" for inner in element.iter() if _tag(inner) == "coordinates")
    written = " ".join(re.sub(r"\s*,\s*", ",", text) for text in texts).split()
    return [(float(lon), float(lat)) for lon, lat, *_ in (point.split(",") for point in written)]


def _tag(element: ET.Element) -> str:
    """Name without a namespace."""
    return str(element.tag).rpartition("}")[2]


def _zipped(file: Path) -> Iterator[Any]:
    """Layers of all vector files in a zip, in whatever folder they are."""
    with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
        unzipped = _unzip(archive, Path(folder))
        vectors = [path for path in unzipped if path.suffix in _IN_ZIPS]
        vectors += sorted({path.parent for path in unzipped if path.parent.suffix == ".gdb"})
        vectors = vectors or [path for path in unzipped if path.suffix == ".json"]
        if not vectors:
            raise AreaError("it contains no vector file")
        for path in vectors:
            yield from _layers(path, may_be_zip=False)


def _unzip(archive: zipfile.ZipFile, folder: Path) -> list[Path]:
    """Write the members that matter under plain names.

    Raises:
        AreaError: There are too many, or they are too large.
    """
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise AreaError(f"it has {len(members)} files, more than {_MOST_MEMBERS}", hint="Unpack what is needed")
    unzipped, room, numbers = [], _MOST_UNZIPPED, dict[PurePosixPath, int]()
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        is_geodatabase = path.parent.suffix.lower() == ".gdb"
        is_wanted = path.suffix.lower() in (*_IN_ZIPS, *_BESIDE) or is_geodatabase
        if member.is_dir() or not is_wanted or path.name.startswith(".") or "__MACOSX" in path.parts:
            continue
        number = numbers.setdefault(path.parent, len(numbers))
        target = folder / (f"{number}.gdb" if is_geodatabase else str(number)) / re.sub(r"[^\w.-]", "_", path.name)
        target = target.with_suffix(path.suffix.lower())
        target.parent.mkdir(exist_ok=True)
        with archive.open(member) as source, target.open("wb") as copy:
            room -= _copy(source, copy, room)
        unzipped.append(target)
    return unzipped


def _copy(source: IO[bytes], copy: IO[bytes], room: int) -> int:
    """Copy so many bytes at most; returns how many there were.

    Raises:
        AreaError: There are more.
    """
    copied = 0
    while block := source.read(1 << 20):
        copied += len(block)
        if copied > room:
            raise AreaError(f"it unpacks to more than {_MOST_UNZIPPED >> 30} GiB", hint="Unpack what is needed")
        copy.write(block)
    return copied


def _first_line(error: Exception) -> str:
    line = (reason(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition("; It might help")[0].rstrip(".")  # GDAL goes on about its drivers


def _hint(file: Path) -> str:
    """What is missing beside a shapefile, or which formats there are."""
    if file.suffix.lower() != ".shp":
        return f"Give a {_KNOWN}; save others as a GeoPackage"
    here = {other.name.lower() for other in file.parent.glob(f"{file.stem}.*")}
    missing = [end for end in (".shx", ".dbf") if f"{file.stem.lower()}{end}" not in here]
    if missing:
        return f"A shapefile is several files: {' and '.join(file.stem + end for end in missing)} must stand beside it"
    return "The file may be damaged"
