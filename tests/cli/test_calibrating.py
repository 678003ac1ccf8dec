"""label, sweep and refilter as a person meets them: keys in a real terminal, data on stdout, a remedy for what is wrong."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import command

PROMPT = b"\r\n---\r\n"
"""What stands under a row that waits for its key."""
SILENT = {"\x1b[A", "9", "z"}
"""Keys that are not answered."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = command("demo", "-n", 40, "-o", folder, "-q")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(demo: Path, tmp_path: Path) -> Path:
    """A copy that a test may label."""
    return Path(shutil.copytree(demo, tmp_path / "run"))


def typing(keys: list[str], *arguments: object) -> tuple[str, str, int]:
    """Run a command in a terminal and press these keys, each when the one before has been answered.

    Returns what the terminal got, stdout, and the exit status.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True,
    )  # fmt: skip
    got = _until(master, b"", PROMPT)
    for key in keys[:-1]:
        os.write(master, key.encode())
        if key in SILENT:
            time.sleep(0.3)
        else:
            got = _until(master, got, b"\r\n", more=True)
    if keys[-1] == "\x03":  # the terminal is not the command's controlling one here
        process.send_signal(signal.SIGINT)
    else:
        os.write(master, keys[-1].encode())
    out = process.communicate(timeout=20)[0]
    while select.select([master], [], [], 0)[0]:
        got += os.read(master, 65536)
    assert termios.tcgetattr(slave) == before, "the terminal was not given back as it was"
    os.close(slave)
    os.close(master)
    return got.decode(), out, process.returncode


def _until(master: int, got: bytes, end: bytes, *, more: bool = False) -> bytes:
    """Read until something new came that ends so, and nothing follows for a moment."""
    deadline, start = time.monotonic() + 20, len(got)
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.15)[0]:
            got += os.read(master, 65536)
        elif got.endswith(end) and (len(got) > start or not more):
            return got
    msg = f"the terminal never said {end!r}: {got[-300:]!r}"
    raise AssertionError(msg)


def sheet(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "labels.jsonl").read_text().splitlines()]


def test_keys_undo_stop_and_go_on(run: Path) -> None:
    """A key a row; undo shows it again; after a stop the same command goes on with the next one; then the report."""
    shown, out, status = typing(["g", "b", "u", "g", "s", "q"], "label", run, "-n", 5)
    assert status == 0
    assert shown.count(" 2 of 5 ") == 2
    header, *lines = sheet(run)
    assert header["good"] == 4.5
    assert [(one.get("keep"), one.get("taken_back")) for one in lines] == [
        (True, None), (False, None), (None, True), (True, None), (None, None),
    ]  # fmt: skip
    assert lines[1]["row"] == lines[2]["row"] == lines[3]["row"]
    assert out.startswith("2 labels (1 skipped)")
    again, out, status = typing(["4", ".", "0", "g", "\n"], "label", run, "-n", 5)
    assert status == 0
    assert " 3 of 5 " in again
    later = sheet(run)[6:]
    assert [one.get("score") for one in later] == [4.0, 4.5, 0.0, None]
    assert [one["keep"] for one in later] == [False, True, False, True]
    assert len({one["row"] for one in sheet(run)[1:]}) == 6
    assert out.startswith("5 labels (1 skipped)")
    assert "by the figure alone" in out or "No threshold reaches" in out
    assert "selfinstruct refilter" not in out, "five labels make sure of nothing"


def test_no_score_of_the_judge_is_shown(run: Path) -> None:
    """The rows and nothing else: neither its score nor its reasons."""
    shown, _, _ = typing(["g", "g", "g", "q"], "label", run)
    drops = command("drops", run, "--by", "score", "--json").stdout.splitlines()
    reasons = [json.loads(line)["evidence"]["rationale"] for line in drops]
    assert reasons
    assert not any(reason in shown for reason in reasons)
    assert "4.5" not in shown
    assert "ANSWER" in shown


def test_a_last_word_after_the_last_row(run: Path) -> None:
    """When all labels are there, half a point can still be added, or the last one taken back."""
    shown, out, status = typing(["g", "4", ".", "u", "3", "x"], "label", run, "-n", 2)
    assert status == 0
    assert shown.count("2 labels: done") == 2
    assert sheet(run)[-1]["score"] == 3
    assert out.startswith("2 labels\n")


def test_undo_goes_back_over_a_stop(run: Path) -> None:
    """The label of the sitting before is taken back by u; on an empty sheet there is nothing to undo."""
    typing(["u", "g", "q"], "label", run)
    shown, _, _ = typing(["u", "b", "q"], "label", run)
    lines = sheet(run)[1:]
    assert [(one.get("keep"), one.get("taken_back")) for one in lines] == [(True, None), (None, True), (False, None)]
    assert len({one["row"] for one in lines}) == 1
    assert "taken back" in shown


def test_keys_that_mean_nothing_and_korean_ones(run: Path) -> None:
    """Arrows and stray letters do nothing; g and q are found on a Korean keyboard too; Ctrl-C keeps what was said."""
    _, out, status = typing(["\x1b[A", "9", "z", ".", "ㅎ", "ㅂ"], "label", run)
    assert (status, len(sheet(run))) == (0, 2)
    assert out.startswith("1 label\n")
    _, out, status = typing(["b", "\x03"], "label", run)
    assert (status, len(sheet(run)), out) == (130, 3, "")


def test_no_label_at_all_and_no_row_left(tmp_path: Path) -> None:
    """Programs get their JSON before there is a label; a person is told when the rows end before the labels wanted."""
    rows = [{"instruction": f"Do {number}.", "output": "Done.", "score": 5} for number in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown, out, status = typing(["s", "q"], "label", tmp_path / "in.jsonl", "--json")
    assert (json.loads(out), status) == ({"labels": 0}, 0)
    assert "has no label yet" in shown
    assert "no more" not in shown
    shown, out, _ = typing(["g", "g"], "label", tmp_path / "in.jsonl", "-n", 5, "--json")
    assert json.loads(out)["labels"] == 2
    assert "all 3 rows have been shown: 2 of 5 labels" in shown


def test_without_a_terminal(run: Path, tmp_path: Path) -> None:
    """A pipe gets the way through a file; the file written, filled in and read back gives the same report."""
    done = command("label", run)
    assert done.returncode == 2
    assert "--csv" in done.stderr
    out = tmp_path / "sheet.csv"
    assert command("label", run, "--csv", out, "-n", 12).stdout.strip() == str(out)
    with out.open(encoding="utf-8-sig", newline="") as file:
        head, *lines = csv.reader(file)
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *([*line[:5], "yes"] for line in lines)])
    taken = command("label", run, "--from", out, "--json")
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["labels"] == 12
    assert "12 of them new" in taken.stderr
    assert "0 of them new" in command("label", run, "--from", out).stderr
    report = command("label", run, "--report", "--precision", 0.5, "--json")
    assert json.loads(report.stdout) == json.loads(taken.stdout) | {
        name: json.loads(report.stdout)[name] for name in ("asked", "reaches", "sure", "more")
    }


def test_refilter_and_its_books(run: Path, tmp_path: Path) -> None:
    """Counts as JSON or a line, exports with the threshold in their manifests, several formats into one folder."""
    told = json.loads(command("refilter", run, "--min-score", 3.5, "--json").stdout)
    assert told["reached"] == told["kept"] + sum(told["dropped"].values()) + told["unscored"]
    assert told["kept"] > told["before"] == 40
    done = command("refilter", run, "--min-score", 3.5, "-o", tmp_path / "out", "--format", "alpaca", "--format", "dpo")
    assert done.stdout.splitlines()[:2] == [str(tmp_path / "out/alpaca"), str(tmp_path / "out/dpo")]
    assert f"{told['kept']:,} kept" in done.stdout
    assert "more than the 40 that were ordered" in done.stderr
    for form in ("alpaca", "dpo"):
        assert json.loads((tmp_path / f"out/{form}/manifest.json").read_text())["cut"] == {"min_score": 3.5}
        assert command("verify", tmp_path / f"out/{form}").returncode == 0
        lines = (tmp_path / f"out/{form}/train.jsonl").read_text().splitlines()
        assert f"out/{form}: {len(lines)} rows of {form}" in done.stderr
    assert command("verify", run).returncode == 0


def test_a_margin_is_recorded_where_it_applied(run: Path, tmp_path: Path) -> None:
    """Pairs have one, rows have none; the counts, which are of rows, do not claim it either."""
    options = ("--min-score", 4, "--min-margin", 1, "--max-length-ratio", 3, "--format", "alpaca", "--format", "dpo")
    done = command("refilter", run, *options, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cut"] == {"min_score": 4}
    cut = {form: json.loads((tmp_path / f"out/{form}/manifest.json").read_text())["cut"] for form in ("alpaca", "dpo")}
    assert cut == {"alpaca": {"min_score": 4}, "dpo": {"min_score": 4, "min_margin": 1, "max_length_ratio": 3}}
    pages = [(tmp_path / f"out/{form}/audit.md").read_text() for form in ("alpaca", "dpo")]
    assert "cut anew: min_score 4.**" in pages[0]
    assert "cut anew: min_score 4, min_margin 1, max_length_ratio 3.**" in pages[1]


@pytest.mark.parametrize("form", ["kto", "ranked", "dp"])
def test_nothing_is_written_when_one_format_cannot_be(demo: Path, tmp_path: Path, form: str) -> None:
    """All are looked at first."""
    forms = ("--format", "messages", "--format", "dpo", "--format", form)
    done = command("refilter", demo, "--min-score", 4, *forms, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_sweep_tells_every_threshold(run: Path) -> None:
    """Eleven lines under a head, the one in use marked; the same as JSON."""
    lines = command("sweep", run).stdout.splitlines()
    assert len(lines) == 12
    assert [line.split()[0] for line in lines if "in use" in line] == ["4.5"]
    told = json.loads(command("sweep", run, "--json").stdout)
    assert [step["kept"] for step in told["steps"] if step["in_use"]] == [40]
    assert told["reached"] == told["steps"][0]["kept"] + told["unscored"]


BAD = {
    "threshold outside": (["refilter", "RUN", "--min-score", "7"], "the judge's scale, 0 to 5"),
    "format without a place": (["refilter", "RUN", "--min-score", "4", "--format", "dpo"], "add -o OUT"),
    "into the run": (["refilter", "RUN", "--min-score", "4", "-o", "RUN/exports/messages"], "stays as it is"),
    "two formats, one file": (
        ["refilter", "RUN", "--min-score", "4", "-o", "x.jsonl", "--format", "dpo", "--format", "alpaca"],
        "do not go into one file",
    ),
    "margin of rows": (["refilter", "RUN", "--min-score", "4", "--min-margin", "1", "-o", "x.jsonl"], "asked of pairs"),
    "lengths of a count": (["refilter", "RUN", "--min-score", "4", "--max-length-ratio", "2"], "asked of pairs"),
    "unknown format": (["refilter", "RUN", "--min-score", "4", "-o", "x.jsonl", "--format", "dp"], "dpo"),
    "nothing so good": (["refilter", "RUN", "--min-score", "5", "-o", "x", "--format", "nothing"], "nothing"),
    "no run": (["sweep", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
    "no sheet": (["label", "RUN", "--report"], "label some rows first"),
    "two things at once": (["label", "RUN", "--report", "--csv", "x.csv"], "three different things"),
    "precision of nothing": (["label", "RUN", "--report", "--precision", "0"], "greater than or equal to 0.01"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(demo: Path, name: str) -> None:
    """Exit 2, what and where, the remedy; no traceback, nothing on stdout."""
    arguments, words = BAD[name]
    done = command(*(one.replace("RUN", str(demo)) for one in arguments))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_sheet_of_another_run(run: Path, tmp_path: Path) -> None:
    """Refused with a way on."""
    other = command("run", "demo", "-n", 5, "--seed", 7, "-o", tmp_path / "seven", "-q")
    assert other.returncode == 0
    typing(["g", "q"], "label", run)
    done = command("label", tmp_path / "seven", "--report", "--sheet", run / "labels.jsonl")
    assert done.returncode == 2
    assert "label sheet of another run" in done.stderr
    assert "--sheet PATH" in done.stderr
