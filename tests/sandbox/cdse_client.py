"""A plain client of the CDSE protocol, as its users' scripts are written."""

from functools import partial

import httpx

# Nothing here is encrypted, and reading the list of authorities takes longer than most tests.
get = partial(httpx.get, verify=False)
head = partial(httpx.head, verify=False)
post = partial(httpx.post, verify=False)

TOKEN = "/auth/realms/CDSE/protocol/openid-connect/token"


def products(archive, **parameters):
    """Ask for products; names of parameters without their dollar sign."""
    query = [(f"${name}", str(value)) for name, value in parameters.items()]
    return get(f"{archive.cdse_url}/odata/v1/Products", params=query)


def found(archive, text):
    """Return the names that a filter finds, without `.SAFE`."""
    reply = products(archive, filter=text, top=1000)
    assert reply.status_code == 200, reply.text
    return {product["Name"].removesuffix(".SAFE") for product in reply.json()["value"]}


def grant(archive, **form):
    """Ask for a token by password, or as `form` says."""
    usual = {"grant_type": "password", "username": archive.username, "password": archive.password}
    return post(f"{archive.cdse_url}{TOKEN}", data={"client_id": "cdse-public", **usual, **form})


def refresh(archive, token):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "cdse-public"}
    return post(f"{archive.cdse_url}{TOKEN}", data=form)


def bearer(archive):
    """Return the header that a new session gives."""
    return {"Authorization": f"Bearer {grant(archive).json()['access_token']}"}


def value_url(archive, product):
    """Return the address of a product's file."""
    name = f"Name eq '{product.name}.SAFE'"
    described = products(archive, filter=name).json()["value"][0]
    return f"{archive.cdse_url}/odata/v1/Products({described['Id']})/$value"
