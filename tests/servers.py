"""Servers of a few lines on port 0, in threads: HTTP as it is on the wire, with everything that can go wrong."""

import contextlib
import re
import socket
import ssl
import threading

import trustme


@contextlib.contextmanager
def port_of_nobody():
    """A port of this machine on which nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Server:
    """Hands each connection to `answer(connection, head)`, again and again while that returns True.

    Args:
        answer: Gets a socket and the head of a request.
        tls: Server context; None for plain TCP.
    """

    def __init__(self, answer, tls=None):
        self._answer, self._tls = answer, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads, self._open = [], set()
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.left = threading.Semaphore(0)
        """Released for each client that went away."""

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *exc):
        for opened in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _start(self, work, *arguments):
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.add(connection)
                self._start(self._serve, connection)

    def _serve(self, connection):
        plain = connection
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection.dup(), server_side=True)
            while (head := read_head(connection)) and self._answer(connection, head):
                pass
        self._open.discard(plain)
        self.left.release()
        for opened in (connection, plain):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        head += chunk
    return head


def wait_until_gone(connection):
    """Keep a connection silently open until the client goes."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


class File:
    """Answers with a file, from where `Range` says.

    Args:
        content: Bytes.
        cut: Length of the file at which the first answer ends.
        stall: Length of the file at which the first answer goes silent.
        headers: Further lines of each answer.
        before: Sent before each answer.
        behind: Sent after each body, beyond what was announced.
    """

    def __init__(self, content, *, cut=None, stall=None, headers=(), before=b"", behind=b""):
        self.content, self.cut, self.stall = content, cut, stall
        self.headers, self.before, self.behind = headers, before, behind
        self.ranges = []

    def __call__(self, connection, head):
        found = re.search(rb"(?i)\r\nrange: bytes=(\d+)-\r\n", head)
        first = int(found[1]) if found else 0
        self.ranges.append(first)
        end, self.cut, self.stall, was_stalled = self.cut or self.stall, None, None, bool(self.stall)
        connection.sendall(self.before + self._head(first))
        connection.sendall(self.content[first:end] + (self.behind if end is None else b""))
        if was_stalled:
            wait_until_gone(connection)
        return end is None

    def _head(self, first):
        size = len(self.content)
        lines = [b"HTTP/1.1 206 Partial Content" if first else b"HTTP/1.1 200 OK", *self.headers]
        if first:
            lines.append(f"Content-Range: bytes {first}-{size - 1}/{size}".encode())
        lines.append(f"Content-Length: {size - first}".encode())
        return b"\r\n".join([*lines, b"", b""])


def whole(answer):
    """Answers each request with these bytes, then closes."""

    def send(connection, head):
        connection.sendall(answer)
        return False

    return send


class Tunnel:
    """A proxy that takes every `CONNECT` to one port of this machine."""

    def __init__(self, port):
        self._port = port
        self.asked = []

    def __call__(self, connection, head):
        self.asked.append(head.split(b" ")[1].decode())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._port)) as onward:
            back = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
            back.start()
            _pump(connection, onward)
            back.join(60)
        return False


def _pump(source, target):
    with contextlib.suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class Authority:
    """A certificate authority, and a server context with a certificate of its own.

    Args:
        folder: Gets `authority.pem`.
    """

    def __init__(self, folder):
        authority = trustme.CA()
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.bundle)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost", "archive.example").configure_cert(self.context)
