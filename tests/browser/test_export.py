"""A static folder and a report in a real browser, opened from the disk and from any web server: they ask for nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from selfinstruct.viewer.folding import folded, terms
from tests.browser.conftest import DESK, PHONE, Watched
from tests.support.evil import make_hostile
from tests.support.korean import ROWS
from tests.support.markup import payloads
from tests.support.running import command

ROWS_PAGE = "/d/everyday/3/rows.html"


@contextmanager
def window(chromium: Browser, site: str, **options: Any) -> Iterator[Watched]:
    """A window that may ask for nothing outside of `site`, and without any permission: what is a file has no origin for one."""
    context = chromium.new_context(**{"viewport": DESK, "locale": "en-US", **options})
    watched = Watched(context, site)
    try:
        yield watched
        assert watched.wrong == []
    finally:
        context.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A plain web server over a folder."""
    line = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().split(' port ')[1].split()[0]}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def folder(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "pages"
    done = command("view", "everyday", "--catalogue", made / "catalogue", "--export", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(params=["file", "http"])
def opened(request: pytest.FixtureRequest, chromium: Browser, folder: Path) -> Iterator[Watched]:
    """The folder as a file, and from a server."""
    if request.param == "file":
        with window(chromium, folder.as_uri()) as watched:
            yield watched
    else:
        with served(folder) as site, window(chromium, site) as watched:
            yield watched


def shown(page: Page) -> int:
    """How many rows are found, once they are."""
    told = page.locator("[data-total]")
    page.wait_for_selector("#found:not([aria-busy])")
    return int((told.text_content() or "").split()[0].replace(",", ""))


def test_a_reader_goes_from_the_catalogue_to_a_row_and_its_lineage(opened: Watched) -> None:
    """By links alone, in both languages; the row shows what was stored of it."""
    page = opened.go("/index.html")
    page.get_by_role("link", name="everyday").first.click()
    expect(page.locator(".chart-funnel svg")).to_be_visible()
    opened.picture("export-dataset", whole=True)
    page.get_by_role("link", name="Rows", exact=True).click()
    expect(page.locator("[data-item]")).to_have_count(50)
    opened.picture("export-rows")
    instruction = page.locator("[data-item] .instruction").nth(3).text_content()
    page.locator("[data-item] a").nth(3).click()
    expect(page.locator(".said.lead")).to_have_text(instruction or "")
    for section in ("#demonstrations li", "#answers blockquote", "#calls details"):
        assert page.locator(section).count() > 0, section
    opened.picture("export-row", whole=True)
    page.locator("a[rel=next]").click()
    expect(page.locator(".said.lead")).not_to_have_text(instruction or "")
    page.go_back()
    expect(page.locator(".said.lead")).to_have_text(instruction or "")
    page.get_by_role("link", name="한국어").click()
    expect(page.locator(".said.lead")).to_have_text(instruction or "")
    expect(page.get_by_role("heading", name="답변", exact=True).first).to_be_visible()


def test_search_finds_any_part_of_any_word_of_any_script(opened: Watched) -> None:
    """One Korean syllable, another case, two terms; what is found is marked, and everything that has it is found."""
    page = opened.go(ROWS_PAGE)
    expect(page.locator("[data-item]")).to_have_count(50)
    whole = shown(page)
    assert whole == 304
    search = page.get_by_role("searchbox")
    for asked, found in (("은행나무", 1), ("귤", 1), ("값", 1), ("산책 강변", 1), ('"비 오는 날"', 1), ("ﾊ", 0)):
        search.fill(asked)
        page.wait_for_url(lambda url: "q=" in url)
        expect(page.locator("[data-item]")).to_have_count(found)
    search.fill("편지를")
    expect(page.locator("[data-item] mark")).to_have_text("편지를")
    expect(page.locator("[data-item] .instruction")).to_have_text(ROWS[2][0])
    expect(page.locator(".pager")).to_be_hidden()
    opened.picture("export-search")
    search.fill("HE")
    expect(page.locator("[data-item]")).to_have_count(50)
    some = shown(page)
    assert 0 < some < whole
    search.fill("")
    expect(page.locator("[data-total]")).to_contain_text(f"{whole}")


def test_a_browser_folds_texts_as_the_server_does(opened: Watched) -> None:
    """Case, width, composed and decomposed Hangul, sharp s, final sigma, blanks of all kinds, what cannot be seen."""
    texts = [
        "Straße STRASSE ς Σ ΟΔΟΣ İstanbul", "ＡＢＣ ｱｲｳ ﬁne", "한글 \u1112\u1161\u11ab", "a\tb\u00a0c\u3000d\r\n  e ",
        "zero\u200bwidth\u00ad", "", "  ", *(text[:2000] for text in payloads()),
    ]  # fmt: skip
    page = opened.go(ROWS_PAGE)
    expect(page.locator("[data-item]")).to_have_count(50)
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    assert page.evaluate("texts => texts.map(folded)", texts) == [folded(text) for text in texts]
    asked = ['one "two  words" ONE', "값 값", '"', "a " * 20]
    assert page.evaluate("asked => asked.map(terms)", asked) == [list(terms(one)) for one in asked]


def test_filters_and_orders(opened: Watched) -> None:
    """Facets add up to all rows; an order is one; a page that is sent to somebody shows the same."""
    page = opened.go(ROWS_PAGE)
    expect(page.locator("[data-item]")).to_have_count(50)
    counted = []
    for value in ("yes", "no"):
        page.get_by_label("Classification task").select_option(value)
        page.wait_for_url(re.compile(f"class={value}"))
        expect(page.locator("[data-item]").first).to_be_visible()
        counted.append(shown(page))
    assert sum(counted) == 304
    page.get_by_label("Classification task").select_option("")
    page.get_by_label("Order").select_option("worst")
    page.wait_for_url(lambda url: "sort=worst" in url)
    expect(page.locator("[data-item]")).to_have_count(50)
    scores = [float(one) for one in page.locator("[data-item] .score").all_text_contents()]
    assert scores == sorted(scores)
    page.locator("a[rel=next]").click()
    page.wait_for_url(lambda url: "page=2" in url)
    expect(page.locator(".pager span")).to_contain_text("2 of 7")
    second = page.locator("[data-item] .instruction").all_text_contents()
    page.reload()
    expect(page.locator(".pager span")).to_contain_text("2 of 7")
    assert page.locator("[data-item] .instruction").all_text_contents() == second
    assert page.get_by_label("Order").input_value() == "worst"


def test_an_earlier_version_and_its_drops(opened: Watched) -> None:
    """Within the pages of the latest: only what it had."""
    page = opened.go("/d/everyday/1/index.html")
    page.get_by_role("link", name="Rows", exact=True).click()
    expect(page.locator("[data-total]")).to_have_text("100 rows")
    expect(page.locator("[data-upto]")).to_contain_text("version 1")
    page.go_back()
    page.get_by_role("link", name="Dropped", exact=True).click()
    expect(page.locator("[data-item]").first).to_be_visible()
    few = int((page.locator("[data-total]").text_content() or "").split()[0])
    page.get_by_role("link", name="show all").click()
    page.wait_for_function(f"parseInt(document.querySelector('[data-total]').textContent) > {few}")
    page.locator(".rules a").first.click()
    expect(page.locator(".rules [aria-current]")).to_have_count(1)
    of_rule = page.locator(".rules [aria-current] b").text_content()
    expect(page.locator("[data-total]")).to_contain_text(of_rule or "")
    opened.picture("export-drops")
    page.locator("[data-item] a").first.click()
    expect(page.locator("article h1")).to_be_visible()


def test_the_threshold_leads_to_the_rows_that_it_would_keep(opened: Watched) -> None:
    """The line moves without a server; the link shows so many rows."""
    page = opened.go("/d/everyday/3/index.html")
    line = page.locator("#scores-threshold")
    line.focus()
    line.press("End")
    line.press("ArrowLeft")
    page.get_by_role("link", name="Show these rows").click()
    expect(page.locator("[data-item]").first).to_be_visible()
    assert "min=" in page.url
    least = float(page.url.rpartition("min=")[2])
    assert all(float(one) >= least for one in page.locator("[data-item] .score").all_text_contents())


def test_on_a_phone_in_the_dark(chromium: Browser, folder: Path) -> None:
    """Nothing is wider than the screen."""
    with window(chromium, folder.as_uri(), viewport=PHONE, color_scheme="dark") as watched:
        for path in (
            "/index.html",
            "/d/everyday/3/index.ko.html",
            "/d/everyday/3/rows.ko.html",
            "/d/everyday/3/row.ko.html#7",
            "/d/everyday/3/drops.html",
        ):
            page = watched.go(path)
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            watched.picture(f"export-phone-{path.rpartition('/')[2].partition('.')[0]}")


def test_what_is_not_there_is_told(opened: Watched) -> None:
    """A row or drop of another number, or of none."""
    for path in (
        "row.html#999999",
        "row.html#id=nobody",
        "row.html#<b>",
        "row.html",
        "drop.html#0.99999",
        "drop.html#x",
        "row.html#__proto__",
    ):
        page = opened.go(f"/d/everyday/3/{path}")
        expect(page.locator("[data-gone]")).to_be_visible()
        page.goto("about:blank")


@pytest.mark.parametrize("how", ["file", "http"])
def test_nothing_of_a_hostile_row_runs(how: str, chromium: Browser, tmp_path: Path) -> None:
    """Every payload in rows, lineages and drops: text, no element of theirs, no dialog, no error, no request."""
    root = make_hostile(tmp_path / "hostile")
    out = tmp_path / "pages"
    done = command("view", "evil", "--catalogue", root, "--export", out)
    assert done.returncode == 0, done.stderr
    with served(out) as site, window(chromium, out.as_uri() if how == "file" else site) as watched:
        count = "document.querySelectorAll('iframe, img, object, embed, base, [onerror], [onload], main script, main style, main link, main svg script').length"
        kinds = "[...new Set([...document.querySelectorAll('main *')].map((one) => one.localName))].sort()"
        page = watched.go("/d/evil/1/row.html#0")
        for number in range(len(payloads())):
            page.evaluate(f"location.hash = '#{number}'")
            page.wait_for_timeout(30)
            assert page.evaluate(count) == 0
        ours = {"a", "article", "blockquote", "code", "dd", "details", "div", "dl", "dt", "footer", "h2", "h3", "header", "li",
                "ol", "p", "pre", "section", "span", "strong", "summary", "template"}  # fmt: skip
        assert set(page.evaluate(kinds)) <= ours
        page = watched.go("/d/evil/1/rows.html")
        for asked in ("<script>", "onerror", "\"'><svg onload=alert(1)>", "\\u202e", "한글"):
            page.get_by_role("searchbox").fill(asked)
            page.wait_for_timeout(500)
            assert page.evaluate(count) == 0
        page = watched.go("/d/evil/1/drops.html")
        page.wait_for_selector("[data-item]")
        assert page.evaluate(count) == 0
        for number in range(0, 40, 3):
            watched.go(f"/d/evil/1/drop.html#{number}.0")
            assert page.evaluate(count) == 0


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_report_asks_for_nothing(language: str, chromium: Browser, made: Path, tmp_path: Path) -> None:
    """Opened from a mail: one request, for itself; no script; nothing wider than a phone."""
    out = tmp_path / f"report.{language}.html"
    assert command("report", made / "run-1", "-o", out, "--lang", language).returncode == 0
    with window(chromium, out.as_uri(), viewport=PHONE, color_scheme="dark") as watched:
        asked: list[str] = []
        watched.page.on("request", lambda request: asked.append(request.url))
        page = watched.go("")
        assert [url for url in asked if not url.startswith("data:")] == [out.as_uri()]
        assert page.evaluate("document.scripts.length") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("svg.chart").count() >= 6
        watched.picture(f"report-phone-{language}", whole=True)
    with window(chromium, out.as_uri()) as watched:
        watched.go("")
        watched.picture(f"report-{language}", whole=True)
