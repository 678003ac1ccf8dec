"""What vLLM tells of itself is read right: sums over engines, counters through restarts, and nothing from strangers."""

from __future__ import annotations

from selfinstruct.engines._metrics import Meters

PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny, \\"x\\"}"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 4.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="tiny"} %d
vllm:prefix_cache_hits_total{engine="0",model_name="tiny"} %d
vllm:prefix_cache_hits_created{engine="0",model_name="tiny"} 1.7e9
vllm:num_preemptions_total{engine="0",model_name="tiny"} 0.0
"""


def test_figures_are_sums_and_the_fullest_cache() -> None:
    """Of all engines of a server; names that only begin alike do not count."""
    meters = Meters()
    meters.read(PAGE % (100, 40))
    assert meters.figures() == {
        "running": 7, "waiting": 2, "kv_cache": 0.75, "prefix_queries": 0, "prefix_hits": 0, "preemptions": 0,
    }  # fmt: skip


def test_counters_count_from_the_first_look_and_through_a_restart() -> None:
    """What was there before does not count; a server that begins again at 0 goes on here."""
    meters = Meters()
    for queries, hits in ((1000, 400), (1500, 800), (100, 90), (150, 95)):
        meters.read(PAGE % (queries, hits))
    assert (meters.figures()["prefix_queries"], meters.figures()["prefix_hits"]) == (650, 495)


def test_other_pages_say_nothing() -> None:
    """Another server's metrics, HTML, rubbish and nothing: no figure, and it is not asked again."""
    for page in (b"", b"<html></html>", b"process_cpu_seconds_total 3", b"\xff\x00", b"vllm:num_requests_running NaN",
                 b'vllm:num_requests_running{a="b"} soon', b"vllm:num_requests_running{"):  # fmt: skip
        meters = Meters()
        meters.read(page)
        assert (meters.figures(), meters.offered) == ({}, False)
