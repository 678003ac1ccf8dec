"""The rows of a version as one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfinstruct import nightly, pipeline
from selfinstruct.catalogue.one_file import one_file
from selfinstruct.dataset import judging
from selfinstruct.errors import BadInputError
from selfinstruct.tables import read_table


def test_all_shards_go_into_one_file_that_can_be_judged(tmp_path: Path) -> None:
    """Two nights, two shards, one file: every row once, oldest first; the same bytes each time; `judge` takes it."""
    for _ in range(2):
        night = nightly.tonight("n", str(tmp_path / "c"), recipe="demo", folder=tmp_path / "runs", trial=True)
        pipeline.run_sync(night.recipe, night.folder, target=8)
        made = night.publish()
    assert len(made.manifest.shards("sft")) == 2
    file = one_file(made, "sft", tmp_path / "rows.parquet")
    before = file.read_bytes()
    assert [row["id"] for _, row in read_table(file)] == [row["id"] for row in made.rows("sft")]
    assert one_file(made, "sft", file).read_bytes() == before
    recipe = judging(file, rubric="educational-value", sets=["engines.writer.kind=scripted"])
    assert recipe.n == 16
    report = pipeline.run_sync(recipe, tmp_path / "judged")
    assert report.accounts.ledger.generated == 16
    with pytest.raises(BadInputError, match="no rows of nothing"):
        one_file(made, "nothing", tmp_path / "nothing.parquet")
