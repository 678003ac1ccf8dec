"""Texts for a page: nothing is lost, nothing is left as markup, marks stand where they should."""

from __future__ import annotations

import html
import re

import pytest

from selfinstruct.text.rouge import f_measure
from selfinstruct.text.tokens import TOKENIZERS, spans
from selfinstruct.viewer.papers import paper
from selfinstruct.viewer.texts import LONGEST, differences, found, line, overlap, shown
from tests.support.markup import Page, payloads

TEXTS = [
    "Name three rivers in Wales.", "가장 긴 강 세 개를 말해 보세요.", "漢字とかなの文", "ภาษาไทย ง่าย", "Ⅳ ﬁne Straße ×2", "👩‍👩‍👧 emoji ✓", "é e\u0301", "",
    'A <b>bold</b> & "quoted" text', "Name  three\nlong   rivers, please!", "한글 ABC 123", "\u200bx\u200d",
]  # fmt: skip


def _plain(markup: str) -> str:
    """The text of Markup: tags of ours removed."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


@pytest.mark.parametrize("text", payloads())
def test_whatever_it_is_it_is_escaped(text: str) -> None:
    """No tag but ours, no control or direction character is left."""
    for made in (
        shown(text),
        line(text),
        found(text, ("a", "<", "alert")),
        *overlap(text, text[::-1], tokenizer="unicode"),
        *differences(text, text[:50]),
    ):
        assert not Page(str(made)).wrong
        assert set(re.findall(r"<(/?\w+)", made)) <= {"span", "/span", "mark", "/mark", "ins", "/ins", "del", "/del"}
        assert all(one.isprintable() or one in "\n\u00a0\u3000" for one in html.unescape(re.sub(r"<[^>]*>", "", made)))


def test_hidden_characters_are_told_apart_from_their_names() -> None:
    r"""A real U+202E stands in a box, the letters \u202e do not."""
    assert shown("a\u202eb") == 'a<span class="ctl">\\u202e</span>b'
    assert shown("a\\u202eb") == "a\\u202eb"
    assert shown("x\x00\ud800y\u3000z") == 'x<span class="ctl">\\u0000\\ud800</span>y\u3000z'


def test_a_long_text_is_cut_and_says_so() -> None:
    """What is left out is counted."""
    made = shown("a" * (LONGEST + 5))
    assert made.endswith('<span class="more">… +5</span>')
    assert len(made) < LONGEST + 100


@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
@pytest.mark.parametrize("text", TEXTS)
def test_spans_are_the_tokens(text: str, tokenizer: str) -> None:
    """Each span has the token that the likeness is counted with, in order."""
    found_spans = spans(text, tokenizer)
    assert [token for token, _, _ in found_spans] == TOKENIZERS[tokenizer](text)
    assert all(0 <= start < end <= len(text) for _, start, end in found_spans)


@pytest.mark.parametrize("first", TEXTS)
@pytest.mark.parametrize("second", TEXTS[:4] + TEXTS[8:10])
def test_the_overlap_is_the_likeness(first: str, second: str) -> None:
    """As many tokens are marked on both sides as the longest common subsequence has; the texts themselves are whole."""
    from rapidfuzz.distance import LCSseq

    one, other = overlap(first, second, tokenizer="unicode")
    tokens = [TOKENIZERS["unicode"](text) for text in (first, second)]
    lcs = int(LCSseq.similarity(*tokens))
    marked = [
        sum(len(TOKENIZERS["unicode"](_plain(part))) for part in re.findall(r"<mark>(.*?)</mark>", side, re.DOTALL))
        for side in (one, other)
    ]
    assert marked == [lcs, lcs]
    assert 0 <= f_measure(lcs, max(1, len(tokens[0])), max(1, len(tokens[1]))) <= 1
    if first.isprintable():
        assert _plain(one) == first


@pytest.mark.parametrize("first", TEXTS[:10])
@pytest.mark.parametrize("second", TEXTS[:10])
def test_differences_leave_what_both_have(first: str, second: str) -> None:
    """Without the marked parts both texts are equal; with them each is itself."""
    one, other = differences(first, second)
    left = [_plain(re.sub(r"<(ins|del)>.*?</\1>", "", side, flags=re.DOTALL)) for side in (one, other)]
    assert left[0].split() == left[1].split()
    assert [_plain(side).split() for side in (one, other)] == [_plain(shown(text)).split() for text in (first, second)]


def test_differences_of_hostile_texts_are_found_at_once() -> None:
    """Two texts of one word each, again and again, once took more than a minute: this ends, and marks all of both."""
    one, other = differences("a " * 4000, "b " * 4000)
    assert (one.count("<ins>"), other.count("<del>")) == (1, 1)
    assert _plain(one).split() == ["a"] * 4000
    assert (differences("the cat sat", "dog the")[1]) == "<del>dog</del> the"


def test_a_found_term_is_seen_however_far_it_is() -> None:
    """The part that is shown holds the first term, marked."""
    made = found("x " * 1000 + "needle here" + " y" * 1000, ("needle",), 100)
    assert "<mark>needle</mark>" in made
    assert made.startswith("…")
    assert made.endswith("…")


def test_papers_are_markdown_without_links_and_pictures() -> None:
    """A card is set as text; what could lead or load from elsewhere stays text."""
    made = paper(
        "---\nlicense: x\n---\n# Card\n\n| a | n |\n| :- | -: |\n| b | 1 |\n\n[x](http://e.example) ![y](http://e.example/y.png) <http://e.example> <b onclick=x>z</b>"
    )
    assert "<h2>Card</h2>" in made
    assert '<td class="right">1</td>' in made
    assert "license" not in made
    assert not re.search(r"<(a|img|b)\b|style=", made)
    text = "a**b*c" * 1000
    assert paper(text) is paper("".join(text)), "a hostile paper is set once, not at each view"
    for text in payloads():
        assert not Page(str(paper(text[:5000]))).wrong
