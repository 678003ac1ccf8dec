"""Tokens: rouge_score's to the letter, and sensible in every other script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from selfinstruct.text.tokens import count_words, rouge_tokens, unicode_tokens


@given(st.text())
def test_rouge_tokens_are_the_librarys(text: str) -> None:
    """Any text at all."""
    assert rouge_tokens(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_the_same_for_both(text: str) -> None:
    """On ASCII the two tokenizers never differ."""
    assert unicode_tokens(text) == rouge_tokens(text)


@given(st.text())
def test_composed_and_decomposed_are_equal(text: str) -> None:
    """NFC and NFD of a text have the same tokens: an accent is no difference."""
    if not text.isascii():
        assert unicode_tokens(unicodedata.normalize("NFD", text)) == unicode_tokens(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("번역해 주세요", ["번", "역", "해", "주", "세", "요"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("Python을 배우기", ["python", "을", "배", "우", "기"]),
        ("กำลังใจ", ["ก\u0e4d", "\u0e32", "ลั", "ง", "ใ", "จ"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Größe, naïve", ["größe", "naïve"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("مرحبا بكم", ["مرحبا", "بكم"]),
        ("go 🚀 now", ["go", "🚀", "now"]),
        ("写一首诗。", ["写", "一", "首", "诗"]),
        ("ﾃｽﾄを書く", ["テ", "ス", "ト", "を", "書", "く"]),
        ("don´t, it’s", ["don", "t", "it", "s"]),
        ("ສະບາຍດີ", ["ສ", "ະ", "ບ", "າ", "ຍ", "ດີ"]),
        ("\u0301\u0301", []),
    ],
)
def test_scripts(text: str, tokens: list[str]) -> None:
    """Hangul by syllable, Han and Kana by character, Thai by cluster, others by word, full-width as ASCII, emoji alone."""
    assert unicode_tokens(text) == tokens


@pytest.mark.parametrize(
    ("shown", "typed"),
    [
        ("I ❤ maps", "I ❤\ufe0f maps"),
        ("میخواهم", "می\u200cخواهم"),
        ("naïve plan", "\ufeffna\u00adïve plan"),
        ("葛城", "葛\U000e0100城"),
    ],
    ids=["emoji", "persian-joiner", "soft-hyphen", "han-variant"],
)
def test_the_invisible_makes_no_difference(shown: str, typed: str) -> None:
    """Joiners, byte order marks, soft hyphens and variation selectors neither split a token nor change one."""
    assert unicode_tokens(typed) == unicode_tokens(shown)


def test_a_long_text_takes_one_pass() -> None:
    """Two million characters full of marks: no copy of what was read for each of them, or this would take hours."""
    assert len(unicode_tokens("ดี" * 1_000_000)) == 1_000_000
    assert unicode_tokens("é" * 1_000_000) == ["é" * 1_000_000]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Name three rivers.", 3),
        ("", 0),
        ("...", 0),
        ("짧은 편지를 써 주세요", 4),
        ("英語に翻訳してください", 6),
        ("用 Python 写诗", 3),
        ("ﾃｽﾄ・テスト", 3),
        ("ﾌﾟﾛｸﾞﾗﾐﾝｸﾞ", 4),
        ("เขียนกลอนสั้น", 5),
        ("हिन्दी में लिखो", 3),
    ],
)
def test_words(text: str, count: int) -> None:
    """Blanks where a script has them, two characters a word where it has none."""
    assert count_words(text) == count
