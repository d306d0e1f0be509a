"""What the GEODES tests ask a running archive, with plain httpx."""

import httpx

KEY = "X-API-Key"


class GeodesClient:
    def __init__(self, archive):
        self.archive = archive
        self.root = archive.geodes_url
        self.http = httpx.Client(timeout=20, verify=False, headers={"Accept-Encoding": "identity"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    @property
    def key(self):
        return {KEY: self.archive.api_key}

    def post(self, path, body, **options):
        return self.http.post(f"{self.root}{path}", json=body, **options)

    def get(self, path, **options):
        return self.http.get(f"{self.root}{path}", **options)

    def search(self, **body):
        reply = self.post("/api/stac/search", body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def found(self, **body):
        return names(self.search(**({"limit": 80} | body)))

    def item(self, name):
        return next(
            item
            for item in self.search(limit=80, query={"identifier": {"eq": name}})["features"]
            if item["properties"]["identifier"] == name
        )

    def href(self, name):
        return data_asset(self.item(name))["href"]

    def download(self, name, **headers):
        return self.http.get(self.href(name), headers=self.key | headers)

    def availability(self, name):
        reply = self.get(f"/availability/{name}", headers=self.key)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def is_available(self, name):
        md5 = self.href(name)[-32:]
        return next(file["available"] for file in self.availability(name)["files"] if file["checksum"] == md5)

    def fast(self, *hrefs):
        wanted = [{"href": href, "endpointURL": None} for href in hrefs]
        return self.post("/fastavailability", {"availability": wanted})


def names(document):
    return [item["properties"]["identifier"] for item in document["features"]]


def data_asset(item):
    return next(asset for key, asset in item["assets"].items() if key.endswith(".zip"))
