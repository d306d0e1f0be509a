"""Folders, files and quicklooks of the CDSE sandbox's products."""

import zipfile
from io import BytesIO

import pytest
from cdse_client import bearer, get, head, products
from raw_http import running

SMALL = {"products": 2, "product_size": 40_000, "vary": False}


def address(archive, product, path=""):
    return f"{archive.cdse_url}/odata/v1/Products({record(archive, product)['Id']})/Nodes{path}"


def record(archive, product, **parameters):
    return products(archive, filter=f"Name eq '{product.name}.SAFE'", **parameters).json()["value"][0]


def listed(url):
    reply = get(url, follow_redirects=True)
    assert reply.status_code == 200, reply.text
    return reply.json()["result"]


def test_every_file_is_reached_from_the_top(archive):
    product = archive.catalogue[0]
    waiting, sizes = [(address(archive, product), "")], {}
    while waiting:
        url, folder = waiting.pop()
        for node in listed(url):
            path, inside = f"{folder}{node['Name']}", node["Nodes"]["uri"]
            assert len(listed(inside)) == node["ChildrenNumber"]
            if node["ChildrenNumber"]:
                waiting.append((inside, f"{path}/"))
            else:
                sizes[path] = node["ContentLength"], inside.removesuffix("/Nodes") + "/$value"
    session = bearer(archive)
    with zipfile.ZipFile(BytesIO(archive.content(product.name).read())) as zipped:
        assert {info.filename: info.file_size for info in zipped.infolist()} == {
            path: size for path, (size, _) in sizes.items()
        }
        for path, (_, url) in sizes.items():
            assert get(url, headers=session, follow_redirects=True).content == zipped.read(path)


@pytest.mark.parametrize("redirect", [True, False])
def test_one_file(redirect):
    with running(cdse_redirect=redirect, tape_fraction=0, **SMALL) as archive:
        product = archive.catalogue[0]
        url = address(archive, product, f"({product.name}.SAFE)/Nodes(manifest.safe)/$value")
        session = bearer(archive)
        first = get(url, headers=session)
        assert first.status_code == (301 if redirect else 200)
        whole = get(url, headers=session, follow_redirects=True)
        assert whole.content.startswith(b"<?xml")
        assert whole.content.rstrip().endswith(b"</xfdu:XFDU>")
        assert whole.headers["Content-Disposition"] == "attachment; filename=manifest.safe"
        assert int(head(whole.url, headers=session).headers["Content-Length"]) == len(whole.content)
        part = get(whole.url, headers={**session, "Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, whole.content[5:10])
        assert part.headers["Content-Range"] == f"bytes 5-9/{len(whole.content)}"
        assert get(whole.url).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["(x)/Nodes", "({})/Nodes(x)/Nodes", "({})/$value", "({})/Nodes(x)/$value", "({})", "x", "({})/Nodes/$value"],
)
def test_nodes_that_are_not_there(archive, path):
    product = archive.catalogue[0]
    url = address(archive, product, path.format(f"{product.name}.SAFE"))
    assert get(url, headers=bearer(archive), follow_redirects=True).status_code == 404


def test_nodes_of_no_product(archive):
    url = f"{archive.cdse_url}/odata/v1/Products(00000000-0000-0000-0000-000000000000)/Nodes"
    assert get(url, follow_redirects=True).status_code == 404


def test_files_on_tape_are_listed_but_not_given():
    with running(tape_fraction=1, **SMALL) as archive:
        product = archive.catalogue[0]
        top = f"({product.name}.SAFE)"
        assert listed(address(archive, product, f"{top}/Nodes"))
        url = address(archive, product, f"{top}/Nodes(manifest.safe)/$value")
        assert get(url, headers=bearer(archive), follow_redirects=True).status_code == 404


def test_quicklooks_are_for_everybody(archive):
    pictures = set()
    for product in archive.catalogue[:2]:
        (asset,) = record(archive, product, expand="Assets")["Assets"]
        reply = get(asset["DownloadLink"])
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, "image/jpeg")
        assert reply.content.startswith(b"\xff\xd8")
        assert reply.content.endswith(b"\xff\xd9")
        pictures.add(reply.content)
    assert len(pictures) == 2
    assert get(f"{archive.cdse_url}/odata/v1/Assets(00000000-0000-0000-0000-000000000000)/$value").status_code == 404
