"""Charts are well-formed, accessible, and safe to put anywhere whatever the texts in them say; their numbers are shown."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.pictures import (
    Bin,
    FunnelBar,
    FunnelWords,
    HistogramWords,
    Line,
    Share,
    data_uri,
    funnel,
    histogram,
    lines,
    shares,
    sunburst,
)
from selfinstruct.pictures.svg import cut, width

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "</text><script>alert(1)</script>",
    '" onload="alert(1)" x="',
    "' & < > \"",
    "]]><!-- & -->",
    "\x00\x01\x1b[31m\x7f\ud800",
    "\u202egnp.exe \u2066abc\u2069",
    "שלום עולם مرحبا",
    "&amp;lt;b&gt; &#0;",
    "x" * 500,
    "한글" * 250,
    "\ufffe\uffff\U0010ffff",
    "",
)


def _funnel(said: str, *, standalone: bool = False) -> str:
    bars = [FunnelBar(said, 7, 3, 1, 2, {said: 2}, said), FunnelBar("select", 0)]
    words = FunnelWords(said, said, said, said)
    return funnel(bars, title=said, words=words, link=lambda stage, rule: f"?{stage}&{rule}", standalone=standalone)


def _histogram(said: str, *, standalone: bool = False) -> str:
    words = HistogramWords(said, said, said, said)
    bins = [Bin(0, 1, 3, 1), Bin(1, 2, 0, 0), Bin(2, 3, 5)]
    return histogram(bins, title=said, words=words, threshold=2, name=said, standalone=standalone)


def _shares(said: str, *, standalone: bool = False) -> str:
    items = [Share(f"{said}{number}", 20 - number) for number in range(20)]
    return shares(
        items, title=said, description=said, other=said, link=lambda label: f"?{label}", standalone=standalone
    )


def _sunburst(said: str, *, standalone: bool = False) -> str:
    tree = {f"{said}{verb}": {f"{said}{noun}": verb + noun + 1 for noun in range(6)} for verb in range(25)}
    return sunburst(tree, title=said, other=said, caption=said, standalone=standalone)


def _lines(said: str, *, standalone: bool = False) -> str:
    found = [Line(said, [0.5, None, 0.75]), Line(f"{said}2", [1, 2, 3])]
    return lines([said, "b", "c"], found, title=said, description=said, standalone=standalone)


CHARTS = pytest.mark.parametrize("chart", [_funnel, _histogram, _shares, _sunburst, _lines])
Chart = Callable[..., str]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own output; a failure to parse is what the test is for


def texts(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in parsed(svg).iter(f"{SVG}text")]


@CHARTS
@pytest.mark.parametrize("standalone", [False, True])
@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_shown(chart: Chart, said: str, standalone: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whatever a title, label, rule or word says: well-formed XML, no element or attribute of its making, nothing hidden."""
    svg = chart(said, standalone=standalone)
    plain = chart("plain", standalone=standalone)
    kinds = {"svg", "g", "rect", "text", "title", "desc", "line", "circle", "path", "polyline", "polygon", "a"}
    for one in parsed(svg).iter():
        assert one.tag.removeprefix(SVG) in kinds
        assert not [name for name in one.attrib if name.startswith("on") or name in {"style", "src"}]
    assert sum(1 for _ in parsed(svg).iter(f"{SVG}rect")) == sum(1 for _ in parsed(plain).iter(f"{SVG}rect"))
    assert not re.search("[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", svg)
    svg.encode()


@CHARTS
def test_a_strict_page_takes_it(chart: Chart) -> None:
    """No style, script, event handler or address of another site; a root with role, title and description."""
    svg = chart("A title")
    assert not re.search(r"<style|<script|\sstyle=|\son\w+=|url\(|<image|<use|<foreignObject", svg)
    root = parsed(svg)
    assert root.get("role") == ("group" if root.find(f".//{SVG}a") is not None else "img")
    assert [one.tag.removeprefix(SVG) for one in root][:2] == ["title", "desc"]
    assert root[0].text == "A title"
    assert root[1].text
    assert root.get("color") is None


@CHARTS
def test_a_picture_that_stands_alone_brings_its_ground(chart: Chart) -> None:
    """Ink, ground and size of its own, so that any viewer shows it; and an address that holds all of it."""
    svg = chart("A title", standalone=True)
    root = parsed(svg)
    assert root.get("color")
    assert root[2].get("fill")
    assert f"0 0 {root.get('width')} {root.get('height')}" == root.get("viewBox")
    assert b64decode(data_uri(svg).partition(",")[2]).decode() == svg


@CHARTS
def test_long_labels_end_in_an_ellipsis(chart: Chart) -> None:
    """No line of text is wider than the picture; the whole label is a tooltip."""
    svg = chart("a label without end " * 25)
    assert "\N{HORIZONTAL ELLIPSIS}" in svg
    for one in parsed(svg).iter(f"{SVG}text"):
        assert width(str(one.text), float(one.attrib["font-size"])) <= 700


def test_a_funnel_tells_each_part() -> None:
    """Parts carry stage, fate, rule and count; dropped ones are links; numbers and the share stand beside the bar."""
    bars = [FunnelBar("select", 1200, 800, 0, 0, {"score": 700}, "Selection")]
    svg = funnel(bars, title="t", link=lambda stage, rule: f"/drops?stage={stage}&rule={rule}")
    parts = [one.attrib for one in parsed(svg).iter(f"{SVG}rect") if "data-fate" in one.attrib]
    assert [(one["data-fate"], one.get("data-rule"), one["data-count"]) for one in parts] == [
        ("accepted", None, "1200"), ("dropped", "score", "700"), ("dropped", None, "100"),
    ]  # fmt: skip
    widths = [float(one["width"]) for one in parts]
    assert widths[0] / widths[1] == pytest.approx(1200 / 700, rel=0.01)
    assert {"Selection", "1,200 / 2,000", "60%"} <= set(texts(svg))
    links = [one.get("href") for one in parsed(svg).iter(f"{SVG}a")]
    assert links == ["/drops?stage=select&rule=", "/drops?stage=select&rule=score", "/drops?stage=select&rule="]


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", " javascript:alert(1)", "JaVaScRiPt:x", "java\nscript:x"]
)
def test_a_link_never_runs_anything(link: str) -> None:
    """An address that is not of this site, http or https is no link."""
    assert "<a" not in shares([Share("x", 1)], title="t", link=lambda _: link)


def test_a_histogram_can_be_dragged() -> None:
    """The root tells the axis, bars their counts, and the line stands at its value: what a script needs."""
    bins = [Bin(at / 2, at / 2 + 0.5, at, 10 - at) for at in range(11)]
    root = parsed(histogram(bins, title="t", threshold=4.5, name="scores"))
    left, right = float(root.attrib["data-left"]), float(root.attrib["data-right"])
    low, high = float(root.attrib["data-low"]), float(root.attrib["data-high"])
    (line,) = (one for one in root.iter() if one.get("id") == "scores-threshold")
    x = float(line.attrib["transform"].removeprefix("translate(").split()[0])
    assert x == pytest.approx(left + (right - left) * (4.5 - low) / (high - low), abs=0.1)
    assert line.get("data-value") == "4.5"
    found = [one.attrib for one in root.iter(f"{SVG}g") if one.get("class") == "bin"]
    assert [(float(one["data-low"]), int(one["data-kept"]), int(one["data-dropped"])) for one in found] == [
        (one.low, one.kept, one.dropped) for one in bins
    ]
    first = next(one for one in root.iter(f"{SVG}rect") if one.get("class") == "part part-kept")
    assert left <= float(first.attrib["x"]) <= right


def test_shares_are_of_the_whole() -> None:
    """The largest first, the rest together, percentages of the total that is given."""
    items = [Share("few", 1), Share("most", 60), Share("some", 9), Share("nothing", 0)]
    shown = texts(shares(items, title="t", total=100, most=2, other="rest"))
    assert shown[1:] == ["most", "60", "60%", "rest (2)", "10", "10%"]


def test_a_sunburst_is_as_wide_as_its_counts() -> None:
    """Verbs and objects carry their counts; what is not shown is `other`; what has no object too."""
    tree = {"write": {"story": 6, "poem": 3, "": 2}, "list": {"city": 4}, "sort": {"word": 1}}
    root = parsed(sunburst(tree, title="t", verbs=2, nouns=1, other="rest", caption="rows"))
    found = [(one.get("data-verb"), one.get("data-noun"), one.get("data-count")) for one in root.iter(f"{SVG}path")]
    assert found == [
        ("write", None, "11"), ("write", "story", "6"), ("write", "rest", "5"),
        ("list", None, "4"), ("list", "city", "4"), ("rest", None, "1"),
    ]  # fmt: skip


def test_one_verb_alone_is_a_whole_ring() -> None:
    """A full turn is drawn, not a path of no length."""
    root = parsed(sunburst({"write": {"story": 1}}, title="t"))
    (inner, _) = (one.attrib["d"] for one in root.iter(f"{SVG}path"))
    start, end = re.match(r"M(\S+) \S+A168 168 0 1 1 (\S+) ", inner).groups()  # type: ignore[union-attr]
    assert start != end


def test_a_line_stops_where_nothing_was_measured() -> None:
    """Two pieces around a gap, one mark a value, each number shown and told."""
    svg = lines(["a", "b", "c", "d"], [Line("acceptance", [0.5, 0.625, None, 1.0])], title="t", percent=True)
    root = parsed(svg)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2
    assert len([one for one in root.iter() if one.get("class") == "point"]) == 3
    assert {"50 %", "62.5 %", "100 %"} <= set(texts(svg))
    assert "acceptance: a 50 %, b 62.5 %, c \N{EN DASH}, d 100 %" in str(root[1].text)


def test_nothing_to_show_is_a_picture_too() -> None:
    """Empty data give an empty, well-formed chart."""
    for svg in (
        funnel([], title="t"),
        histogram([], title="t"),
        shares([], title="t"),
        sunburst({}, title="t"),
        lines([], [], title="t"),
        lines(["a"], [Line("x", [None])], title="t"),
        histogram([Bin(0, 1, 0)], title="t", logarithmic=True),
    ):
        assert parsed(svg).get("role") == "img"


@settings(deadline=None)
@given(st.text(max_size=80), st.floats(5, 200))
def test_a_cut_text_fits(said: str, room: float) -> None:
    """What is left is within the room, and a beginning of the text."""
    shown = cut(said, room)
    assert not shown or width(shown) <= room
    assert said.startswith(shown.rstrip("\N{HORIZONTAL ELLIPSIS}"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=12))
def test_bars_stay_within_the_picture(counts: list[tuple[int, int]]) -> None:
    """However large the counts, no bar leaves the picture."""
    bins = [Bin(at, at + 1, kept, dropped) for at, (kept, dropped) in enumerate(counts)]
    for one in parsed(histogram(bins, title="t")).iter(f"{SVG}rect"):
        assert float(one.attrib["y"]) >= 0
        assert float(one.attrib["height"]) >= 0
