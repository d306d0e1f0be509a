"""A client that shows what is really on the wire, and running archives for it."""

import base64
import socket
from contextlib import contextmanager
from dataclasses import dataclass

from pepsasync.sandbox import Sandbox

TIMEOUT = 20


@contextmanager
def running(**options):
    archive = Sandbox(**options)
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()


@dataclass
class RawReply:
    status_line: str
    headers: list
    body: bytes
    """Everything after the head, to the end of the connection."""

    @property
    def status(self):
        return int(self.status_line.split()[1])

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else None


def connect(archive):
    connection = socket.create_connection(("127.0.0.1", int(archive.url.rpartition(":")[2])), timeout=TIMEOUT)
    connection.settimeout(TIMEOUT)
    return connection


def basic(archive, password=None, scheme="Basic"):
    text = f"{archive.username}:{archive.password if password is None else password}"
    return f"{scheme} {base64.b64encode(text.encode()).decode()}"


def request_bytes(method, path, headers):
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


def split(data):
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    return RawReply(status_line, [tuple(line.split(": ", 1)) for line in lines], body)


def receive(connection):
    data = bytearray()
    while chunk := connection.recv(1 << 20):
        data += chunk
    return bytes(data)


def fetch(archive, path, method="GET", headers=(), *, login=True):
    """Send one request on its own connection and return everything that comes back."""
    sent = [("Host", archive.url.removeprefix("http://")), ("Connection", "close"), *headers]
    if login:
        sent.append(("Authorization", basic(archive)))
    with connect(archive) as connection:
        connection.sendall(request_bytes(method, path, sent))
        reply = split(receive(connection))
    if reply.header("Transfer-Encoding") == "chunked":
        reply.body = unchunked(reply.body)
    return reply


def unchunked(data):
    whole = bytearray()
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        whole += rest[:length]
        data = rest[length + 2 :] if length else b""
    return bytes(whole)


def download_path(product):
    return f"/resto/collections/{product.collection}/{product.id}/download"
