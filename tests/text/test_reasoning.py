"""What a model thought never passes for what it answered, and talk about thinking is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.text.reasoning import has_trace, split_reasoning

HARMONY = "<|channel|>analysis<|message|>They want a river.<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>\nA river.\n</think>\n\nThe Loire.", "A river.", "The Loire."),
        ("\n<think>A river.</think>The Loire.\n", "A river.", "The Loire.\n"),
        ("<thinking>A river.</thinking>\nThe Loire.", "A river.", "The Loire."),
        ("<Think>A river.</THINK> The Loire.", "A river.", "The Loire."),
        ("<reasoning>A river.</reasoning>\nThe Loire.", "A river.", "The Loire."),
        ("<thought>A river.</thought>\nThe Loire.", "A river.", "The Loire."),
        ("<seed:think>A river.</seed:think>The Loire.", "A river.", "The Loire."),
        ("[THINK]A river.[/THINK]The Loire.", "A river.", "The Loire."),
        ("<thoughts>A river.</thoughts>The Loire.", "A river.", "The Loire."),
        ("<reflection>A river.</reflection>The Loire.", "A river.", "The Loire."),
        ("<scratchpad>A river.</scratchpad>The Loire.", "A river.", "The Loire."),
        ("<think >A river.</think\n>The Loire.", "A river.", "The Loire."),
        ('<think lang="en" id=1>A river.</think>The Loire.', "A river.", "The Loire."),
        ("\u25c1think\u25b7A river.\u25c1/think\u25b7The Loire.", "A river.", "The Loire."),
        ("A river.\u25c1/think\u25b7The Loire.", "A river.", "The Loire."),
        ("<|START_THINKING|>A river.<|END_THINKING|>The Loire.", "A river.", "The Loire."),
        (
            "<|START_THINKING|>A river.<|END_THINKING|><|START_RESPONSE|>The Loire.<|END_RESPONSE|>",
            "A river.",
            "The Loire.",
        ),
        ("<|START_THINKING|>A river.<|END_THINKING|><|START_RESPONSE|>The Loi", "A river.", "The Loi"),
        (
            "<|begin_of_thought|>\nA river.\n<|end_of_thought|>\n\n<|begin_of_solution|>\nThe Loire.\n<|end_of_solution|>",
            "A river.",
            "The Loire.",
        ),
        ("<think>I see [/THINK] and <|END_THINKING|>.</think>It.", "I see [/THINK] and <|END_THINKING|>.", "It."),
        ("A river, they\nsay.\n</think>\n\nThe Loire.", "A river, they\nsay.", "The Loire."),
        ("A river.[/THINK]The Loire.", "A river.", "The Loire."),
        ("<think></think>\n\nThe Loire.", "", "The Loire."),
        ("<think>One.</think>\n<think>Two.</think>\nThe Loire.", "One.\n\nTwo.", "The Loire."),
        ("<think>One <think>two</think> three</think>The Loire.", "One <think>two</think> three", "The Loire."),
        ("<think>One</think>two</think>The Loire.", "One\n\ntwo", "The Loire."),
        ("<think>I open <think> but once.</think>The Loire.", "I open <think> but once.", "The Loire."),
        ("<think>I shall write `</think>` now.</think>`</think>`", "I shall write `</think>` now.", "`</think>`"),
        ("<think>Say:\n```py\nx</think>The Loire.", "Say:\n```py\nx", "The Loire."),
        ("<think>\n```py\nx\n</think>\nIt is:\n```py\ny\n```", "```py\nx", "It is:\n```py\ny\n```"),
        ("<think>A river. Which", "A river. Which", ""),
        ("<think>", "", ""),
        (HARMONY + "<|channel|>final<|message|>The Loire.<|return|>", "They want a river.", "The Loire."),
        (HARMONY + "<|channel|>final<|message|>The Loi", "They want a river.", "The Loi"),
        ("<|start|>assistant" + HARMONY + "<|channel|>final<|message|>It.", "They want a river.", "It."),
        ("<|channel|>analysis<|message|>They want", "They want", ""),
        (HARMONY + "<|channel|>final <|constrain|>json<|message|>{}<|return|>", "They want a river.", "{}"),
        (HARMONY + "<|channel|>commentary to=f<|message|>f()<|call|>", "They want a river.\n\nf()", ""),
        ("analysisThey want a river.assistantfinalThe Loire.", "They want a river.", "The Loire."),
    ],
)
def test_traces_are_split_off(text: str, reasoning: str, answer: str) -> None:
    """Every way in which models write them: opened or not, closed or not, nested, repeated, speaking of themselves."""
    assert split_reasoning(text) == (reasoning, answer)
    assert not has_trace(answer)


@pytest.mark.parametrize(
    "text",
    [
        "The Loire.",
        "  The Loire.\n",
        "",
        "I think, therefore I am. [think] [Thinking] analysis final",
        "Close it with `</think>`, opened by `<think>`.",
        "So:\n```\n<think>\nA river.\n</think>\n```\nThat is all.",
        "So:\n~~~~xml\n</think>\n~~~\n~~~~\nThat is all.",
        "```</think>``` ends it.",
        'It writes "</think>" and then \u201c<think>\u201d.',
        '{"tasks":["Explain what \'</think>\' is for."]}',
        "The channel is called <|channel|> there.",
        "A <thought experiment> is <think:x>, <thoughtful>, <think/er>, think> and x <think && y.",
        "It opens with `<|START_THINKING|>`, `\u25c1think\u25b7` or `<think >`.",
        'It writes "<|end_of_thought|>" and \'<thoughts lang="en">\'.',
        "<|START_RESPONSE|>The Loire.",
    ],
)
def test_talk_of_thinking_is_an_answer(text: str) -> None:
    """Without a trace a text comes back to the last blank; tags in code and quotes are words."""
    assert split_reasoning(text) == ("", text)
    assert not has_trace(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sure!\n<think>A river.</think>\nThe Loire.",
        "Write <think> before it.",
        "Write <think > before it.",
        "Write <|begin_of_thought|> before it.",
        "Write \u25c1think\u25b7 before it.",
        "So:\n```\n<think>\nA river.\n</think>\nThe Loire.",
    ],
)
def test_what_could_be_either_is_told(text: str) -> None:
    """A tag in the middle, outside of code that ends: it is not cut out, and whoever asks hears of it."""
    assert split_reasoning(text) == ("", text)
    assert has_trace(text)


WORDS = st.text(alphabet="ab <>/`\n\"'{}[]~", max_size=60)


@given(WORDS, WORDS)
def test_nothing_is_lost_and_nothing_leaks(thought: str, answer: str) -> None:
    """Whatever stands in trace and answer, fences and quotes without an end too: each comes out where it belongs."""
    assert split_reasoning(f"<think>{thought}</think>{answer}") == (thought.strip(), answer.lstrip())


@given(st.text(alphabet="ab`~\n \"'<", max_size=80).map(lambda text: text.replace("<", "</think>")))
def test_any_mixture_is_split(text: str) -> None:
    """No mixture of tags, code and quotes fails: the answer is the end of the text, and nothing is said twice."""
    reasoning, answer = split_reasoning(text)
    assert text.endswith(answer)
    assert len(reasoning) + len(answer) <= len(text)
