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
    assert printable("http://sk-SECRET@host/v1") == "http://***@host/v1"
    assert printable("postgresql://me:SECRET@db/x") == "postgresql://***@db/x"


def test_the_address_of_a_database_can_be_typed() -> None:
    """Its user alone is no secret: who is told to work on a run there needs all of the address."""
    told = "try: postgresql://me@db:5432/x#run_0123456789abcdef"
    assert printable(told) == told
