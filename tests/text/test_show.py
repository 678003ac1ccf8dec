"""Nothing a model or a server wrote can move the cursor, fake a line or show a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.text.show import printable


@given(st.text())
def test_one_line_without_control(text: str) -> None:
    """One line, bounded, no control, format or surrogate character, whatever comes."""
    shown = printable(text, longest=50)
    shown.encode()
    assert len(shown) <= 50
    assert shown.isprintable()


def test_userinfo_is_masked() -> None:
    """A key in a URL is not repeated."""
    assert printable("no http://user:sk-SECRET@host/v1 there") == "no http://***@host/v1 there"
