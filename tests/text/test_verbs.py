"""What an instruction asks for is read off its beginning in English and off its end in Korean; what is unsure is said to be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.text.verbs import NONE, verb_noun


@pytest.mark.parametrize(
    ("instruction", "verb", "noun"),
    [
        ("Write a short story about a lighthouse.", "write", "story"),
        ("Please list three large cities.", "list", "city"),
        ("Given these numbers, compute the weighted mean.", "compute", "mean"),
        ("Can you give me two clear, concise examples?", "give", "example"),
        ("Come up with new names for a bakery.", "come up with", "name"),
        ("You need to sort the boxes by weight.", "sort", "box"),
        ("Gloss the poem for a child.", "gloss", "poem"),
        ("Name the risks faced by divers.", "name", "risk"),
        ("Write s", "write", "s"),
        ("Draw two gas stoves, please.", "draw", "stove"),
        ("Explain why the sky is blue.", "explain", NONE),
        ("What is the capital of Peru?", NONE, NONE),
        ("The weather was fine.", NONE, NONE),
        ("등대에 관한 짧은 이야기를 쓰세요.", "쓰다", "이야기"),
        ("다음 문장들을 영어로 번역해 주세요.", "번역하다", "문장"),
        ("이 글의 제목을 골라 줘", "고르다", "제목"),
        ("주어진 글의 오류를 고치십시오.", "고치다", "오류"),
        ("회의를 알리는 편지를 작성해야 합니다.", "작성하다", "편지"),
        ("목록을 만들어 주실 수 있나요?", NONE, NONE),
        ("아는 것을 바탕으로 답하세요.", "답하다", NONE),
        ("하늘은 왜 파란가요?", NONE, NONE),
        ("写一首诗。", NONE, NONE),
        ("", NONE, NONE),
    ],
)
def test_verb_and_object(instruction: str, verb: str, noun: str) -> None:
    """A command has a verb, and its direct object where it has one; a question and another script have neither."""
    assert verb_noun(instruction) == (verb, noun)


@settings(deadline=None)
@given(st.text(max_size=2000))
def test_any_text_has_an_answer(text: str) -> None:
    """Hostile text neither fails nor gives an empty word."""
    assert all(verb_noun(text))
    assert all(verb_noun(f"Write {text}"))
    assert all(verb_noun(f"{text}을 쓰세요"))
