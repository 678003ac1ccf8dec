"""Any text, put into Markdown, stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from selfinstruct.text.markdown import bars, span, table
from selfinstruct.text.show import printable

HOSTILE = [
    "`", "``", "a ` b", "`a`", "``` python", "```\n# not a heading\n```", "\\`", "\\", "a\\", "\\|", "|", "a | b | c", "| --- |",
    "---", "\n---\nlicense: mit\n---\n", "...", "# x", "<script>alert(1)</script>", "</code><img src=x onerror=alert(1)>", "<!--",
    "-->", "<b", "&lt;b&gt;", "&#60;", "[a](javascript:alert(1))", "![a](http://127.0.0.1/x.png)", "<http://a.example>",
    "https://a.example/x", "www.a.example", "a@b.example", "[a]: http://a.example", "*a* _b_ ~~c~~", "$$x$$", "@all #1", ":smile:",
    "a\r\nb", "a\u2028b", "\x00\x1b[31m\x07", "\u202eabc\u202c", "\u200b\ufeff", "\ud800", "a\tb", "  ", "", "x" * 500, "가" * 300,
    "- [ ] a", "1. a", "> a", "    code", "{% raw %}", "`" * 300,
]  # fmt: skip


def _spans(markdown: str) -> list[str]:
    """Return the code spans of what is one paragraph, or one table, and holds no other markup."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        assert token.type.startswith(("paragraph", "inline", "table", "tr", "th", "td", "thead", "tbody"))
        for child in token.children or ():
            assert child.type in {"text", "code_inline"}
            found += [child.content] * (child.type == "code_inline")
    return found


def _shown(text: str) -> str:
    return printable(text).replace("|", "¦").strip()


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_stays_text(text: str) -> None:
    """Each of them is one code span between other words and in a table, and reads as it was shown, or is left out."""
    wanted = [_shown(text)] if _shown(text) else []
    assert _spans(f"before {span(text)} after") == wanted
    assert _spans("\n".join(table(("a", "#b"), [(span(text), 1), ("after", 2)]))) == wanted


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("`|\\<>&[]()!*_-#\n\r\x00\u202e ab:/"), max_size=20), min_size=1, max_size=4
    )
)
def test_any_texts_stay_apart(texts: list[str]) -> None:
    """Several on one line do not close or open each other."""
    assert _spans("x" + " y ".join(map(span, texts))) == [_shown(one) for one in texts if _shown(one)]


def test_bars_tell_numbers_and_shares() -> None:
    """The longest bar is the largest count, whatever is there is seen, and nothing at all is no error."""
    assert bars([("5", 400), ("4.5", 1), ("4", 0)]) == [
        "```text",
        f"  5  {'█' * 40} 400 (100%)",
        "4.5  █ 1 (0%)",
        "  4   0 (0%)",
        "```",
    ]
    assert bars([("0", 0)])[1] == "0   0 (0%)"


def test_columns_of_numbers_stand_to_the_right() -> None:
    """A head with # is a column of numbers, told with separators."""
    assert table(("a", "#b"), [("x", 1234)]) == ["| a | b |", "| --- | ---: |", "| x | 1,234 |"]
