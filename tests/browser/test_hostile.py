"""Hostile rows in a real browser: nothing of them runs, loads or leads anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import viewing, window
from tests.support.evil import make_hostile
from tests.support.markup import MARKUP


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def test_nothing_of_a_row_runs(chromium: Browser, hostile: Path) -> None:
    """Every payload on every kind of page: no dialog, no error, no request elsewhere, no element of theirs."""
    with viewing("--catalogue", hostile) as site, window(chromium, site) as watched:
        page = watched.go("/d/evil/1/rows")
        rows = [one.get_attribute("href") or "" for one in page.locator("[data-item] a").all()]
        drops = [
            one.get_attribute("href") or "" for one in watched.go("/d/evil/1/drops").locator("[data-item] a").all()
        ]
        assert len(rows) == len(drops) == 50 <= len(MARKUP)
        for path in ["/", "/d/evil/1", "/d/evil/1/rows?page=2", *rows[::3], *drops[1::3]]:
            page = watched.go(path)
            assert page.url == site + path
            found = page.evaluate(
                "[document.querySelectorAll('script:not([src^=\"/static/\"]), iframe, img, object, embed, [style], [onerror], [onload], main style').length, document.title.length < 300]"
            )
            assert found == [0, True], path
        for asked in ("<script>", "onerror", "\"'><svg onload=alert(1)>"):
            page = watched.go("/d/evil/1/rows")
            page.get_by_placeholder("Search").fill(asked)
            page.wait_for_url(lambda url: "q=" in url)
            page.wait_for_load_state("networkidle")
