"""Every rule finds what it is for, and lets its nearest harmless neighbour pass; in English and in Korean."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.census import census
from selfinstruct.census.findings import OF_THE_WHOLE, RULES
from selfinstruct.tables import read_table, write_table

ASK = "Name three rivers that flow through more than one country."
PROSE = "The Rhine rises in the Alps and flows north through several countries. It has carried goods and people for two thousand years. "
KO = "여러 나라를 지나는 강 세 개의 이름을 말하고 짧게 설명하세요."
KO_PROSE = (
    "라인강은 알프스에서 시작하여 여러 나라를 지나 북쪽으로 흐릅니다. 이천 년 동안 사람과 물건을 실어 날랐습니다. "
)


def row(output: str, *, asked: str = ASK, given: str = "") -> dict[str, Any]:
    return {"instruction": asked, "input": given, "output": output}


def found_in(path: Path, rows: list[dict[str, Any]]) -> dict[str, int]:
    write_table(path / "a.jsonl", rows)
    return {one["rule"]: one["count"] for one in census(path / "a.jsonl")["findings"] if one["count"]}


BROKEN: dict[str, list[dict[str, Any]]] = {
    "empty_instruction": [row("Yes.", asked=" "), row("Yes.", asked="\u200b")],
    "empty_output": [row(""), row(" \n\t"), row("\ufeff\u200b")],
    "placeholder": [
        row("nan"), row("N/A."), row("TODO"), row("<nooutput>"), row("The Rhine.", given="<noinput>"),
        row("The Rhine.", given="No input."), row("라인강입니다.", asked=KO, given="입력 없음"),
        row("<noinput> \n\nThe rivers are the Rhine, the Danube and the Nile."), row("ＮＵＬＬ"),
    ],
    "cut_output": [
        row(PROSE + "Today it is one of the busiest waterways of the continent and much of the freight that"),
        row(PROSE + "Many towns along its banks grew rich by trade with the"),
        row("```python\nprint(1)\n"),
        row('{"rivers": ["Rhine", "Danube"'),
        row('[{"name": "a \\" b'),
        row("1. The Rhine\n2. The Danube\n3."),
        row("Rivers are between 1-"),
        row(KO_PROSE + "강가의 오래된 도시들은 무역을", asked=KO),
        row(KO_PROSE + "오늘날 이 강은 유럽에서 가장 붐비는 물길 가운데 하나로 여러 도시", asked=KO),
        row("1. The Rhine is long.\n2. The Danube is longer.\n3. The Nile is the longest of the three"),
        row(f"{PROSE}\n\n{PROSE}\n\nMany old towns along the banks grew"),
        row("These are three of the rivers that everybody knows for one reason or the other.\nCategory one: the Rhine\nCategory two:"),
        row(PROSE + "오늘날 이 강은 유럽에서 가장 붐비는 물길 가운데 하나이며 그 위에서 움직이는 짐의 양은 해마다 늘어나고 있는데 특히 큰 도시 근처의 항구들을 비롯한", asked=KO),
    ],
    "wrong_language": [
        row("The Rhine flows through several countries, and so do the others.", asked=KO),
        row("莱茵河流经许多国家，多瑙河也流经许多国家，还有尼罗河。", asked=KO),
        row("라인강은 여러 나라를 지나 북쪽으로 흐릅니다."),
        row("Рейн течёт через несколько стран на север."),
        row("河川은 重要한 交通路이며 國家 사이를 流하는 自然의 境界線입니다", asked=KO),
    ],
    "refusal": [
        row("I'm sorry, but I can't help with that."), row("Sorry, I cannot answer this."), row("I\u2019m unable to provide that list."),
        row("Unfortunately, I don't have access to maps."), row('"I cannot set up a reminder."', asked="Set up a reminder for eight."),
        row("죄송하지만 그 질문에는 답할 수 없습니다.", asked=KO), row("해당 요청에는 응할 수 없습니다.", asked=KO),
        row("You are requesting an image which cannot be generated."),
    ],
    "mentions_being_ai": [
        row("As an AI language model, I have no favourite river."), row("Well, I'm just a language model and never saw one."),
        row("저는 인공지능이라서 강을 본 적이 없습니다.", asked=KO), row("AI 언어 모델로서 저는 여행할 수 없습니다.", asked=KO),
    ],
    "repeats_task": [row(ASK), row(f"{ASK} The Rhine."), row("the cat sat", asked="Correct it.", given="the cat\nsat"), row(KO + " 라인강.", asked=KO)],
    "template_leak": [
        row("The Rhine.<|im_end|>"), row("The Rhine.</s>"), row("The Rhine. [/INST] Yes."), row("### Response:\nThe Rhine."),
        row("The Rhine.\n6. Instruction: Write a poem."), row("The Rhine. //EOM//"), row("<start_of_turn>model\nThe Rhine."),
        row("### 응답:\n라인강.", asked=KO), row("The Rhine.", given="<<SYS>> Be brief"),
    ],
    "reasoning_leak": [row("<think>Rivers.</think>The Rhine."), row("So it is.</think>\nThe Rhine."), row("<scratchpad>\nThe Rhine.")],
    "odd_characters": [
        row("The \x07Rhine."), row("The \u200bRhine."), row("\ufeffThe Rhine."), row("The \ufffdRhine."), row("CafÃ© am Rhein."),
        row("Itâ€™s the Rhine."), row("The \u202eenihR."), row("The \ud800 Rhine."), row("ì•ˆë…•í•˜ì„¸ìš”", asked="Greet."),
        row("The Rhine.", given="a\x00b"),
    ],
    "duplicate_task": [row("The Rhine.", asked=f"  {ASK.upper()} ")],
    "near_duplicate": [row("The Rhine.", asked="Name three rivers that flow through more than two countries.")],
    "conflicting_answers": [row("The Danube.")],
}  # fmt: skip
WHOLE: dict[str, list[dict[str, Any]]] = {
    "empty_instruction": [row("Yes.", asked="", given="Is this a task?")],
    "empty_output": [row("0"), row(".")],
    "placeholder": [
        row("None"), row("null and void"), row("Nan was my grandmother."), row("The Rhine.", given="None of them is long."),
        row("The function returns null when nothing is found."),
    ],
    "cut_output": [
        row("- The Rhine, which is long and wide and deep and old and has many towns and bridges and castles and boats on it"),
        row("Dear Anna,\n\n" + PROSE + "\n\nSincerely,\nJohn"), row(PROSE + "Thank you. Anna Maria Miller"),
        row("```python\nprint(1)\n```\nprints one."), row('{"rivers": ["Rhine"]}'), row('[1] is a reference to "a book'),
        row("{curly} things open"), row(KO_PROSE + "\n\n오래된 강가의 마을", asked=KO), row(KO_PROSE + "감사합니다. 김나라 드림", asked=KO),
        row("1. The Rhine is long.\n2. The Danube is longer.\n3. The Nile"), row(f"{PROSE}\n\n{PROSE}\n\nSincerely, Company A"),
        row(f"{PROSE}\n\n{PROSE}\n\nAnswer: three rivers that flow north"), row(f"{PROSE}\n\n{PROSE}\n\nA A G A"), row("The Rise of the Rivers"), row("Name:\nAddress:\nPhone:"), row("for num in range(1, 10):"),
        row(KO_PROSE + "오늘날 이 강은 유럽에서 가장 붐비는 물길 가운데 하나이며 그 위에서 움직이는 짐의 양은 해마다 늘어나고 있고 큰 도시의 항구도 커지고 있습니다", asked=KO),
        row(PROSE + "See more about all of the rivers of the whole world and their towns #rivers #travel"),
        row('"All rivers run to the sea, and yet the sea is never full of them, however long one waits on its shore." - An old saying'),
    ],
    "wrong_language": [
        row("라인강은 여러 나라를 지나 북쪽으로 흐릅니다.", asked="Translate the sentence to Korean.", given="The Rhine flows north."),
        row("The Rhine flows through several countries.", asked="다음 문장을 영어로 옮기세요."),
        row("def rivers(names):\n    return [name for name in names if name]", asked="강 이름을 거르는 파이썬 함수를 작성하세요."),
        row("The Rhine flows north through it.", asked="다음 글을 고치세요.", given="The Rhine flow north threw it and so on."),
        row("The area is A = πr², where π is about 3.14."), row("Rhine, Danube, Nile, Amazon", asked=KO), row("Positive", asked=KO),
        row("라인강(Rhein)은 독일(獨逸)을 지납니다. DNS와 HTTP도 흐릅니다.", asked=KO), row("東京はとても大きい町です。", asked="東京について書いてください。"),
    ],
    "refusal": [
        row("I'm sorry for the delay in my answer to your letter."), row("I'm sorry, but I can't come.", asked="Write a letter that declines an invitation."),
        row("I cannot deny my fears.", asked="Rewrite the sentence.", given="I can't deny my fears."), row("Energy cannot be created."),
        row("죄송하지만 참석할 수 없습니다.", asked="모임 초대를 거절하는 편지를 쓰세요."), row("물은 이런 온도에서 끓을 수 없습니다.", asked=KO),
    ],
    "mentions_being_ai": [
        row("A language model is a model of text."), row("I am an adventurous astronomer."), row("I am an AI that paints.", asked="Write as an AI that paints."),
        row("인공지능은 강을 볼 수 없습니다.", asked=KO),
    ],
    "repeats_task": [
        row("WE LIKE IT", asked="Put it in capitals.", given="we like it"), row("Go on and on", asked="Go on"),
        row("The Rhine, the Danube and the Nile flow through several countries."),
    ],
    "template_leak": [
        row("### Rivers\nThe Rhine."), row("<s>Rhine</s> Danube"), row("Input: 3\nOutput: 4"), row("1. Instructions come first."),
        row("a || b |> c"), row("The output // ends here"),
    ],
    "reasoning_leak": [row("I think, therefore I am."), row("if (a <think) return"), row("Thinking: it is the Rhine.")],
    "odd_characters": [
        row("Café, naïve, “quoted”, 3 × 4 — yes…"), row("👩\u200d👩\u200d👧 family"), row("Tabs\tand\r\nlines"), row("«\u00a0Voilà\u00a0»"),
        row("ก\u200bข ไทย", asked="Write Thai words."), row("안녕하세요, ㅋㅋ!", asked="한국어로 인사하세요."), row("São Paulo, Ångström, Ünïcödé"),
        row("سلام\u200c دنیا\u200f", asked="Write a greeting in Persian."),
    ],
    "duplicate_task": [row("The Rhine.", given="In Europe")],
    "near_duplicate": [row("The Rhine.", asked="Explain why leaves change their colour in autumn.")],
    "conflicting_answers": [row(" the RHINE. ")],
}  # fmt: skip
AGAINST_FIRST = ("duplicate_task", "near_duplicate", "conflicting_answers")


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, rows in BROKEN.items() for number in range(len(rows))]
)
def test_a_rule_finds_its_defect(tmp_path: Path, rule: str, number: int) -> None:
    """Each row breaks the rule it is written for."""
    before = [row("The Rhine.")] if rule in AGAINST_FIRST else []
    assert found_in(tmp_path, [*before, BROKEN[rule][number]]).get(rule) == 1


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, rows in WHOLE.items() for number in range(len(rows))]
)
def test_a_rule_spares_its_neighbour(tmp_path: Path, rule: str, number: int) -> None:
    """Each row looks like the defect and is none."""
    before = [row("The Rhine.")] if rule in AGAINST_FIRST else []
    assert rule not in found_in(tmp_path, [*before, WHOLE[rule][number]])


PAIR = {"prompt": ASK, "chosen": PROSE, "rejected": "No."}
PAIRS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "empty_rejected": ([PAIR | {"rejected": " "}], [PAIR]),
    "chosen_equals_rejected": ([PAIR | {"rejected": PROSE.upper()}], [PAIR]),
    "chosen_holds_prompt": ([PAIR | {"chosen": f"{ASK} {PROSE}"}], [PAIR]),
    "conflicting_answers": (
        [PAIR, PAIR | {"chosen": "No.", "rejected": PROSE}],
        [PAIR, PAIR | {"rejected": "The Nile."}],
    ),
    "odd_characters": ([PAIR | {"rejected": "N\x00"}], [PAIR]),
    "chosen_longer": ([PAIR] * 20, [PAIR, PAIR | {"chosen": "No.", "rejected": PROSE}] * 20),
}


@pytest.mark.parametrize("rule", PAIRS)
def test_rules_of_preferences(tmp_path: Path, rule: str) -> None:
    """What is wrong with a pair is found, and a good pair passes."""
    broken, whole = PAIRS[rule]
    assert found_in(tmp_path, broken).get(rule) == 1
    assert rule not in found_in(tmp_path, whole)


def test_a_whole_conversation_beside_a_prompt(tmp_path: Path) -> None:
    """The prompt in a message list and again in the chosen conversation: trainers show it twice without a word."""
    asked, answered = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there."}
    pair = {"prompt": [asked], "chosen": [asked, answered], "rejected": [{"role": "assistant", "content": "No."}]}
    assert found_in(tmp_path, [pair])["chosen_holds_prompt"] == 1


def labelled(of: list[str], asked: str = "Is it a river? {}") -> list[dict[str, Any]]:
    return [row(label, asked=asked.format(number)) for number, label in enumerate(of)]


def test_one_sided_labels(tmp_path: Path) -> None:
    """A known set of labels is alarmed when one has three quarters for certain, not when it may be chance."""
    assert found_in(tmp_path, labelled(["Yes."] * 38 + ["no"] * 2))["label_skew"] == 1
    assert "label_skew" not in found_in(tmp_path, labelled(["Yes."] * 22 + ["no"] * 18))
    assert "label_skew" not in found_in(tmp_path, labelled(["Yes."] * 10))
    assert found_in(tmp_path, labelled(["긍정"] * 38 + ["부정"] * 2, asked="{}번 글의 감정은?"))["label_skew"] == 1


def test_one_sided_answers_of_one_task(tmp_path: Path) -> None:
    """Labels that nobody listed are found where one instruction has many short answers out of few."""
    rows = [
        row("river" if number % 10 else "lake", asked="Say which.", given=f"Water {number}") for number in range(60)
    ]
    report = found_in(tmp_path, rows)
    assert report["label_skew"] == 1
    names = [row(f"name {number}", asked="Say which.", given=f"Water {number}") for number in range(60)]
    assert "label_skew" not in found_in(tmp_path, names)


def test_different_tasks_on_one_text_are_not_near(tmp_path: Path) -> None:
    """A long shared input alone makes no near-duplicate, and hides none that come later."""
    text = PROSE * 4
    rows = [
        row("A river.", asked="Summarise the text in a line.", given=text),
        row("Rhine", asked="Which river is it about?", given=text),
        row("Rhine", asked="Which river is it all about?", given=text),
    ]
    assert found_in(tmp_path, rows)["near_duplicate"] == 1


def kept(path: Path, rows: list[dict[str, Any]], drop: set[str]) -> list[dict[str, Any]]:
    write_table(path / "a.jsonl", rows)
    census(path / "a.jsonl", clean=path / "clean.jsonl", drop=frozenset(drop))
    return [one for _, one in read_table(path / "clean.jsonl")]


NEAR = "Name three rivers that flow through more than two countries."


@pytest.mark.parametrize("asked", [ASK, NEAR])
@pytest.mark.parametrize("apart", [0, 1100])
def test_a_task_is_never_lost_with_its_bad_row(tmp_path: Path, asked: str, apart: int) -> None:
    """A row that goes for its own fault is nobody's original: the next row of the task stays, and the one after it goes."""
    between = [row("Yes.", asked=f"Is {number:x} even?", given=f"{number:x}") for number in range(apart)]
    rules = {"empty_output", "duplicate_task", "near_duplicate"}
    rows = [row(""), row("The Rhine.", asked=asked), row(""), row("The Danube.", asked=asked)]
    left = kept(tmp_path, [rows[0], *between, *rows[1:]], rules)
    assert [one for one in left if one["instruction"] in (ASK, NEAR)] == [rows[1]]


def test_a_row_that_goes_still_tells_what_it_repeats(tmp_path: Path) -> None:
    """A bad copy, exact or near, of a good row is counted as one."""
    write_table(tmp_path / "a.jsonl", [row("The Rhine."), row(""), row("", asked=NEAR)])
    report = census(tmp_path / "a.jsonl", clean=tmp_path / "b.jsonl", drop=frozenset({"empty_output"}))
    assert {one["rule"]: one["count"] for one in report["findings"] if one["count"]} == {
        "empty_output": 2,
        "duplicate_task": 1,
        "near_duplicate": 1,
        "conflicting_answers": 1,
    }


def test_instances_of_one_seed_task_are_no_copies(tmp_path: Path) -> None:
    """Two answers to a task without input, in one row, are not a row that repeats itself; a second such row is."""
    task = {
        "instruction": ASK,
        "instances": [{"input": "", "output": "The Rhine."}, {"input": "", "output": "The Danube."}],
    }
    assert found_in(tmp_path, [task]) == {}
    assert found_in(tmp_path, [task, task])["duplicate_task"] == 1


def test_korean_copies(tmp_path: Path) -> None:
    """The same syllables typed as letters (NFD) are the same task; a task with one word changed is a near one."""
    rows = [
        row("라인강.", asked=KO),
        row("라인강.", asked=unicodedata.normalize("NFD", KO)),
        row("라인강.", asked=KO.replace("세 개", "네 개")),
    ]
    found = found_in(tmp_path, rows)
    assert (found["duplicate_task"], found["near_duplicate"]) == (1, 1)


def test_conversations_differ_by_what_came_before(tmp_path: Path) -> None:
    """The same last question after another conversation is another task; one system prompt makes no task like another."""

    def talk(first: str, answer: str) -> dict[str, Any]:
        said = [
            ("system", PROSE * 3),
            ("user", first),
            ("assistant", answer),
            ("user", "Why is that so?"),
            ("assistant", "Water."),
        ]
        return {"messages": [{"role": role, "content": text} for role, text in said]}

    rows = [talk("Is the Rhine a long river?", "It is."), talk("Do bridges need to be mended?", "Every decade or two.")]
    assert found_in(tmp_path, rows) == {}
    assert found_in(tmp_path, [rows[0], rows[0]]) == {"duplicate_task": 1}


def test_no_rule_is_without_a_test() -> None:
    """Whoever adds a rule adds a row that it finds and one that it spares."""
    assert {*BROKEN, *PAIRS, *OF_THE_WHOLE, "unreadable_row"} == {*RULES}
    assert BROKEN.keys() == WHOLE.keys()
