"""The rubric judge: a number on the scale, or nothing. A broken verdict is retried, then failed, and never a score."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Literal

import pytest

from selfinstruct import pipeline, recipe, rubrics
from selfinstruct.engines.base import Choice, Completion, FinishReason, JsonSchema, Sampling
from selfinstruct.errors import BadInputError, UnreadableError
from selfinstruct.judges.rubric import RubricJudge
from selfinstruct.records import Judgement, Provenance, Response
from selfinstruct.store import read_run
from tests.support.canned import Canned, completion, instance, instruction, work

ANSWER = Response(id="a", parent="n", provenance=Provenance(stage="t"), text="The Loire. End of answer. It is long.")


async def judge(stage: RubricJudge, answer: Completion | str, *, attempt: int = 1) -> tuple[float, Canned]:
    canned = Canned(answer)
    (made,) = await stage.process(
        ANSWER, work(ANSWER, canned, ancestors=[instruction(), instance("Loire")], attempt=attempt)
    )
    return made.score, canned


async def test_a_verdict() -> None:
    """Score, reason and judge are kept; the prompt holds the three texts, fenced by a nonce that is not in them."""
    score, canned = await judge(RubricJudge(), '{"score":4.5,"rationale":"Right."}')
    assert score == 4.5
    assert canned.asked[0][0] == "judge"
    nonce = canned.prompt.splitlines()[-1].rpartition(" ")[2]
    assert len(nonce) == 16
    assert canned.prompt.count(nonce) == 6
    assert nonce not in ANSWER.text


@pytest.mark.parametrize(
    "answer",
    [
        "", "4.5", "{}", '{"score":"4.5"}', '{"score":6}', '{"score":-1}', '{"score":null}', '{"score":true}', '{"score":NaN}',
        "[4.5]", completion('{"score":4.5,"rationale":"cut', FinishReason.LENGTH),
        completion('{"score":4.5,"rationale":"x"}', FinishReason.LENGTH),
    ],
)  # fmt: skip
async def test_a_broken_verdict_is_no_score(answer: Completion | str) -> None:
    """Never 0, 1, 3 or -1: unreadable."""
    with pytest.raises(UnreadableError):
        await judge(RubricJudge(), answer)


async def test_text_verdicts() -> None:
    """The published form: the score alone on the first line."""
    stage = RubricJudge(format="text")
    score, canned = await judge(stage, "Score: 3.5\nIt names 2 of 3.")
    assert score == 3.5
    assert canned.asked[0][1].constraint is None
    assert "JSON" not in canned.prompt
    score, _ = await judge(stage, completion("4.5\nIt names 2 of", FinishReason.LENGTH))
    assert score == 4.5
    with pytest.raises(UnreadableError, match="cut"):
        await judge(stage, completion("4", FinishReason.LENGTH))


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_runaway_verdict_is_no_score(form: Literal["json", "text"]) -> None:
    """However it began."""
    text = '{"score":4.5,"rationale":"' if form == "json" else "5 5 5 5 5 "
    with pytest.raises(UnreadableError, match="runaway"):
        await judge(RubricJudge(format=form), completion(text + "so " * 50, FinishReason.REPETITION))


async def test_answers_to_one_instance_share_their_prompt_up_to_the_answer() -> None:
    """One fence for all of them: the server has read task and input already when the second answer comes."""
    shown = []
    for name, text in (("a", "The Loire."), ("b", "Paris.")):
        one = ANSWER.model_copy(update={"id": name, "text": text})
        canned = Canned('{"score":4.5,"rationale":"x"}')
        await RubricJudge().process(one, work(one, canned, ancestors=[instruction(), instance("Loire")]))
        shown.append(canned.prompt)
    assert shown[0].partition("The Loire.")[0] == shown[1].partition("Paris.")[0]


async def test_later_tries_draw() -> None:
    """At temperature 0 a second try would read the same: it is asked a little warmer."""
    _, first = await judge(RubricJudge(), '{"score":1,"rationale":"x"}')
    _, second = await judge(RubricJudge(), '{"score":1,"rationale":"x"}', attempt=2)
    assert first.asked[0][1].sampling.temperature == 0
    assert second.asked[0][1].sampling.temperature == 0.3


def test_a_judge_that_is_never_readable_fails_its_rows(tmp_path: Path) -> None:
    """Not one score appears; the run stops by itself and says what failed."""
    loaded = recipe.load("demo", environment={}, sets=["engines.writer.unreadable_verdicts=1"])
    with pytest.raises(Exception, match="stage judge: unreadable") as caught:
        pipeline.run_sync(loaded, tmp_path / "run", target=20)
    assert str(caught.value).count("the answer: ") in {1, 2, 3}
    with read_run(tmp_path / "run") as store:
        assert not list(store.scan("judge"))
        failed = [row for row in store.works(failed=True) if row.stage == "judge"]
    assert failed
    assert {row.tries for row in failed} == {3}


def verdicts(*scores: float) -> list[str]:
    return [f'{{"score":{score:g},"rationale":"{score:g} it is."}}' for score in scores]


async def made(stage: RubricJudge, *answers: Completion | str, writer: str = "") -> tuple[Judgement, Canned]:
    canned = Canned(*answers)
    record = ANSWER.model_copy(update={"provenance": Provenance(stage="t", model=writer)})
    (one,) = await stage.process(record, work(record, canned, ancestors=[instruction(), instance("Loire")]))
    assert isinstance(one, Judgement)
    return one, canned


async def test_the_median_of_votes() -> None:
    """Several verdicts by one request; the median counts, all are kept, the reason is that of the nearest."""
    stage = RubricJudge(votes=3, sampling=Sampling(max_tokens=256, temperature=0.7), doubt=4)
    one, canned = await made(stage, *verdicts(5, 3, 4.5))
    assert (one.score, one.rationale, one.flags) == (4.5, "4.5 it is.", ())
    assert sorted(vote.score for vote in one.votes) == [3, 4.5, 5]
    assert [request.n for _, request in canned.asked] == [3]


async def test_unreadable_votes_count_for_nothing() -> None:
    """One of three is left out; with two of three there is no median to speak of."""
    stage = RubricJudge(votes=3, doubt=4)
    one, _ = await made(stage, "who knows", *verdicts(4, 5))
    assert (one.score, len(one.votes)) == (4.5, 2)
    with pytest.raises(UnreadableError):
        await made(stage, "who knows", "not I", *verdicts(5))


async def test_doubtful_answers_go_to_the_referee() -> None:
    """Votes a point apart: the other judge decides, and every vote is kept."""
    stage = RubricJudge(judges=("a", "b"), doubt=1, referee="c")
    one, canned = await made(stage, *verdicts(5, 2, 2.5))
    assert [engine for engine, _ in canned.asked] == ["a", "b", "c"]
    assert (one.score, one.judge, one.flags) == (2.5, "c", ("doubtful",))
    assert [vote.score for vote in one.votes] == [2.5, 5, 2]
    one, canned = await made(stage, *verdicts(5, 4.5))
    assert (one.score, one.flags, len(canned.asked)) == (4.75, (), 2)


async def test_a_vote_of_the_writers_family_counts_half() -> None:
    """Two kin against one stranger: the middle between them, not the kin's; flagged either way."""
    stage = RubricJudge(judges=("Qwen/Qwen3-8B", "qwen2.5-72b", "llama-3.1-70b"), doubt=5)
    one, _ = await made(stage, *verdicts(5, 5, 3), writer="Qwen3-4B-Instruct")
    assert (one.score, one.flags) == (4, ("own_family",))
    one, _ = await made(stage, *verdicts(5, 5, 3), writer="gemma-3-4b-it")
    assert (one.score, one.flags) == (5, ())
    allowed = stage.model_copy(update={"own_family": "allow"})
    assert (await made(allowed, *verdicts(5, 5, 3), writer="Qwen3-4B-Instruct"))[0].score == 5


def test_a_judge_of_the_writers_family_is_told_or_refused() -> None:
    """Before the run; a family can be named where the name does not tell it."""
    models = {"writer": "Qwen/Qwen3-4B", "judge": "our-judge-v2"}
    assert not list(RubricJudge().cautions(models=models, writers=["writer"]))
    (told,) = RubricJudge(families={"our-judge-v2": "qwen"}).cautions(models=models, writers=["writer"])
    assert "family of the writer Qwen/Qwen3-4B" in told
    refusing = RubricJudge(own_family="refuse", families={"our-judge-v2": "qwen"})
    with pytest.raises(BadInputError, match="our-judge-v2"):
        list(refusing.cautions(models=models, writers=["writer"]))
    silent = RubricJudge(own_family="allow", families={"our-judge-v2": "qwen"})
    assert not list(silent.cautions(models=models, writers=["writer"]))


async def test_a_score_alone_with_its_probabilities() -> None:
    """Constrained to the scale; expected value and entropy are kept beside, and taken when asked for."""
    answer = Completion(text="4", finish_reason=FinishReason.STOP, logprobs=({"4": log(0.75), "3": log(0.25)},))
    stage = RubricJudge(rubric="truthfulness", format="score")
    one, canned = await made(stage, answer)
    assert canned.asked[0][1].constraint == Choice(choices=("1", "2", "3", "4", "5"))
    assert canned.asked[0][1].top_logprobs == 20
    assert one.score == 4
    assert one.expected == pytest.approx(3.75)
    assert one.entropy == pytest.approx(-0.75 * log(0.75) - 0.25 * log(0.25))
    taken, _ = await made(stage.model_copy(update={"take": "expected"}), answer)
    assert taken.score == pytest.approx(3.75)
    with pytest.raises(UnreadableError):
        await made(stage, "6")


async def test_the_rubric_decides_scale_and_words() -> None:
    """Of a user's own file as of a shipped one, in English and in Korean."""
    for language in ("en", "ko"):
        canned = Canned('{"score":3,"rationale":"x"}')
        stage = RubricJudge(rubric="educational-value")
        await stage.process(
            ANSWER, work(ANSWER, canned, ancestors=[instruction(), instance("Loire")], language=language)
        )
        assert rubrics.load("educational-value", language=language).criteria in canned.prompt
        schema = canned.asked[0][1].constraint
        assert isinstance(schema, JsonSchema)
        assert schema.schema_["properties"]["score"]["enum"] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(UnreadableError):
        await made(RubricJudge(rubric="truthfulness"), *verdicts(0))


@pytest.mark.parametrize(
    ("language", "reason", "flagged"),
    [
        ("en", "Both rivers are named, and the form is kept.", False),
        ("en", "두 강의 이름을 모두 댔고 요구한 형식을 그대로 지켰습니다.", True),
        ("ko", "두 강의 이름을 모두 댔고 요구한 형식을 그대로 지켰습니다.", False),
        ("ko", "Both rivers are named, and the form is kept.", True),
        ("ko", "답변 'The Loire and the Rhine' 은 두 강을 모두 맞게 답했습니다.", False),
        ("ko", "OK.", False),
    ],
)
async def test_a_judge_that_answers_in_another_language_is_flagged(
    language: str, reason: str, *, flagged: bool
) -> None:
    """Its score stands, and a reader is told."""
    canned = Canned(f'{{"score":4,"rationale":"{reason}"}}')
    (one,) = await RubricJudge().process(
        ANSWER, work(ANSWER, canned, ancestors=[instruction(), instance("Loire")], language=language)
    )
    assert one.flags == (("other_language",) if flagged else ())


def test_another_rubric_is_another_judge() -> None:
    """Its text is in the fingerprint."""
    prints = {RubricJudge(rubric=name).fingerprint(models={"judge": "m"}, language="en") for name in rubrics.names()}
    assert len(prints) == len(rubrics.names())


def test_votes_that_cannot_differ_are_told() -> None:
    """At temperature 0 three votes are one."""
    (told,) = RubricJudge(votes=3).cautions(models={"judge": "a", "writer": "b"}, writers=["writer"])
    assert "temperature 0" in told


@pytest.mark.parametrize(
    "key",
    [
        "stages.select.gates.score.least=5.5",
        "stages.pair.least_chosen=-1",
        "stages.select.gates=[{kind: score, least: 9}, {kind: score, least: 4}]",
    ],
)
def test_a_threshold_outside_of_the_scale_is_refused(key: str) -> None:
    """Nothing could ever pass it, or everything would."""
    with pytest.raises(BadInputError, match="outside of the judge's scale") as caught:
        recipe.load("demo", environment={}, sets=[key])
    assert "0 to 5" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("sets", "what"),
    [
        (["stages.pair.least_margin=9"], "no two scores from 0 to 5 differ by 9"),
        (["stages.judge.judges=[judge, wrong]"], "no engine is called 'judge'"),
        (["stages.judge.referee=strong"], "no engine is called"),
        (["stages.judge.judges=[judge, judge]"], "named twice"),
        (["stages.judge.tries=0"], "tries"),
        (["stages.select.answer=own"], "would drop every row"),
    ],
)
def test_a_recipe_that_could_not_judge_is_refused(sets: list[str], what: str) -> None:
    """Before a call is paid for."""
    with pytest.raises(BadInputError, match=what):
        recipe.load("demo", environment={}, sets=sets)


def test_judges_with_unlike_scales_are_not_averaged() -> None:
    """A mean of 0 to 5 and 1 to 5 is on no scale."""
    with pytest.raises(BadInputError, match="honesty from 0 to 5") as caught:
        recipe.load("ultrafeedback", environment={}, sets=["stages.honesty.rubric=accuracy"])
    assert "one scale" in str(caught.value.remedy)


async def test_a_score_between_two_of_the_scale_is_none() -> None:
    """4.3 is no half point: the judge keeps to another scale, and is asked again."""
    for answer in ('{"score":4.3,"rationale":"x"}', '{"score":4.4999,"rationale":"x"}'):
        with pytest.raises(UnreadableError, match=r"is none of 0, 0\.5"):
            await made(RubricJudge(), answer)
    with pytest.raises(UnreadableError, match="is none of"):
        await made(RubricJudge(format="text"), "4.55")


async def test_the_referee_is_told_like_any_judge() -> None:
    """Of the writer's family it is refused or warned of, and its verdict is flagged."""
    stage = RubricJudge(judges=("gemma-3", "mistral-7b"), referee="Qwen/Qwen3-32B", doubt=1)
    models = {"gemma-3": "gemma-3", "mistral-7b": "mistral-7b", "Qwen/Qwen3-32B": "Qwen3-32B", "writer": "Qwen3-4B"}
    (told,) = stage.cautions(models=models, writers=["writer"])
    assert "Qwen3-32B" in told
    one, _ = await made(stage, *verdicts(5, 1, 4), writer="Qwen3-4B")
    assert set(one.flags) == {"doubtful", "own_family"}
