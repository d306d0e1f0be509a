"""Downloads: from the datapool to the egress, which asks who it is, and on to a signed address of the store (5)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pepsasync.sandbox.asf import hosts, records
from pepsasync.sandbox.asf.login import EULA
from pepsasync.sandbox.asf.replies import JsonRefusal, PageRefusal, StoreError, page, redirect
from pepsasync.sandbox.asf.service import CLIENT_ID
from pepsasync.sandbox.front_end import maintenance_page, pass_front_end, strike
from pepsasync.sandbox.quicklooks import MEDIA_TYPE, picture
from pepsasync.sandbox.ranges import by_web_server
from pepsasync.sandbox.replies import content_reply, json_reply
from pepsasync.sandbox.sending import FileReply, file_headers

if TYPE_CHECKING:
    from starlette.requests import Request

    from pepsasync.sandbox.asf.service import Service
    from pepsasync.sandbox.catalogue import CatalogueProduct
    from pepsasync.sandbox.replies import Headers, Reply

BUCKET = "/s3-2d4bf44b1f15bdbf2f5ca1d8ef8ab4b6/asf-ngap2w-p-s1.s3.us-west-2.amazonaws.com"
LAST_MODIFIED = "Wed, 10 Nov 2021 14:35:03 GMT"
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


async def datapool(_service: Service, request: Request) -> Reply:
    """Send on to the egress; pictures are here, without a login."""
    path = f"/{request.path_params['path']}"
    if path.startswith("/BROWSE/"):
        return content_reply(MEDIA_TYPE, picture(path))
    return redirect(307, hosts.address(request, hosts.EGRESS, quote(path)))


async def egress(service: Service, request: Request) -> Reply:
    """Ask who it is, and send on to a signed address of the store.

    Raises:
        Refused: Any of the checks fails.
    """
    path = f"/{request.path_params['path']}"
    product = _product(service, path)
    cookies: Headers = ()
    email = ""
    if request.method != "HEAD":
        name = product.name if product else path
        pass_front_end(service.archive, name)
        if (known := identify(service, request, name)) is None:
            return to_login(request, path, hosts.EGRESS)
        email, cookies = known
    if product is None:
        raise PageRefusal(404, "File not found", "The object you requested could not be found.")
    if email and not service.archive.accounts.allows(email, product.collection):
        raise PageRefusal(403, "Could not access data", "This data is not currently available.")
    if not service.archive.has_file(product.name):
        raise PageRefusal(404, "File not found", "The object you requested could not be found.")
    strike(
        service.archive,
        product.name,
        {
            "html-200": maintenance_page,
            "json-200": lambda: json_reply({"message": "Internal server error"}),
            "store-trouble": lambda: page(400, "Error", "There was a problem accessing download data."),
        },
    )
    asked = request.headers.get("range")
    if by_web_server(asked, product.size).status == 416:
        return content_reply("text/plain", b"Invalid Range", 416)
    echo = [("Range", asked)] if asked else []
    life = service.options.asf_signed_seconds
    return redirect(
        303,
        signed(service, request, f"{BUCKET}/{product.name}.zip", email or "anonymous"),
        [("Cache-Control", f"private, max-age={max(0, math.floor(life - 60))}"), *echo, *cookies],
    )


def identify(service: Service, request: Request, key: str) -> tuple[str, Headers] | None:
    """Return the account of a request, and the cookie that it gets; None when it has to log in.

    Raises:
        JsonRefusal: A bad token, or a licence that was not accepted.
    """
    cookie = request.cookies.get("asf-urs")
    if cookie and not service.archive.faults.strikes("session-ended", key):
        email = service.by_cookie(cookie)
        if email is not None:
            return email, ()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme and not token:
        raise JsonRefusal(400, {"status_code": 400, "error_description": "Malformed Authorization header"})
    if scheme.lower() != "bearer" or not _JWT.fullmatch(token):
        return None
    email = service.by_token(token)
    if email is None:
        raise JsonRefusal(401, {"error": "invalid_token", "error_description": "The token is invalid or expired"})
    if not service.options.asf_eula:
        raise JsonRefusal(403, EULA)
    return email, [_set_cookie(service, email)]


def to_login(request: Request, path: str, host: str) -> Reply:
    """Send on to Earthdata Login, which comes back to a path."""
    query = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": hosts.address(request, host, "/login"),
        "state": path,
    }
    if not request.headers.get("user-agent", "").startswith("Mozilla"):
        query["app_type"] = "401"
    return redirect(302, hosts.address(request, hosts.LOGIN, f"/oauth/authorize?{urlencode(query)}"))


async def logged_in(service: Service, request: Request) -> Reply:
    """Take the code of a login, set the cookie, and send on to what was wanted first.

    Raises:
        PageRefusal: 401 without a good code; 404 for HEAD.
    """
    if request.method == "HEAD":
        raise PageRefusal(404, "File not found")
    if "error" in request.query_params:
        raise PageRefusal(401, "Could Not Login", "Be sure to agree to the EULA.")
    email = service.use_code(request.query_params.get("code", ""))
    if email is None:
        raise PageRefusal(400, "Could Not Login", "Did not get the required CODE from URS")
    host = request.url.path.removeprefix(request.scope["root_path"]).split("/")[1]
    state = request.query_params.get("state", "/")
    return redirect(301, hosts.address(request, host, quote(state)), [_set_cookie(service, email)])


async def front_page(_service: Service, _request: Request) -> Reply:
    """The page at the root of the egress, which a login without a path ends at."""
    return page(200, "Welcome", "Alaska Satellite Facility")


def _set_cookie(service: Service, email: str) -> tuple[str, str]:
    value = service.cookie(email)
    rest = "Expires=Tue, 19 Nov 2036 20:00:00 GMT; Path=/; Domain=.asf.alaska.edu"
    return "SET-COOKIE", f"asf-urs={value}; {rest}"


def signed(service: Service, request: Request, path: str, email: str) -> str:
    """Return a signed address of the store."""
    ends = service.archive.clock.now() + service.options.asf_signed_seconds
    method = "HEAD" if request.method == "HEAD" else "GET"
    query = {
        "A-userid": email,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "ASIASANDBOX/20260101/us-west-2/s3/aws4_request",
        "X-Amz-Date": "20260101T000000Z",
        "X-Amz-Expires": f"{ends:.3f}",
        "X-Amz-Security-Token": "sandbox",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": service.sign(path, method, ends),
    }
    return f"{hosts.foreign_address(request, hosts.STORE, quote(path))}?{urlencode(query)}"


async def store(service: Service, request: Request) -> Reply:
    """Send the bytes to whoever has a signed address, and to nobody who shows a secret.

    Raises:
        StoreError: 400 with a header that only ASF may see, 403 without a good signature.
    """
    leaks = [name for name in ("authorization", "cookie") if name in request.headers]
    if leaks:
        service.archive.ledger.count_event("leaked_tokens")
    if "authorization" in leaks:
        raise StoreError(400, "InvalidArgument", "Only one auth mechanism allowed")
    path, query = f"/{request.path_params['path']}", request.query_params
    try:
        ends = float(query.get("X-Amz-Expires", "0"))
    except ValueError:
        ends = 0.0
    if query.get("X-Amz-Signature") != service.sign(path, request.method, ends):
        raise StoreError(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    name = path.rpartition("/")[2]
    if service.archive.clock.now() >= ends or service.archive.faults.strikes("signature-ended", name):
        raise StoreError(403, "AccessDenied", "Request has expired")
    if path.startswith("/bursts/"):
        return _burst_file(service, request, path)
    product = service.archive.product(name.removesuffix(".zip"))
    if service.archive.falls_back(product):
        raise StoreError(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
    tag = f'"{product.id.replace("-", "")}-107"'  # of an upload in parts: no MD5
    is_stale = request.headers.get("if-range") not in (None, tag, LAST_MODIFIED)
    part = by_web_server(None if is_stale else request.headers.get("range"), product.size)
    if part.status == 416:
        raise StoreError(416, "InvalidRange", "The requested range is not satisfiable")
    headers = [
        ("ETag", tag),
        ("Last-Modified", LAST_MODIFIED),
        *(
            (key, value)
            for key, value in file_headers(part, "binary/octet-stream", "", has_length=True, has_ranges=True)
            if key != "Content-Disposition"
        ),
    ]
    return FileReply(service.archive, request, product, part, headers)


def _product(service: Service, path: str) -> CatalogueProduct | None:
    """Return the product whose file has a path, None if there is none."""
    try:
        product = service.archive.product(path.rpartition("/")[2].removesuffix(".zip"))
    except KeyError:
        return None
    return product if product.collection == "S1" and records.path(product) == path else None


async def burst(service: Service, request: Request) -> Reply:
    """Make a burst: 202 until it is there, then a signed address (section 6). A token alone is not enough.

    Raises:
        Refused: No such burst, or the session is not good.
    """
    path = f"/{request.path_params['path']}"
    match = re.fullmatch(r"/(\w+)/(IW3)/(VV)/(\d)\.(tiff|xml|zip)", path)
    try:
        product = service.archive.product(match[1]) if match else None
    except KeyError:
        product = None
    if product is None or product.product_type != "SLC":
        raise PageRefusal(404, "File not found")
    if "asf-urs" not in request.cookies:
        where = hosts.address(request, hosts.AUTH, f"/loginservice/in/{quote(hosts.BURSTS + path, safe='')}")
        return redirect(307, where)
    pass_front_end(service.archive, path)
    email = service.by_cookie(request.cookies["asf-urs"])
    if email is None:
        raise JsonRefusal(403, {"message": "The asf-urs cookie is invalid or expired"})
    if not service.burst_is_made(path):
        return json_reply({"message": "extraction in progress"}, 202)
    return redirect(307, signed(service, request, f"/bursts{path}", email))


def _burst_file(service: Service, request: Request, path: str) -> Reply:
    content = burst_content(path)
    part = by_web_server(request.headers.get("range"), len(content))
    if part.status == 416:
        raise StoreError(416, "InvalidRange", "The requested range is not satisfiable")
    product = service.archive.product(path.split("/")[2])
    name = f"{records.burst_id(product)}.{path.rpartition('.')[2]}"
    headers = [("Content-Disposition", f'attachment; filename="{name}"'), *part.range_headers]
    return content_reply("image/tiff", content[part.start : part.start + part.sent], part.status, headers)


def burst_content(path: str) -> bytes:
    """Return the bytes of a burst, which are not those of a picture behind its first four."""
    return b"II*\0" + path.encode() * 1_000


async def loginservice(service: Service, request: Request) -> Reply:
    """Let the login of the burst service begin; `auth` has bad moments."""
    pass_front_end(service.archive, request.url.path)
    return to_login(request, "/", hosts.AUTH)
