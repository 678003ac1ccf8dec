"""All figures of a run or of a published version, as one model that can be added up: figures.json. Knows no store.

`a + b` of two disjoint sets of rows is what counting their union gives, so a set that grows every night is never read again.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, NonNegativeInt

from selfinstruct.figures.additive import Additive
from selfinstruct.figures.bins import HUNDREDTHS, KeptDropped, Lengths
from selfinstruct.ledger import Ledger
from selfinstruct.records import Frozen

EXAMPLES = 3
"""Drops shown of each rule."""
NEARNESS_BIN = 0.05
"""Width of the bins in which nearness is counted."""
NONE = "(none)"
"""Verb or noun of an instruction in which the heuristic is not sure of one; script of a text without letters."""

Counts = dict[str, NonNegativeInt]
"""What -> how many."""


class Fates(Ledger, Additive):
    """A ledger that can be added up: generated = accepted + dropped + failed + open."""


class StageCounts(Fates):
    """One stage of the funnel."""

    drops: Counts = Field(default_factory=dict)
    """Dropped records by rule."""


class Usage(Additive):
    """Calls of models that were answered."""

    calls: NonNegativeInt = 0
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0


class Scores(KeptDropped):
    """Rows that a judge scored: accepted, or dropped by the rule `score`. Bins in hundredths of a point."""

    scales: tuple[tuple[float, float], ...] = ()
    """Lowest and highest score that the judges can give."""
    unscored: NonNegativeInt = 0
    """Rows that came to the verdict and got none."""

    def kept_at(self, threshold: float) -> int:
        """Return how many of the scored rows a threshold would keep."""
        return sum(count for number, count in self.all().items() if number >= round(threshold * HUNDREDTHS))


class Nearness(KeptDropped):
    """F (ROUGE-L) of candidates with the nearest earlier text. Bins in hundredths, as `novelty.py` bins them: 0, 5, .. 95.

    Every candidate that the gate dropped is in `dropped`. `kept` is a sample, evenly over each run, held against the seeds and
    the run itself: texts that a gate was given to hold it against (`against`) are not looked through again.
    """

    tokenizers: tuple[str, ...] = ()

    def quantile(self, q: float, *, kept: bool = False) -> float | None:
        """Return the likeness below which the share `q` lies: the upper bound of its bin; None where there is none."""
        low = super().quantile(q, kept=kept)
        return None if low is None else low + NEARNESS_BIN


class LabelCounts(Additive):
    """Labels of classification tasks (`judging/balance.py`): of rows as kept, or of instances as written."""

    tasks: NonNegativeInt = 0
    rows: NonNegativeInt = 0
    several: NonNegativeInt = 0
    """Tasks with two rows or more ..."""
    one_label: NonNegativeInt = 0
    """... and those of them whose rows all have the same label."""
    evenness: NonNegativeInt = 0
    """Sum over those with several of their evenness (0 one label, 1 even), each rounded to millionths."""
    labels: Counts = Field(default_factory=dict)
    """Rows by label; labels of more than 40 characters are in `rows` only."""

    @property
    def one_label_share(self) -> float | None:
        """Share of the tasks with several rows that have one label only; None where there are none."""
        return self.one_label / self.several if self.several else None

    @property
    def mean_evenness(self) -> float | None:
        """Mean evenness of the tasks with several rows; None where there are none."""
        return self.evenness / 1e6 / self.several if self.several else None


class Example(Frozen):
    """One drop, to show what its rule drops. Texts are on one line, 200 characters at most, nothing hidden in them."""

    id: str
    stage: str
    text: str
    """Of what was dropped; its instruction, where nothing was made that could be shown."""
    figure: float | str | None = None
    threshold: float | str | None = None
    evidence: str = ""
    """The nearest earlier text, or what the judge said."""


class Figures(Additive):
    """What a card, a diff, the viewer, a report and an artifact show. `Figures()` is the zero of the sum.

    Rows are those kept, up to the last one of a filled order; what concerns the funnel is of all that was made up to there.
    """

    runs: NonNegativeInt = 0
    """How many runs these are the figures of."""
    rows: NonNegativeInt = 0
    scripted_rows: NonNegativeInt = 0
    """Rows of the scripted engine: for trying out, never to be published."""
    pairs: NonNegativeInt = 0
    surplus: NonNegativeInt = 0
    """Finished rows beyond the order, counted nowhere else here."""
    ledger: Fates = Fates()
    """Of rows: each has one fate."""
    funnel: dict[str, StageCounts] = Field(default_factory=dict)
    """By label of the stage, in the order of the recipe."""
    examples: dict[str, tuple[Example, ...]] = Field(default_factory=dict)
    """By rule, the first three drops. The one field for which a + b is not b + a: the first ones of a come first."""
    scores: Scores = Scores()
    nearness: Nearness = Nearness()
    instruction: Lengths = Lengths()
    input: Lengths = Lengths()
    """Empty inputs are in bin 0."""
    output: Lengths = Lengths()
    scripts: Counts = Field(default_factory=dict)
    """Rows by the script that most letters of the instruction are of (`Latin`, `Hangul`, ...): what can be said of a language
    without a model. English and Spanish are one."""
    output_scripts: Counts = Field(default_factory=dict)
    """The same of the answer."""
    verbs: dict[str, Counts] = Field(default_factory=dict)
    """Verb -> its object -> rows (`text/verbs.py`); `(none)` where unsure. All of them: a cut-off list could not be added."""
    classification: Counts = Field(default_factory=dict)
    """Rows by `yes`, `no`, and `unknown` where no stage classifies."""
    labels: LabelCounts = LabelCounts()
    labels_written: LabelCounts = LabelCounts()
    """Labels of the kept rows, and of the instances before any judge."""
    models: dict[str, Counts] = Field(default_factory=dict)
    """Role (`instruction`, `answer`, `judge`) -> model -> rows. A row with several judges counts for each."""
    flags: Counts = Field(default_factory=dict)
    """Verdicts on kept rows' answers by flag: `addresses_judge`, `doubtful`, `own_family`, `other_language`."""
    usage: Usage = Usage()
    """Of the whole runs, surplus included ..."""
    usage_by_stage: dict[str, Usage] = Field(default_factory=dict)
    usage_by_model: dict[str, Usage] = Field(default_factory=dict)
    seconds: NonNegativeInt = 0
    """That the runs took, each rounded."""

    def __add__(self, other: Self) -> Self:
        """Return the figures of both sets of rows together; they must be disjoint."""
        rules = {**self.examples, **other.examples}
        examples = {rule: (self.examples.get(rule, ()) + other.examples.get(rule, ()))[:EXAMPLES] for rule in rules}
        both = super().__add__(other.model_copy(update={"examples": {}}))
        return both.model_copy(update={"examples": examples})

    @property
    def drops(self) -> Counts:
        """Dropped records by rule over all stages, most first."""
        counted: Counts = {}
        for stage in self.funnel.values():
            for rule, count in stage.drops.items():
                counted[rule] = counted.get(rule, 0) + count
        return dict(sorted(counted.items(), key=lambda one: (-one[1], one[0])))

    @property
    def acceptance(self) -> float | None:
        """Share of the settled rows that were kept; None before there are any."""
        settled = self.ledger.accepted + self.ledger.dropped + self.ledger.failed
        return self.ledger.accepted / settled if settled else None
