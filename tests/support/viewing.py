"""The viewer over a library, without a port."""

from __future__ import annotations

import time

from starlette.testclient import TestClient

from selfinstruct.viewer.library import Library
from selfinstruct.viewer.server import app

HOST = "127.0.0.1:8000"


class Viewer(TestClient):
    """Comes again while an index is being built, as a browser does."""

    def page(self, url: str) -> str:
        for _ in range(200):
            answer = self.get(url)
            if answer.status_code != 202:
                assert answer.status_code == 200, f"{url}: {answer.status_code}"
                return str(answer.text)
            time.sleep(0.05)
        raise TimeoutError(url)


def browse(library: Library) -> Viewer:
    """Return the viewer over a library; to be entered."""
    return Viewer(app(library, hosts=[HOST]), base_url=f"http://{HOST}", follow_redirects=False)
