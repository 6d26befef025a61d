"""Servers of the tests' own on loopback, in threads that end with the block."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Proxy(Handler):
    """Subclasses say what becomes of an answer."""

    behind: str

    def asked(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of what the server behind it answers."""
        target = urlsplit(self.behind)
        upstream = HTTPConnection(str(target.hostname), target.port)
        upstream.request(self.command, self.path, self.body(), {name: value for name, value in self.headers.items() if name != "Expect"})
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        dropped = ["connection", "server", "date", *(["content-length"] if self.command != "HEAD" else [])]
        return answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in dropped}, content

    def do_POST(self) -> None:
        """Not of S3: whose the credentials are is asked by one. As it comes."""
        self.answer(*self.asked())


@contextmanager
def served(handler: type[Handler]) -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer((LOOPBACK, 0), handler) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def wait_for(condition: Callable[[], object]) -> None:
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)
