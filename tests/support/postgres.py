"""A real PostgreSQL of its own: made in a temporary folder, on a free port of 127.0.0.1, gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SECRET = "s3cret:/@%"  # noqa: S105 - of a server that lives for a test
"""Password of the user `locked`, awkward in URLs."""


class Cluster:
    """Users: postgres (all rights, no password), locked (`SECRET`), guest (may make nothing)."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin/initdb")).parent
        self._home = Path(tempfile.mkdtemp(prefix="selfinstruct-pg-"))
        self._as = []
        if os.geteuid() == 0:  # PostgreSQL refuses root
            shutil.chown(self._home, "postgres")
            self._as = ["runuser", "-u", "postgres", "--"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.do(
            "initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"
        )
        hba = self._data / "pg_hba.conf"
        hba.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self._home}'\n"
            )
            settings.write(f"fsync = {'on' if fsync else 'off'}\nshared_buffers = 32MB\n")
        self.start()
        self.sql(f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'; CREATE ROLE guest LOGIN; CREATE DATABASE runs")
        self.sql("GRANT CREATE ON DATABASE runs TO locked")

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def url(self, *, user: str = "postgres", database: str = "runs") -> str:
        """The address, without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def do(self, program: str, *arguments: str) -> None:
        """Run one of its programs to the end."""
        command = [*self._as, str(self._bin / program), *arguments]
        log = self._home / "said"
        with log.open("a") as said:  # a pipe would be kept open by the server
            done = subprocess.run(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, check=False, cwd="/")
        assert done.returncode == 0, log.read_text()[-2000:]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.do("pg_ctl", "-D", str(self._data), "-l", str(self._data / "log"), "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends all sessions, `immediate` is a crash."""
        self.do("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def sql(self, text: str, *, database: str = "", whole: bool = False) -> list[tuple[Any, ...]]:
        """Carry out statements (`whole`: one, with semicolons in it) and return the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database=database or "postgres"), autocommit=True) as connection:
            cursor = connection.cursor()
            for one in [text] if whole else text.split(";"):
                cursor.execute(one.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Leave nothing."""
        self.stop("immediate")
        shutil.rmtree(self._home)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for the session; every run in it has a schema of its own."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        assert "CI" not in os.environ, "PostgreSQL is not installed (apt-get install postgresql)"
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    cluster = Cluster()
    yield cluster
    cluster.remove()
