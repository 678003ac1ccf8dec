"""One file tells of a run or a version: everything counted, nothing asked for from anywhere, hostile text only text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from selfinstruct.figures.count import of_run
from selfinstruct.runs import open_stored
from selfinstruct.viewer import report
from selfinstruct.viewer.wording import words
from tests.support.evil import make_hostile
from tests.support.markup import MARKUP
from tests.support.running import command, eventually, progressed, running

MAILED = 500_000
"""Bytes of a report, at most."""


class Read(HTMLParser):
    """What a browser would fetch, run and show of a file."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.fetched += [
            str(value) for name, value in attrs
            if name in {"src", "href", "action", "srcset", "data", "xlink:href"} and not str(value).startswith("#")
        ]  # fmt: skip

    def handle_data(self, data: str) -> None:
        self.text += data


def _sound(html: str) -> Read:
    read = Read(html)
    assert read.fetched == ["data:,"]
    assert not read.tags & {"script", "img", "iframe", "object", "embed", "base", "form", "video"}
    assert not read.handlers
    assert "Content-Security-Policy" in html[:600]
    assert "default-src &#39;none&#39;" in html[:700]
    assert "@import" not in html
    assert "url(" not in html.split("</style>", maxsplit=1)[0]
    assert len(html.encode()) < MAILED
    return read


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_run_is_told_whole(made: Path, tmp_path: Path, language: str) -> None:
    """Every number of the ledger, every rule with its examples, every picture, the judge, the recipe."""
    out = tmp_path / "new" / "report.html"
    done = command("report", made / "run-1", "-o", out, "--lang", language, "--price-out", 1000)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    html = out.read_text(encoding="utf-8")
    read = _sound(html)
    with open_stored(made / "run-1") as run:
        figures = of_run(run)
    said = words(language)
    for stage in (*figures.funnel.values(), figures.ledger):
        cells = "".join(
            f"<td>{count:,}</td>"
            for count in (stage.generated, stage.accepted, stage.dropped, stage.failed, stage.open)
        )
        assert cells in html
    for rule, count in figures.drops.items():
        assert f'id="rule-{rule}"' in html
        assert re.search(rf'{re.escape(said.of("rule", rule))} <span class="n">{count}</span>', html)
        assert all(
            " ".join(one.text.split())[:40] in read.text for one in figures.examples[rule] if "<" not in one.text
        )
    for name in ("funnel", "scores", "novelty", "verbs", "instruction", "output", "labels"):
        assert f'class="chart-{name}"' in html
    assert said("report.judge") in read.text
    assert "Audit of the judge" in read.text
    assert "kind: bootstrap" in read.text
    cost = figures.usage.completion_tokens * 1000 / 1e6
    assert f"{cost:,.2f}" in read.text


def test_a_version_is_told_from_its_own_files(catalogue: Catalogue, tmp_path: Path) -> None:
    """Nothing but the catalogue is read; the numbers are those of all its rows."""
    out = tmp_path / "report.html"
    done = command("report", "tiny@2", "--catalogue", catalogue.root, "-o", out)
    assert done.returncode == 0, done.stderr
    read = _sound(out.read_text(encoding="utf-8"))
    assert "selfinstruct extend tiny" in read.text or "selfinstruct download tiny@2" in read.text
    assert f"{catalogue.version(Ref('tiny', 2)).manifest.rows['sft']:,}" in read.text


def test_no_report_sends_to_an_index(made: Path, catalogue: Catalogue) -> None:
    """What lies there under our name may be anybody's: a report tells the version, and where it comes from."""
    with open_stored(made / "run-1") as run:
        told = report.of_stored(run)
    for one in (told, report.of_published(catalogue.version(Ref("tiny")))):
        assert "installed from its repository" in one.again[0]
        assert "pip" not in " ".join(one.again)


def test_a_run_that_goes_on_has_a_report(tmp_path: Path) -> None:
    """It says that it is of a moment, and its ledger balances."""
    seen = tmp_path / "events"
    with running(tmp_path / "run", "--events", seen):
        eventually(lambda: progressed(seen))
        with open_stored(tmp_path / "run") as run:
            told = report.of_stored(run)
    assert told.ended == "open"
    assert told.figures.ledger.balanced
    assert told.figures.ledger.accepted == told.figures.rows
    html = report.html(told, words("en"))
    _sound(html)
    assert words("en")("ended.open") in html


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Whatever stands in a version's figures, papers, recipe and manifest is shown and never markup."""
    told = report.of_published(Catalogue(str(make_hostile(tmp_path / "hostile"))).version(Ref("evil", 1)))
    for language in ("en", "ko"):
        read = _sound(report.html(told, words(language)))
        assert "alert(1)" in read.text
        assert MARKUP[0] in read.text


def test_a_file_that_is_no_report_is_not_written_over(made: Path, tmp_path: Path) -> None:
    """The path of something else is refused; the report of yesterday is replaced whole."""
    precious = tmp_path / "thesis.md"
    precious.write_text("chapter one")
    done = command("report", made / "run-1", "-o", precious)
    assert done.returncode == 2, done.stderr
    assert precious.read_text() == "chapter one"
    out = tmp_path / "report.html"
    assert command("report", made / "run-1", "-o", out).returncode == 0
    assert command("report", made / "run-2", "-o", out).returncode == 0
    assert "run-2" in out.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "thesis.md"]


@pytest.mark.parametrize("asked", [("nothing-there",), ("../x",), ("tiny@9",)])
def test_what_is_not_there_is_told(catalogue: Catalogue, tmp_path: Path, asked: tuple[str, ...]) -> None:
    """An error with a remedy, and no file."""
    done = command("report", *asked, "--catalogue", catalogue.root, "-o", tmp_path / "report.html")
    assert (done.returncode, "try:" in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unknown_language_is_refused(made: Path, tmp_path: Path) -> None:
    """The languages that there are stand in the remedy."""
    done = command("report", made / "run-1", "--lang", "xx", "-o", tmp_path / "report.html")
    assert done.returncode == 2
    assert "en, ko" in done.stderr
