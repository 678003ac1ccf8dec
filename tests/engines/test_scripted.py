"""The scripted engine: the same answers everywhere, each prompt answered in its form, mistakes at their rates."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from selfinstruct import prompts, rubrics, seeds
from selfinstruct.engines import _answers as answers
from selfinstruct.engines import _asked as asked
from selfinstruct.engines import _grammar as grammar
from selfinstruct.engines._asked import Asked
from selfinstruct.engines.base import (
    Choice,
    Completion,
    CompletionRequest,
    Constraint,
    FinishReason,
    JsonSchema,
    Message,
    Prompt,
    Reply,
    Sampling,
    user,
)
from selfinstruct.engines.scripted import TRACE, ScriptedEngine
from selfinstruct.errors import UnreadableError
from selfinstruct.gates.heuristics import Heuristics
from selfinstruct.judges import _verdict as verdict
from selfinstruct.judges.rubric import RubricJudge
from selfinstruct.recipe import load
from selfinstruct.records import Instruction, Provenance
from selfinstruct.stages.bootstrap import Bootstrap
from selfinstruct.stages.bootstrap import _schema as tasks_schema
from selfinstruct.stages.instances import _schema as instances_schema
from selfinstruct.text.reply import (
    read_blocks,
    read_examples,
    read_json,
    read_labelled,
    read_marked,
    read_numbered,
    read_pairs,
)
from selfinstruct.text.rouge import NoveltyIndex
from selfinstruct.text.score import read_score

ACCURACY = rubrics.load("accuracy")
CRITERIA: dict[str, Any] = verdict.shown(ACCURACY)
VERDICT = RubricJudge()._constraint(ACCURACY)
NEVER = dict.fromkeys(
    (
        "near_duplicates", "forbidden", "broken_json", "cut", "empty", "bad_instances", "skewed_labels", "weak_answers",
        "unreadable_verdicts",
    ),
    0.0,
)  # fmt: skip
FAULTLESS = ScriptedEngine(**NEVER)
SEEDS = [task.instruction.replace("\n", " ") for task in seeds.load(seeds.shipped())[0]]
YES_NO = Choice(choices=("yes", "no"))
OPEN = "Explain tides in a narrow bay to a busy midwife."
TEXT = "Proofread the announcement below about lost luggage in a small airport."
LABEL = "Label every comment on a dripping kitchen tap as urgent, routine or optional."


def only(**shares: Any) -> ScriptedEngine:
    return ScriptedEngine(**{**NEVER, **shares})


def usual(fault: str) -> ScriptedEngine:
    """Return an engine with this fault alone, as often as by default."""
    return only(**{fault: getattr(ScriptedEngine(), fault)})


def ask(prompt: Prompt, constraint: Constraint | None = None, **changes: Any) -> CompletionRequest:
    given = {"id": "x", "sampling": Sampling(max_tokens=4096), "seed": 1, **changes}
    return CompletionRequest(prompt=prompt, constraint=constraint, **given)


async def one(engine: ScriptedEngine, request: CompletionRequest) -> Completion:
    (completion,) = (await engine.complete(request)).completions
    return completion


def shown(number: int) -> list[str]:
    return Random(number).sample(SEEDS, 8)


def bootstrap(number: int = 0, **changes: Any) -> CompletionRequest:
    text = prompts.render("bootstrap", demonstrations=shown(number), count=8, form="json")
    return ask(user(text), tasks_schema(8), seed=number, **changes)


def written(task: str, **changes: Any) -> CompletionRequest:
    label_first = task == LABEL
    name = "label_first" if label_first else "input_first"
    text = prompts.render(name, demonstrations=prompts.demonstrations(name), instruction=task, count=5, form="json")
    return ask(user(text), instances_schema(5, label_first=label_first), **changes)


def judged(task: str, given: str, answer: str, **changes: Any) -> CompletionRequest:
    text = prompts.render("judge", **CRITERIA, nonce="n0nce", instruction=task, input=given, answer=answer, form="json")
    return ask(user(text), VERDICT, **changes)


async def tasks_of(engine: ScriptedEngine, requests: Sequence[CompletionRequest]) -> list[str]:
    return [task for request in requests for task in read_json((await one(engine, request)).text)["tasks"]]


async def rate(engine: ScriptedEngine, fault: Any, requests: Sequence[CompletionRequest]) -> float:
    """Return the share of `requests` whose answer has the fault."""
    return sum([bool(fault(await one(engine, request))) for request in requests]) / len(requests)


DIGEST = """
import asyncio, hashlib
from selfinstruct.engines.base import CompletionRequest, Sampling, user
from selfinstruct.engines.scripted import TRACE, ScriptedEngine
texts = ["1. Wait here for me.\\n9.", "Say it.", "Task: Label it as good or bad.\\nIs it classification?", "4. Instruction:"]
requests = [CompletionRequest(id="", prompt=text, sampling=Sampling(max_tokens=999), seed=n, n=3) for n in range(20) for text in texts]
replies = [asyncio.run(ScriptedEngine().complete(one)) for one in requests]
print(hashlib.sha256("".join(one.model_dump_json() for one in replies).encode()).hexdigest())
"""


def test_equal_answers_in_every_process() -> None:
    """Two interpreters with different hash seeds give the same bytes."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


async def test_what_an_answer_depends_on() -> None:
    """Engine seed, prompt, roles and request seed: yes. Id, temperature, latency, number of answers: no."""
    base = ask(user(OPEN), n=2)
    told = (await FAULTLESS.complete(base)).completions
    assert told == (await only(latency=0.001).complete(base.model_copy(update={"id": "y"}))).completions
    assert told == (await FAULTLESS.complete(base.model_copy(update={"n": 5}))).completions[:2]
    other = [
        await only(seed=1).complete(base),
        await FAULTLESS.complete(base.model_copy(update={"seed": 2})),
        await FAULTLESS.complete(ask((Message(role="system", content="Hm."), *user(OPEN)), n=2)),
    ]
    assert all(reply.completions != told for reply in other)


async def test_several_answers_differ() -> None:
    """As many texts as answers were asked for."""
    reply = await FAULTLESS.complete(ask(user(OPEN), n=8))
    assert len({completion.text for completion in reply.completions}) == 8


async def test_every_reply_says_that_it_is_scripted() -> None:
    """Model name and mark, whatever is asked; the engine says it too."""
    for request in (bootstrap(), written(LABEL), ask("Once upon a time")):
        reply = await ScriptedEngine().complete(request)
        assert reply.scripted
        assert reply.model == "scripted"
    assert ScriptedEngine.scripted


async def test_stop_ends_an_answer() -> None:
    """The text before the earliest stop, and STOP as the reason."""
    whole = (await one(FAULTLESS, ask(user(OPEN)))).text
    words = whole.split()
    stops = (words[5], words[3], "never there")
    ended = await one(FAULTLESS, ask(user(OPEN), sampling=Sampling(max_tokens=4096, stop=stops)))
    assert ended.finish_reason is FinishReason.STOP
    assert ended.text == min((whole.partition(stop)[0] for stop in stops), key=len)


async def test_max_tokens_end_an_answer_and_usage_counts_alike() -> None:
    """Four characters a token: cut there with LENGTH, one token more than enough is STOP."""
    whole = await FAULTLESS.complete(ask(user(OPEN)))
    text, used = whole.completions[0].text, whole.usage.completion_tokens
    assert used == -(-len(text) // 4)
    assert whole.usage.prompt_tokens == -(-len(OPEN) // 4)
    cut = await FAULTLESS.complete(ask(user(OPEN), sampling=Sampling(max_tokens=7)))
    assert cut.completions[0] == Completion(text=text[:28], finish_reason=FinishReason.LENGTH)
    assert cut.usage.completion_tokens == 7
    exact = await one(FAULTLESS, ask(user(OPEN), sampling=Sampling(max_tokens=used)))
    assert exact.finish_reason is FinishReason.STOP


async def test_latency_spreads_around_its_mean() -> None:
    """Requests wait differently, within the spread, never below zero; and always the same for one request."""
    engine = only(latency=0.2, latency_spread=0.3)
    waits = [engine._seconds(engine._key(bootstrap(number))) for number in range(200)]
    assert 0 == min(waits) < max(waits) <= 0.5
    assert len(set(waits)) > 50
    assert engine._seconds(7) == engine._seconds(7)


@pytest.mark.parametrize("sent", [True, False])
async def test_instructions_as_json(sent: bool) -> None:  # noqa: FBT001
    """As many as the schema allows, or as the prompt says where the server's dialect has no schema."""
    request = bootstrap()
    answer = await one(FAULTLESS, request if sent else request.model_copy(update={"constraint": None}))
    assert len(read_json(answer.text)["tasks"]) == 8


async def test_instructions_as_a_numbered_list() -> None:
    """Eight items that continue at 9, with the published stops in force."""
    text = prompts.render("bootstrap_completion", demonstrations=shown(0))
    stage = load("self-instruct", environment={}).stages[0]
    assert isinstance(stage, Bootstrap)
    answer = await one(FAULTLESS, ask(text, sampling=stage.sampling))
    assert answer.finish_reason is FinishReason.STOP
    assert len(read_numbered(answer.text)) == 7  # the published stop "\n16" ends the list before item 16
    assert len(read_numbered((await one(FAULTLESS, ask(text))).text)) == 8


async def test_instructions_as_blocks() -> None:
    """Blocks 4 to 19 with the published stops, every one readable, with and without an input."""
    rows = [{"instruction": task, "input": "", "output": "Yes."} for task in shown(0)[:3]]
    text = prompts.render("alpaca_completion", demonstrations=rows, count=20)
    stage = load("alpaca", environment={}).stages[0]
    assert isinstance(stage, Bootstrap)
    for seed in range(20):
        blocks = read_blocks((await one(FAULTLESS, ask(text, sampling=stage.sampling, seed=seed))).text, first=4)
        assert len(blocks) == 16
        assert all(block and block[0] and block[2] for block in blocks)
        assert {bool(block and block[1]) for block in blocks} == {True, False}


@pytest.mark.parametrize("sent", [True, False])
async def test_classification_agrees_with_the_instruction(sent: bool) -> None:  # noqa: FBT001
    """Yes for what sorts into labels, no for all else, constrained or not, chat or completion, in any case."""
    shots = prompts.demonstrations("classify")
    for task, word in ((LABEL, "yes"), (LABEL.capitalize(), "yes"), (OPEN, "no"), (TEXT, "no")):
        chat = prompts.render("classify", demonstrations=shots, instruction=task)
        answer = await one(ScriptedEngine(), ask(user(chat), YES_NO if sent else None, top_logprobs=10 * sent))
        assert answer.text == word
        assert bool(answer.logprobs) == sent
        continued = prompts.render("classify_completion", demonstrations=shots, instruction=task)
        assert (await one(ScriptedEngine(), ask(continued))).text == f" {word.capitalize()}"


async def test_log_probabilities_of_a_classification() -> None:
    """The word said is the likelier one, both add up to 1, and no more alternatives than asked for."""
    chat = user(prompts.render("classify", demonstrations=prompts.demonstrations("classify"), instruction=OPEN))
    (token,) = (await one(FAULTLESS, ask(chat, YES_NO, top_logprobs=10))).logprobs
    assert token["no"] > token["yes"]
    assert sum(2.718281828459045**value for value in token.values()) == pytest.approx(1)
    assert list((await one(FAULTLESS, ask(chat, YES_NO, top_logprobs=1))).logprobs[0]) == ["no"]


@pytest.mark.parametrize("sent", [True, False])
async def test_instances_as_json(sent: bool) -> None:  # noqa: FBT001
    """No input for an open task, different inputs for one about a text, one per label for a classification."""
    found = {}
    for task in (OPEN, TEXT, LABEL):
        request = written(task) if sent else written(task).model_copy(update={"constraint": None})
        found[task] = read_json((await one(FAULTLESS, request)).text)["instances"]
    assert [row["input"] for row in found[OPEN]] == [""]
    assert all(row["input"] and row["output"] for row in found[TEXT])
    assert [row["output"] for row in found[LABEL]] == ["urgent", "routine", "optional"]
    assert len({row["input"] for row in found[LABEL]}) == 3
    assert list(found[LABEL][0]) == ["output", "input"]


async def test_instances_as_text() -> None:
    """The published readers find the same: examples, one output alone, class labels."""
    for task, reader in ((OPEN, read_examples), (TEXT, read_examples), (LABEL, read_labelled)):
        name = "label_first" if task == LABEL else "input_first"
        shots = prompts.demonstrations(name)
        text = prompts.render(f"{name}_completion", demonstrations=shots, instruction=task)
        pairs = reader((await one(FAULTLESS, ask(text))).text)
        assert pairs
        assert all(output for _, output in pairs)
        assert all(bool(given) == (task != OPEN) for given, _ in pairs)
    assert [label for _, label in pairs] == ["urgent", "routine", "optional"]


async def test_plain_lines_for_chat_prompts() -> None:
    """Told by the prompt alone: as many tasks as asked for, and the same instances as in JSON, in the marked form."""
    text = prompts.render("bootstrap", demonstrations=shown(0), count=6, form="lines")
    assert len(read_marked((await one(FAULTLESS, ask(user(text)))).text, name="Task")) == 6
    for task, name, marks in (
        (OPEN, "input_first", ("Input", "Output")),
        (TEXT, "input_first", ("Input", "Output")),
        (LABEL, "label_first", ("Label", "Input")),
    ):
        shots = prompts.demonstrations(name)
        text = prompts.render(name, demonstrations=shots, instruction=task, count=5, form="lines")
        pairs = read_pairs((await one(FAULTLESS, ask(user(text)))).text, names=marks)
        assert all(first and second for first, second in pairs)
        assert (pairs[0][0] == "(none)") == (task == OPEN)
    assert [label for label, _ in pairs] == ["urgent", "routine", "optional"]


def top_up(
    enough: list[str], wanted: list[str], *, form: str = "json", count: int = 3, **changes: Any
) -> CompletionRequest:
    shots = prompts.demonstrations("label_first")
    text = prompts.render(
        "label_top_up", demonstrations=shots, instruction=LABEL, enough=enough, wanted=wanted, count=count, form=form
    )
    return ask(user(text), instances_schema(5, label_first=True) if form == "json" else None, **changes)


async def test_further_examples_for_labels_that_are_short() -> None:
    """As many as wanted, in turn for the wanted labels; for the others of the task where none is named. JSON and lines."""
    for enough, wanted, labels in (
        (["Urgent"], ["routine", "optional"], ["routine", "optional", "routine"]),
        (["Urgent", "routine"], [], ["optional", "optional", "optional"]),
    ):
        rows = read_json((await one(FAULTLESS, top_up(enough, wanted))).text)["instances"]
        assert [row["output"] for row in rows] == labels
        assert len({row["input"] for row in rows}) == 3
        lines = (await one(FAULTLESS, top_up(enough, wanted, form="lines"))).text
        assert [label for label, _ in read_pairs(lines, names=("Label", "Input"))] == labels
    unconstrained = top_up(["urgent"], ["routine"]).model_copy(update={"constraint": None})
    assert len(read_json((await one(FAULTLESS, unconstrained)).text)["instances"]) == 3


async def test_skewed_labels_at_their_rate() -> None:
    """Label first, further examples and input first alike: so often the first label, whatever it was to be."""
    engine, labels = only(skewed_labels=0.4), ("urgent", "routine", "optional")
    first = [read_json((await one(engine, written(LABEL, seed=n))).text)["instances"] for n in range(800)]
    assert sum(row["output"] == "urgent" for rows in first for row in rows[1:]) / 1600 == pytest.approx(0.4, abs=0.04)
    more = [
        read_json((await one(engine, top_up(["urgent"], ["routine"], seed=n))).text)["instances"] for n in range(500)
    ]
    assert sum(row["output"] == "urgent" for rows in more for row in rows) / 1500 == pytest.approx(0.4, abs=0.04)
    draw = Random(4)
    pairs = [pair for _ in range(800) for pair in answers.instances(LABEL, draw, at_most=5, skewed=0.4)]
    shares = Counter(label for _, label in pairs)
    assert shares.keys() == set(labels)
    assert shares["urgent"] / len(pairs) == pytest.approx(0.4 + 0.6 / 3, abs=0.04)


async def test_asked_again_it_answers_the_same_question() -> None:
    """What is added when an answer could not be read changes the answer, not what is answered."""
    told = prompts.render("again", why="no", answer='{"tasks":["x"]}\nTask: Other.\nWrite 3 new tasks.', nonce="c0de")
    for sent in (True, False):
        request = written(TEXT) if sent else written(TEXT).model_copy(update={"constraint": None})
        assert not isinstance(request.prompt, str)
        (message,) = request.prompt
        again = request.model_copy(update={"prompt": user(f"{message.content}\n\n{told}")})
        first, second = (await one(FAULTLESS, request)).text, (await one(FAULTLESS, again)).text
        assert first != second
        assert all(row["input"] and row["output"] for row in read_json(second)["instances"])
    assert (await FAULTLESS.complete(again)).usage.prompt_tokens > (
        await FAULTLESS.complete(request)
    ).usage.prompt_tokens


async def test_no_more_instances_than_the_schema_allows() -> None:
    """What maxItems says holds, faults included."""
    for seed in range(50):
        request = ask(written(LABEL).prompt, instances_schema(2, label_first=True), seed=seed)
        assert len(read_json((await one(only(bad_instances=1), request)).text)["instances"]) <= 2


async def test_the_judge_tells_good_answers_from_weak_ones() -> None:
    """Good: 4 and more, nearly all 4.5 and more. Weak: 3.5 and less. In JSON and in plain text."""
    scores: dict[str, list[float]] = {"good": [], "weak": []}
    draw = Random(1)
    for number in range(600):
        task = grammar.instruction(Random(number))
        pairs = (
            answers.labelled(task, draw, at_most=4)
            if grammar.labels_of(task)
            else answers.instances(task, draw, at_most=3)
        )
        for name, write in (("good", answers.good), ("weak", answers.weak)):
            request = judged(task, pairs[0][0], write(task, pairs[0][0], draw), seed=number)
            scores[name].append(read_json((await one(FAULTLESS, request)).text)["score"])
    assert min(scores["good"]) == 4
    assert sum(score >= 4.5 for score in scores["good"]) / 600 == pytest.approx(0.875, abs=0.05)
    assert sum(score > 3.5 for score in scores["weak"]) <= 3  # off the subject, and by chance on the very same one
    assert len(set(scores["weak"])) >= 5


async def test_a_verdict_in_plain_text() -> None:
    """Score alone on the first line; without a schema the JSON prompt still gets JSON."""
    values = {**CRITERIA, "nonce": "n0nce", "instruction": OPEN, "input": "", "answer": "It depends."}
    plain = await one(FAULTLESS, ask(user(prompts.render("judge", form="text", **values))))
    assert 1 <= read_score(plain.text, lowest=0, highest=5) <= 2
    assert (
        read_json((await one(FAULTLESS, ask(user(prompts.render("judge", form="json", **values))))).text)["score"] <= 2
    )


def test_labels_deserved_by_their_inputs() -> None:
    """What was written for a label is answered with that label."""
    draw = Random(2)
    pairs = [pair for _ in range(200) for pair in answers.labelled(LABEL, draw, at_most=3)]
    assert sum(answers.good(LABEL, given, draw) == label for given, label in pairs) / len(pairs) > 0.99


async def test_pairs_are_common() -> None:
    """With four answers each, most tasks have one that passes and a weaker one; and about 3 in 5 answers pass."""
    passing, paired = 0, 0
    for number in range(150):
        task = grammar.instruction(Random(number))
        given = answers.labelled(task, Random(number), at_most=1)[0][0] if grammar.labels_of(task) else ""
        reply = await ScriptedEngine().complete(
            ask(user(prompts.render("respond", instruction=task, input=given)), n=4)
        )
        scores = [
            read_json((await one(FAULTLESS, judged(task, given, completion.text))).text)["score"]
            for completion in reply.completions
            if completion.text and completion.finish_reason is FinishReason.STOP
        ]
        passing += sum(score >= 4.5 for score in scores)
        paired += bool(scores) and max(scores) >= 4.5 > min(scores)
    assert 0.5 < passing / 600 < 0.67
    assert paired / 150 > 0.6


async def test_faults_at_their_rates() -> None:
    """2,000 answers of each kind: every fault occurs, near its default share."""
    engine, requests = ScriptedEngine(), [ask(user(f"{OPEN} {number}"), seed=number) for number in range(2000)]
    assert await rate(engine, lambda c: not c.text, requests) == pytest.approx(0.01, abs=0.007)
    assert await rate(engine, lambda c: c.finish_reason is FinishReason.LENGTH, requests) == pytest.approx(
        0.02, abs=0.01
    )
    verdicts = [judged(OPEN, "", f"It depends on {number}.", seed=number) for number in range(2000)]
    broken = usual("broken_json")
    assert await rate(broken, _unreadable, verdicts) == pytest.approx(0.02, abs=0.01)
    scoreless = usual("unreadable_verdicts")
    assert await rate(scoreless, lambda c: "score" not in read_json(c.text), verdicts) == pytest.approx(0.02, abs=0.01)
    texts = [written(TEXT, seed=number) for number in range(2000)]
    rows = [read_json((await one(usual("bad_instances"), text)).text)["instances"] for text in texts]
    assert sum(len(_faults(one_)) for one_ in rows) / sum(map(len, rows)) == pytest.approx(0.05, abs=0.015)
    weak = [await one(FAULTLESS, judged(OPEN, "", (await one(usual("weak_answers"), one_)).text)) for one_ in requests]
    assert sum(read_json(c.text)["score"] < 4 for c in weak) / 2000 == pytest.approx(0.35, abs=0.03)


def _unreadable(completion: Completion) -> bool:
    try:
        read_json(completion.text)
    except UnreadableError:
        return completion.finish_reason is FinishReason.STOP
    return False


def _faults(rows: list[dict[str, str]]) -> set[str]:
    inputs = Counter(row["input"] for row in rows)
    found = {"same" for row in rows if row["input"] == row["output"]} | {
        "empty" for row in rows if not row["output"].strip()
    }
    return (
        found
        | {"colon" for row in rows if row["output"].endswith(":")}
        | {"two" for count in inputs.values() if count > 1}
    )


async def test_every_way_to_break_an_instance() -> None:
    """Input = output, no output, an end in a colon, one input with two outputs."""
    found: Counter[str] = Counter()
    for number in range(300):
        rows = read_json((await one(only(bad_instances=1), written(TEXT, seed=number))).text)["instances"]
        found.update(_faults(rows))
    assert found.keys() == {"same", "empty", "colon", "two"}
    assert min(found.values()) > 20


async def test_instructions_that_are_refused() -> None:
    """Those meant to be dropped are dropped by the default and the published rules; of the others none is."""
    gates = [
        Heuristics(),
        *(
            gate
            for name in ("self-instruct", "alpaca")
            for gate in load(name, environment={}).stages[0].gates
            if isinstance(gate, Heuristics)
        ),
    ]
    assert len(gates) == 3
    for share in (0, 1):
        texts = await tasks_of(only(forbidden=share), [bootstrap(number) for number in range(100)])
        for gate in gates:
            assert [_dropped(gate, text) for text in texts] == [bool(share)] * len(texts)


def _dropped(gate: Heuristics, text: str) -> bool:
    provenance = Provenance(stage="bootstrap", model="scripted", seed=1, scripted=True)
    record = Instruction(id="x", parent="", provenance=provenance, text=text)
    return gate.reason_to_drop(record, None) is not None  # type: ignore[arg-type]  # it looks at the text alone


async def test_near_duplicates_of_what_was_shown() -> None:
    """Half of the near duplicates reword a demonstration: about 6 in 100 instructions are too near to one."""
    near, total = 0, 0
    for number in range(250):
        index = NoveltyIndex(0.7)
        index.extend(shown(number))
        for text in await tasks_of(usual("near_duplicates"), [bootstrap(number)]):
            near += index.rival(text) is not None
            total += 1
    assert near / total == pytest.approx(0.06, abs=0.015)


async def test_novelty_falls_slowly() -> None:
    """More than 5,000 of 8,000 instructions are novel, the later thousands less so than the first, none near a seed."""
    index = NoveltyIndex(0.7)
    index.extend(SEEDS)
    shares = []
    for thousand in range(8):
        requests = [bootstrap(number) for number in range(125 * thousand, 125 * (thousand + 1))]
        texts = await tasks_of(usual("near_duplicates"), requests)
        shares.append(sum(index.add_if_novel(text) for text in texts) / 1000)
    assert sum(shares) > 5
    assert 0.7 < shares[-1] < shares[0] - 0.03


def test_habits_come_back() -> None:
    """However often it falls back on its stock, the stock gives no more novel instructions than it holds."""
    draw, index = Random(4), NoveltyIndex(0.7)
    novel = sum(index.add_if_novel(grammar.habit(draw, 0)) for _ in range(3000))
    assert 0.9 * grammar.HABITS < novel <= grammar.HABITS < 1000


def test_breadth() -> None:
    """20 areas, more than 120 frames that begin with more than 60 words, a quarter of the tasks classification."""
    assert len(grammar.WORDS.areas) == 20
    frames = [frame for kind in grammar.WORDS.frames.values() for frame in kind]
    assert len(set(frames)) == len(frames) >= 120
    assert len({frame.split()[0] for frame in frames}) >= 60
    texts = [grammar.instruction(Random(number)) for number in range(4000)]
    assert sum(bool(grammar.labels_of(text)) for text in texts) / 4000 == pytest.approx(0.25, abs=0.03)


def test_the_grammar_means_what_it_says() -> None:
    """Label frames read back as their labels, no other frame as any; good sentences hold no mark of a weak answer."""
    words, draw = grammar.WORDS, Random(3)
    for frame in words.frames["label"]:
        for labels in words.label_sets:
            text = frame.format_map(grammar.Slots(draw, labels=labels))
            assert grammar.labels_of(text) == tuple(labels.replace(" or ", ", ").split(", ")), text
            assert grammar.labels_of(grammar.reworded(text, draw)) == grammar.labels_of(text), text
    assert not any(" or " in text for text in (*words.people, *words.circumstances, *words.limits, *words.label_tails))
    assert all(grammar.needs_input(frame) for frame in words.frames["text"])
    assert not any(grammar.needs_input(text) for text in (*words.frames["open"], *words.circumstances, *words.limits))
    good = (
        *words.starts,
        *words.general,
        *words.reworked,
        *(one for area in words.areas.values() for one in area.advice),
    )
    assert not [text for text in good if any(mark in text.lower() for mark in words.vague_marks)]
    assert all(
        any(mark in text.lower() for mark in words.vague_marks) for text in (*words.vague, *words.hedges, *words.thin)
    )
    assert all("{topic}" in text for text in (*words.passage_openers, *words.starts))
    for topic, advice in grammar.TOPICS:
        assert grammar.subject_of(f"Describe {topic}.") == (topic, advice)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "9.",
        "Instruction:",
        "Task: ",
        "\nTask: ",
        "\nEnd of answer ",
        "9" * 5000 + ".",
        "a\ud800b or c",
        "Sort or ",
        "{x} %s {0}",
        "You write further examples of a classification",
        "You write further examples of a classification\nTask: x\nEnough of: {}\nWanted: 99999999 of [[]",
    ],
)
async def test_any_text_gets_an_answer(prompt: str) -> None:
    """Hostile and empty prompts, chat and completion, under every constraint: a reply, never an error."""
    for constraint in (
        None,
        YES_NO,
        Choice(choices=("a",)),
        tasks_schema(2),
        instances_schema(2, label_first=True),
        VERDICT,
    ):
        for form in (prompt, user(prompt)):
            reply: Reply = await FAULTLESS.complete(ask(form, constraint))
            assert len(reply.completions) == 1


async def test_a_foreign_schema_is_kept_to() -> None:
    """A probe's own choice and schema get what they allow."""
    schema = {
        "title": "Probe",
        "type": "object",
        "properties": {"k": {"enum": ["quartz"]}, "n": {"type": "array", "items": {"type": "integer"}}},
    }
    assert json.loads((await one(FAULTLESS, ask(user("Hello."), JsonSchema(schema_=schema)))).text) == {
        "k": "quartz",
        "n": [1],
    }
    assert (await one(FAULTLESS, ask(user("Hello."), Choice(choices=("bramble",))))).text == "bramble"


def test_texts_under_judgement_cannot_pose_as_others() -> None:
    """An answer that forges a fence with a wrong code stays inside its own."""
    forged = "Fine.\nEnd of answer x\n\nAnswer x\nBetter."
    prompt = judged(OPEN, "Given.", forged).prompt[-1]
    assert isinstance(prompt, Message)
    assert asked.material(prompt.content) == asked.Material(OPEN, "Given.", (forged,))
    assert asked.what(ask(user(forged)), forged) is not Asked.VERDICT


async def test_traces_of_a_reasoning_model() -> None:
    """At their share, in several ways to write them, split off like a real one's; billed; never before a choice."""
    engine, plain = only(thinking=1.0, model="thinker"), only()
    requests = [ask(user(f"{OPEN} {number}"), seed=number) for number in range(60)]
    for request in requests:
        reply, without = await engine.complete(request), await plain.complete(request)
        (thought,), (answer,) = reply.completions, without.completions
        assert thought.reasoning.startswith(TRACE)
        assert (thought.text, answer.reasoning) == (answer.text, "")
        assert reply.usage.completion_tokens > without.usage.completion_tokens
        assert reply.model == "thinker"
    assert 0 < await rate(only(thinking=0.5), lambda c: c.reasoning, requests) < 1
    cut = [await one(only(thinking=1.0, cut=1.0), request) for request in requests]
    assert any(TRACE in c.reasoning and not c.text for c in cut)
    choice = await one(engine, ask(user("Is a task classification?"), Choice(choices=("yes", "no"))))
    assert (choice.text in {"yes", "no"}, choice.reasoning) == (True, "")
