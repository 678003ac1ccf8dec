"""Cuts text into tokens for ROUGE-L, and counts its words, in every script. Knows no index."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOT_ROUGE = re.compile(r"[^a-z0-9]+")

# Scripts written without blanks between words. Han and Kana by character; Thai, Lao, Khmer and Myanmar by cluster.
_HAN_KANA = r"\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLUSTERED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_HANGUL = r"\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e"
_DENSE = re.compile(rf"[{_HAN_KANA}{_CLUSTERED}]")
_ONE_BY_ONE = re.compile(rf"[{_HAN_KANA}{_HANGUL}]")
_CLUSTER = re.compile(rf"[{_CLUSTERED}]")


def rouge_tokens(text: str) -> list[str]:
    """Return the tokens of rouge_score's default tokenizer without stemming: runs of a-z and 0-9 after lower-casing."""
    return _NOT_ROUGE.sub(" ", text.lower()).split()


def unicode_tokens(text: str) -> list[str]:
    """Return tokens in any script; on ASCII text exactly those of `rouge_tokens`.

    Otherwise NFKC and lower case, then Hangul by syllable, Han and Kana by character, Thai, Lao, Khmer and Myanmar by
    cluster (a base with its marks), every other script by word with its marks, symbols such as emoji one by one.
    """
    if text.isascii():
        return rouge_tokens(text)
    tokens: list[str] = []
    word = ""
    for character in unicodedata.normalize("NFKC", text).lower():
        kind = unicodedata.category(character)[0]
        if kind == "M":  # a mark belongs to what it stands on, whatever that is
            word, tokens = _marked(word, tokens, character)
        elif kind in "LN" and not _ONE_BY_ONE.match(character) and not _CLUSTER.match(character):
            word += character
        else:
            tokens += [word] if word else []
            word = ""
            if kind in "LN" or unicodedata.category(character) == "So":
                tokens.append(character)
    return [*tokens, word] if word else tokens


def _marked(word: str, tokens: list[str], mark: str) -> tuple[str, list[str]]:
    if word or not tokens:
        return word + mark, tokens
    return word, [*tokens[:-1], tokens[-1] + mark]


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = MappingProxyType(
    {"rouge": rouge_tokens, "unicode": unicode_tokens}
)


def count_words(text: str) -> int:
    """Return a length in words: runs between blanks, and half the characters of scripts written without blanks.

    Two characters a word is the usual mean of Chinese and Japanese segmentation; for Thai it is on the high side, which
    only makes the lower length limit milder.
    """
    dense = len(_DENSE.findall(text))
    spaced = sum(any(one.isalnum() for one in part) for part in _DENSE.sub(" ", text).split())
    return spaced + -(-dense // 2)
