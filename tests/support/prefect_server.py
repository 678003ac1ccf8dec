"""A real Prefect server, its workers, and the shipped deployments in a checkout of their own. Waits, and never for a fixed time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
PREFECT = Path(sys.executable).parent / "prefect"
BEAT = 30
"""Seconds between two heartbeats of a run: the least that Prefect takes."""


class Prefect:
    """A server with its own home on a free port, and workers of the pool `local` in a checkout with the flows."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.checkout = folder / "checkout"
        self.checkout.mkdir(parents=True)
        self.log = (folder / "prefect.log").open("w+", encoding="utf-8")
        self.environment = {
            **os.environ,
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(BEAT),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
        }
        self._processes: list[subprocess.Popen[str]] = []

    def check_out(self, edits: dict[str, str]) -> None:
        """Copy flows, deployments and automations; `edits` are regular expressions and what stands in their place."""
        shutil.copytree(ROOT / "flows", self.checkout / "flows", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("prefect.yaml", "automations.yaml"):
            text = (ROOT / name).read_text(encoding="utf-8")
            for old, new in edits.items():
                text = re.sub(old, new, text)
            (self.checkout / name).write_text(text, encoding="utf-8")

    # -- processes ------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start the server, and wait until it answers."""
        self.server = self._spawn("server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui")
        self.wait("the server", self._healthy, 180)

    def work(self) -> subprocess.Popen[str]:
        """Start a worker."""
        return self._spawn("worker", "start", "--pool", "local")

    def _spawn(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(PREFECT), *command],
            cwd=self.checkout,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a process with everything that it has started, runs in sessions of their own included."""
        for pid in (*_below(process.pid), process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()

    def stop(self) -> None:
        """Kill what goes on, workers first: nobody looks at it any more."""
        for process in reversed(self._processes):
            if process.poll() is None:
                self.kill(process)
        self.log.close()

    # -- commands and the API -------------------------------------------------------------------------------------

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Prefect to its end."""
        return subprocess.run(
            [str(PREFECT), *command],
            cwd=self.checkout, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def call(self, *command: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, deployment: str, **parameters: Any) -> str:
        """Have a deployment run, as the form in the UI does; return the id of the run."""
        found = self.post(f"/deployments/name/{deployment}", None)["id"]
        return str(self.post(f"/deployments/{found}/create_flow_run", {"parameters": parameters})["id"])

    def post(self, path: str, body: dict[str, Any] | None) -> Any:
        """Ask the API: GET without a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data=data, headers={"Content-Type": "application/json"})  # noqa: S310 - our own loopback server
        for _ in range(60):  # while the server catches up with its own bookkeeping it answers 503
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    return json.load(answer)
            except OSError:
                time.sleep(1)
        msg = f"{path} never answered"
        raise AssertionError(msg)

    def state(self, run: str) -> tuple[str, str, str]:
        """Return type, name and message of the state of a run."""
        state = self.post(f"/flow_runs/{run}", None)["state"]
        return state["type"], state["name"], state["message"] or ""

    def ended(self, run: str, seconds: float = 240) -> tuple[str, str, str]:
        """Wait for the end of a run, and return its state."""

        def final() -> tuple[str, str, str] | None:
            state = self.state(run)
            return state if state[0] in {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"} else None

        return self.wait(f"the end of {run}", final, seconds)

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Return flow runs that have begun or ended, in the order in which they were due."""
        found = self.post("/flow_runs/filter", {"flow_runs": filters, "sort": "EXPECTED_START_TIME_ASC"})
        return [run for run in found if run["state_type"] not in {"SCHEDULED", "PENDING"}]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name."""
        found: list[dict[str, Any]] = self.post("/events/filter", {"filter": {"event": {"name": [name]}}})["events"]
        return found

    def artifacts(self, run: str) -> dict[str, Any]:
        """Return what stands on the page of a run, by key."""
        found = self.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {one["key"]: one["data"] for one in found}

    # -- waiting --------------------------------------------------------------------------------------------------

    def wait(self, what: str, found: Callable[[], T | None], seconds: float) -> T:
        """Wait until `found` gives something."""
        deadline = time.monotonic() + seconds
        while not (result := found()):
            assert time.monotonic() < deadline, f"{what} did not come within {seconds} s\n{self.tail()}"
            time.sleep(0.5)
        return result

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=5) as answer:  # noqa: S310 - our own loopback server
                return bool(answer.status == 200)
        except OSError:
            return False

    def tail(self) -> str:
        """Return the end of what server and workers have said."""
        self.log.flush()
        return Path(self.log.name).read_text(encoding="utf-8")[-4000:]


def flags(**parameters: Any) -> list[str]:
    """Return parameters of a flow as options of `prefect deployment run`."""
    return [part for name, value in parameters.items() for part in ("-p", f"{name}={json.dumps(value)}")]


def _below(pid: int) -> list[int]:
    """Return the processes that descend from one, the last ones first."""
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return [one for child in children for one in (*_below(child), child)]
