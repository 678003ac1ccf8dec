"""Forecasts of real runs of the pipeline: what came true lies in the range, and what is not known is not told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfinstruct import pipeline, recipe, runs
from selfinstruct.forecast import Forecast, Range, forecast, table
from selfinstruct.price import Price
from selfinstruct.runner import Limits
from selfinstruct.store import open_run

PRICE = Price(per_million_in=1, per_million_out=4, per_gpu_hour=3)


def run(folder: Path, *sets: str, rows: int, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
    loaded = recipe.load("demo", environment={}, sets=[*sets, "exports=[]"])
    pipeline.run_sync(loaded, folder, target=rows, limits=limits)


def told(folder: Path, rows: int, price: Price | None = None) -> Forecast:
    with runs.open_stored(folder) as stored:
        found = forecast(stored, rows, price=price)
    assert found is not None
    return found


def holds(one: Range, figure: float) -> bool:
    return one.low <= figure and (one.high is None or figure <= one.high)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_thirty_rows_foretell_of_three_hundred_comes_true(tmp_path: Path, seed: int) -> None:
    """Calls and tokens of the whole run, surplus included, and calls per stage without it."""
    sets = (f"seed={seed}", f"engines.writer.seed={seed}", "engines.writer.latency=0.003")
    run(tmp_path / "small", *sets, rows=30)
    run(tmp_path / "large", *sets, rows=300)
    foretold = told(tmp_path / "small", 300)
    with runs.open_stored(tmp_path / "large") as stored:
        calls, tokens_in, tokens_out = stored.store.usage()
    total = foretold.total
    assert holds(total.calls, calls)
    assert holds(total.prompt_tokens, tokens_in)
    assert holds(total.completion_tokens, tokens_out)
    came = {one.name: one for one in told(tmp_path / "large", 300).stages}
    for one in foretold.stages:
        assert (one.spend is None) == (came[one.name].spend is None)
        if one.spend is not None and (truth := came[one.name].spend) is not None:
            assert holds(one.spend.calls, truth.calls.middle or 0), one.name
    assert total.calls.high is not None
    assert total.calls.high / total.calls.low < 2


def test_a_larger_sample_narrows_the_range(tmp_path: Path) -> None:
    """Three hundred rows tell more of a thousand than ten do."""
    for rows in (10, 300):
        run(tmp_path / str(rows), rows=rows)
    few, many = (told(tmp_path / str(rows), 5000).total.completion_tokens for rows in (10, 300))
    assert (many.high or 0) / many.low - 1 < 0.5 * ((few.high or 0) / few.low - 1)


def test_stages_and_surplus_add_up_to_the_total(tmp_path: Path) -> None:
    """In the middle; a range of a sum is narrower than the sum of the ranges."""
    run(tmp_path / "run", rows=60)
    one = told(tmp_path / "run", 1000, PRICE)
    parts = [*(stage.spend for stage in one.stages if stage.spend), one.surplus]
    for name in ("calls", "prompt_tokens", "completion_tokens", "seconds", "cost"):
        assert sum(getattr(part, name).middle for part in parts) == pytest.approx(getattr(one.total, name).middle)
    assert sum(part.calls.low for part in parts) < one.total.calls.low
    total, seconds = one.total, one.total.seconds
    assert seconds is not None
    assert total.cost is not None
    exact = PRICE.cost(total.prompt_tokens.middle or 0, total.completion_tokens.middle or 0, seconds.middle or 0)
    assert total.cost.middle == pytest.approx(exact)


def test_the_speed_of_a_server_that_was_not_full_bounds_time_from_above_only(tmp_path: Path) -> None:
    """Sixty rows at 64 places fill nothing; three hundred at two places do."""
    run(tmp_path / "small", rows=60)
    run(tmp_path / "full", "concurrency=2", "engines.writer.latency=0.001", rows=60)
    small, full = (told(tmp_path / name, 1000, PRICE) for name in ("small", "full"))
    assert (small.basis.full, full.basis.full) == (False, True)
    assert small.total.seconds is not None
    assert full.total.seconds is not None
    assert small.total.cost is not None
    assert small.total.seconds.low == 0
    assert full.total.seconds.low > 0
    tokens = small.total.prompt_tokens.low * 1e-6 + small.total.completion_tokens.low * 4e-6
    assert tokens <= small.total.cost.low < (small.total.cost.middle or 0)
    assert "time: at most" in table(small)
    assert "time: at most" not in table(full)


def test_without_a_row_only_the_least_is_told(tmp_path: Path) -> None:
    """Nothing is divided by nothing; the rule of three bounds it from below."""
    run(
        tmp_path / "run",
        "stages.select.gates.score.least=5",
        "engines.writer.weak_answers=1",
        "stop.requests=4",
        rows=20,
    )
    one = told(tmp_path / "run", 100, PRICE)
    assert one.basis.rows == 0
    select = next(stage for stage in one.stages if stage.name == "select")
    assert (select.share.kept, select.share.low) == (0, 0)
    assert one.total.calls.middle is one.total.calls.high is None
    seen = one.basis.calls
    most = select.share.made * (1 - 0.05 ** (1 / select.share.made))
    assert one.total.calls.low == pytest.approx(100 * seen / most)
    assert f"none of {select.share.made} records at stage select became a row" in one.notes[0]
    assert re.search(r"^total +at least ", table(one), re.MULTILINE)


def test_nothing_even_proposed_is_told_too(tmp_path: Path) -> None:
    """Every answer is empty: the first stage is as far as anything came."""
    run(tmp_path / "run", "engines.writer.empty=1", "stop.requests=4", rows=20)
    one = told(tmp_path / "run", 100)
    assert "at stage bootstrap" in one.notes[0]
    assert one.total.calls.low > 100
    assert "at least" in table(one)


def test_a_run_that_was_killed_has_no_known_speed(tmp_path: Path) -> None:
    """Its time was never written down: no time is told, nor a cost by the hour; a cost by the token is."""
    run(tmp_path / "run", rows=40)
    store = open_run(tmp_path / "run")
    store.put_meta({"ended": "", "closing": ""})
    store.close()
    one = told(tmp_path / "run", 100, PRICE)
    assert (one.basis.tokens_per_second, one.total.seconds, one.total.cost) == (None, None, None)
    assert any("under way or was killed" in note for note in one.notes)
    by_token = told(tmp_path / "run", 100, Price(per_million_out=1)).total.cost
    assert by_token is not None
    assert by_token.low > 0


def test_a_run_that_was_capped_tells_as_much_as_it_settled(tmp_path: Path) -> None:
    """What was open then is neither counted as settled nor taken for surplus."""
    run(tmp_path / "run", "engines.writer.latency=0.01", rows=400, limits=Limits(tokens=300_000))
    one = told(tmp_path / "run", 400)
    assert one.spent["calls"] > one.basis.calls
    assert one.surplus.calls.middle == 0
    assert any("did not fill its order" in note for note in one.notes)
