"""Several servers of one model: shared by load, one that is gone or wrong left alone, and used again when it is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from selfinstruct.engines import _fleet, http
from selfinstruct.engines.base import CompletionRequest, Sampling, user
from selfinstruct.engines.http import HttpEngine
from selfinstruct.errors import BadInputError, CallError, UnreachableError
from tests.support.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_REST", 0.05), ("LONGEST_REST", 0.1), ("WATCH_SECONDS", 0.02)):
        monkeypatch.setattr(_fleet, name, seconds)
    monkeypatch.setattr(http, "FIRST_WAIT", 0.01)


def ask(number: int = 0, *, n: int = 1) -> CompletionRequest:
    sampling = Sampling(max_tokens=40)
    return CompletionRequest(
        id=f"call-{number}", prompt=user(f"Say hello {number}."), sampling=sampling, n=n, seed=number
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the engine's own state, which tells nobody
            await asyncio.sleep(0.01)


async def test_calls_go_where_the_load_is_least() -> None:
    """Two servers share a hundred calls evenly; what is answered is the same."""
    async with FakeServer() as one, FakeServer() as two:
        async with HttpEngine(base_url=(one.base_url, two.base_url)) as engine:
            both = await asyncio.gather(*(engine.complete(ask(number)) for number in range(100)))
        assert 40 <= len(one.bodies) <= 60
        assert len(one.bodies) + len(two.bodies) == 100
        async with HttpEngine(base_url=one.base_url) as engine:
            alone = await asyncio.gather(*(engine.complete(ask(number)) for number in range(100)))
        assert alone == both


async def test_a_dead_one_is_left_alone_and_used_again(caplog: pytest.LogCaptureFixture) -> None:
    """Gone in mid-run: its calls go elsewhere and no call fails; back on the same port: it is used. Both are told, once."""
    two = FakeServer()
    async with FakeServer() as one:
        await two.__aenter__()
        port = int(two.base_url.rpartition(":")[2].partition("/")[0])
        async with HttpEngine(base_url=(one.base_url, two.base_url), patience=20) as engine:
            await asyncio.gather(*(engine.complete(ask(number)) for number in range(20)))
            await two.__aexit__(None, None, None)
            await asyncio.gather(*(engine.complete(ask(number)) for number in range(20, 60)))
            assert [state.healthy for state in engine.servers()] == [True, False]
            async with FakeServer().on_port(port) as again:
                await until(lambda: all(state.healthy for state in engine.servers()))
                while not again.bodies:  # on trial: one call at a time, when the other has more
                    await asyncio.gather(*(engine.complete(ask(number)) for number in range(60, 62)))
                await asyncio.gather(*(engine.complete(ask(number)) for number in range(62, 100)))
                assert len(again.bodies) > 10
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("is left alone" in line for line in told) == 1
    assert sum("is back" in line for line in told) == 1


async def test_one_that_is_away_at_the_start_is_used_when_it_comes() -> None:
    """A run begins with the servers that are there; with none of them it does not."""
    async with FakeServer() as spare:
        port = int(spare.base_url.rpartition(":")[2].partition("/")[0])
        late = spare.base_url
    async with FakeServer() as one, HttpEngine(base_url=(late, one.base_url)) as engine:
        assert [state.healthy for state in engine.servers()] == [False, True]
        await engine.complete(ask())
        async with FakeServer().on_port(port):
            await until(lambda: all(state.healthy for state in engine.servers()))
    with pytest.raises(UnreachableError):
        async with HttpEngine(base_url=(late, "http://127.0.0.1:9")):
            pass


def rubbish(_body: dict[str, Any]) -> web.Response:
    return web.Response(text="<html>hello</html>", content_type="text/html")


async def test_one_that_answers_wrongly_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """HTML with status 200 from one while the other is right: every call is answered, the wrong one is left alone."""
    async with FakeServer(answer=rubbish) as wrong, FakeServer() as right:
        async with HttpEngine(base_url=(wrong.base_url, right.base_url)) as engine:
            replies = await asyncio.gather(*(engine.complete(ask(number)) for number in range(50)))
        assert all(reply.completions for reply in replies)
        assert len(wrong.bodies) < 40
    assert any("of no use" in record.message for record in caplog.records)


async def test_a_model_or_key_that_one_of_them_lacks() -> None:
    """At the start that is bad input, named with its URL: nobody wants half of the answers from another model."""
    async with FakeServer(models=("a",)) as one, FakeServer(models=("b",)) as two:
        with pytest.raises(BadInputError, match=two.base_url):
            async with HttpEngine(base_url=(one.base_url, two.base_url)):
                pass


async def test_a_call_refused_by_all_is_the_calls_own_fault() -> None:
    """400 is no server's fault: told at once, and nobody is left alone."""
    async with (
        FakeServer(fault=lambda _digest, _try: "400") as one,
        FakeServer(fault=lambda _digest, _try: "400") as two,
    ):
        async with HttpEngine(base_url=(one.base_url, two.base_url)) as engine:
            with pytest.raises(CallError, match="400"):
                await engine.complete(ask())
            assert all(state.healthy for state in engine.servers())
        assert len(one.bodies) + len(two.bodies) == 1


async def test_an_overloaded_one_is_spared() -> None:
    """429 from one: its calls go to the other at once, without the pause that a single server would be given."""
    async with FakeServer(fault=lambda _digest, _try: "429") as busy, FakeServer() as free:
        async with HttpEngine(base_url=(busy.base_url, free.base_url)) as engine:
            await asyncio.gather(*(engine.complete(ask(number)) for number in range(30)))
            assert sum(state.refused for state in engine.servers()) == len(busy.bodies)
        assert len(free.bodies) == 30


async def test_nobody_sleeps_on_when_the_server_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One server, gone and back: calls that wait out long pauses are sent at once."""
    monkeypatch.setattr(http, "FIRST_WAIT", 3600.0)
    monkeypatch.setattr(http, "LONGEST_WAIT", 3600.0)
    async with FakeServer() as first:
        port = int(first.base_url.rpartition(":")[2].partition("/")[0])
        engine = await HttpEngine(base_url=first.base_url).__aenter__()
    calls = [asyncio.create_task(engine.complete(ask(number))) for number in range(8)]
    await until(lambda: not engine.servers()[0].healthy)
    async with FakeServer().on_port(port), asyncio.timeout(20):
        assert all(reply.completions for reply in await asyncio.gather(*calls))
    await engine.__aexit__(None, None, None)
