"""The addresses of the service under `/resto` (PEPS protocol notes, section 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

from pepsasync.sandbox.endpoints import Endpoints
from pepsasync.sandbox.peps.download import check, download
from pepsasync.sandbox.peps.login import user
from pepsasync.sandbox.peps.parameters import PARAMETERS
from pepsasync.sandbox.peps.replies import PepsError, json_reply
from pepsasync.sandbox.peps.search import item, search
from pepsasync.sandbox.replies import Reply, root_url

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.archive import Archive

WEEKLY_LIMIT = 200
"""Products per week that `downloadinfo` announces; nothing enforces it."""


def routes(archive: Archive) -> Mount:
    """Return the routes of the PEPS protocol on an archive."""
    route = Endpoints(archive, archive.ledger).route
    one = "/collections/{collection}/{item}"
    return Mount(
        "/resto",
        routes=[
            route("/api/collections/search.json", "search", search),
            route("/api/collections/describe.xml", "describe", _describe),
            route("/api/collections/{collection}/search.json", "search", search),
            route("/api/collections/{collection}/describe.xml", "describe", _describe),
            route("/api/users/connect", "connect", _connect),
            route("/users/{user}/downloadinfo", "downloadinfo", _download_info),
            route(one + "/check/download", "check", check),
            route(one + "/download", "download", download),
            route(one + "/download/", "download", download),
            route(one, "item", item),
            route("/{path:path}", "other", _nothing_here),
        ],
    )


async def _connect(archive: Archive, request: Request) -> Reply:
    """Give a token for a name and password."""
    return json_reply({"token": archive.accounts.token(user(archive.accounts, request))})


async def _download_info(archive: Archive, request: Request) -> Reply:
    user(archive.accounts, request)
    done = len({transfer.name for transfer in archive.statistics.transfers})
    limits = {"instantLimitDownload": WEEKLY_LIMIT, "weeklyLimitDownload": WEEKLY_LIMIT}
    return json_reply({**limits, "weeklyDownloaded": done})


async def _describe(archive: Archive, request: Request) -> Reply:
    """Describe the search in the OpenSearch manner."""
    collection = request.path_params.get("collection")
    if collection is not None and collection not in archive.collections:
        raise PepsError(404, "Not Found")
    known = [name for name, parameter in PARAMETERS.items() if parameter.collection in {None, collection}]
    template = "&amp;".join(f"{name}={{{PARAMETERS[name].filter}?}}" for name in known)
    base = f"{root_url(request)}/api/collections/" + (f"{collection}/" if collection else "")
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/">'
        f"<ShortName>{collection or '*'}</ShortName>"
        f'<Url type="application/json" template="{base}search.json?{template}"/></OpenSearchDescription>\n'
    ).encode()
    kind = ("Content-Type", "application/opensearchdescription+xml")
    return Reply(200, [("Content-Length", str(len(body))), kind], body)


async def _nothing_here(_archive: Archive, _request: Request) -> Reply:
    raise PepsError(404, "Not Found")
