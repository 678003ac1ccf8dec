"""Serves a catalogue's files as `view --serve` does, on 127.0.0.1, and misbehaves when told to. Keeps a log of what was asked."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from selfinstruct.catalogue.version import MANIFEST, ref

if TYPE_CHECKING:
    from selfinstruct.catalogue.place import Catalogue


@dataclass
class Manners:
    """What it does to requests for shards; all else is answered well, where it does not say otherwise."""

    drop_at: float | None = None
    """Closes the connection after this share of a file, every time: what lies behind it never comes."""
    drops: int = 1_000_000
    """How often."""
    dropped: str = "/data/"
    """Part of the paths that this happens to."""
    ranges: bool = True
    """Whether it knows Range."""
    length: Callable[[int], int] | None = None
    """Content-Length that it tells instead."""
    other: Callable[[bytes], bytes] | None = None
    """What it sends instead."""
    manifest: Callable[[bytes], bytes] | None = None
    """What it sends instead of a manifest."""
    head: bytes | None = None
    """What it sends instead of catalogue.json."""
    status: int = 200
    """What it answers for everything, where it is not 200."""
    location: str = ""
    """Where it sends on to, with a status of redirection."""
    pause: float = 0.0
    """Seconds between two blocks of 16 kB."""


@dataclass
class FileServer:
    """A catalogue that is served."""

    catalogue: Catalogue
    manners: Manners = field(default_factory=Manners)
    log: list[tuple[str, int]] = field(default_factory=list)
    """(path, first byte that was asked for)."""
    url: str = ""

    def answer(self, path: str) -> bytes | None:
        """Return the whole body."""
        if path == "/catalogue.json":
            names = {name: self.catalogue.versions(name) for name in self.catalogue.names()}
            whole = {"format": 1, "trial": self.catalogue.trial, "datasets": names}
            return self.manners.head or json.dumps(whole).encode()
        found = re.fullmatch(r"/files/([a-z0-9._-]+)/([0-9]+)/(.+)", path)
        if found is None:
            return None
        published = self.catalogue.version(ref(f"{found[1]}@{found[2]}"))
        with published.open(found[3]) as opened:
            body = opened.read()
        change = self.manners.manifest if found[3] == MANIFEST else self.manners.other
        return change(body) if change is not None else body


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            manners = server.manners
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            server.log.append((self.path, start))
            body = server.answer(self.path)
            if manners.status != 200 or body is None:
                self.send_response(manners.status if body is not None else 404)
                self.send_header("Location", manners.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            shard = "/data/" in self.path
            part = bool(start and manners.ranges)
            self.send_response(206 if part else 200)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            length = len(body) - (start if part else 0)
            self.send_header("Content-Length", str(manners.length(length) if manners.length and shard else length))
            self.end_headers()
            end = len(body)
            if manners.dropped in self.path and manners.drop_at is not None and manners.drops > 0:
                manners.drops -= 1
                end = int(len(body) * manners.drop_at)
                self.close_connection = True
            with contextlib.suppress(OSError):  # who asked may be gone
                self._send(body[start if part else 0 : end], shard=shard)

        def _send(self, body: bytes, *, shard: bool) -> None:
            for place in range(0, len(body), 1 << 14):
                self.wfile.write(body[place : place + (1 << 14)])
                if shard and server.manners.pause:  # it may change in the middle
                    time.sleep(server.manners.pause)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextlib.contextmanager
def serving(catalogue: Catalogue, manners: Manners | None = None) -> Iterator[FileServer]:
    """Serve for the length of the block."""
    server = FileServer(catalogue, manners or Manners())
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as listening:
        listening.daemon_threads = True
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def free_port() -> int:
    """Return a port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
