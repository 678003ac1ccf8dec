"""The viewer as somebody uses it: clicking, dragging, typing, with keys, on a phone, in the dark, in Korean."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from selfinstruct.errors import SelfInstructError
from selfinstruct.runs import accepted_rows
from tests.browser.conftest import DESK, PHONE, Watched, viewing, window
from tests.support.korean import ROWS
from tests.support.running import eventually, running

BASE = "/d/everyday/3"


def test_click_through(desk: Watched) -> None:
    """From the catalogue to a dataset, its rows, one row, what it was written from, its drops, and another version."""
    page = desk.go("/")
    desk.picture("catalogue")
    page.get_by_role("link", name="everyday").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("everyday")
    expect(page.locator("svg.chart")).not_to_have_count(0)
    desk.picture("dataset", whole=True)
    page.get_by_role("link", name="Rows", exact=True).click()
    expect(page.locator("[data-item]")).to_have_count(50)
    desk.picture("rows")
    page.locator("a[rel=next]").click()
    expect(page).to_have_url(re.compile("page=2"))
    page.locator("[data-item] a").first.click()
    expect(page.locator("#near mark")).not_to_have_count(0)
    expect(page.locator(".answers li")).not_to_have_count(0)
    desk.picture("row", whole=True)
    page.locator("#calls summary").first.click()
    expect(page.locator("#calls pre").first).to_be_visible()
    page.locator("#near a").first.click()
    expect(page.locator("#demonstrations li")).to_have_count(8)
    page.get_by_role("link", name="everyday").click()
    page.get_by_role("link", name="Dropped", exact=True).click()
    desk.picture("drops")
    page.locator(".rules a", has_text="ROUGE-L").click()
    page.locator("[data-item] a").first.click()
    expect(page.locator("mark")).not_to_have_count(0)
    desk.picture("drop")
    desk.go(BASE).get_by_role("link", name="Compare version 2").click()
    expect(page.locator("table.sides")).to_be_visible()
    desk.picture("comparison", whole=True)


def test_a_bar_of_the_funnel_opens_its_drops(desk: Watched) -> None:
    """A part of a bar leads to the drops of its stage and rule."""
    page = desk.go(BASE)
    part = page.locator('.chart-funnel a rect[data-rule="rouge"]')
    count = int(part.get_attribute("data-count") or 0)
    part.locator("..").click()
    expect(page).to_have_url(re.compile(r"drops\?stage=bootstrap&rule=rouge$"))
    expect(page.get_by_role("status")).to_have_text(f"{count} dropped")


def _told(watched: Watched) -> tuple[float, int, int]:
    """Value of the threshold, rows that it says it would keep, and those that the bars above it hold."""
    page = watched.page
    value = float(page.locator("#scores-threshold").get_attribute("data-value") or "nan")
    said = page.locator(".threshold-told output")
    bars = page.eval_on_selector_all(
        "#scores .bin",
        "(all) => all.map((one) => [one.dataset.low, one.dataset.kept, one.dataset.dropped].map(Number))",
    )
    return (
        value,
        int(said.get_attribute("data-kept") or -1),
        sum(int(kept + dropped) for low, kept, dropped in bars if low >= value - 1e-9),
    )


def _spot(watched: Watched) -> tuple[float, float]:
    box = watched.page.locator("#scores-threshold .handle").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_threshold_is_dragged(desk: Watched) -> None:
    """Dragging the line tells how many rows another threshold would keep, and leads to them."""
    page = desk.go(BASE)
    page.locator("#scores").scroll_into_view_if_needed()
    seen = set()
    for step in (-150, 260, -400, 120):
        x, y = _spot(desk)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + step / 2, y + 5, steps=4)
        page.mouse.move(x + step, y, steps=4)
        page.mouse.up()
        value, kept, above = _told(desk)
        assert kept == above
        seen.add(value)
    assert len(seen) >= 3
    desk.picture("threshold")
    page.get_by_role("link", name="Show these rows").click()
    expect(page).to_have_url(re.compile(rf"min={value:g}$"))
    expect(page.locator("[data-item]").first).to_be_visible()


def test_the_threshold_is_moved_by_keys(desk: Watched) -> None:
    """It is a slider: arrows move it by a bar, Home and End to its ends, and it says where it is."""
    page = desk.go(BASE)
    line = page.locator("#scores-threshold")
    line.focus()
    before = float(line.get_attribute("data-value") or 0)
    page.keyboard.press("ArrowLeft")
    after, kept, above = _told(desk)
    assert after < before
    assert kept == above
    expect(line).to_have_attribute("aria-valuenow", f"{after:g}")
    page.keyboard.press("Home")
    whole = _told(desk)[1]
    page.keyboard.press("End")
    assert (whole, _told(desk)[1]) == (sum(_bars(desk)), 0)
    assert "would be kept" in (line.get_attribute("aria-valuetext") or "")


def _bars(watched: Watched) -> list[int]:
    return [
        int(one)
        for one in watched.page.eval_on_selector_all(
            "#scores .bin", "(all) => all.map((one) => Number(one.dataset.kept) + Number(one.dataset.dropped))"
        )
    ]


def test_the_threshold_is_dragged_by_a_finger(chromium: Browser, site: str) -> None:
    """On a phone, too; the page does not scroll meanwhile."""
    with window(chromium, site, viewport=PHONE, has_touch=True, is_mobile=True) as phone:
        page = phone.go(BASE)
        page.locator("#scores").scroll_into_view_if_needed()
        before = float(page.locator("#scores-threshold").get_attribute("data-value") or 0)
        page.locator("#scores-threshold").evaluate("(one) => one.scrollIntoView({block: 'center', inline: 'center'})")
        x, y = _spot(phone)
        scrolled = page.evaluate("scrollY")
        wire = page.context.new_cdp_session(page)
        wire.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 9):
            wire.send(
                "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x - 10 * step, "y": y + step}]}
            )
        wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        value, kept, above = _told(phone)
        assert value < before
        assert kept == above
        assert page.evaluate("scrollY") == scrolled


@pytest.mark.parametrize(("asked", "rows"), [("산책길", 1), ("편지", 1), ("값", 1), ("세", 3), ("없는말", 0)])
def test_search_in_korean(desk: Watched, asked: str, rows: int) -> None:
    """Rows are found while one types, by any part of a word, one syllable too, and the part is marked."""
    page = desk.go(f"{BASE}/rows")
    page.get_by_placeholder("Search").press_sequentially(asked)
    page.wait_for_url(re.compile(r"q="))
    expected = sum(asked in instruction + output for instruction, output in ROWS)
    assert expected == rows
    expect(page.get_by_role("status")).to_contain_text("1 row" if expected == 1 else f"{expected} rows")
    expect(page.locator("[data-item]")).to_have_count(expected)
    if expected:
        expect(page.locator("[data-item] mark").first).to_have_text(asked)
    page.reload()
    expect(page.locator("[data-item]")).to_have_count(expected)
    expect(page.get_by_placeholder("Search")).to_have_value(asked)


def test_facets_and_order(desk: Watched) -> None:
    """A choice shows its rows at once, with what was typed; the address can be kept."""
    page = desk.go(f"{BASE}/rows")
    page.get_by_label("Version").select_option("2")
    page.wait_for_url(re.compile("version=2"))
    expect(page.get_by_role("status")).to_contain_text("100 rows")
    page.get_by_label("Order").select_option("worst")
    page.wait_for_url(re.compile("sort=worst"))
    scores = [float(one) for one in page.locator("[data-item] .score").all_inner_texts()]
    assert scores == sorted(scores)
    page.get_by_label("Lowest score").fill("5")
    page.wait_for_url(re.compile("min=5"))
    expect(page.locator("[data-item] .score").first).to_have_text("5")
    page.get_by_role("link", name="show all").click()
    expect(page.get_by_role("status")).to_contain_text(f"{300 + len(ROWS)} rows")


def test_keys(desk: Watched) -> None:
    """/ searches, Esc leaves the field, j and k move, Enter opens, Esc goes back."""
    page = desk.go(f"{BASE}/rows?sort=best")
    page.keyboard.press("/")
    expect(page.get_by_placeholder("Search")).to_be_focused()
    page.keyboard.type("jk")
    page.wait_for_url(re.compile("q=jk"))
    page.keyboard.press("Control+a")
    page.keyboard.press("Backspace")
    page.wait_for_url(re.compile(r"rows\?sort=best$"))
    page.keyboard.press("Escape")
    for key in "jjjk":
        page.keyboard.press(key)
    here = page.locator(".here a")
    expect(page.locator("[data-item]").nth(1)).to_have_class(re.compile("here"))
    address = here.get_attribute("href")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{address}$"))
    page.wait_for_load_state("networkidle")
    page.keyboard.press("j")
    expect(page).not_to_have_url(re.compile(f"{address}$"))
    page.wait_for_load_state("networkidle")
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(f"{address}$"))
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile(f"{address}$"))
    page.keyboard.press("Escape")


def test_everything_can_be_reached_by_tab(desk: Watched) -> None:
    """The first Tab leads over the head of the page; what has the focus is seen."""
    page = desk.go(BASE)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('class') || document.activeElement.tagName"
            )
        )
    assert {"scores-threshold", "copy", "get"} <= reached


def test_a_download_has_the_bytes_of_the_command(desk: Watched, made: Path, tmp_path: Path) -> None:
    """The button sends what `selfinstruct download` writes."""
    from tests.support.running import command

    page = desk.go(BASE)
    for name in ("messages", "dpo"):
        with page.expect_download() as waiting:
            page.locator(".downloads li", has=page.locator(f".format:text-is('{name}')")).get_by_role(
                "link", name="Download"
            ).click()
        assert waiting.value.suggested_filename == f"everyday-v3-{name}.jsonl"
        done = command("download", "everyday@3", "--format", name, "--from", made / "catalogue", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert Path(waiting.value.path()).read_bytes() == (tmp_path / name / "train.jsonl").read_bytes()


def test_a_command_is_copied(desk: Watched) -> None:
    """The button beside a command puts it on the clipboard."""
    page = desk.go(BASE)
    button = page.locator(".copy").first
    command = button.get_attribute("data-copy")
    button.click()
    expect(button).to_have_text("✓")
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_in_korean(chromium: Browser, site: str) -> None:
    """A Korean browser gets Korean pages; the other language is one click away and stays."""
    with window(chromium, site, locale="ko-KR") as korean:
        page = korean.go(BASE)
        expect(page.get_by_role("link", name="개요")).to_be_visible()
        korean.picture("dataset-ko")
        korean.go(f"{BASE}/rows?q=편지")
        korean.picture("rows-ko")
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("link", name="Overview")).to_be_visible()
        expect(page.get_by_placeholder("Search")).to_have_value("편지")
        page.locator("[data-item] a").first.click()
        expect(page.get_by_text("Instruction", exact=True)).to_be_visible()


@pytest.mark.parametrize("name", ["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_size_and_light(chromium: Browser, site: str, name: str, scheme: str) -> None:
    """No page is wider than the window, text stands out from its ground, and the dark is dark."""
    with window(chromium, site, viewport=PHONE if name == "phone" else DESK, color_scheme=scheme) as watched:
        row = watched.go(f"{BASE}/rows").locator("[data-item] a").nth(3).get_attribute("href")
        drop = (
            watched.go(f"{BASE}/drops?stage=bootstrap&rule=rouge").locator("[data-item] a").first.get_attribute("href")
        )
        for place, path in {
            "catalogue": "/",
            "dataset": BASE,
            "rows": f"{BASE}/rows",
            "row": row,
            "drops": f"{BASE}/drops",
            "drop": drop,
            "comparison": "/d/everyday/1/against/3",
        }.items():
            page = watched.go(str(path))
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], (place, name)  # type: ignore[index]
            ground, ink = page.evaluate(
                "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
            )
            assert _contrast(ground, ink) > 7
            assert (_light(ground) < 0.1) == (scheme == "dark")
            if (name, scheme) in {("phone", "light"), ("desk", "dark"), ("phone", "dark")} and place in {
                "dataset",
                "rows",
                "row",
            }:
                watched.picture(f"{place}-{name}-{scheme}")


def _light(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_light(one), _light(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_without_a_script(chromium: Browser, site: str) -> None:
    """Where scripts are off, pages say the same, search and pages work."""
    with window(chromium, site, java_script_enabled=False) as plain:
        page = plain.go(f"{BASE}/rows")
        page.get_by_placeholder("Search").fill("편지")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("[data-item]")).to_have_count(1)
        page = plain.go(f"{BASE}/rows")
        page.locator("[data-item] a").first.click()
        page.get_by_role("link", name="Look for it").click()
        expect(page.locator("mark")).not_to_have_count(0)


def test_a_run_is_followed(chromium: Browser, tmp_path: Path) -> None:
    """The page of a run that goes on shows more rows after a while, by itself."""
    with running(tmp_path / "run", rows=100_000, latency=0.1):
        eventually(lambda: _has_rows(tmp_path / "run"))
        with viewing(tmp_path / "run") as site, window(chromium, site) as watched:
            page = watched.go("/run")
            count = page.locator("#news .numbers dd").first
            before = _number(count.inner_text())
            eventually(lambda: _number(count.inner_text()) > before or None)
            expect(page.locator("#news [data-item]")).not_to_have_count(0)
            eventually(lambda: _number(count.inner_text()) > 40 or None)
            expect(page.locator(".charts .chart-scores")).to_be_visible(timeout=60_000)  # counted meanwhile
            watched.picture("live")


def _has_rows(folder: Path) -> bool | None:
    with suppress(SelfInstructError):  # it is just being made
        return accepted_rows(folder) > 0 or None
    return None


def _number(text: str) -> int:
    found = re.match(r"[\d,]+", text)
    return int(found[0].replace(",", "")) if found else 0
