"""The minhash gate: near pages go with their evidence, others stay, decisions repeat, and it runs in a recipe."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.errors import BadInputError, Exit
from selfinstruct.gates.minhash import MinHash
from selfinstruct.pool import Pool
from tests.support.at_a_gate import at_a_gate, instruction

GATE = MinHash()


def page(draw: random.Random, words: int = 400) -> list[str]:
    return [f"w{draw.randrange(5000)}" for _ in range(words)]


def edited(text: list[str], edits: int, draw: random.Random) -> list[str]:
    copy = list(text)
    for place in draw.sample(range(len(copy)), edits):
        copy[place] = "edited"
    return copy


def jaccard(first: list[str], second: list[str]) -> float:
    one, two = ({" ".join(words[at : at + 3]) for at in range(len(words) - 2)} for words in (first, second))
    return len(one & two) / len(one | two)


def test_every_near_page_goes_and_no_other() -> None:
    """1,000 pages with an edited copy each, Jaccard on both sides of 0.7: figures are exact, hardly a near one is missed."""
    draw = random.Random(1)
    pages = [page(draw) for _ in range(1000)]
    pool = Pool(())
    for text in pages:
        pool.admit(instruction(" ".join(text)))
    near = found = 0
    for text in pages:
        copy = edited(text, draw.randint(5, 40), draw)
        figure = jaccard(text, copy)
        reason = GATE.reason_to_drop(instruction(" ".join(copy)), at_a_gate(pool=pool))
        near += figure > 0.7
        if reason is not None:
            found += 1
            assert (reason.figure, reason.threshold) == (figure, 0.7)
            assert reason.evidence["nearest"] == " ".join(text)
            assert figure > 0.7
    assert (near, found) == (569, 569)  # the gate's docstring gives this figure


def test_decisions_do_not_depend_on_when_the_pool_was_read() -> None:
    """One at a time or restored at once: the same verdicts."""
    draw = random.Random(2)
    texts = [page(draw, 60) for _ in range(60)]
    offers = [" ".join(edited(text, draw.randint(0, 6), draw)) for text in texts * 2]
    pool, verdicts = Pool(()), []
    for text in offers:
        reason = GATE.reason_to_drop(instruction(text), at_a_gate(pool=pool))
        verdicts.append((reason is None, list(pool.texts)))
        if reason is None:
            pool.admit(instruction(text))
    for text, (novel, before) in zip(offers, verdicts, strict=True):
        restored = Pool(())
        for other in before:
            restored.admit(instruction(other))
        assert (GATE.reason_to_drop(instruction(text), at_a_gate(pool=restored)) is None) is novel
    assert 10 < sum(novel for novel, _ in verdicts) < 110


@pytest.mark.parametrize(
    ("first", "second", "near"), [("a b", "a b", True), ("a b", "a c", False), ("", "", False), ("!", "?", False)]
)
def test_short_texts(first: str, second: str, *, near: bool) -> None:
    """Fewer words than an n-gram: near only when equal; without a word never."""
    pool = Pool(())
    pool.admit(instruction(first))
    assert (GATE.reason_to_drop(instruction(second), at_a_gate(pool=pool)) is not None) is near


def test_it_runs_in_a_recipe(tmp_path: Path) -> None:
    """Beside the others in the bootstrap stage: its drops are in the ledger, under its name."""
    gates: list[dict[str, Any]] = [{"kind": "minhash", "n": 1}]
    loaded = recipe.load("demo", environment={}, sets=[f"stages.bootstrap.gates={gates}"])
    report = pipeline.run_sync(loaded, tmp_path / "run", target=60)
    assert report.exit_status is Exit.DONE
    assert report.accounts.drops["minhash"] > 0


def test_without_the_extra_the_recipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, by the recipe's check, with the command that mends it."""
    monkeypatch.setattr("selfinstruct.gates.minhash.find_spec", lambda _: None)
    with pytest.raises(BadInputError, match=r"selfinstruct\[minhash\]"):
        recipe.load("demo", environment={}, sets=["stages.bootstrap.gates=[{kind: minhash}]"])
