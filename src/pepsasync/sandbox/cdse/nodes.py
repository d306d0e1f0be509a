"""What is inside a product: its folders and files, one by one, and its quicklook (CDSE protocol notes, News)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from anyio import to_thread

from pepsasync.sandbox.cdse import ids
from pepsasync.sandbox.cdse.download import one_file
from pepsasync.sandbox.cdse.replies import CdseError, redirect
from pepsasync.sandbox.cdse.search import named
from pepsasync.sandbox.quicklooks import MEDIA_TYPE, picture
from pepsasync.sandbox.replies import Reply, content_reply, json_reply, root_url

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from pepsasync.sandbox.cdse.service import Service

_PATH = re.compile(r"(?:\([^()]*\)/Nodes)*(?:\([^()]*\)/\$value)?")
"""What follows `Nodes` in an address: nodes down to a folder, or to a file."""


async def nodes(service: Service, request: Request) -> Reply:
    """Lead to the zipper, or answer here if there are no redirects.

    Raises:
        CdseError: 404 for what is not there; for files as for whole products.
    """
    if not service.options.cdse_redirect:
        return await zipper_nodes(service, request)
    named(service, request)
    rest = quote(request.path_params["path"], safe="/()$'")
    address = f"{root_url(request)}/zipper/odata/v1/Products({request.path_params['identifier']})/Nodes{rest}"
    return redirect(301, f"{address}?{request.url.query}" if request.url.query else address)


async def zipper_nodes(service: Service, request: Request) -> Reply:
    """List what is in a product or in one of its folders, to anybody; or give a file, to accounts.

    Raises:
        CdseError: 404 for what is not there; for files as for whole products.
    """
    product, path = named(service, request), request.path_params["path"]
    if not _PATH.fullmatch(path) or not service.archive.has_file(product.name):
        raise CdseError(404, "Not Found")
    files = await to_thread.run_sync(service.archive.content(product.name).files)
    wanted = "/".join(name.strip("'") for name in re.findall(r"\(([^()]*)\)", path))
    if path.endswith("/$value"):
        if wanted not in files:
            raise CdseError(404, f"Node {wanted} not found")
        return await one_file(service, request, product, files[wanted])
    root = root_url(request) + ("/zipper" if service.options.cdse_redirect else "")
    here = f"{root}/odata/v1/Products({ids.identifier(product.name)})/Nodes{path}".removesuffix("/Nodes")
    return json_reply({"result": _listed(files, wanted, here)})


async def quicklook(service: Service, request: Request) -> Reply:
    """Answer the picture of a product, to anybody.

    Raises:
        CdseError: 404, no product has this one.
    """
    product = service.assets.find(request.path_params["identifier"].strip("'").lower())
    if product is None:
        raise CdseError(404, "Asset not found")
    return content_reply(MEDIA_TYPE, picture(product.name))


def _listed(files: dict[str, tuple[int, int]], folder: str, here: str) -> list[dict[str, Any]]:
    """Describe what is in a folder; in a file there is nothing."""
    inside = _children(files, folder)
    if not inside and folder not in files:
        raise CdseError(404, f"Node {folder} not found")
    listed = []
    for name in inside:
        path = f"{folder}/{name}".removeprefix("/")
        listed.append(
            {
                "Id": name,
                "Name": name,
                "ContentLength": files.get(path, (0, 0))[1],
                "ChildrenNumber": len(_children(files, path)),
                "Nodes": {"uri": f"{here}/Nodes({name})/Nodes"},
            }
        )
    return listed


def _children(files: Collection[str], folder: str) -> list[str]:
    prefix = f"{folder}/" if folder else ""
    below = (path.removeprefix(prefix) for path in files if path.startswith(prefix))
    return list(dict.fromkeys(path.partition("/")[0] for path in below))
