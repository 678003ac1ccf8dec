"""Drops instructions by length, words and first character: the published rules, or Unicode-aware ones."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from selfinstruct.records import DropReason
from selfinstruct.stage import Gate
from selfinstruct.text.tokens import count_words

if TYPE_CHECKING:
    from selfinstruct.records import Instruction
    from selfinstruct.stage import Work


class Heuristics(Gate):
    """Rules on the text alone, cheapest first."""

    kind: Literal["heuristics"] = "heuristics"
    least_words: Annotated[int, Field(ge=0)] = 3
    """Shorter is dropped. Published: 4 (Self-Instruct drops 3 words and fewer)."""
    most_words: Annotated[int, Field(ge=1)] = 150
    """Longer is dropped (Self-Instruct)."""
    words: Literal["whitespace", "script"] = "script"
    """whitespace: as published. script: counts in scripts without spaces too."""
    keywords: tuple[str, ...] = (
        "image",
        "images",
        "picture",
        "pictures",
        "photo",
        "video",
        "audio",
        "attached",
        "screenshot",
    )
    """Whole words, whatever their case, that ask for what a text model cannot see."""
    prefixes: tuple[str, ...] = ()
    """Openings that are dropped."""
    ascii_start: bool = False
    """Drop when the first character is not ASCII (published; throws away every other script)."""

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Return the first rule that the text breaks."""
        del work
        text = record.text
        count = len(text.split()) if self.words == "whitespace" else count_words(text)
        if count < self.least_words:
            return DropReason(rule="too_short", figure=count, threshold=self.least_words)
        if count > self.most_words:
            return DropReason(rule="too_long", figure=count, threshold=self.most_words)
        if self.keywords and (found := self._keyword.search(text)):
            return DropReason(rule="keyword", figure=found[0].lower())
        for prefix in self.prefixes:
            if text.startswith(prefix):
                return DropReason(rule="prefix", figure=prefix)
        return self._first_character(text)

    def _first_character(self, text: str) -> DropReason | None:
        first = text[:1]
        if not first or unicodedata.category(first)[0] in "PSC":
            return DropReason(rule="punctuation", figure=first)
        if self.ascii_start and not first.isascii():
            return DropReason(rule="non_ascii", figure=first)
        return None

    @cached_property
    def _keyword(self) -> re.Pattern[str]:
        return re.compile(r"\b(?:" + "|".join(map(re.escape, self.keywords)) + r")\b", re.IGNORECASE)
