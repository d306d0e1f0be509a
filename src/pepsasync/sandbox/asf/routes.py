"""The addresses of the service under `/asf`: each host is a folder of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

from pepsasync.sandbox.asf import hosts, login
from pepsasync.sandbox.asf.download import burst, datapool, egress, front_page, logged_in, loginservice, store
from pepsasync.sandbox.asf.param import param
from pepsasync.sandbox.asf.replies import PageRefusal
from pepsasync.sandbox.asf.search import search
from pepsasync.sandbox.asf.service import Service
from pepsasync.sandbox.endpoints import Endpoints

if TYPE_CHECKING:
    from pepsasync.sandbox.archive import Archive


def routes(archive: Archive) -> Mount:
    """Return the routes of the ASF protocol on an archive."""
    service = Service(archive)
    endpoints = Endpoints(service, archive.ledger)
    route = endpoints.route
    egresses = [
        address
        for host in (hosts.EGRESS, hosts.CUMULUS, hosts.AUTH)
        for address in (route(f"/{host}/login", "connect", logged_in), route(f"/{host}/", "other", front_page))
    ]
    return Mount(
        "/asf",
        routes=[
            route(f"/{hosts.CATALOGUE}/search/granules.umm_json", "search", search, "GET", "POST"),
            route(f"/{hosts.SEARCH}/services/search/param", "search", param, "GET", "POST", "HEAD"),
            route(f"/{hosts.LOGIN}/oauth/authorize", "connect", login.authorize),
            route(f"/{hosts.LOGIN}/oauth/tokens/user", "token", login.check_token, "POST"),
            route(f"/{hosts.LOGIN}/api/users/find_or_create_token", "token", login.find_or_create_token, "POST"),
            route(f"/{hosts.LOGIN}/api/users/token", "token", login.find_or_create_token, "POST"),
            route(f"/{hosts.LOGIN}/api/users/tokens", "token", login.tokens),
            route(f"/{hosts.LOGIN}/api/users/revoke_token", "token", login.revoke, "POST"),
            *egresses,
            route(f"/{hosts.DATAPOOL}/{{path:path}}", "download", datapool),
            route(f"/{hosts.EGRESS}/{{path:path}}", "egress", egress),
            route(f"/{hosts.STORE}/{{path:path}}", "elsewhere", store),
            route(f"/{hosts.BURSTS}/{{path:path}}", "burst", burst),
            route(f"/{hosts.AUTH}/loginservice/{{path:path}}", "connect", loginservice),
            endpoints.nothing_else(lambda: PageRefusal(404, "File not found")),
        ],
        name="asf",
    )
