"""A real Chromium over a real `selfinstruct view`: every page of it is watched for errors and for requests that go elsewhere.

With SELFINSTRUCT_PICTURES=FOLDER a picture of each page is left there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Playwright, sync_playwright

from tests.support.korean import add_korean
from tests.support.published import make_catalogue

PICTURES = os.environ.pop("SELFINSTRUCT_PICTURES", "")  # a run would refuse it as a field that its recipe lacks
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions of one dataset, the last one with Korean rows; and the runs that they were made of."""
    folder = tmp_path_factory.mktemp("made")
    with ThreadPoolExecutor(1) as elsewhere:  # in this thread Playwright has its event loop
        elsewhere.submit(make_catalogue, folder, name="everyday", versions=3, n=100).result()
    add_korean(folder / "catalogue")
    return folder


@contextmanager
def viewing(*options: object) -> Iterator[str]:
    """The command under way; yields the root of its URL."""
    line = [sys.executable, "-m", "selfinstruct", "view", *map(str, options), "--no-open"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.match(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def site(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with viewing("--catalogue", made / "catalogue") as url:
            yield url


@pytest.fixture(scope="session")
def playwright_() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def chromium(playwright_: Playwright) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    found = playwright_.chromium.launch(executable_path=path, args=arguments)
    yield found
    found.close()


class Watched:
    """Pages of one browser window, and whatever went wrong in them."""

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.context, self.site = context, site
        self.wrong: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in {"error", "warning"} else None
        )
        self.page.on(
            "request",
            lambda asked: None if asked.url.startswith((site, "data:", "blob:")) else self.wrong.append(asked.url),
        )
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def go(self, path: str) -> Page:
        self.page.goto(self.site + path)
        self.page.wait_for_selector(
            "head meta[http-equiv=refresh]", state="detached", timeout=60_000
        )  # it is being indexed
        self.page.wait_for_load_state("networkidle")
        return self.page

    def picture(self, name: str, *, whole: bool = False) -> None:
        """Leave a picture where they are asked for."""
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=whole)


@contextmanager
def window(chromium: Browser, site: str, **options: object) -> Iterator[Watched]:
    """A window; nothing may have gone wrong in it when it closes."""
    context = chromium.new_context(**{"viewport": DESK, "locale": "en-US", "accept_downloads": True, **options})  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site)
    watched = Watched(context, site)
    try:
        yield watched
        assert watched.wrong == []
    finally:
        context.close()


@pytest.fixture
def desk(chromium: Browser, site: str) -> Iterator[Watched]:
    with window(chromium, site) as found:
        yield found
