"""Binds the viewer to this machine, tells its URL, opens a browser, and ends on Ctrl-C. Knows no page."""

from __future__ import annotations

import socket
import threading
import webbrowser
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from selfinstruct.errors import BadInputError
from selfinstruct.viewer.server import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.viewer.library import Library

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that is ours."""

    socket: socket.socket
    port: int

    def start(self, library: Library, *, page: str = "") -> None:
        """Answer until Ctrl-C or SIGTERM; `page` is opened in a browser."""
        hosts = [f"{name}:{self.port}" for name in (HOST, "localhost")]
        config = uvicorn.Config(
            app(library, hosts=hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        if page:
            threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()
        try:
            uvicorn.Server(config).run(sockets=[self.socket])
        except KeyboardInterrupt:
            return


@contextmanager
def listening(port: int) -> Iterator[tuple[Listening, str]]:
    """Yield a port of 127.0.0.1, and its URL; 0 takes a free one.

    Raises:
        BadInputError: the port is taken, or not for us.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((HOST, port))
        except OSError as error:
            msg = f"port {port} of {HOST}: {error.strerror or error}"
            raise BadInputError(msg, remedy="leave out --port: a free one is found") from None
        opened.listen(128)
        taken = opened.getsockname()[1]
        yield Listening(opened, taken), f"http://{HOST}:{taken}"
