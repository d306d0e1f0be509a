"""Attributes by archive, for shells that complete a command line: what there really is the archive is asked."""

from __future__ import annotations

_ATTRIBUTES = {
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
    if provider == "geodes":
        from pepsasync.providers.geodes.attributes import LISTED  # noqa: PLC0415 - loads the network stack

        return tuple(LISTED)
    return _ATTRIBUTES.get(provider, ())
