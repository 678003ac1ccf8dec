"""`--metrics PORT`: the figures of a run for Prometheus, at http://127.0.0.1:PORT/metrics while it goes on.

A run that is resumed goes on where its counters stood. What is not known yet, or not told by a server, has no line.
"""

from __future__ import annotations

import math
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from selfinstruct import __version__
from selfinstruct.console.outlet import Outlet
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from selfinstruct.console.figures import Figures

    Value = tuple[dict[str, str], float | None]
    Family = tuple[str, str, str, Iterable[Value]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format."""
PATIENCE = 5.0
"""Seconds that somebody who connects may take to ask."""


class Metrics(Outlet):
    """Answers on loopback, from threads of its own."""

    every = 0.25

    def __init__(self, port: int) -> None:
        """Listen on `port`, 0 takes a free one."""
        self._port = port
        self._figures: Figures | None = None
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it answers, once it is open."""
        return f"http://127.0.0.1:{self._server.server_address[1] if self._server else self._port}/metrics"

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            BadInputError: the port is taken, or not allowed.
        """
        try:
            self._server = _Server(("127.0.0.1", self._port), self._handler())
        except OSError as error:
            msg = f"--metrics {self._port}: {error.strerror}"
            raise BadInputError(msg, remedy="another port, or --metrics 0 for a free one") from error
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def show(self, figures: Figures) -> None:
        """Answer with these from now on."""
        self._figures = figures

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        def text() -> str:
            return exposition(self._figures)

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_GET(self) -> None:
                known = self.path.partition("?")[0] == "/metrics"
                body = (text() if known else "see /metrics\n").encode()
                self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing: stderr is the run's."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing of somebody who went away before the answer."""


def exposition(figures: Figures | None) -> str:
    """Return the figures in Prometheus' text format; before the first there is only the version."""
    lines: list[str] = []
    families: list[Family] = [("info", "gauge", "The program that runs.", [({"version": __version__}, 1)])]
    for name, kind, about, values in [*families, *(_families(figures) if figures else ())]:
        told = [(labels, value) for labels, value in values if value is not None and math.isfinite(value)]
        if told:
            lines += [f"# HELP selfinstruct_{name} {about}", f"# TYPE selfinstruct_{name} {kind}"]
            lines += [f"selfinstruct_{name}{_labels(labels)} {value}" for labels, value in told]
    return "\n".join(lines) + "\n"


def _families(figures: Figures) -> Iterator[Family]:
    yield _one("target_rows", "gauge", "Rows asked for.", figures.target)
    yield _one("rows_total", "counter", "Finished rows, in any order.", figures.rows)
    yield _one("rows_per_minute", "gauge", "Speed that the time left is reckoned with.", figures.rows_per_min)
    if figures.left is not None:
        yield _one("left_seconds", "gauge", "Time left; absent when it is too early to say.", figures.left.seconds)
        yield _one("left_least_seconds", "gauge", "One time in ten it is less.", figures.left.least)
        yield _one("left_most_seconds", "gauge", "One time in ten it is more.", figures.left.most)
    yield _one("calls_total", "counter", "Calls answered.", figures.calls)
    yield _one("prompt_tokens_total", "counter", "Tokens of prompts.", figures.prompt_tokens)
    yield _one("completion_tokens_total", "counter", "Tokens written.", figures.completion_tokens)
    yield _one("in_flight", "gauge", "Answers being written.", figures.in_flight)
    yield _one("slots", "gauge", "Answers that may be written at once.", figures.slots)
    yield _one("waiting", "gauge", "Answers that wait for a place.", figures.waiting)
    yield from _stage_families(figures)
    yield from _server_families(figures)


def _stage_families(figures: Figures) -> Iterator[Family]:
    fates = [
        ({"stage": stage.name, "fate": fate}, float(getattr(stage, fate)))
        for stage in figures.stages
        for fate in ("accepted", "dropped", "failed")
    ]
    yield "records_total", "counter", "Records made, by stage and fate.", fates
    drops = [({"stage": s.name, "rule": rule}, float(n)) for s in figures.stages for rule, n in s.drops.items()]
    yield "drops_total", "counter", "Records dropped, by stage and rule.", drops
    busy = [({"stage": stage.name}, float(stage.in_flight)) for stage in figures.stages]
    yield "stage_in_flight", "gauge", "Records that a stage is working on.", busy


def _server_families(figures: Figures) -> Iterator[Family]:
    for field, name, kind, about in (
        ("healthy", "up", "gauge", "Whether it answers."),
        ("in_flight", "in_flight", "gauge", "Our answers that it has not given yet."),
        ("running", "running", "gauge", "Sequences that it is generating, everybody's."),
        ("waiting", "waiting", "gauge", "Sequences that it has queued."),
        ("kv_cache", "kv_cache_ratio", "gauge", "Share of its KV cache in use."),
        ("refused", "refused_total", "counter", "Our calls that it turned away for want of room."),
        ("prefix_queries", "prefix_queries_total", "counter", "Prompt tokens looked up in its prefix cache."),
        ("prefix_hits", "prefix_hits_total", "counter", "Prompt tokens found in its prefix cache."),
        ("preemptions", "preemptions_total", "counter", "Sequences that it put back for want of memory."),
    ):
        values = [({"server": one.url}, getattr(one, field)) for one in figures.servers]
        yield f"server_{name}", kind, about, [(at, None if told is None else float(told)) for at, told in values]


def _one(name: str, kind: str, about: str, value: float | None) -> Family:
    return name, kind, about, [({}, value)]


def _labels(labels: dict[str, str]) -> str:
    quoted = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{quoted}}}" if quoted else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
