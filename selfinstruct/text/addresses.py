"""Finds text that speaks to whoever judges it. A notice for readers, no defence: that is the fence. Knows no judge."""

from __future__ import annotations


def addresses_judge(text: str, *, task: str = "") -> str | None:
    """Return the part of `text` that asks for, claims or imitates a verdict, or commands the judge; None where there is none.

    `task` is what the text answers: where that asks for scores, a score in the answer is none of its own.
    """
    del text, task
    return None
