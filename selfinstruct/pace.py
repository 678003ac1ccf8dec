"""How fast counts grow, and how long the rest takes with its spread: windows over samples. Knows no run and no clock."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

SAMPLE_SECONDS, LONGEST_SECONDS = 1.0, 600.0
"""Between two samples that are kept, and how far back they go."""
WARM_UP = 1 / 3
"""Of the time since something first grew is left out: the first things come late, then in crowds."""
PARTS = 8
"""Of the window, whose differences tell the spread."""
STUDENT = 1.415
"""Four times in five a figure lies within so many standard deviations, told from `PARTS` of them (Student's t, 7 degrees)."""
EARLY_SECONDS, EARLY_GROWTH = 5.0, 16
"""A window shorter than this, or with fewer things in it, says nothing of the time left ..."""
EARLY_DOUBT = 0.5
"""... nor does a speed that may as well be half as high again."""


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds until a target is reached; four times in five between `least` and `most`."""

    seconds: float
    least: float
    most: float


class Pace:
    """Takes samples of counts that only grow, by name, and answers for the latest moment."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._moments: deque[float] = deque()
        self._samples: deque[Mapping[Hashable, float]] = deque()
        self._first: Mapping[Hashable, float] = {}
        self._grew: dict[Hashable, float] = {}

    def add(self, seconds: float, counts: Mapping[Hashable, float]) -> None:
        """Take a sample; `seconds` never goes back. What a count was at first does not count for its speed."""
        if not self._moments:
            self._first = counts
        elif len(self._moments) > 1 and self._moments[-1] - self._moments[-2] < SAMPLE_SECONDS:
            self._moments.pop()
            self._samples.pop()
        self._moments.append(seconds)
        self._samples.append(counts)
        for name, count in counts.items():
            if count > self._first.get(name, 0):
                self._grew.setdefault(name, seconds)
        while len(self._moments) > 2 and self._moments[1] <= seconds - LONGEST_SECONDS:  # noqa: PLR2004 - one before, one after
            self._moments.popleft()
            self._samples.popleft()

    def rate(self, name: Hashable, *, over: float) -> float | None:
        """Return growth per second over the last `over` seconds, or as many as there are; None before one has passed."""
        if not self._moments:
            return None
        now = self._moments[-1]
        begin = max(now - over, self._moments[0])
        return (self._at(name, now) - self._at(name, begin)) / (now - begin) if now - begin >= 1 else None

    def speed(self, name: Hashable) -> float | None:
        """Return growth per second as `left` reckons it; None while nothing came, or only just now."""
        begin = self._begin(name)
        if begin is None or self._moments[-1] - begin < 1:
            return None
        now = self._moments[-1]
        return (self._at(name, now) - self._at(name, begin)) / (now - begin)

    def left(self, name: Hashable, target: float) -> Left | None:
        """Return the time until `name` reaches `target`; None when it has, or when it is too early to say.

        The rest, like the window, is a sum of parts that differ as much as those seen: its length is uncertain by the
        speed's own error and by what the rest will still bring.
        """
        begin = self._begin(name)
        if begin is None:
            return None
        now = self._moments[-1]
        part = (now - begin) / PARTS
        counts = [self._at(name, begin + number * part) for number in range(PARTS + 1)]
        rest, grown = target - counts[-1], counts[-1] - counts[0]
        if rest <= 0 or now - begin < EARLY_SECONDS or grown < EARLY_GROWTH:
            return None
        parts = [after - before for before, after in pairwise(counts)]
        vary = stdev(parts) / fmean(parts)
        if STUDENT * vary / math.sqrt(PARTS) > EARLY_DOUBT:
            return None
        seconds = rest / grown * (now - begin)
        spread = STUDENT * vary * math.sqrt(seconds**2 / PARTS + seconds * part)
        return Left(seconds, max(0.0, seconds - spread), seconds + spread)

    def _begin(self, name: Hashable) -> float | None:
        """Return where the window of `name` begins."""
        grew = self._grew.get(name)
        return None if grew is None else max(self._moments[0], grew + WARM_UP * (self._moments[-1] - grew))

    def _at(self, name: Hashable, seconds: float) -> float:
        """Return a count at a moment within the samples, on the straight line between two of them."""
        after = min(bisect_right(self._moments, seconds), len(self._moments) - 1)
        before = max(after - 1, 0)
        early, late = self._moments[before], self._moments[after]
        low, high = (self._samples[one].get(name, 0) for one in (before, after))
        return high if late <= early else low + (high - low) * min(1.0, (seconds - early) / (late - early))
