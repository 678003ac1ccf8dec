"""Whether near-duplicates are found in Korean as in English: one threshold, several ways to cut text into tokens.

252 tasks and their Korean twins (user_oriented_252*.jsonl). Pairs of different tasks have to stay apart; small rewordings, made
here by rules, have to be caught; a file doubled with reworded copies has to lose the copies and keep the tasks.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from selfinstruct.text.rouge import rouge_l
from selfinstruct.text.tokens import rouge_tokens, unicode_tokens

DATA = Path(__file__).parent.parent.parent / "shared/data"
THRESHOLD = 0.7
EDITS = (1, 2, 3)
Rule = tuple[str, str]

ENGLISH: Sequence[Rule] = (
    (r"^(\w)", r"Please \1"),
    (r"\b[Tt]he ", ""),
    (r"\ba ", ""),
    (r"\bgiven\b", "provided"),
    (r"\b[Ww]rite\b", "compose"),
    (r"\b[Cc]reate\b", "make"),
    (r"\b[Pp]rovide\b", "give"),
    (r"\bshould\b", "must"),
    (r"\bfollowing\b", "next"),
    (r"\buse\b", "take"),
    (r"\b[Ff]ind\b", "look for"),
    (r"\bin\b", "within"),
    (r"\.", " carefully."),
    (r"\band\b", "and also"),
)
KOREAN: Sequence[Rule] = (
    (r"^(\w)", r"부디 \1"),
    (r"하세요", "해 주세요"),
    (r"하세요", "하십시오"),
    (r"세요", "십시오"),
    (r"(?<=\w)[을를](?= )", ""),
    (r"(?<=\w)[은는](?= )", ""),
    (r"주어진", "제시된"),
    (r"다음", "아래"),
    (r"작성", "기술"),
    (r"제공", "제시"),
    (r"합니다", "해요"),
    (r"찾으", "찾아보"),
    (r"\.", " 꼼꼼히."),
    (r" 및 ", "과 "),
    (r"(?<=\w) (?=\w)", ""),
)
TOKENISATIONS: dict[str, Callable[[str], list[str]]] = {
    "rouge_score (a-z, 0-9)": rouge_tokens,
    "whole words": lambda text: re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()),
    "unicode (shipped)": unicode_tokens,
    "character bigrams": lambda text: _bigrams(
        "".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))
    ),
    "jamo": lambda text: [one for token in unicode_tokens(text) for one in _jamo(token)],
}


def _bigrams(letters: str) -> list[str]:
    return [letters[at : at + 2] for at in range(len(letters) - 1)]


def _jamo(token: str) -> list[str]:
    apart = unicodedata.normalize("NFD", token)
    return list(apart) if token and "\uac00" <= token[0] <= "\ud7a3" else [token]


def reworded(text: str, rules: Sequence[Rule], edits: int, draw: random.Random) -> str:
    """Apply `edits` of the rules that change the text, each once, at the first place where it does."""
    for pattern, new in draw.sample(rules, len(rules)):
        changed = re.sub(pattern, new, text, count=1)
        if changed != text:
            text, edits = changed, edits - 1
        if not edits:
            break
    return text


def share_changed(first: str, second: str) -> float:
    """Return the share of words that are not in the other text."""
    one, two = first.split(), second.split()
    return 1 - 2 * len(set(one) & set(two)) / max(1, len(set(one)) + len(set(two)))


def apart(tokens: Sequence[list[str]]) -> tuple[int, float, float]:
    """Return how many pairs of different tasks score above the threshold, the highest F and the 99.9th percentile."""
    scores = sorted(rouge_l(one, two) for one, two in combinations(tokens, 2) if one != two or not one)
    return sum(score > THRESHOLD for score in scores), scores[-1], scores[int(0.999 * len(scores))]


def doubled(texts: Sequence[str], copies: Sequence[str], cut: Callable[[str], list[str]]) -> tuple[int, int]:
    """Admit tasks and copies in a shuffled order; return how many tasks are there at least once, and how many twice."""
    offers = [(task, cut(text)) for some in (texts, copies) for task, text in enumerate(some)]
    random.Random(4).shuffle(offers)
    kept: list[tuple[int, list[str]]] = []
    for task, tokens in offers:
        if all(rouge_l(other, tokens) <= THRESHOLD for _, other in kept):
            kept.append((task, tokens))
    tasks = [task for task, _ in kept]
    return len(set(tasks)), len(tasks) - len(set(tasks))


def main() -> None:
    """Print a Markdown table per language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of user_oriented_252.jsonl and its Korean twin")
    asked = parser.parse_args()
    for language, name, rules in (
        ("English", "user_oriented_252.jsonl", ENGLISH),
        ("Korean", "user_oriented_252_ko.jsonl", KOREAN),
    ):
        lines = (asked.data / name).read_text(encoding="utf-8").splitlines()
        texts = list(dict.fromkeys(json.loads(line)["instruction"] for line in lines))
        copies = {
            edits: [reworded(text, rules, edits, random.Random(f"{edits} {text}")) for text in texts] for edits in EDITS
        }
        mean = {edits: sum(map(share_changed, texts, some)) / len(texts) for edits, some in copies.items()}
        print(
            f"\n{language}: {len(texts)} different tasks; words changed by "
            + ", ".join(f"{k} edits: {v:.0%}" for k, v in mean.items())
        )
        print(
            "| tokens | other pairs above 0.7 | highest | 99.9 % below | caught: 1 edit | 2 | 3 | doubled: tasks kept | copies |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for title, cut in TOKENISATIONS.items():
            tokens = [cut(text) for text in texts]
            near, most, tail = apart(tokens)
            caught = [
                sum(rouge_l(one, cut(copy)) > THRESHOLD for one, copy in zip(tokens, some, strict=True)) / len(texts)
                for some in copies.values()
            ]
            tasks, twice = doubled(texts, copies[2], cut)
            shares = " | ".join(f"{share:.1%}" for share in caught)
            print(f"| {title} | {near} | {most:.2f} | {tail:.2f} | {shares} | {tasks} of {len(texts)} | {twice} |")


if __name__ == "__main__":
    main()
