"""`kill -9` while a version is written, in a folder and at a URL: it is whole or it is not there, and the next one works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.verify import verify
from selfinstruct.catalogue.version import Ref
from tests.support import remote
from tests.support.published import make_run
from tests.support.running import command, eventually


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", n=150)


@pytest.mark.parametrize("delay", [0, 0.1, 0.3])
def test_a_killed_publisher_leaves_a_whole_version_or_none(delay: float, run: Path, tmp_path: Path) -> None:
    """Nothing half is visible, the lock is free, and what it left is gone after the next one."""
    line = ["publish", str(run), "tiny", "--catalogue", str(tmp_path), "--trial", "-q"]
    process = subprocess.Popen([sys.executable, "-m", "selfinstruct", *line], stdout=subprocess.DEVNULL)
    eventually(lambda: list((tmp_path / "tiny").glob("*")) or process.poll() is not None or None)
    time.sleep(delay)
    process.kill()
    process.wait()
    before = Catalogue(str(tmp_path)).versions("tiny")
    assert before in ([], [1])
    again = command(*line)
    assert again.returncode == (2 if before else 0), again.stderr
    catalogue = Catalogue(str(tmp_path))
    assert catalogue.versions("tiny") == [1]
    assert list(verify(catalogue, Ref("tiny", 1))) == []
    assert [one.name for one in (tmp_path / "tiny").iterdir() if before or one.name != "1"] == ["1"] * bool(before)


@pytest.mark.parametrize("file", [1, 7])
def test_a_killed_upload_is_never_a_version(file: int, run: Path, tmp_path: Path) -> None:
    """The manifest comes last: before it nothing is there. What was left is written over, strays are removed."""
    url = f"faraway://{tmp_path}"
    line = [sys.executable, "-m", "tests.support.remote", "publish", str(run), "tiny", "--catalogue", url, "--trial"]
    environment = {**os.environ, remote.DIES_AT: str(file)}
    killed = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert Catalogue(url).names() == []
    stray = tmp_path / "tiny" / "1" / "data" / "sft" / "train-00007.parquet"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_text("of an earlier upload")
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert Catalogue(url).versions("tiny") == [1]
    assert list(verify(Catalogue(url), Ref("tiny", 1))) == []
    assert not stray.exists()
