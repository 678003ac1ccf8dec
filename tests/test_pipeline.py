"""The real pipeline on the scripted engine: one outcome whatever the concurrency, every row with its fate, runs that go on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from selfinstruct import Fate, export, pipeline, recipe, runs
from selfinstruct.errors import BadInputError, DamageError, Exit, NoRoomError, SelfInstructError
from selfinstruct.novelty import chart, nearest, novelty
from selfinstruct.pipeline import Report
from selfinstruct.price import Price
from selfinstruct.records import Dropped, DropReason, Instruction, Judgement, Response, Row
from selfinstruct.runner import Limits
from selfinstruct.stage import Exporter, Gate, Stage, Work
from selfinstruct.store import open_run
from selfinstruct.verify import verify


def run(folder: Path, name: str = "demo", rows: int = 40, limits: Limits = Limits(), **sets: Any) -> Report:  # noqa: B008 - frozen
    settings = [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in sets.items()]
    if name != "demo":
        settings.insert(0, "engines.writer={kind: scripted}")
    loaded = recipe.load(name, environment={}, sets=settings)
    return pipeline.run_sync(loaded, folder, target=rows, limits=limits)


def digests(report: Report) -> dict[str, dict[str, str]]:
    return {kind: manifest.files for kind, (_, manifest) in report.exports.items()}


@pytest.mark.parametrize("name", ["demo", "self-instruct", "alpaca"])
def test_same_export_and_ledger_at_any_concurrency(tmp_path: Path, name: str) -> None:
    """Concurrency 1, 8 and 64, with and without latency: equal bytes, equal books."""
    reports = [
        run(tmp_path / f"{concurrency}-{latency}", name, concurrency=concurrency, engines__writer__latency=latency)
        for concurrency, latency in ((1, 0), (8, 0.001), (64, 0.002), (64, 0))
    ]
    assert len({json.dumps(digests(report)) for report in reports}) == 1
    assert len({report.accounts.ledger.model_dump_json() for report in reports}) == 1
    assert len({json.dumps(report.accounts.drops_by_stage) for report in reports}) == 1


@pytest.mark.parametrize("name", ["demo", "self-instruct", "alpaca"])
def test_asked_for_n_the_export_holds_n(tmp_path: Path, name: str) -> None:
    """Exactly the rows asked for, nothing open, every equation holds, and verify finds the run sound."""
    report = run(tmp_path / "run", name, rows=33)
    assert report.exit_status is Exit.DONE
    ledger = report.accounts.ledger
    assert (ledger.accepted, ledger.open) == (33, 0)
    assert all(one.balanced for one in (ledger, *report.accounts.stages.values()))
    assert all(manifest.rows == 33 for kind, (_, manifest) in report.exports.items() if kind != "dpo")
    assert list(verify(tmp_path / "run")) == []


def test_one_recipe_object_serves_many_runs(tmp_path: Path) -> None:
    """Nothing of a run stays behind in its recipe: the second folder gets the same rows."""
    loaded = recipe.load("demo", environment={})
    first, second = (pipeline.run_sync(loaded, tmp_path / name, target=20) for name in "ab")
    assert digests(first) == digests(second)


def test_every_stage_takes_up_what_the_last_one_accepted(tmp_path: Path) -> None:
    """The funnel is closed: what enters a stage is what the stage before it let through."""
    stages = run(tmp_path / "run", rows=60).accounts.stages
    assert stages["classify"].generated == stages["bootstrap"].accepted
    assert stages["judge"].generated == stages["respond"].accepted
    assert stages["select"].generated == stages["instances"].accepted == stages["pair"].generated


def test_the_script_gives_every_gate_something_to_do(tmp_path: Path) -> None:
    """Near-duplicates, forbidden words, cut, empty and weak answers, broken JSON, bad instances: all are dropped."""
    more: dict[str, Any] = {
        "engines__writer__broken_json": 0.1,
        "engines__writer__forbidden": 0.1,
        "engines__writer__bad_instances": 0.1,
    }
    drops = run(tmp_path / "run", rows=400, **more).accounts.drops
    wanted = {"rouge", "keyword", "cut", "empty", "unreadable", "score", "margin", "two_outputs", "empty_output"}
    assert wanted <= drops.keys()


def test_more_rows_are_the_same_rows_and_more(tmp_path: Path) -> None:
    """Raising -n on a finished run keeps its rows, uses the surplus, and ends as if it had been asked for at once."""
    first = run(tmp_path / "grown", rows=20)
    grown = run(tmp_path / "grown", rows=50)
    assert digests(grown) == digests(run(tmp_path / "at-once", rows=50))
    assert grown.accounts.calls["total"] >= first.accounts.calls["total"]


def test_a_finished_run_asks_for_nothing_more(tmp_path: Path) -> None:
    """The same command again: no call, the same files."""
    first = run(tmp_path / "run")
    again = run(tmp_path / "run")
    assert again.accounts.calls == first.accounts.calls
    assert digests(again) == digests(first)


def test_caps_stop_cleanly_and_go_on(tmp_path: Path) -> None:
    """A token or time cap: exit 4, everything kept; without it the run ends as it would have."""
    capped = run(tmp_path / "run", limits=Limits(tokens=40_000))
    assert capped.exit_status is Exit.BUDGET
    assert capped.accounts.ledger.open > 0
    price = Price(per_million_in=1, per_million_out=10)
    spent = run(tmp_path / "run", limits=Limits(cost=0.2, price=price))
    assert spent.exit_status is Exit.BUDGET
    calls = spent.accounts.calls
    assert 0.2 <= price.cost(calls["prompt_tokens"], calls["completion_tokens"], 0) < 0.3
    late = run(tmp_path / "run", limits=Limits(seconds=0.001), engines__writer__latency=0.05)
    assert late.exit_status is Exit.BUDGET
    assert digests(run(tmp_path / "run")) == digests(run(tmp_path / "whole"))


def test_collapse_is_told_with_the_hint_that_helps(tmp_path: Path) -> None:
    """A writer that only repeats, or only writes weak answers, ends with exit 5, its rows and the remedy."""
    repeating = run(
        tmp_path / "a", rows=500, engines__writer__near_duplicates=1, engines__writer__forbidden=0, stop__requests=5
    )
    assert repeating.exit_status is Exit.SHORT
    assert "rouge" in repeating.message
    assert "temperature" in repeating.remedy
    assert repeating.accounts.ledger.open == 0
    weak = run(tmp_path / "b", engines__writer__weak_answers=1, stop__requests=3)
    assert weak.exit_status is Exit.SHORT
    assert "judge" in weak.remedy


def test_the_stop_rule_reads_the_share_that_is_novel(tmp_path: Path) -> None:
    """Half the candidates repeat: rows still come, yet a rule on novelty ends the run, at the same row after an interruption."""
    more: dict[str, Any] = {"rows": 3000, "engines__writer__near_duplicates": 0.5, "stop__requests": 12}
    whole = run(tmp_path / "whole", stop__novel=0.6, **more)
    assert whole.exit_status is Exit.SHORT
    with runs.open_stored(tmp_path / "whole") as stored:
        told = novelty(stored)
    assert told.dropped / told.candidates > 0.3
    cut = run(tmp_path / "cut", stop__novel=0.6, limits=Limits(tokens=30_000), **more)
    assert cut.exit_status is Exit.BUDGET
    again = run(tmp_path / "cut", stop__novel=0.6, **more)
    assert again.exit_status is Exit.SHORT
    assert digests(again) == digests(whole)
    assert run(tmp_path / "on", stop__novel=0.05, **{**more, "rows": 60}).exit_status is Exit.DONE


def test_novelty_of_a_run_adds_up(tmp_path: Path) -> None:
    """Every candidate is in the histogram, dropped ones above the threshold and kept ones not; shares follow from both."""
    report = run(tmp_path / "run", rows=120)
    stage, drops = report.accounts.stages["bootstrap"], report.accounts.drops
    with runs.open_stored(tmp_path / "run") as stored:
        told = novelty(stored)
        few = novelty(stored, sample=10)
        text = next(body["record"]["text"] for _, body in stored.drops("rouge"))
        near, mean = nearest(stored, text, 10)
    assert (told.candidates, told.dropped) == (stage.accepted + drops["rouge"], drops["rouge"])
    assert (sum(one.kept for one in told.bins), sum(one.dropped for one in told.bins)) == (
        stage.accepted,
        drops["rouge"],
    )
    assert all(not one.kept for one in told.bins if one.low > 0.7)
    assert all(not one.dropped for one in told.bins if one.low < 0.65)
    assert few.measured <= 10 < told.measured
    assert all(share is None or 0 <= share <= 1 for share in told.share)
    assert near[0].score > 0.7 >= near[-1].score
    assert 0 < mean < 0.3
    assert f"{told.candidates} candidates" in chart(told)


def test_a_release_belongs_to_the_configuration(tmp_path: Path) -> None:
    """A run `against` a file: other bytes are refused, another place of the same is not; looking at the run needs no input."""
    path = tmp_path / "release.jsonl"
    against: dict[str, Any] = {"stages__bootstrap__gates__rouge__against": [str(path)]}
    with pytest.raises(BadInputError, match=r"release\.jsonl"):
        run(tmp_path / "run", rows=20, **against)
    path.write_text('{"instruction": "Name three rivers of the north and say where they end."}\n')
    assert run(tmp_path / "run", rows=20, **against).exit_status is Exit.DONE
    moved = tmp_path / "elsewhere" / "mine.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    same = run(tmp_path / "run", rows=30, stages__bootstrap__gates__rouge__against=[str(moved)])
    assert same.exit_status is Exit.DONE
    path.write_text('{"instruction": "Name four rivers of the north and say where they end."}\n')
    with pytest.raises(BadInputError, match=r"against [0-9a-f]{16}: absent -> "):
        run(tmp_path / "run", rows=40, **against)
    path.unlink()
    with runs.open_stored(tmp_path / "run") as stored:
        assert stored.accounts().ledger.accepted == 30


@pytest.mark.parametrize("name", recipe.names())
def test_ids_are_those_of_the_config_where_nothing_lies_elsewhere(name: str) -> None:
    """Without files of earlier texts, what ids depend on is all of the config, the empty list of them included."""
    for stage in recipe.load(name, environment={}).stages:
        assert stage.essence() == stage.model_dump(mode="json")
        assert all("against" not in gate or gate["against"] == [] for gate in stage.essence()["gates"])


CHANGES: dict[str, Any] = {
    "seed": 7,
    "language": "en2",
    "stages__bootstrap__count": 9,
    "stages__bootstrap__sampling__temperature": 0.5,
    "stages__bootstrap__gates__rouge__threshold": 0.6,
    "stages__instances__at_most": 2,
    "stages__respond__n": 3,
    "stages__judge__rubric": "helpfulness",
    "stages__select__gates__score__least": 4.0,
    "stages__pair__strategy": "max-min",
    "engines__writer__seed": 3,
}


@pytest.mark.parametrize("key", [key for key in CHANGES if key != "language"])
def test_a_changed_recipe_is_refused_by_name(tmp_path: Path, key: str) -> None:
    """Whatever changes what a run makes is named, old value and new, and nothing is touched."""
    first = run(tmp_path / "run", rows=5)
    with pytest.raises(BadInputError) as caught:
        run(tmp_path / "run", rows=5, **{key: CHANGES[key]})
    named = key.replace("__", ".").replace("gates.rouge", "gates.1").replace("gates.score", "gates.0")
    assert named in str(caught.value)
    assert digests(run(tmp_path / "run", rows=5)) == digests(first)


def test_changed_seeds_and_prompts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of the seed file, or one word of a prompt, makes it another run."""
    from selfinstruct import prompts, seeds

    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(seeds.shipped().read_bytes())
    run(tmp_path / "run", rows=5, seeds=str(mine))
    good = mine.read_bytes()
    mine.write_bytes(good.replace(b"lighthouse", b"lightHouse", 1))
    with pytest.raises(BadInputError, match="seeds: "):
        run(tmp_path / "run", rows=5, seeds=str(mine))
    mine.write_bytes(good)
    original = prompts.source
    monkeypatch.setattr(prompts, "source", lambda name, *, language="en": original(name, language=language) + "!")
    with pytest.raises(BadInputError, match="prompt bootstrap: "):
        run(tmp_path / "run", rows=5, seeds=str(mine))


def test_how_a_run_is_carried_out_may_change(tmp_path: Path) -> None:
    """Concurrency, exports and the stop of a connection are no part of what a run is."""
    run(tmp_path / "run", rows=5)
    assert run(tmp_path / "run", rows=9, concurrency=3, exports=["alpaca"]).exit_status is Exit.DONE


def test_one_owner_per_folder(tmp_path: Path) -> None:
    """While a store is open, a second owner is refused and told who has it."""
    store = open_run(tmp_path / "run")
    with pytest.raises(BadInputError, match="in use by pid"):
        open_run(tmp_path / "run")
    store.close()
    open_run(tmp_path / "run").close()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """No room or no access is exit 3, with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoomError, match="file/run"):
        run(tmp_path / "file/run")


def test_flipped_bytes_are_found_and_not_used(tmp_path: Path) -> None:
    """Verify names a damaged record, and export refuses to use it."""
    run(tmp_path / "run", rows=10)
    with sqlite3.connect(tmp_path / "run/run.db") as connection:
        (name, body), *_ = connection.execute(
            "select id, body from records where stage = 'select' and fate = 'accepted'"
        )
        flipped = bytes([body[0], body[1] ^ 1, *body[2:]])
        connection.execute("update records set body = ? where id = ?", (flipped, name))
    connection.close()
    assert any(name in problem for problem in verify(tmp_path / "run"))
    with runs.open_stored(tmp_path / "run") as stored, pytest.raises(SelfInstructError, match=name):
        export.export(stored, "alpaca", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_change_of_any_column_is_found(tmp_path: Path) -> None:
    """Of records, work, calls and facts: verify names the row, whatever was changed in it."""
    run(tmp_path / "run", rows=5)
    place = tmp_path / "run/run.db"
    with closing(sqlite3.connect(place)) as connection:
        columns = {
            table: [row[1] for row in connection.execute(f"pragma table_info({table})")]
            for table in ("records", "work", "calls", "meta")
        }
    for table, names in columns.items():
        for name in names:
            with closing(sqlite3.connect(place)) as connection:
                rowid, old = connection.execute(f"select rowid, {name} from {table} limit 1 offset 3").fetchone()  # noqa: S608 - names that the database gave
                changed = old + 1 if isinstance(old, int) else old[:-1] if isinstance(old, bytes) else f"{old or ''}x"
                connection.execute(f"update {table} set {name} = ? where rowid = ?", (changed, rowid))  # noqa: S608 - names that the database gave
                connection.commit()
                try:
                    found = list(verify(tmp_path / "run"))
                except DamageError as error:
                    found = [str(error)]
                assert any("digest" in problem for problem in found), (table, name, found)
                connection.execute(f"update {table} set {name} = ? where rowid = ?", (old, rowid))  # noqa: S608 - names that the database gave
                connection.commit()
    assert list(verify(tmp_path / "run")) == []


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    """What is written while a run is looked at does not show half: counts asked one after the other fit together."""
    run(tmp_path / "run", rows=5)
    with runs.open_stored(tmp_path / "run") as stored:
        before = stored.accounts()
        assert run(tmp_path / "run", rows=15).accounts.ledger.accepted == 15
        assert stored.accounts() == before
    with runs.open_stored(tmp_path / "run") as stored:
        assert stored.accounts().ledger.accepted == 15


def test_a_store_of_an_older_format_is_refused(tmp_path: Path) -> None:
    """By its number, with what helps; its folder is left as it is."""
    run(tmp_path / "run", rows=5)
    with closing(sqlite3.connect(tmp_path / "run/run.db")) as connection:
        connection.execute("alter table meta drop column digest")
        connection.commit()
    for attempt in (lambda: run(tmp_path / "run", rows=5), lambda: list(verify(tmp_path / "run"))):
        with pytest.raises(BadInputError, match="store format 1, this version writes 4"):
            attempt()


def test_changed_exports_are_found(tmp_path: Path) -> None:
    """One byte more in an export, and verify says which file."""
    run(tmp_path / "run", rows=10)
    with (tmp_path / "run/exports/alpaca/train.jsonl").open("a", encoding="utf-8") as file:
        file.write(" ")
    assert ["alpaca" in problem for problem in verify(tmp_path / "run")] == [True]


def test_why_tells_a_row_from_seed_to_score(tmp_path: Path) -> None:
    """The lineage of a finished row leads from its instruction to its judgement, with the answers behind it."""
    run(tmp_path / "run", rows=10)
    with runs.open_stored(tmp_path / "run") as stored:
        row, _ = next(stored.store.scan("select", fate=Fate.ACCEPTED))
        lines = runs.lineage(stored, row.id)
    assert [line["stage"] for line in lines] == ["bootstrap", "classify", "instances", "select"]
    assert lines[0]["record"]["shown"]
    assert lines[0]["calls"][0]["scripted"]


# -- adding a part is one small class -----------------------------------------------------------------------------------


class NoHow(Gate):
    """A gate from outside the package."""

    kind: str = "tests.test_pipeline:NoHow"

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Texts that begin with How go."""
        del work
        return DropReason(rule="how") if record.text.startswith("How") else None


class Broken(Gate):
    """A gate with a fault of its own."""

    kind: str = "tests.test_pipeline:Broken"

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Divide by nothing."""
        del work
        return DropReason(rule="x", figure=len(record.id) / 0)


def test_a_fault_in_a_gate_ends_the_run(tmp_path: Path) -> None:
    """It is told, and nobody waits for ever; the folder can be used again."""
    with pytest.raises(SelfInstructError, match="ZeroDivisionError"):
        run(tmp_path / "run", stages__instances__gates=[{"kind": "tests.test_pipeline:Broken"}])
    with pytest.raises(SelfInstructError, match="ZeroDivisionError"):
        run(tmp_path / "root", stages__bootstrap__gates=[{"kind": "tests.test_pipeline:Broken"}])
    open_run(tmp_path / "run").close()


def test_a_run_that_is_no_database(tmp_path: Path) -> None:
    """Rubbish where the store was: named as damage, not as a full disk, and not overwritten."""
    (tmp_path / "run.db").write_text("rubbish" * 1000)
    with pytest.raises(DamageError, match=r"run\.db"):
        run(tmp_path)
    assert (tmp_path / "run.db").read_text() == "rubbish" * 1000


class Shout(Stage[Row, Instruction]):
    """A stage from outside the package: it follows the rows."""

    kind: Literal["tests.test_pipeline:Shout"] = "tests.test_pipeline:Shout"
    name: str = "shout"
    free = True

    async def process(self, record: Row, work: Work) -> list[Instruction | Dropped]:
        """Long ones are dropped."""
        if len(record.instruction) > 90:
            return [Dropped(reason=DropReason(rule="too_loud", figure=len(record.instruction), threshold=90))]
        return [work.make(Instruction, text=record.instruction.upper())]


class LongerIsBetter(Stage[Response, Judgement]):
    """A judge from outside the package: it asks nobody."""

    kind: Literal["tests.test_pipeline:LongerIsBetter"] = "tests.test_pipeline:LongerIsBetter"
    free = True

    async def process(self, record: Response, work: Work) -> list[Judgement]:
        """A point for every 20 characters."""
        score = min(5.0, len(record.text) / 20)
        return [work.make(Judgement, score=score, rationale="length", judge="ruler")]


class Shouting(Exporter):
    """An exporter from outside the package."""

    kind: str = "tests.test_pipeline:Shouting"

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield one loud text per row."""
        for row in records:
            yield {"text": row.output.upper()}


def test_a_judge_and_an_exporter_from_outside(tmp_path: Path) -> None:
    """The judge scores without a call, its threshold holds, and the exporter writes what it gives."""
    data = recipe.load("demo", environment={}).model_dump(mode="json")
    position = next(place for place, one in enumerate(data["stages"]) if one["kind"] == "rubric")
    data["stages"][position] = {"kind": "tests.test_pipeline:LongerIsBetter", "name": "judge"}
    pipeline.run_sync(recipe.build(data), tmp_path / "run", target=20)
    with runs.open_stored(tmp_path / "run") as stored:
        manifest = export.export(stored, "tests.test_pipeline:Shouting", tmp_path / "loud.jsonl")
    lines = [json.loads(line)["text"] for line in (tmp_path / "loud.jsonl").read_text(encoding="utf-8").splitlines()]
    assert manifest.rows == len(lines) == 20
    assert all(len(line) >= 90 and line.isupper() for line in lines)


def test_a_gate_and_a_stage_from_outside(tmp_path: Path) -> None:
    """Named as package.module:Class in a recipe, they run, are counted, and their drops are kept with reasons."""
    gates = [{"kind": "tests.test_pipeline:NoHow"}]
    report = run(tmp_path / "run", rows=100, stages__bootstrap__gates=gates)
    assert report.accounts.drops["how"] > 0
    data = recipe.load("demo", environment={}).model_dump(mode="json")
    data["stages"].append({"kind": "tests.test_pipeline:Shout"})
    shouted = pipeline.run_sync(recipe.build(data), tmp_path / "shout", target=30)
    assert shouted.accounts.stages["shout"].accepted > 0
    assert shouted.accounts.drops["too_loud"] > 0
    assert shouted.accounts.stages["shout"].generated >= 30


def test_many_failed_records_do_not_lock_a_run(tmp_path: Path) -> None:
    """A run with more unreadable records than a row of failures may have is resumed and extended all the same."""
    first = run(tmp_path / "run", rows=240, engines__writer__unreadable_verdicts=0.35)
    assert sum(stage.failed for stage in first.accounts.stages.values()) >= 25
    assert run(tmp_path / "run", rows=240, engines__writer__unreadable_verdicts=0.35).exit_status is Exit.DONE
    assert run(tmp_path / "run", rows=280, engines__writer__unreadable_verdicts=0.35).exit_status is Exit.DONE


def test_a_first_start_without_a_server_locks_nothing(tmp_path: Path) -> None:
    """The folder it leaves counts as empty: the next night begins as the first should have."""
    with pytest.raises(SelfInstructError, match="no model server"):
        pipeline.run_sync(
            recipe.load("chat", environment={}, sets=["base_url=http://127.0.0.1:9"]), tmp_path / "run", target=5
        )
    assert runs.accepted_rows(tmp_path / "run") == 0
    assert run(tmp_path / "run", rows=5).exit_status is Exit.DONE
