"""What somebody means who writes another word for an option, a criterion or a setting."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_OTHER_WORDS = {
    "collection": "dataset mission constellation",
    "product_type": "type kind level processing-level producttype",
    "sensor_mode": "mode instrument-mode acquisition-mode beam swath sensormode",
    "start": "from since after begin begin-date date-from min-date datefrom startdate",
    "end": "to until till before date-to max-date dateto enddate completion-date",
    "tile": "tile-id mgrs granule tileid",
    "location": "place city town region country address",
    "lon": "longitude",
    "lat": "latitude",
    "bbox": "box extent bounds bounding-box envelope",
    "shape": "shapefile shp geojson kml vector aoi roi polygon-file area-file",
    "geometry": "wkt polygon footprint area intersects geom",
    "orbit": "relative-orbit relorbit track path orbit-number relativeorbit",
    "clouds": "cloud-cover cloudcover cloud max-cloud maxcloud max-clouds cloud-percentage max-cloud-cover",
    "satellite": "platform spacecraft sensor mission-id",
    "id": "ids name names identifier title uuid scene file-name product-id product-name",
    "latest": "newest last most-recent",
    "limit": "max count max-results max-items max-records maxresults maxrecords rows number top first",
    "write_dir": "output-dir outdir out-dir output-folder output destination dest target folder dir directory path out",
    "extract": "unzip unpack uncompress decompress",
    "jobs": "threads workers parallel concurrency concurrent max-workers processes connections n-jobs downloads",
    "staging_jobs": "staging-threads",
    "segments": "parts chunks splits connections-per-file",
    "limit_rate": "bandwidth rate rate-limit max-rate speed max-speed throttle limit-speed bwlimit max-bandwidth",
    "staging_timeout": "timeout max-wait deadline staging-limit",
    "poll_interval": "interval sleep poll delay",
    "trials": "retries tries attempts retry",
    "skip_tape": "online-only only-online no-tape skip-offline online",
    "dry_run": "simulate test noop list-only",
    "auth": "user username login password passwd token api-key apikey account credentials key email",
    "provider": "archive source server host service backend-name site",
    "base_url": "url endpoint root api server-url",
    "ca_bundle": "cert cacert ca cafile verify ssl-cert",
    "report": "summary result results-file report-file",
    "events": "log log-file logfile json-lines progress-file",
    "on_delivered": "hook exec on-done on-complete post-process callback run command",
    "format": "fmt output-format",
    "verbose": "debug trace loglevel log-level",
    "quiet": "silent no-progress",
    "no_color": "no-colour nocolor plain monochrome",
    "repair": "fix heal redownload",
    "restore": "request-restore",
    "poll_interval_max": "max-interval max-poll-interval",
    "username": "user login email",
    "password": "passwd pass pwd",
    "api_key": "key token apikey",
}
"""Words that other programs have for the same."""

CLOSE = 0.75
"""How alike two spellings are of which one is taken for the other, from 0 to 1."""


def meant(word: str, known: Iterable[str]) -> str | None:
    """Return which of the known words somebody means, or None when nobody can tell.

    Args:
        word: What was written; capitals, hyphens and underscores do not count.
        known: What could have been written.
    """
    words = {_bare(name): name for name in reversed([*known])}
    bare = _bare(word)
    if bare in words:
        return words[bare]
    others = {
        _bare(other): words[_bare(name)]
        for name, others in _OTHER_WORDS.items()
        if _bare(name) in words
        for other in others.split()
    }
    if bare in others:
        return others[bare]
    close = get_close_matches(bare, words, n=1, cutoff=CLOSE) or get_close_matches(bare, others, n=1, cutoff=CLOSE)
    return (others | words)[close[0]] if close else None


def _bare(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
