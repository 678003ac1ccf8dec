"""The audit of real runs: planted biases come out of the whole pipeline, and every export carries it, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfinstruct import export, pipeline, recipe, runs
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.exporters.kto import Kto
from selfinstruct.judging import scored
from selfinstruct.judging.audit import Audit, audit
from selfinstruct.judging.bias import ACROSS
from selfinstruct.judging.estimate import Estimate, share
from selfinstruct.judging.page import page
from selfinstruct.judging.seen import Hesitation
from selfinstruct.judging.stability import Agreement, Orders
from selfinstruct.tables import data_files
from selfinstruct.verify import verify
from tests.support.biased import STYLES, biased_recipe


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two writers and two judges who like length and their own family's style; three replies in ten unreadable."""
    folder = tmp_path_factory.mktemp("biased") / "run"
    pipeline.run_sync(biased_recipe(slope=0.3, lift=0.5, unreadable=0.3), folder, target=120)
    return folder


def audit_of(folder: Path) -> Audit:
    with runs.open_stored(folder) as run:
        return audit(run)


def write(folder: Path, path: Path, kind: str = "messages") -> export.Manifest:
    with runs.open_stored(folder) as run:
        return export.export(run, kind, path)


def test_planted_biases_come_out_of_the_pipeline(biased: Path, tmp_path: Path) -> None:
    """Against the same run with fair judges, the slope is steeper by what was planted; the lift is within its interval."""
    pipeline.run_sync(biased_recipe(slope=0, lift=0, unreadable=0.3), tmp_path / "fair", target=120)
    found, fair = audit_of(biased), audit_of(tmp_path / "fair")
    assert found.length.value is not None
    assert fair.length.value is not None
    assert found.length.value - fair.length.value == pytest.approx(0.3, abs=0.06)
    assert found.own_family.low is not None
    assert found.own_family.high is not None
    assert found.own_family.low <= 0.5 <= found.own_family.high
    assert not fair.own_family.is_sure
    assert found.families == {f"{name}{judge}": name.split("-")[0] for name in STYLES for judge in ("", "-judge")}


def test_votes_of_two_judges_and_a_referee(tmp_path: Path) -> None:
    """One stage, two judges with two votes each: repeats and agreement are known, and the referee's vote is none of them."""
    data = biased_recipe(slope=0, lift=0.8).model_dump(mode="json")
    first, second = (place for place, one in enumerate(data["stages"]) if one["kind"] == "rubric")
    judges = [data["stages"][place]["engine"] for place in (first, second)]
    shared = {"judges": judges, "votes": 2, "doubt": 1.0, "referee": "writer"}
    data["stages"][first] |= {**shared, "sampling": {"max_tokens": 256, "temperature": 0.7}}
    del data["stages"][second]
    pipeline.run_sync(recipe.build(data), tmp_path / "run", target=40)
    found = audit_of(tmp_path / "run")
    doubtful, referee = found.flags["doubtful"], found.judges["scripted"]
    assert 0 < doubtful == referee < found.scored
    assert found.itself.exact.rests_on["answers"] <= 2 * found.scored
    assert found.each_other.exact.rests_on["answers"] <= found.scored
    assert found.own_family.low is not None
    assert found.own_family.high is not None
    assert found.own_family.low <= 0.8 <= found.own_family.high
    assert found.flags["own_family"] == found.scored
    assert "a vote for its own family counts half" in page(found)


def test_verdicts_of_both_orders_are_read_from_the_run(tmp_path: Path) -> None:
    """Pairs that were kept, tied and reversed are all counted; a pair stage that asks nobody gives none."""
    data = recipe.load("demo", environment={}).model_dump(mode="json")
    data["stages"][-1] = {"kind": "tests.support.biased:BothOrders", "name": "pair"}
    pipeline.run_sync(recipe.build(data), tmp_path / "run", target=60)
    with runs.open_stored(tmp_path / "run") as run:
        found, counted = audit(run).orders, run.accounts()
    ties, pairs = counted.drops["tie"], counted.stages["pair"]
    assert counted.drops["reversed"] > 0
    assert found.flips.rests_on == {"pairs": pairs.accepted + pairs.dropped}
    assert found.flips.value == pytest.approx(ties / (pairs.accepted + pairs.dropped), abs=1e-6)
    assert found.first.rests_on == {"flips": ties}
    assert found.first.value is not None
    assert 0.3 < found.first.value < 1


def test_two_score_gates_are_one_threshold(tmp_path: Path) -> None:
    """A row has to pass both: audit, thresholds and kto's labels all go by the higher one, wherever it stands."""
    sets = ["stages.select.gates=[{kind: score, least: 3}, {kind: score, least: 4.5}]", "exports=[]"]
    loaded = recipe.load("demo", environment={}, sets=sets)
    pipeline.run_sync(loaded, tmp_path / "run", target=10)
    assert audit_of(tmp_path / "run").funnel.least == 4.5
    assert scored.load(tmp_path / "run").threshold == 4.5
    assert Kto().fitted(loaded.stages).least == 4.5


def test_it_adds_up_with_the_books(biased: Path) -> None:
    """Answers, scores and unscored ones are those of the ledger; every answer stands in the histogram once."""
    found = audit_of(biased)
    with runs.open_stored(biased) as run:
        counted = run.accounts()
    judges = [counted.stages[f"judge-{name}"] for name in STYLES]
    assert found.answers == counted.stages["respond"].accepted
    assert found.unscored == sum(one.failed for one in judges) > 0
    assert found.scored <= min(one.accepted for one in judges)
    assert sum(found.histogram.values()) == found.scored
    assert found.funnel.kept + sum(found.funnel.dropped.values()) + found.funnel.failed == found.funnel.judged
    assert found.funnel.kept == 120


def test_no_unreadable_reply_became_a_score(biased: Path) -> None:
    """The last answer behind every verdict holds that very score; replies without one are there, and made none."""
    unreadable = 0
    with runs.open_stored(biased) as run:
        for name in STYLES:
            for row, body in run.store.scan(f"judge-{name}"):
                calls = [json.loads(one["completions"][0]["text"]) if one["completions"][0]["text"].endswith("}") else {}
                         for _, one in run.store.calls_of(row.work)]  # fmt: skip
                unreadable += sum("score" not in one for one in calls)
                assert calls[-1]["score"] == body["record"]["score"]
    assert unreadable > 10


def test_a_sample_is_drawn_evenly_and_says_so(biased: Path) -> None:
    """Every so manyth request: a part of the tasks, told on the page; the books stay those of the whole run."""
    with runs.open_stored(biased) as run:
        whole, part = audit(run), audit(run, sample=40)
    assert 20 < part.looked_at < 60 < whole.looked_at == whole.tasks == part.tasks
    assert part.funnel == whole.funnel
    assert part.unscored == whole.unscored
    assert f"looks at {part.looked_at}" in page(part)
    assert "looks at" not in page(whole)


def test_the_page_says_what_is_known_and_what_is_not(biased: Path) -> None:
    """Every estimate stands in the table with its interval, or at the end with its reason; no figure is left bare."""
    found = audit_of(biased)
    text = page(found)
    assert "twice as long scores 0." in text
    assert "an answer scores 0." in text
    assert "order: no pair was judged in both orders" in text
    assert f"| dropped: below 3 | {found.funnel.dropped['score']} |" in text
    assert "nan" not in text.lower().replace("finan", "")
    assert "None" not in text
    assert text.count("```") == 2


def test_every_finding_has_its_words(biased: Path) -> None:
    """Each kind of figure gives a sentence, to either side; nothing unfilled is left in it."""
    found = audit_of(biased)
    sure, weak = Estimate(value=-0.2, low=-0.3, high=-0.1), Estimate(value=0.1, low=-0.1, high=0.3)
    most, none = share(90, 100, of="flips"), Estimate(why="only qwen judged")
    told = Agreement(exact=share(8, 10, of="answers"), distance=Estimate(value=0.25, low=0.2, high=0.3), alpha=none)
    wanted: dict[str, dict[str, object]] = {
        "one twice as long scores 0.20 lower. The judge likes brevity": {"length": sure},
        "No sign that the judge prefers": {"length": weak},
        "This compares answers to different tasks": {"length": sure.model_copy(update={"how": ACROSS})},
        "the true slope is rather steeper": {"scale": (0.0, 5.0), "histogram": {"5": 99}, "scored": 99},
        "an answer scores 0.20 lower than other judges see it": {"own_family": sure},
        "No sign that judges score answers of their own family": {"own_family": weak},
        "which may be chance. Whether they deserve it cannot be told: only qwen judged": {"own_family": none, "own_family_gap": weak},
        "Most flips go to the answer shown first": {"orders": Orders(flips=share(1, 4, of="pairs"), first=most)},
        "Most flips go to the answer shown last": {"orders": Orders(flips=share(1, 4, of="pairs"), first=share(1, 90, of="flips"))},
        "as by chance": {"orders": Orders(flips=share(1, 4, of="pairs"), first=share(5, 10, of="flips"))},
        "Asked twice, a judge gives the same answer the same score in 80.0%, 0.25 points apart": {"itself": told},
        "Two judges give the same answer the same score in 80.0%": {"each_other": told},
        "10% hesitate more": {"hesitation": Hesitation(verdicts=9, mean=0.4, more_than_two=0.1)},
        "2 verdicts are about an answer that addresses the judge": {"flags": {"addresses_judge": 2}},
        "Every answer that was judged got a verdict": {"unscored": 0},
    }  # fmt: skip
    for words, change in wanted.items():
        text = page(found.model_copy(update=change))
        assert words in text
        assert "{" not in text
        assert "None" not in text


def test_names_cannot_break_the_page(biased: Path) -> None:
    """A model's name is shown as text: no table, heading or control character comes of it."""
    evil = "evil|`name`\n# Heading\x1b[31m<b>"
    found = audit_of(biased)
    text = page(found.model_copy(update={"judges": {evil: 3}, "families": {evil: evil}, "flags": {evil: 2}}))
    lone = {"own_family": Estimate(why=f"only {evil} judged"), "own_family_gap": Estimate(value=0.2, low=0.1, high=0.3)}
    text += page(found.model_copy(update=lone))
    assert "\x1b" not in text
    assert "\n# Heading" not in text
    assert "\\|" in text


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
def test_every_export_carries_it(biased: Path, tmp_path: Path, name: str) -> None:
    """In a folder or beside a file, named by the manifest, equal twice, replaced in place, and no data for other commands."""
    first, again = write(biased, tmp_path / "a" / name), write(biased, tmp_path / "b" / name)
    assert first == again
    prefix = "" if name == "out" else f"{name}."
    assert list(first.files)[1:] == [f"{prefix}audit.json", f"{prefix}audit.md"]
    folder = tmp_path / "a" / name if name == "out" else tmp_path / "a"
    told = Audit.model_validate_json((folder / f"{prefix}audit.json").read_bytes())
    assert told == audit_of(biased)
    assert (folder / f"{prefix}audit.md").read_text(encoding="utf-8") == page(told)
    assert list(export.verify_export(tmp_path / "a" / name)) == []
    assert write(biased, tmp_path / "a" / name) == first
    assert [file.name for file in data_files(folder)] == ["train.jsonl" if name == "out" else name]


def test_a_split_carries_it_once(biased: Path, tmp_path: Path) -> None:
    """Two sides, one audit of the whole run, all named by the manifest."""
    with runs.open_stored(biased) as run:
        manifest = export.export(run, "messages", tmp_path / "out", split=0.3)
    assert sorted(manifest.files) == ["audit.json", "audit.md", "train.jsonl", "validation.jsonl"]
    assert list(export.verify_export(tmp_path / "out")) == []
    assert Audit.model_validate_json((tmp_path / "out/audit.json").read_bytes()) == audit_of(biased)


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
@pytest.mark.parametrize("part", ["audit.json", "audit.md"])
def test_a_changed_audit_is_found(biased: Path, tmp_path: Path, name: str, part: str) -> None:
    """`verify` names it; one that somebody has changed is not overwritten; one that is gone is written again."""
    from typer.testing import CliRunner

    out = tmp_path / name
    write(biased, out)
    file = out / part if name == "out" else tmp_path / f"{name}.{part}"
    good = file.read_bytes()
    file.write_bytes(good.replace(b"0.", b"9.", 1))
    assert [str(file) in problem for problem in export.verify_export(out)] == [True]
    told = CliRunner().invoke(app, ["verify", str(out)])
    assert told.exit_code != 0
    assert f"{part}: bytes are not those of the manifest" in told.output
    with pytest.raises(DamageError, match=part.replace(".", r"\.")):
        write(biased, out)
    file.unlink()
    assert "missing" in next(export.verify_export(out))
    write(biased, out)
    assert file.read_bytes() == good


def test_exports_of_the_run_itself_are_verified(biased: Path) -> None:
    """What the pipeline wrote holds the same audit, and `verify` of the run finds it changed."""
    file = biased / "exports/messages/audit.json"
    good = file.read_bytes()
    assert Audit.model_validate_json(good) == audit_of(biased)
    assert list(verify(biased)) == []
    file.write_bytes(good + b" ")
    assert [str(file) in problem for problem in verify(biased)] == [True]
    file.write_bytes(good)


def test_somebody_elses_audit_is_not_overwritten(biased: Path, tmp_path: Path) -> None:
    """A file of that name that no manifest of ours knows stops the export, before anything is written."""
    (tmp_path / "x.jsonl.audit.md").write_text("precious")
    with pytest.raises(BadInputError, match=r"x\.jsonl\.audit\.md exists"):
        write(biased, tmp_path / "x.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl.audit.md"]


def test_killed_between_the_names(biased: Path, tmp_path: Path) -> None:
    """New manifest, old audit, and the new one still under its temporary name: the next export mends it by itself."""
    out, dead = tmp_path / "x.jsonl", 4_194_304  # one more than the largest process number of Linux
    write(biased, out)
    file = tmp_path / "x.jsonl.audit.md"
    wanted = file.read_bytes()
    (tmp_path / f".x.jsonl.audit.md.{dead}.partial").write_bytes(wanted)
    file.write_bytes(b"what an earlier export held")
    write(biased, out)
    assert file.read_bytes() == wanted
    assert not list(tmp_path.glob(".*"))


def test_rows_that_nobody_judged_have_no_audit(biased: Path, tmp_path: Path) -> None:
    """A recipe without a judge exports no audit, and leaves none of an earlier export beside its rows."""
    write(biased, tmp_path / "x.jsonl")
    plain = recipe.load("self-instruct", environment={}, sets=["engines.writer={kind: scripted}"])
    pipeline.run_sync(plain, tmp_path / "run", target=5)
    manifest = write(tmp_path / "run", tmp_path / "x.jsonl")
    assert list(manifest.files) == ["x.jsonl"]
    assert sorted(path.name for path in tmp_path.glob("x*")) == ["x.jsonl", "x.jsonl.manifest.json"]


def test_one_model_that_writes_and_judges(tmp_path: Path) -> None:
    """The usual run: what its own family adds cannot be known, and the page says why."""
    pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "run", target=20)
    found = audit_of(tmp_path / "run")
    assert found.own_family.value is None
    assert "only scripted wrote, and judged itself" in page(found)
    assert "never to be published" in page(found)
