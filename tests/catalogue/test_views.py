"""The views of a run: what is said of a row is said of the very answer that became it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from statistics import fmean

from selfinstruct.catalogue import views
from selfinstruct.records import Row
from selfinstruct.runs import open_stored
from tests.support.published import make_run


def test_of_equal_answers_the_best_one_is_told(tmp_path: Path) -> None:
    """Two answers with the same text: the verdicts told of the row are those that gave its score, never the other's."""
    twins = 0
    with open_stored(make_run(tmp_path / "run", n=150)) as run:
        for _, group in groupby(run.store.scan(upto=run.closing), key=lambda one: one[0].request):
            stored = list(group)
            family = views._Family(stored, ())
            for one, body in stored:
                if one.stage == run.tree.rows and body["record"].get("score") is not None:
                    row = Row.model_validate(body["record"])
                    answer, verdicts = family._chosen(row)
                    assert answer is not None
                    assert fmean(verdict["score"] for verdict in verdicts) == row.score
                    texts = [body["record"] for _, body in stored if body["record"].get("text") == row.output]
                    twins += len(texts) > 1 and answer["id"] != texts[0]["id"]
    assert twins, "the script wrote no equal answers of which the first was not the best: this test shows nothing"
