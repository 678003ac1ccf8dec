"""One Prefect server for all tests here: starting one costs more than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.prefect_server import Prefect


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """A server with an empty home, and no worker."""
    running = Prefect(tmp_path_factory.mktemp("prefect"))
    try:
        running.serve()
        yield running
    finally:
        running.stop()
