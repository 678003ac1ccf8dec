"""Counts settled requests strictly in order, and says when that is enough. Arithmetic: no task, no store, no engine."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from selfinstruct.runner.plan import Ended
from selfinstruct.store import request_path

if TYPE_CHECKING:
    from selfinstruct.runner.plan import Plan

FIRST_GUESS = 4
"""Rows expected of a request before any has finished: keeps a small order from starting far too many requests."""


class Order:
    """How far an order of `target` rows is filled. A request is settled when all that came of it has its fate."""

    def __init__(self, plan: Plan, *, target: int, available: int | None) -> None:
        """`available` is how many requests there are in all; None: any number."""
        self.spoilt: set[int] = set()
        """Requests whose own call failed: they say nothing of the yield."""
        self._plan, self._target, self._available = plan, target, available
        self._near = {gate.kind for gate in plan.root.gates if gate.novelty}
        self._settled: dict[int, list[str]] = {}  # request -> paths of its rows, at or beyond the frontier
        self._news: dict[int, Counter[bool]] = {}  # request -> its candidates: novel or not
        self._frontier = 0  # every request before it is settled
        self._filled = 0  # rows before the frontier
        self._latest: deque[int] = deque(maxlen=plan.stop_requests)  # rows of the latest requests before the frontier
        self._latest_news: deque[Counter[bool]] = deque(maxlen=plan.stop_requests)

    @property
    def filled(self) -> int:
        """Rows before the first request that is not settled."""
        return self._filled

    def tell(self, number: int, rules: Iterable[str | None]) -> None:
        """Take in what became of a request's candidates: the rule that dropped each, None for an accepted one."""
        self._news[number] = Counter(rule is None for rule in rules if rule is None or rule in self._near)

    def settle(self, rows: Mapping[int, list[str]]) -> Ended | None:
        """Take in settled requests with the paths of their rows, and move the frontier: the only end by rows there is."""
        self._settled.update(rows)
        ended = None
        while self._frontier in self._settled and ended is None:
            ended = self._pass(sorted(self._settled.pop(self._frontier)))
        return ended

    def likely(self, under_way: int) -> float:
        """Return how many rows there will be when the requests that are under way are settled too."""
        rows = sum(map(len, self._settled.values())) + self._filled
        settled = len(self._settled) + self._frontier
        return rows + under_way * (rows + FIRST_GUESS) / (settled + 1)

    def _pass(self, paths: list[str]) -> Ended | None:
        number = self._frontier
        self._frontier += 1
        self._filled += len(paths)
        if number not in self.spoilt:
            self._latest.append(len(paths))
            self._latest_news.append(self._news.pop(number, Counter()))
        if self._filled >= self._target:
            return Ended("filled", closing=paths[len(paths) - 1 - (self._filled - self._target)])
        if len(self._latest) == self._plan.stop_requests and self._collapsed():
            return Ended("collapsed", closing=request_path(number))
        if self._frontier == self._available:
            return Ended("exhausted", closing=request_path(number))
        return None

    def _collapsed(self) -> bool:
        news: Counter[bool] = sum(self._latest_news, Counter())
        return sum(self._latest) < self._plan.stop_rows or news[True] < self._plan.stop_novel * news.total()
