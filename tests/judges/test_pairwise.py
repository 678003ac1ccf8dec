"""A pair is judged in both orders; only what is said both times counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.errors import UnreadableError
from selfinstruct.judges.pairwise import Pairwise
from selfinstruct.records import Dropped, Fate, PreferencePair, Record
from selfinstruct.runs import open_stored
from tests.support.canned import PROVENANCE, Canned, instance, instruction, work

PAIR = PreferencePair(
    id="p", parent="n", provenance=PROVENANCE, instruction="Name a river.", input="", chosen="The Loire.", rejected="Paris.",
    chosen_score=5, rejected_score=1,
)  # fmt: skip


def says(better: str) -> str:
    return f'{{"better":"{better}","rationale":"because"}}'


async def compared(*answers: str) -> tuple[Record | Dropped, Canned]:
    canned = Canned(*answers)
    (made,) = await Pairwise().process(PAIR, work(PAIR, canned, ancestors=[instruction(), instance()]))
    return made, canned


async def test_a_pair_that_is_confirmed_in_both_orders_goes_on() -> None:
    """A first, then B: the same answer won both times."""
    made, canned = await compared(says("A"), says("B"))
    assert isinstance(made, PreferencePair)
    assert made.verdicts == ("chosen", "chosen")
    assert (made.chosen, made.rejected, made.margin) == (PAIR.chosen, PAIR.rejected, 4)
    first, second = (request.prompt[-1].content for _, request in canned.asked if not isinstance(request.prompt, str))
    assert first.index("The Loire.") < first.index("Paris.")
    assert second.index("The Loire.") > second.index("Paris.")


@pytest.mark.parametrize(
    ("answers", "rule", "verdicts"),
    [
        (("A", "A"), "tie", ["chosen", "rejected"]),
        (("B", "B"), "tie", ["rejected", "chosen"]),
        (("equal", "B"), "tie", ["equal", "chosen"]),
        (("equal", "equal"), "tie", ["equal", "equal"]),
        (("B", "A"), "reversed", ["rejected", "rejected"]),
    ],
)
async def test_what_is_not_confirmed_is_no_pair(answers: tuple[str, str], rule: str, verdicts: list[str]) -> None:
    """A judge that takes the first, or the second, whatever they are, gives ties; both verdicts stay as evidence."""
    made, _ = await compared(*map(says, answers))
    assert isinstance(made, Dropped)
    assert (made.reason.rule, made.reason.evidence["verdicts"]) == (rule, verdicts)


@pytest.mark.parametrize("answer", ["", "A", says("a"), says("C"), '{"better":null}', '{"winner":"A"}'])
async def test_an_unreadable_verdict_is_no_verdict(answer: str) -> None:
    """Neither for one answer nor for a tie."""
    with pytest.raises(UnreadableError):
        await compared(says("A"), answer)


def test_only_confirmed_pairs_are_exported(tmp_path: Path) -> None:
    """The whole pipeline: what the export holds is what both orders said; the ledger has the rest."""
    loaded = recipe.load("ultrafeedback", environment={}, sets=["engines.writer.kind=scripted"])
    report = pipeline.run_sync(loaded, tmp_path / "run", target=40)
    counted = report.accounts.stages
    assert counted["pair"].accepted == counted["pairwise"].generated
    assert counted["pairwise"].dropped > 0
    assert report.exports["dpo"][1].rows == counted["pairwise"].accepted
    with open_stored(tmp_path / "run") as run:
        verdicts = [body["record"]["verdicts"] for _, body in run.store.scan("pairwise", fate=Fate.ACCEPTED)]
    assert {tuple(one) for one in verdicts} == {("chosen", "chosen")}


def test_an_answer_that_one_aspect_could_not_score_has_no_score(tmp_path: Path) -> None:
    """Four aspects: a mean of three would be another scale. The instance fails, and is no row."""
    sets = ["engines.writer.kind=scripted", "engines.writer.unreadable_verdicts=0.3"]
    report = pipeline.run_sync(recipe.load("ultrafeedback", environment={}, sets=sets), tmp_path / "run", target=20)
    counted = report.accounts.stages
    aspects = ("instruction-following", "honesty", "truthfulness", "helpfulness")
    assert sum(counted[name].failed for name in aspects) > 0
    assert counted["select"].failed > 0
    with open_stored(tmp_path / "run") as run:
        rows = [row.parent for row, _ in run.store.scan("select", fate=Fate.ACCEPTED, upto=run.closing)]
        worked = {(work.stage, work.parent): work.error for work in run.store.works()}
    assert rows
    assert all(worked[name, row] is None for row in rows for name in aspects)
