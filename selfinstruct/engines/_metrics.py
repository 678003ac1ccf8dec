"""Reads what vLLM tells of itself at /metrics (Prometheus text; names of vLLM 0.32, unchanged in 0.33). Knows no HTTP."""

from __future__ import annotations

import math
from typing import Any

GAUGES = {
    b"vllm:num_requests_running": "running",
    b"vllm:num_requests_waiting": "waiting",
    b"vllm:kv_cache_usage_perc": "kv_cache",
}
COUNTERS = {
    b"vllm:prefix_cache_queries_total": "prefix_queries",
    b"vllm:prefix_cache_hits_total": "prefix_hits",
    b"vllm:num_preemptions_total": "preemptions",
}


class Meters:
    """The latest figures of one server. Counters count from the first look, through restarts of the server."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.offered = True
        """Whether it is worth asking again."""
        self._gauges: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._grown: dict[str, float] = {}

    def read(self, text: bytes) -> None:
        """Take in one answer; one without a figure that we know says that this is no vLLM."""
        gauges, counters = _sums(text, GAUGES), _sums(text, COUNTERS)
        self.offered = bool(gauges)
        self._gauges = gauges
        for name, value in counters.items():
            before = self._last.get(name, value)
            self._grown[name] = self._grown.get(name, 0) + (value - before if value >= before else value)
        self._last.update(counters)

    def figures(self) -> dict[str, Any]:
        """Return the fields of a ServerState that are known."""
        whole = {name: round(value) for name, value in (self._gauges | self._grown).items() if name != "kv_cache"}
        kv_cache = self._gauges.get("kv_cache")
        return whole | ({} if kv_cache is None else {"kv_cache": min(max(kv_cache, 0.0), 1.0)})


def _sums(text: bytes, names: dict[bytes, str]) -> dict[str, float]:
    """Return the figures by our names: summed over engines, the KV cache's the fullest."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(b"{") if b"{" in line else line.partition(b" ")
        ours = names.get(name)
        if ours is None:
            continue
        try:
            value = float(rest.rpartition(b"}")[2].split()[0])
        except (ValueError, IndexError):
            continue
        if not math.isfinite(value):
            continue
        found[ours] = max(found.get(ours, 0), value) if ours == "kv_cache" else found.get(ours, 0) + value
    return found
