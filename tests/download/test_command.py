"""The command as it is given: killed and given again, stopped by Ctrl-C, only asked what it would do; what it says and where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfinstruct.catalogue.place import Catalogue
from tests.download.test_download import snapshot
from tests.download.test_http import asked
from tests.support.file_server import FileServer, Manners, serving
from tests.support.hand_made import publish_files, sft_shard
from tests.support.running import command, eventually

SHARD = "data/sft/train-00000.parquet"
BODY = Random(1).randbytes(3_000_000)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[FileServer]:
    """Serves one shard of 3 MB in several seconds."""
    catalogue = publish_files(tmp_path / "catalogue", {SHARD: BODY, "recipe.yaml": b"a: 1\n"})
    with serving(catalogue, Manners(pause=0.03)) as server:
        yield server


def start(server: FileServer, out: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "selfinstruct", "download", "tiny", "--from", server.url, "-o", str(out)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def waiting(out: Path) -> int | None:
    """Bytes of the shard that have come, once there are some."""
    sizes = [one.stat().st_size for one in out.with_name(f".{out.name}.download").glob("[0-9a-f]*")]
    return max(sizes, default=0) if max(sizes, default=0) > 300_000 else None


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle(slow: FileServer, tmp_path: Path, sign: signal.Signals) -> None:
    """Killed or interrupted: nothing half is seen; the same command asks for the rest alone and makes it whole."""
    process = start(slow, tmp_path / "got")
    came = eventually(lambda: waiting(tmp_path / "got"))
    slow.manners.pause = 1.0
    process.send_signal(sign)
    _, told = process.communicate()
    assert process.returncode == (130 if sign is signal.SIGINT else -signal.SIGKILL)
    assert ("goes on from here" in told) == (sign is signal.SIGINT)
    assert not (tmp_path / "got").exists()
    slow.manners.pause = 0
    slow.log.clear()
    done = command("download", "tiny", "--from", slow.url, "-o", tmp_path / "got")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'got'}\n")
    assert len(asked(slow)) == 1
    assert came <= asked(slow)[0] < len(BODY)
    assert snapshot(tmp_path / "got") == snapshot(tmp_path / "catalogue/tiny/1")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalogue", "got"]


def test_two_at_once(slow: FileServer, tmp_path: Path) -> None:
    """A second one to the same place is refused while the first goes on, and spoils nothing of it."""
    process = start(slow, tmp_path / "got")
    eventually(lambda: waiting(tmp_path / "got"))
    slow.manners.pause = 1.0
    second = command("download", "tiny", "--from", slow.url, "-o", tmp_path / "got")
    slow.manners.pause = 0
    _, told = process.communicate()
    assert (second.returncode, "is under way" in second.stderr) == (2, True)
    assert process.returncode == 0, told
    assert snapshot(tmp_path / "got") == snapshot(tmp_path / "catalogue/tiny/1")


def test_a_server_that_drops(tmp_path: Path) -> None:
    """Exit 3 after some tries, the same command as remedy; what came is kept."""
    catalogue = publish_files(tmp_path / "catalogue", {SHARD: BODY})
    with serving(catalogue, Manners(drop_at=0.6)) as server:
        line = ["download", "tiny", "--from", server.url, "-o", str(tmp_path / "got")]
        done = command(*line)
    assert done.returncode == 3
    assert f"try: selfinstruct {' '.join(line)}" in done.stderr
    assert asked(server) == [0, 1_800_000, 1_800_000, 1_800_000]
    assert waiting(tmp_path / "got") == 1_800_000


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    """Files and bytes, what would be written; only the manifest is asked for."""
    catalogue = publish_files(tmp_path / "catalogue", {SHARD: sft_shard(tmp_path / "s", ["a"]), "recipe.yaml": b"a: 1\n"}, rows={"sft": 1})  # fmt: skip
    before = snapshot(tmp_path)
    with serving(catalogue) as server:
        done = command(
            "download", "tiny", "--from", server.url, "-o", tmp_path / "got", "--format", "messages", "--dry-run"
        )
    size = (tmp_path / "catalogue/tiny/1" / SHARD).stat().st_size
    assert (done.returncode, done.stdout) == (0, f"5\trecipe.yaml\n{size}\t{SHARD}\n")
    assert done.stderr == f"tiny@1: 1 rows of sft as messages, {size + 5:,} bytes; would become {tmp_path / 'got'}\n"
    assert [path for path, _ in server.log] == ["/catalogue.json", "/files/tiny/1/manifest.json"]
    assert snapshot(tmp_path) == before


def test_from_the_catalogue_of_the_environment(tmp_path: Path) -> None:
    """SELFINSTRUCT_CATALOGUE, else ./catalogue; -q says nothing but errors; trying out is said."""
    publish_files(tmp_path / "catalogue", {SHARD: sft_shard(tmp_path / "s", ["a"])}, rows={"sft": 1})
    settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "cwd": tmp_path}
    python = [sys.executable, "-m", "selfinstruct", "download", "tiny", "--format", "alpaca"]
    clean = {name: value for name, value in os.environ.items() if name != "SELFINSTRUCT_CATALOGUE"}
    clean.setdefault("PYTHONPATH", str(Path(__file__).parent.parent.parent))
    quiet = subprocess.run([*python, "-o", "a", "-q"], check=False, env=clean, **settings)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "a\n", "")
    named = {**clean, "SELFINSTRUCT_CATALOGUE": str(tmp_path / "catalogue")}
    loud = subprocess.run([*python, "-o", "b"], check=False, env=named, **settings)
    assert (loud.returncode, loud.stdout) == (0, "b\n")
    assert "for trying out" in loud.stderr
    assert Catalogue(str(tmp_path / "catalogue")).trial
