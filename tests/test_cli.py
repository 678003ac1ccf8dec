"""The command line as a user meets it: data on stdout, talk on stderr, one message and a remedy for bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet


def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = command("demo", "-n", 40, "-o", folder)
    assert done.returncode == 0, done.stderr
    assert [Path(line).parent for line in done.stdout.splitlines()] == [folder / "exports"] * 3
    assert "never to be published" in done.stderr
    assert "selfinstruct run" in done.stderr
    return folder


def test_stats_ends_with_one_json_object(demo: Path) -> None:
    """What other programs read: ledger, stages, drops, calls."""
    told = json.loads(command("stats", demo, "--json").stdout.splitlines()[-1])
    assert told["ledger"]["accepted"] == 40
    assert set(told["ledger"]) == {"generated", "accepted", "dropped", "failed", "open"}
    assert set(told["calls"]) == {"total", "prompt_tokens", "completion_tokens"}
    assert sum(told["drops"].values()) == sum(stage["dropped"] for stage in told["stages"].values())


def test_verify_drops_why_and_export(demo: Path, tmp_path: Path) -> None:
    """The way from a run to a reason and to a file."""
    assert command("verify", demo).returncode == 0
    listed = command("drops", demo, "--by", "rouge", "--json", "-n", 1)
    drop = json.loads(listed.stdout)
    assert drop["rule"] == "rouge"
    assert drop["figure"] > drop["threshold"]
    lines = [json.loads(line) for line in command("why", drop["id"], demo).stdout.splitlines()]
    assert lines[-1]["drop"]["evidence"]["nearest"]
    out = tmp_path / "sft.jsonl"
    assert command("export", demo, "--format", "messages", "-o", out).stdout.strip() == str(out)
    assert len(out.read_text(encoding="utf-8").splitlines()) == 40
    assert command("verify", out).returncode == 0


def test_a_cap_on_cost_is_counted_over_the_whole_run(tmp_path: Path) -> None:
    """Exit 4, all kept; the same cap again stops at once, a higher one goes on to the end."""
    capped = ["run", "demo", "-n", "40", "-o", tmp_path / "run", "--price-out", "1000", "--max-cost"]
    first = command(*capped, 5)
    assert (first.returncode, "the cap on cost" in first.stderr) == (4, True), first.stderr
    calls = json.loads(command("stats", tmp_path / "run", "--json").stdout.splitlines()[-1])["calls"]
    assert 5000 <= calls["completion_tokens"] < 12000
    again = command(*capped, 5)
    assert again.returncode == 4
    assert json.loads(command("stats", tmp_path / "run", "--json").stdout.splitlines()[-1])["calls"] == calls
    assert command(*capped, 500).returncode == 0


def test_novelty_tells_how_new_a_run_was(demo: Path) -> None:
    """Every candidate stands in it once, and what was dropped lies above the threshold."""
    told = json.loads(command("novelty", demo, "--json").stdout)
    stats = json.loads(command("stats", demo, "--json").stdout.splitlines()[-1])
    assert told["dropped"] == stats["drops"]["rouge"]
    assert sum(one["dropped"] for one in told["bins"]) == told["dropped"] > 0
    assert sum(one["kept"] for one in told["bins"]) == told["measured"] == told["candidates"] - told["dropped"]
    assert not any(one["dropped"] for one in told["bins"] if one["low"] + 0.05 <= told["threshold"])
    assert not any(one["kept"] for one in told["bins"] if one["low"] > told["threshold"])
    assert len(told["share"]) == 10
    shown = command("novelty", demo).stdout
    assert f"{told['candidates']} candidates, {told['dropped']} dropped" in shown
    assert command("novelty", demo, "--sample", 3, "--json").returncode == 0


def test_why_tells_the_nearest_of_a_kept_row(demo: Path, tmp_path: Path) -> None:
    """What a drop carries as evidence, a kept row tells when asked: nearest first, none above the threshold."""
    rows = tmp_path / "rows.parquet"
    command("export", demo, "--format", "parquet", "-o", rows)
    row = parquet.read_table(rows).to_pylist()[0]
    lines = [json.loads(line) for line in command("why", row["id"], demo, "--near", 3).stdout.splitlines()]
    scores = [one["score"] for one in lines[-1]["nearest"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert scores[0] <= 0.7
    assert 0 < lines[-1]["mean"] < scores[0]


BAD = {
    "unknown key": (["run", "--set", "concurency=3", "--dry-run"], 2, "did you mean 'concurrency'"),
    "unknown stage": (["run", "--set", "stages.respnd.n=3", "--dry-run"], 2, "did you mean 'respond'"),
    "unknown recipe": (["run", "chatt", "--dry-run"], 2, "did you mean 'chat'"),
    "number out of range": (
        ["run", "--set", "stages.bootstrap.sampling.temperature=3", "--dry-run"],
        2,
        "less than or equal to 2",
    ),
    "n of zero": (["run", "-n", "0"], 2, "than or equal to 1"),
    "time that is none": (
        ["run", "--max-time", "soon", "--set", "engines.writer={kind: scripted}"],
        2,
        "90s, 30m or 8h",
    ),
    "cost without a price": (["run", "--max-cost", "3"], 2, "--gpu-hour"),
    "price that is none": (["run", "--gpu-hour", "-1"], 2, "greater than or equal to 0"),
    "one URL of two": (
        ["run", "--base-url", "http://127.0.0.1:9", "--base-url", "ftp://h"],
        2,
        "must be an http or https URL",
    ),
    "past run without a dry run": (["run", "--from", "x"], 2, "--from says nothing without --dry-run"),
    "replicas of nothing": (["run", "--replicas", "2"], 2, "--replicas says nothing without --serve"),
    "a port behind our back": (["serve", "m", "--", "--port", "9"], 2, "--port N before the --"),
    "missing seeds": (["run", "--set", "seeds=nothing.jsonl", "--dry-run"], 2, "nothing.jsonl"),
    "nobody listens": (["run", "--base-url", "http://127.0.0.1:9", "-o", "none"], 3, "no model server"),
    "key in the URL": (["run", "--base-url", "http://u:sk-TESTSECRET@127.0.0.1:9"], 2, "SELFINSTRUCT_API_KEY"),
    "no run": (["stats", "nowhere"], 2, "no run in nowhere"),
    "no record": (["why", "'; drop table"], 2, "no record"),
    "seeds that are none": (["seeds", "check", "nowhere.jsonl"], 2, "cannot read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(tmp_path: Path, name: str) -> None:
    """The status, the place and the remedy; no traceback, and no secret."""
    arguments, status, words = BAD[name]
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "TESTSECRET" not in done.stderr + done.stdout
    assert done.stdout == ""


@pytest.mark.parametrize("module", ["typer", "fsspec"])
def test_ctrl_c_is_told(tmp_path: Path, module: str) -> None:
    """While the program is still being imported (typer), and inside of a command: one line, exit 130, no traceback."""
    slow = tmp_path / f"{module}.py"
    slow.write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n", encoding="utf-8")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "datasets", "list"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr.startswith("stopped; ")
    assert "the same command goes on" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_recipe_errors_name_file_and_line(tmp_path: Path) -> None:
    """A recipe of one's own: the line of the bad key."""
    text = command("recipe", "show", "chat").stdout.replace("    human: 6", "    humans: 6")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    line = text.splitlines().index("    humans: 6") + 1
    told = command("recipe", "validate", tmp_path / "mine.yaml").stderr
    assert f"mine.yaml line {line}, stages.0.humans: unknown key" in told
    assert "did you mean 'human'" in told


def test_recipes_are_listed_shown_and_described() -> None:
    """list, show, validate and schema print data."""
    assert [line.split()[0] for line in command("recipe", "list").stdout.splitlines()] == [
        "alpaca", "alpagasus", "chat", "demo", "self-instruct", "ultrafeedback",
    ]  # fmt: skip
    assert json.loads(command("recipe", "validate", "chat").stdout)["stages"][0]["human"] == 6
    schema = json.loads(command("recipe", "schema").stdout)
    assert "human" in schema["stage bootstrap"]["properties"]
    assert schema["gate rouge"]["properties"]["threshold"]["exclusiveMaximum"] == 1


def test_environment_stands_between_recipe_and_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults < recipe < environment < --set."""
    monkeypatch.setenv("SELFINSTRUCT_STAGES__RESPOND__N", "2")
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-TESTSECRET")
    monkeypatch.setenv("SELFINSTRUCT_STORE", "postgresql://u:TESTSECRET@h/d")  # this and the next are no recipe's
    monkeypatch.setenv("SELFINSTRUCT_VLLM", "/opt/vllm")

    def respond(*sets: str) -> int:
        told = command("recipe", "validate", "chat", *sets, cwd=tmp_path).stdout
        assert "TESTSECRET" not in told
        return int(next(stage["n"] for stage in json.loads(told)["stages"] if stage["kind"] == "respond"))

    assert respond() == 2
    assert respond("--set", "stages.respond.n=3") == 3


def test_doctor_without_a_server() -> None:
    """It looks at this machine, and all is well."""
    done = command("doctor")
    assert done.returncode == 0, done.stdout
    assert "175 seed tasks" in done.stdout


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_judge_any_dataset(tmp_path: Path, suffix: str) -> None:
    """Rows of any kind of file, judged, kept with their scores and their own columns; a bad row is a drop, not an end."""
    rows = [
        {"instruction": f"Do thing {n}.", "input": "", "output": "A careful answer. " * 3, "mine": str(n)}
        for n in range(12)
    ]
    rows[3]["output"] = "It depends."
    rows[4]["output"] = " "
    from selfinstruct.tables import read_table, write_table

    write_table(tmp_path / f"in{suffix}", rows)
    scripted = ["--set", "engines.writer={kind: scripted, cut: 0, empty: 0, broken_json: 0, unreadable_verdicts: 0}"]
    done = command(
        "judge",
        tmp_path / f"in{suffix}",
        "-o",
        tmp_path / f"out{suffix}",
        "--min-score",
        "4",
        "-q",
        "--json",
        *scripted,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    kept = [row for _, row in read_table(tmp_path / f"out{suffix}")]
    assert told["kept"] == len(kept) == 10
    assert {row["mine"] for row in kept} == {row["mine"] for row in rows} - {"3", "4"}
    assert told["ledger"]["generated"] == 12
    assert all(float(row["score"]) >= 4 for row in kept)
