"""As many bare connections as there are jobs, each of which asks for the next file as soon as it has one.

No file is written and nothing is verified: what a link gives to a client that does nothing else.
"""

import socket
import threading
from urllib.parse import urlsplit


def get_all(work, folder):
    files, lock = iter(work.files), threading.Lock()

    def take():
        with lock:
            return next(files, None)

    def connection():
        where = urlsplit(work.root)
        buffer = bytearray(1 << 18)
        with socket.create_connection((where.hostname, where.port)) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while file := take():
                line.sendall(f"GET {urlsplit(file.url).path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
                received, head = 0, None
                while head is None or received < head + file.size:
                    received += line.recv_into(memoryview(buffer)[received:])
                    if head is None and (end := buffer.find(b"\r\n\r\n", 0, received)) > 0:
                        head = end + 4

    threads = [threading.Thread(target=connection) for _ in range(work.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


WAYS = {"bare connections": get_all}


def prepare(name):
    """Nothing has to be imported first."""
