"""Validation of STAC without network: pystac's own schemas, and for extensions what their pages say, as schemas."""

import pystac
from pystac.extensions import eo, file, grid, sar, sat, timestamps
from pystac.validation.stac_validator import JsonSchemaSTACValidator

DRAFT = "http://json-schema.org/draft-07/schema#"

PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
CHECKED_FILE = {
    "properties": {
        "file:size": {"type": "integer", "minimum": 0},
        "file:checksum": {"type": "string", "pattern": "^[a-f0-9]+$"},
    }
}
ORBIT = {"type": "integer", "minimum": 1}


def _properties(known, *required):
    return {"properties": {"properties": {"properties": known, "required": [*required]}}}


SCHEMAS = {
    eo.SCHEMA_URI: _properties({"eo:cloud_cover": PERCENT}, "eo:cloud_cover"),
    file.SCHEMA_URI: {"properties": {"assets": {"additionalProperties": CHECKED_FILE}}},
    grid.SCHEMA_URI: _properties(
        {"grid:code": {"type": "string", "pattern": "^MGRS-\\d{2}[C-HJ-NP-X][A-HJ-NP-Z]{2}$"}}, "grid:code"
    ),
    sar.SCHEMA_URI: _properties(
        {
            "sar:frequency_band": {"enum": ["P", "L", "S", "C", "X", "Ku", "K", "Ka"]},
            "sar:polarizations": {"type": "array", "minItems": 1, "items": {"enum": ["HH", "VV", "HV", "VH"]}},
        },
        "sar:instrument_mode",
        "sar:frequency_band",
        "sar:polarizations",
        "sar:product_type",
    ),
    sat.SCHEMA_URI: _properties(
        {
            "sat:orbit_state": {"enum": ["ascending", "descending", "geostationary"]},
            "sat:relative_orbit": ORBIT,
            "sat:absolute_orbit": ORBIT,
        }
    ),
    timestamps.SCHEMA_URI: _properties({"published": {"type": "string", "format": "date-time"}}, "published"),
}


def validate(thing):
    """Raise unless an object of pystac is valid, with the extensions that it declares; returns these."""
    validator = JsonSchemaSTACValidator()
    validator.schema_cache.update({address: {"$schema": DRAFT} | schema for address, schema in SCHEMAS.items()})
    described = thing.to_dict()
    extensions = described.get("stac_extensions") or []
    assert {*extensions} <= SCHEMAS.keys()
    kind = thing.STAC_OBJECT_TYPE
    version = pystac.get_stac_version()
    validator.validate_core(described, kind, version)
    for extension in extensions:
        validator.validate_extension(described, kind, version, extension)
    return {*extensions}
