"""The index decides exactly as rouge_score decides, in C and in Python: on real rows, on built near-duplicates, at every threshold."""

from __future__ import annotations

import json
import os
import random
import shlex
import sysconfig
from collections import Counter
from pathlib import Path
from shutil import which
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from selfinstruct.errors import BadInputError
from selfinstruct.text import _native, _reference
from selfinstruct.text.rouge import Neighbour, NoveltyIndex, f_measure, need, rouge_l
from selfinstruct.text.tokens import rouge_tokens, unicode_tokens
from tests.support.plain_loop import PlainLoop, edited

ALPACA = Path(__file__).parent.parent.parent.parent / "shared/data/alpaca_random_9k.json"
ORACLE = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
T = TypeVar("T")
COMPILER = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
ENGINES = (True, False) if which(COMPILER) else (False,)  # .ci/run installs a compiler: there it is always both
with_c = pytest.mark.skipif(len(ENGINES) == 1, reason="no C compiler here: the index is Python's alone")
THRESHOLDS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
words = st.sampled_from(["a", "b", "c", "river", "mill", "7", "x1"])
texts = st.lists(words, max_size=14).map(" ".join)
long_texts = st.lists(words, min_size=60, max_size=150).map(" ".join)


class Twins:
    """The index in C and the one in Python: every answer of one is the other's."""

    def __init__(self, threshold: float = 0.7, *, tokenizer: str = "rouge") -> None:
        self.cores = [NoveltyIndex(threshold, tokenizer=tokenizer, native=native) for native in ENGINES]

    def __len__(self) -> int:
        return self._same([len(core) for core in self.cores])

    def _same(self, answers: list[T]) -> T:
        assert all(answer == answers[0] for answer in answers)
        return answers[0]

    def extend(self, texts: list[str]) -> None:
        for core in self.cores:
            core.extend(texts)

    def add(self, text: str) -> None:
        self.extend([text])

    def add_if_novel(self, text: str) -> bool:
        return self._same([core.add_if_novel(text) for core in self.cores])

    def admit(self, texts: list[str]) -> list[Neighbour | None]:
        return self._same([core.admit(texts) for core in self.cores])

    def rival(self, text: str) -> Neighbour | None:
        return self._same([core.rival(text) for core in self.cores])

    def nearest(self, text: str, k: int = 1) -> list[Neighbour]:
        return self._same([core.nearest(text, k) for core in self.cores])


@with_c
def test_c_is_tested_here() -> None:
    """Where there is a compiler, the index in C was built: without it half of these tests would say nothing."""
    _native.library()
    assert isinstance(NoveltyIndex()._core, _native.Native)


def test_without_c_python_does_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No library: the same class goes on in Python, and says so when C is asked for."""
    _native.library.cache_clear()
    monkeypatch.setattr(_native, "LIBRARY", tmp_path / "none.so")
    try:
        assert isinstance(NoveltyIndex()._core, _reference.Reference)
        with pytest.raises(ImportError, match="no compiled novelty index"):
            NoveltyIndex(native=True)
    finally:
        _native.library.cache_clear()


def oracle(first: str, second: str) -> float:
    return float(ORACLE.score(first, second)["rougeL"].fmeasure)


@pytest.mark.skipif(
    not ALPACA.parent.is_dir(), reason="no folder shared/data beside the checkout: the public rows are not ours to ship"
)
@pytest.mark.parametrize(("threshold", "size"), [(0.5, 2000), (0.7, 9229), (0.95, 2000)])
def test_decides_as_rouge_score_on_real_rows(threshold: float, size: int) -> None:
    """Rows and edited copies of them, shuffled: every drop and every keep, its figure and its rival, is the library's."""
    draw = random.Random(threshold)
    rows = [row["instruction"] for row in json.loads(ALPACA.read_text(encoding="utf-8"))[:size]]
    assert len(rows) == size
    offers = [*rows, *(edited(row, threshold, draw) for row in rows)]
    draw.shuffle(offers)
    index, plain, near = Twins(threshold), PlainLoop(len(offers)), [0, 0]
    for text in offers:
        tokens = rouge_tokens(text)
        score, position = plain.best(tokens, threshold - 0.05)
        rival = index.rival(text)
        if score > threshold:
            assert rival is not None
            assert (rival.score, rival.position) == (score, position)
        else:
            assert rival is None
            index.add(text)
            plain.add(tokens)
        near[score > threshold] += abs(score - threshold) < 0.05
    assert len(index) < len(offers) - 400
    assert min(near) > 10, "both sides of the threshold were tried close to it"


@given(texts, texts)
def test_scores_are_the_librarys_floats(first: str, second: str) -> None:
    """The very float, both ways round."""
    assert rouge_l(rouge_tokens(first), rouge_tokens(second)) == oracle(first, second) == oracle(second, first)


@settings(max_examples=50)
@given(long_texts, long_texts)
def test_long_scores_are_the_librarys_floats(first: str, second: str) -> None:
    """Beyond 64 tokens the LCS takes more than one machine word: the same float still."""
    assert rouge_l(rouge_tokens(first), rouge_tokens(second)) == oracle(first, second)


@settings(max_examples=200)
@given(st.lists(texts, max_size=25), st.sampled_from(THRESHOLDS))
def test_admission_is_the_plain_loops(offers: list[str], threshold: float) -> None:
    """Any texts in any order: the same survivors as the loop that compares everything with everything."""
    index = Twins(threshold)
    kept: list[str] = []
    for text in offers:
        novel = all(not oracle(other, text) > threshold for other in kept)
        assert index.add_if_novel(text) is novel
        kept += [text] if novel else []
    assert len(index) == len(kept)


@settings(max_examples=50)
@given(st.lists(texts, min_size=1, max_size=150), texts, st.sampled_from(THRESHOLDS))
def test_rival_is_the_earliest_of_the_nearest(pool: list[str], text: str, threshold: float) -> None:
    """In a pool full of duplicates, large enough that ranks were renewed: the best score, and the first text that has it."""
    index = Twins(threshold)
    index.extend(pool)
    scores = [oracle(other, text) for other in pool]
    best = max(scores)
    rival = index.rival(text)
    found = (rival.score, rival.position, rival.text) if rival else None
    assert found == ((best, scores.index(best), pool[scores.index(best)]) if best > threshold else None)
    assert [one.position for one in index.nearest(text, k=3)] == sorted(
        range(len(pool)), key=lambda at: (-scores[at], at)
    )[:3]


def test_need_is_taken_from_the_float() -> None:
    """At F exactly 7/10 the float lands above 0.7 in some ties and not in others: need follows the float in each."""
    above = below = 0
    for first in range(1, 121):
        for second in range(1, 121):
            lcs, rest = divmod(7 * (first + second), 20)
            if rest or lcs > min(first, second):
                continue
            lands_above = f_measure(lcs, first, second) > 0.7
            above, below = above + lands_above, below + (not lands_above)
            assert need(first, second, 0.7) == (lcs if lands_above else lcs + 1 if lcs < min(first, second) else 0)
    assert above > 0
    assert below > 0


def test_ties_of_texts_fall_where_the_float_falls() -> None:
    """Pairs of texts at F exactly 7/10: novel or not as rouge_score's float has it, and both happen."""
    outcomes: Counter[bool] = Counter()
    for first in range(1, 41):
        for second in range(first, 41):
            lcs, rest = divmod(7 * (first + second), 20)
            if rest or lcs > first:
                continue
            shared = [f"s{n}" for n in range(lcs)]
            one = " ".join([*shared, *(f"a{n}" for n in range(first - lcs))])
            two = " ".join([*(f"b{n}" for n in range(second - lcs)), *shared])
            index = Twins()
            index.add(one)
            novel = index.add_if_novel(two)
            assert novel is (not oracle(one, two) > 0.7)
            outcomes[novel] += 1
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("threshold", [0.3, *THRESHOLDS, 1.0])
def test_bounds_leave_nothing_out(threshold: float) -> None:
    """The need of every pair of lengths is the least LCS whose float is above, in C too, and gives what may go unmatched."""
    c_need = _native.library().novelty_need if True in ENGINES else None
    for length in range(1, 60):
        tried = {
            n: next((lcs for lcs in range(1, min(length, n) + 1) if f_measure(lcs, length, n) > threshold), 0)
            for n in range(1, 420)
        }
        assert {n: need(length, n, threshold) for n in tried} == tried
        if c_need:
            assert {n: c_need(threshold, length, n) for n in tried} == tried
        for low, high in ((1, 6), (7, 32), (33, 64), (65, 419)):
            partners = [n for n, least in tried.items() if least and low <= max(n, length) <= high]
            most = max((length - tried[n] for n in partners), default=-1)
            assert _reference._unmatched(length, low, high, threshold) == most


def test_bands_hold_what_their_tuples_ask_for() -> None:
    """A band files by tuples only where any near pair matches as many tokens, at each threshold."""
    for threshold in (0.05, 0.1, 0.3, *THRESHOLDS, 1.0):
        for low, high, size in _reference.bands(threshold):
            longest = min(high, 200)
            lengths = range(1, longest + 1)
            needs = [
                least for m in lengths for n in range(max(m, low), longest + 1) if (least := need(m, n, threshold))
            ]
            assert min(needs, default=size) >= size, (threshold, low, high)


@pytest.mark.parametrize(
    "offers",
    [
        ["a " * 150, "a " * 149, "a a a a"],
        ["word", "word", "other"],
        ["", "   ", "!!!", ""],
        ["x " * 2000, "x " * 1999 + "y", "y x"],
        [" ".join(f"w{n}" for n in range(150)), "w1 w2 w3 w4"],
        [" ".join(f"w{n}" for n in range(80)), " ".join(f"w{n}" for n in range(10, 90))],
        ["a b a b a b a", "b a b a b a b", "a a a a b b b"],
        [" ".join(f"w{n % 900}" for n in range(5000)), " ".join(f"w{n % 899}" for n in range(4600)), "w1 " * 70],
        [" ".join("abc"[n * n % 3] for n in range(size)) for size in (30, 31, 32, 33, 34, 63, 64, 65, 66, 128, 129)],
    ],
    ids=["repeated", "one-token", "empty", "long", "lengths", "over-64", "turned", "5,000", "seams"],
)
def test_adversarial_texts(offers: list[str]) -> None:
    """Repeated tokens, one token, none, 2,000 words, 150 against 4, more than a machine word: as the plain loop."""
    index = Twins()
    kept: list[str] = []
    for text in offers:
        novel = all(not oracle(other, text) > 0.7 for other in kept)
        assert index.add_if_novel(text) is novel
        kept += [text] if novel else []


@settings(max_examples=100)
@given(st.lists(texts, max_size=25))
def test_more_words_than_characters(offers: list[str]) -> None:
    """Out of characters the words share them, and the decisions stay. The limit is lowered: a million words take too long."""
    whole, shared = (NoveltyIndex(native=False) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        decisions = [whole.add_if_novel(text) for text in offers]
        patch.setattr(_reference, "_CHARACTERS", 3)
        assert [shared.add_if_novel(text) for text in offers] == decisions
        assert [shared.nearest(text, k=2) for text in offers] == [whole.nearest(text, k=2) for text in offers]


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        ("다음 문장을 영어로 번역해 주세요", "다음 문장을 영어로 번역하세요", "이 시의 분위기를 설명해 보세요"),
        ("次の文を英語に翻訳してください", "次の文章を英語に翻訳して下さい", "この数式を解いて答えを書きなさい"),
        ("请把下面的句子翻译成英文", "请把下面这个句子翻译成英文", "为春天写一首短诗"),
        ("แปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "ช่วยแปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "แต่งกลอนสั้นเกี่ยวกับฤดูฝน"),
        ("इस वाक्य का अंग्रेज़ी में अनुवाद करें", "इस वाक्य का अंग्रेज़ी में अनुवाद कीजिए", "बारिश पर एक छोटी कविता लिखें"),
        (
            "Écris un poème sur la forêt en été",
            "Écris un poème sur la forêt en hiver",
            "Résous l'équation et explique chaque étape",
        ),
    ],
    ids=["ko", "ja", "zh", "th", "hi", "fr"],
)
def test_other_scripts(text: str, same: str, other: str) -> None:
    """With Unicode tokens a rewording is near and another task is not; rouge_score's own tokens see nothing of most scripts."""
    index = Twins(tokenizer="unicode")
    assert index.add_if_novel(text)
    assert not index.add_if_novel(same)
    assert index.add_if_novel(other)
    plain = Twins(tokenizer="rouge")
    plain.add(text)
    assert (plain.rival(text) is None) is (not rouge_tokens(text))


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    """At 0 everything with a common word would be near, above 1 nothing: said at once, with the figure."""
    with pytest.raises(ValueError, match=str(threshold)):
        NoveltyIndex(threshold)


def test_nearest_are_in_order() -> None:
    """The k nearest with their scores, the earliest first among equals."""
    index = Twins()
    index.extend(["one two three", "one two four", "five six"])
    found = index.nearest("one two three", k=3)
    assert [(one.position, one.score) for one in found] == [(0, 1.0), (1, 2 / 3), (2, 0.0)]
    assert index.nearest("one two", k=1)[0].position == 0


MANY = 3000


def offers_of_every_kind(draw: random.Random) -> list[str]:
    """Made-up texts of 1 to 150 words out of many and out of few, half of them edited copies of the others."""
    rare, few = [f"w{n}" for n in range(4000)], list("abcdefghijklmnop")
    offers = []
    for _ in range(MANY // 2):
        words = draw.choices(
            draw.choice([rare, few, rare + few * 100]), k=draw.choice([1, 2, 3, 5, 8, 12, 20, 31, 40, 64, 65, 150])
        )
        offers += [" ".join(words), edited(" ".join(words), draw.choice(THRESHOLDS), draw)]
    draw.shuffle(offers)
    return offers


@with_c
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7, 0.95, 1.0])
def test_batches_and_threads_change_nothing(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, in batches of any size, on two threads, in Python: the same rivals with the same scores."""
    offers = offers_of_every_kind(random.Random(threshold))
    one = NoveltyIndex(threshold, native=True)
    verdicts = [one.admit([text])[0] for text in offers]
    assert NoveltyIndex(threshold, native=True).admit(offers) == verdicts
    assert NoveltyIndex(threshold, native=False).admit(offers) == verdicts
    monkeypatch.setattr(_native, "_WORTH_SHARING", 1)
    monkeypatch.setattr(_native, "_BLOCK", 700)
    shared = NoveltyIndex(threshold, native=True)
    assert shared.admit(offers[:50], threads=2) + shared.admit(offers[50:], threads=2) == verdicts
    kept = sum(one is None for one in verdicts)
    assert 100 < kept < MANY - 100 or (threshold == 1.0 and kept == MANY)  # nothing scores above 1


@given(st.lists(st.text(max_size=60), max_size=12))
def test_any_text_at_all(offers: list[str]) -> None:
    """Whatever Python calls a text, lone surrogates and NUL included: C, Python and the library agree."""
    for tokenizer in ("rouge", "unicode"):
        Twins(tokenizer=tokenizer).admit([*offers, *offers, "\ud800 a", "a\x00b", "\x1c\x1d a b"])


@pytest.mark.parametrize("native", ENGINES)
def test_a_saved_index_is_the_index(tmp_path: Path, *, native: bool) -> None:
    """Saved and loaded, in C and in Python, at another threshold too: the verdicts of an index built from the texts."""
    offers = [*offers_of_every_kind(random.Random(5))[:800], "한국어 문장", "", "\ud800 surrogate"]
    index = NoveltyIndex(0.6, tokenizer="unicode", native=native)
    index.extend(offers[:500])
    index.save(tmp_path / "a.novelty")
    fresh = NoveltyIndex(0.8, tokenizer="unicode")
    fresh.extend(offers[:500])
    for native_too in ENGINES:
        loaded = NoveltyIndex(0.8, tokenizer="unicode", native=native_too)
        loaded.extend_saved(tmp_path / "a.novelty")
        assert len(loaded) == len(fresh) == 500
        assert [loaded.rival(text) for text in offers] == [fresh.rival(text) for text in offers]
    fresh.admit(offers[500:])
    loaded.admit(offers[500:])
    assert [loaded.nearest(text, 3) for text in offers[:20]] == [fresh.nearest(text, 3) for text in offers[:20]]


def test_several_saved_indexes_are_one(tmp_path: Path) -> None:
    """Loaded one after the other, with words in common and empty ones among them: as if all their texts had been added."""
    parts = [["one two three", "four five"], [], ["five four one", "one two three"]]
    for number, part in enumerate(parts):
        index = NoveltyIndex()
        index.extend(part)
        index.save(tmp_path / f"{number}.novelty")
    loaded = NoveltyIndex.load(*(tmp_path / f"{number}.novelty" for number in range(3)))
    whole = NoveltyIndex()
    whole.extend([text for part in parts for text in part])
    assert len(loaded) == 4
    assert loaded.nearest("five four one", 4) == whole.nearest("five four one", 4)
    assert loaded.rival("four five six") == whole.rival("four five six")


def test_a_wrong_saved_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another tokenizer, another format, a flipped byte anywhere, a cut file, no file: refused by name, nothing half taken in."""
    path = tmp_path / "saved.novelty"
    index = NoveltyIndex(tokenizer="unicode")
    index.extend(["one two three", "넷 다섯", *(f"word{n} and {n}" for n in range(40))])
    index.save(path)
    whole = path.read_bytes()
    with pytest.raises(BadInputError, match="tokenizer 'unicode'"):
        NoveltyIndex.load(path, tokenizer="rouge")
    with pytest.raises(BadInputError, match=r"none\.novelty"):
        NoveltyIndex.load(tmp_path / "none.novelty")
    silent = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        empty = NoveltyIndex(tokenizer="unicode")
        try:
            empty.extend_saved(path)
        except BadInputError:
            assert not len(empty)
        else:
            silent.append(place)
            assert empty.nearest("one two three", 50) == index.nearest("one two three", 50), "only padding may change"
    assert len(silent) < len(whole) / 7 / 2
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        with pytest.raises(BadInputError):
            NoveltyIndex.load(path, tokenizer="unicode")
    path.write_bytes(whole)
    monkeypatch.setattr("selfinstruct.text._saved.TOKENIZERS", {"unicode": lambda text: unicode_tokens(text)[1:]})
    with pytest.raises(BadInputError, match="another version"):
        NoveltyIndex.load(path, tokenizer="unicode")


def test_survey_gives_ten_and_the_mean() -> None:
    """What Self-Instruct keeps of every row: the ten nearest and the mean over the pool, as rouge_score has them."""
    pool = offers_of_every_kind(random.Random(9))[:60]
    for native in ENGINES:
        index = NoveltyIndex(native=native)
        assert index.survey("a b") == ([], 0.0)
        index.extend(pool)
        near, mean = index.survey(pool[7])
        scores = [oracle(other, pool[7]) for other in pool]
        assert [one.score for one in near] == sorted(scores, reverse=True)[:10]
        assert mean == pytest.approx(sum(scores) / len(scores))
