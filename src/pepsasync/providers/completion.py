"""Attributes of PEPS, GEODES and CDSE as they were known, for shells that complete a command line without any request.

What a collection really has is asked for elsewhere, see `Provider.attributes`; WEkEO and ASF are not listed.
"""

from __future__ import annotations

from pepsasync.model import Attribute, AttributeKind

_GEODES = {
    AttributeKind.TEXT: """dataset identifier instrument platform product swath bands parameter pparameter
        classification product:type product:timeliness processing:level processing:version processing:lineage
        processing_context processing_correction sar:instrument_mode sar:polarizations sar:beam_ids s2:datatake_id
        sat:orbit_state grid:code subTile temporal_resolution continent_code keywords sci:doi bbox nb_cols nb_rows""",
    AttributeKind.WHOLE: "sat:orbit_cycle sat:relative_orbit sat:absolute_orbit mission_take_id",
    AttributeKind.NUMBER: """eo:cloud_cover water_cover area saturated_defective_pixel nodata_pixel
        nb_col_interpolation_error ground_useful_pixel min_useful_pixel sensor_angle sensor_pitch sensor_roll""",
    AttributeKind.INSTANT: "datetime start_datetime end_datetime processing:datetime",
    AttributeKind.FLAG: "product_validity no_geometry",
}
GEODES = {name: Attribute(name, kind) for kind, names in _GEODES.items() for name in names.split()}
"""Attributes of GEODES that are published, for servers that do not list theirs."""

_ATTRIBUTES = {
    "geodes": tuple(GEODES),
    "cdse": (
        *("beginningDateTime", "cloudCover", "completionTimeFromAscendingNode", "cycleNumber", "datastripId"),
        *("datatakeID", "endingDateTime", "granuleIdentifier", "instrumentConfigurationID", "instrumentShortName"),
        *(
            "operationalMode",
            "orbitDirection",
            "orbitNumber",
            "origin",
            "platformSerialIdentifier",
            "platformShortName",
        ),
        *("polarisationChannels", "processingBaseline", "processingCenter", "processingDate", "processingLevel"),
        *("processorVersion", "productClass", "productGroupId", "productType", "relativeOrbitNumber", "sliceNumber"),
        *("sliceProductFlag", "startTimeFromAscendingNode", "swathIdentifier", "tileId", "timeliness", "totalSlices"),
    ),
    "peps": (
        *("cloudCover", "cycleNumber", "instrument", "isNrt", "orbitDirection", "orbitNumber", "organisationName"),
        *("parentIdentifier", "platform", "polarisation", "processingLevel", "productIdentifier", "productType"),
        *("realtime", "relativeOrbitNumber", "resolution", "s2TakeId", "sensorMode", "snowCover", "swath", "tileid"),
    ),
}


def attributes_of(provider: str) -> tuple[str, ...]:
    """Names of attributes that a provider is known to have."""
    return _ATTRIBUTES.get(provider, ())
