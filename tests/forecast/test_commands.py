"""`preview` and `run --dry-run` from outside: rows shown, an order reckoned, nothing spent that is not told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfinstruct.seeds import shipped
from tests.support.running import command

AUTO = (
    "--set",
    "stages.bootstrap.format=auto",
    "--set",
    "stages.instances.format=auto",
    "--set",
    "stages.judge.format=auto",
)


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preview of a run of the demo recipe in `made`, with the form of answers left open."""
    folder = tmp_path_factory.mktemp("preview")
    done = command("preview", "demo", "-n", 20, "--for", 500, "-o", folder / "made.preview", *AUTO)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("20 of 20 rows")
    (heading,) = [line for line in lines if line.startswith("for 500 rows, reckoned from")]
    table = lines[lines.index(heading) + 1 :]
    assert [one.strip() for one in table[0].split("  ") if one.strip()] == [
        "stage",
        "kept",
        "calls",
        "tokens in",
        "tokens out",
    ]
    assert [line.split()[0] for line in table[1:8]] == [
        "bootstrap",
        "classify",
        "instances",
        "respond",
        "judge",
        "select",
        "pair",
    ]
    assert [line.split()[0] for line in table[8:10]] == ["surplus", "total"]
    assert all(len(line) <= 80 for line in table[:10]), max(table[:10], key=len)
    assert "a script answered, not a model" in done.stdout
    assert f"selfinstruct resume {folder / 'made.preview'} -n 500" in done.stderr
    return folder


def test_json_is_one_object_with_rows_drops_and_forecast(preview: Path) -> None:
    """The same preview again asks nothing, and tells programs everything."""
    done = command("preview", "demo", "-n", 20, "--for", 500, "-o", preview / "made.preview", "--json", "-q", *AUTO)
    assert done.returncode == 0
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert len(told["rows"]) == 20
    assert told["drops"]
    assert told["forecast"]["rows"] == 500
    assert told["forecast"]["basis"]["rows"] >= 20


def test_a_dry_run_reckons_from_the_preview_beside_it(preview: Path) -> None:
    """And a price turns it into cost, a cap into the rows at which it ends."""
    made = preview / "made"
    done = command("run", "demo", "-n", 500, "-o", made, "--dry-run", "--price-out", 4, "--max-cost", "0.01", *AUTO)
    assert done.returncode == 0, done.stderr
    assert "for 500 rows, reckoned from" in done.stdout
    assert "cost" in done.stdout.splitlines()[1]
    assert "the cap on cost is likely to end it at about" in done.stderr
    assert not made.exists()


def test_a_dry_run_in_a_started_folder_reckons_from_it(tmp_path: Path) -> None:
    """The folder's own run tells most, and what it took already is said to be kept."""
    assert command("run", "demo", "-n", 30, "-o", tmp_path / "run", "-q", *AUTO).returncode == 0
    done = command("run", "demo", "-n", 300, "-o", tmp_path / "run", "--dry-run", *AUTO)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.partition("for 300 rows, reckoned from ")[2].partition(" rows of")[0]
    assert int(rows) >= 30  # whole requests: the last one's surplus is among them
    assert "are made and kept" in done.stderr


def test_without_a_past_run_it_says_how_to_get_one(tmp_path: Path) -> None:
    """Nothing is made up."""
    done = command("run", "demo", "-n", 300, "-o", tmp_path / "run", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "")
    assert "selfinstruct preview" in done.stderr


def test_a_preview_of_another_configuration_is_not_used(preview: Path) -> None:
    """It is named, with what differs; `--from` takes it all the same."""
    other = ("run", "demo", "-n", 500, "-o", preview / "made", "--dry-run", "--seed", 9, *AUTO)
    done = command(*other)
    assert (done.returncode, done.stdout) == (0, "")
    assert "is not used" in done.stderr
    assert "seed: 42 -> 9" in done.stderr
    assert "for 500 rows" in command(*other, "--from", preview / "made.preview").stdout


def test_a_source_that_is_none_is_refused(tmp_path: Path) -> None:
    """With the place."""
    done = command("run", "demo", "--dry-run", "--from", tmp_path / "nothing", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert str(tmp_path / "nothing") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_finds_what_a_run_would_refuse(tmp_path: Path) -> None:
    """Seeds that were edited since make another run: told before anything is spent."""
    seeds = tmp_path / "seeds.jsonl"
    lines = shipped().read_text(encoding="utf-8").splitlines()
    seeds.write_text("\n".join(lines), encoding="utf-8")
    same = ("run", "demo", "-n", 10, "-o", tmp_path / "run", "--set", f"seeds={seeds}")
    assert command(*same, "-q").returncode == 0
    assert command(*same, "--dry-run").returncode == 0
    seeds.write_text("\n".join(lines[:-1]), encoding="utf-8")
    done = command(*same, "--dry-run")
    assert (done.returncode, "seeds was edited" in done.stderr) == (2, True), done.stderr


def test_what_is_not_known_of_time_stops_no_order(tmp_path: Path) -> None:
    """Ten rows do not fill a server: nothing is said of a cap on hours, and of one on cost only what tokens cost."""
    assert command("run", "demo", "-n", 10, "-o", tmp_path / "run", "-q").returncode == 0
    asked = ("run", "demo", "-n", 1000, "-o", tmp_path / "run", "--dry-run", "--max-time", "1s")
    done = command(*asked, "--gpu-hour", 1000, "--max-cost", 0.001)
    assert done.returncode == 0
    assert "the cap on" not in done.stderr
    assert "the cap on cost" in command(*asked, "--price-out", 1000, "--max-cost", 0.001).stderr
