"""Rows of a hostile dataset are shown as text on every page, in both languages, and nothing of them runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import _files
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import AUDIT, CARD, DIFF, FIGURES, MANIFEST, RECIPE, VIEWS, Licences, Version
from selfinstruct.figures.model import Example, Figures, LabelCounts, StageCounts
from selfinstruct.viewer.library import Library
from tests.support.hostile import HOSTILE, Page, payloads
from tests.support.viewing import Viewer, browse


def _stored(text: str) -> str:
    """What Parquet takes."""
    return text.encode("utf-8", "replace").decode()


def _id(text: str, place: int) -> str:
    return f"{place}-{text[:60]}"


def _lineage(text: str, one: str) -> str:
    def step(kind: str, **record: object) -> dict[str, object]:
        made = {"stage": text, "model": text, "seed": text, "sampling": {text[:50]: text}}
        call = {
            "completions": [{"text": text, "finish_reason": text, "reasoning": text}],
            "model": text,
            "usage": {"prompt_tokens": text},
        }
        drop = {"rule": text, "figure": text, "threshold": text, "evidence": {text[:50]: text}}
        return {"id": text, "stage": text or kind, "path": text, "fate": "accepted", "drop": drop, "record": {"id": one, "provenance": made, **record}, "calls": [call]}  # fmt: skip

    verdict = {
        "score": 4.5,
        "rationale": text,
        "judge": text,
        "of": one,
        "votes": [{"judge": text, "score": 1.0}],
        "flags": [text],
        "expected": 4.0,
    }
    pair = {
        "instruction": text,
        "chosen": text,
        "rejected": text + "!",
        "chosen_score": 5.0,
        "rejected_score": 1.0,
        "verdicts": [text, text],
    }
    steps = [step("a", text=text, shown=[text, one, "s"]), step("b", is_classification=True, margin=1.0), step("c", input=text, output=text),
             step("d", text=text, reasoning=text), step("e", text=text + "!"), step("f", **verdict), step("g", **pair), 7, None, {"record": text}]  # fmt: skip
    return json.dumps(steps, ensure_ascii=False)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue whose one version holds every payload in every place where text may stand."""
    root = tmp_path_factory.mktemp("hostile")
    folder = root / "evil" / "1"
    folder.mkdir(parents=True)
    texts = [_stored(text) for text in payloads()]
    with Shards(folder, earlier={}) as shards:
        for place, text in enumerate(texts):
            one = _id(text, place)
            row = dict.fromkeys(("instruction", "input", "output", "reasoning", "model", "judge"), text)
            shards.add(
                "sft",
                {
                    "id": one,
                    **row,
                    "flags": text,
                    "is_classification": True,
                    "score": 4.5,
                    "raw_score": 4.0,
                    "version": 1,
                },
            )
            shards.add("lineage", {"id": one, "lineage": _lineage(text, one), "version": 1})
            evidence = json.dumps(
                {"nearest": text, "rationale": text, text[:50]: text, "tokenizer": text[:20]}, ensure_ascii=False
            )
            drop = dict.fromkeys(("stage", "rule", "figure", "threshold", "text"), text)
            shards.add("dropped", {"id": one, **drop, "evidence": evidence if place % 2 else text, "version": 1})
            shards.add(
                "seeds", {"id": one, "name": text, "instruction": text, "instances": "[]", "is_classification": False}
            )
    counts = {text[:200]: place + 1 for place, text in enumerate(texts)}
    example = Example(id="x", stage=texts[0], text=texts[0])
    figures = Figures(
        runs=1, rows=len(texts), funnel={name: StageCounts(generated=2, accepted=1, dropped=1, drops={name: 1}) for name in counts},
        examples=dict.fromkeys(counts, (example,)), scripts=counts, verbs=dict.fromkeys(list(counts)[:3], counts),
        labels=LabelCounts(labels=counts), models={"answer": counts}, flags=counts,
    )  # fmt: skip
    (folder / FIGURES).write_text(figures.model_dump_json(), encoding="utf-8")
    for name in (CARD, RECIPE, *AUDIT, *DIFF):
        (folder / name).write_text("\n\n".join(text[:500] for text in texts), encoding="utf-8")
    terms = Licences(
        dataset=texts[0], writers={text[:80]: text[:80] for text in texts}, judges={texts[1]: texts[2]}, seeds=texts[3]
    )
    rows = {view: sum(count for name, count in shards.rows.items() if f"/{view}/" in name) for view in VIEWS}
    manifest = Version(
        name="evil", version=1, created=texts[0], rows=rows, added=rows, files=_files(folder, shards.rows, known={}), licences=terms,
        recipe=texts[0], language=texts[1], trial=True, made_by=texts[2],
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    (root / "catalogue.json").write_text('{"format": 1, "trial": true}', encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def viewer(hostile: Path) -> Iterator[Viewer]:
    with browse(Library(Catalogue(str(hostile)))) as found:
        yield found


def test_there_are_fifty_kinds() -> None:
    """The list is as long as was promised, and each of it is another one."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 53


@pytest.mark.parametrize(
    "text",
    [
        one
        for one in HOSTILE
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

    text = _stored(payloads()[place])
    one = quote(_id(text, place), safe="")
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
    assert told == [_stored(text) for text in payloads()]
