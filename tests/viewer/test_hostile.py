"""Rows of a hostile dataset are shown as text on every page, in both languages, and nothing of them runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.viewer.library import Library
from tests.support.evil import id_of, make_hostile, stored
from tests.support.markup import MARKUP, Page, payloads
from tests.support.viewing import Viewer, browse


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def viewer(hostile: Path) -> Iterator[Viewer]:
    with browse(Library(Catalogue(str(hostile)))) as found:
        yield found


def test_there_are_fifty_kinds() -> None:
    """The list is as long as was promised, and each of it is another one."""
    assert len(set(MARKUP)) == len(MARKUP) >= 53


@pytest.mark.parametrize(
    "text",
    [
        one
        for one in MARKUP
        if re.match(
            r"<(script|img|svg|iframe|object|embed|a |base|link|style|body|details|video|form|div)", one, re.IGNORECASE
        )
    ],
)
def test_the_checker_sees_what_is_not_escaped(text: str) -> None:
    """A page with a payload as it is does not pass."""
    assert Page(f"<p>{text}</p>").wrong


@pytest.mark.parametrize("language", ["en", "ko"])
def test_pages_of_a_hostile_dataset(viewer: Viewer, language: str) -> None:
    """Catalogue, figures, rows, drops and comparison hold no element, attribute or address of the data."""
    urls = [
        "/",
        "/d/evil/1",
        "/d/evil/1/rows",
        "/d/evil/1/rows?page=2",
        "/d/evil/1/drops",
        "/d/evil/1/drops?page=2",
        "/d/evil/1/against/1",
    ]
    for url in urls:
        page = Page(viewer.page(f"{url}{'&' if '?' in url else '?'}lang={language}"))
        assert not page.wrong, (url, page.wrong[:5])
    viewer.cookies.clear()


@pytest.mark.parametrize("place", range(len(payloads())))
def test_every_payload_on_every_page(viewer: Viewer, place: int) -> None:
    """A row, what is near to it, a drop and a search: whatever the text, the page is whole and shows it as text."""
    from urllib.parse import quote

    text = stored(payloads()[place])
    one = quote(id_of(text, place), safe="")
    for kind in ("row", "near", "drop"):
        html = viewer.page(f"/d/evil/1/{kind}/{one}")
        page = Page(html)
        assert not page.wrong, (kind, page.wrong[:5])
        assert len(html) < 2_000_000
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b\u200f\ufeff]", html)
        if kind == "row" and text.isprintable() and len(text) < 1000:
            assert text in page.text
    found = Page(viewer.page(f"/d/evil/1/rows?q={quote(text[:150])}"))
    assert not found.wrong


def test_a_payload_can_be_found(viewer: Viewer) -> None:
    """Markup is text to the search, too; what is hidden between its letters hides nothing."""
    for asked in ("onerror=alert", "%3Cscript%3E", "zerowidthandmark", "nulinbetween", "cycler.__init__"):
        html = viewer.page(f"/d/evil/1/rows?q={asked}")
        assert "data-item" in html, asked


def test_downloads_of_hostile_rows_are_lines(viewer: Viewer) -> None:
    """Each row is one line of JSON, with the bytes of the text."""
    lines = viewer.get("/download/evil/1/messages.jsonl").text.split("\n")[:-1]
    told = [json.loads(line)["messages"][1]["content"] for line in lines]
    assert told == [stored(text) for text in payloads()]
