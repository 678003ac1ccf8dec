"""Search, facets, orders and pages against a plain loop over the same rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfinstruct.viewer.folding import folded, terms
from selfinstruct.viewer.index import ORDERS, Asked, Index, build

WORDS = [
    "river",
    "Straße",
    "한글",
    "강물",
    "강",
    "물",
    "값",
    "Café",
    "CAFE\u0301",
    "ﬁne",
    "１２",
    "100%",
    "a_b",
    "it's",
    '"quoted"',
    "漢字",
    "かな",
    "ไทย",
    "x\u200by",
    "\x00nul",
]


def _rows(n: int) -> list[dict[str, Any]]:
    rng = Random(7)
    return [
        {
            "id": f"{number:04x}",
            "instruction": " ".join(rng.choices(WORDS, k=4)),
            "input": rng.choice(["", "the input"]),
            "output": " ".join(rng.choices(WORDS, k=rng.randint(1, 9))),
            "is_classification": rng.choice([True, False, None]),
            "score": rng.choice([None, 1.0, 4.5, 5.0]),
            "raw_score": 4.0,
            "model": "m",
            "judge": "j",
            "flags": rng.choice(["", "own_family", "doubtful,own_family", "doubt"]),
            "version": rng.choice([1, 2]),
        }
        for number in range(n)
    ]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return _rows(600)


@pytest.fixture(scope="module")
def index(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Index:
    drops = [
        {"id": f"d{n}", "stage": f"s{n % 2}", "rule": f"r{n % 3}", "figure": None, "threshold": None, "text": f"t{n}", "evidence": "{}", "version": 1 + n % 2}
        for n in range(100)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("index") / "rows.sqlite"
    heard: list[int] = []
    build(path, [*(("sft", row) for row in rows), *(("dropped", drop) for drop in drops)], told=heard.append)
    assert heard == [700]
    assert [one.name for one in path.parent.iterdir()] == ["rows.sqlite"]
    return Index(path)


def _is_asked(row: dict[str, Any], asked: Asked) -> bool:
    text = folded("\n".join((row["instruction"], row["input"], row["output"], row["id"])))
    return (
        all(term in text for term in terms(asked.text))
        and asked.classification in {None, row["is_classification"]}
        and (not asked.flag or (asked.flag in row["flags"].split(",") if asked.flag != "none" else not row["flags"]))
        and asked.version in {None, row["version"]}
        and (asked.least is None or (row["score"] is not None and row["score"] >= asked.least))
        and (asked.most is None or (row["score"] is not None and row["score"] <= asked.most))
    )


ASKED = [
    Asked(), Asked("river"), Asked("RIVER 강"), Asked("물"), Asked("ㄱ"), Asked("강물"), Asked(unicodedata.normalize("NFD", "강물")), Asked("strasse"), Asked("café"), Asked("fine"), Asked("12"),
    Asked("%"), Asked("_"), Asked("it's"), Asked('"river river"'), Asked("漢"), Asked("xy"), Asked("nul"), Asked("' OR 1=1 --"), Asked("003f"),
    Asked(classification=True), Asked(classification=False, version=2), Asked(flag="doubtful"), Asked(flag="none"), Asked(flag="doubt"), Asked(least=4.5), Asked(most=4.5, text="강"), Asked(least=5.0, most=4.0),
]  # fmt: skip


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_it_finds_what_a_loop_finds(index: Index, rows: list[dict[str, Any]], asked: Asked) -> None:
    """Every question has the rows, in the order and number, that a loop over all rows gives."""
    expected = [row["id"] for row in rows if _is_asked(row, asked)]
    found = index.find(asked, count=1000)
    assert [row["id"] for row in found.rows] == expected
    assert found.total == len(expected)


def test_one_syllable_is_found(index: Index) -> None:
    """A Korean word of one syllable is found, and only where it stands."""
    found = index.find(Asked("값"), count=1000)
    assert 0 < found.total < 600
    assert all("값" in row["instruction"] + row["output"] for row in found.rows)


@pytest.mark.parametrize("order", list(ORDERS))
def test_orders(index: Index, rows: list[dict[str, Any]], order: str) -> None:
    """Each order sorts all rows; those without a score come last, equal ones as they were made."""
    keys: dict[str, Any] = {
        "": lambda n: n, "newest": lambda n: -n, "best": lambda n: (rows[n]["score"] is None, -(rows[n]["score"] or 0), n),
        "worst": lambda n: (rows[n]["score"] is None, rows[n]["score"] or 0, n), "longest": lambda n: (-len(rows[n]["output"]), n), "shortest": lambda n: (len(rows[n]["output"]), n),
    }  # fmt: skip
    expected = [rows[n]["id"] for n in sorted(range(len(rows)), key=keys[order])]
    assert [row["id"] for row in index.find(Asked(order=order), count=1000).rows] == expected


def test_pages_follow_each_other(index: Index) -> None:
    """Pages together are all rows, each once; beyond the last one there is nothing."""
    asked = Asked("river", order="best")
    whole = index.find(asked, count=1000)
    parts = [index.find(asked, start=start, count=50) for start in range(0, whole.total + 50, 50)]
    assert [row for part in parts for row in part.rows] == whole.rows
    assert {part.total for part in parts} == {whole.total}


def test_facets_count_all_rows(index: Index, rows: list[dict[str, Any]]) -> None:
    """Each value of a facet has as many rows as a search for it finds."""
    facets = index.facets
    assert index.count == len(rows)
    for flag, count in facets["flags"].items():
        assert index.find(Asked(flag=flag)).total == count
    for version, count in facets["version"].items():
        assert index.find(Asked(version=int(version))).total == count
    for script, count in facets["script"].items():
        assert index.find(Asked(script=script)).total == count
    assert index.find(Asked(classification=True)).total == facets["classification"]["1"]


def test_drops_by_stage_rule_and_version(index: Index) -> None:
    """A page of drops has those asked for, and the count is that of all of them."""
    for stage in ("", "s0"):
        for rule in ("", "r1"):
            for version in (None, 2):
                expected = [
                    n
                    for n in range(100)
                    if stage in {"", f"s{n % 2}"} and rule in {"", f"r{n % 3}"} and version in {None, 1 + n % 2}
                ]
                found = index.drops(stage, rule, version=version, count=1000)
                assert [one["id"] for one in found.rows] == [f"d{n}" for n in expected]
                assert found.total == len(expected)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """An index is there when it is whole."""
    path = tmp_path / "rows.sqlite"
    with pytest.raises(KeyError):
        build(path, [("sft", row) for row in [*_rows(3), {"id": "x"}]])
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("a\n\t b", "a b"),
        ("x\u200by\u202e", "xy"),
        ("\x00a\x1b", "a"),
        ("가", unicodedata.normalize("NFD", "가")),
        ("１", "1"),
    ],
)
def test_folding(text: str, same: str) -> None:
    """Case, width, composition, blanks and what cannot be seen make no difference."""
    assert folded(text) == folded(same)


def test_half_a_character_is_no_error() -> None:
    """A lone surrogate, as JSON can hold it, folds to something that SQLite takes."""
    folded("a\ud800b").encode()


def test_two_who_build_the_same_do_not_write_one_file(tmp_path: Path) -> None:
    """An index that begins while another of the same name is half built leaves that one whole."""
    place = tmp_path / "index.sqlite"

    def views() -> Iterator[tuple[str, dict[str, Any]]]:
        for n, row in enumerate(_rows(3000)):
            if n == 2000:
                build(place, (("sft", one) for one in _rows(3000)))
            yield "sft", row

    build(place, views())
    assert Index(place).count == 3000
    assert list(tmp_path.iterdir()) == [place]
