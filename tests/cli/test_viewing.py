"""`selfinstruct view` as a user starts it: a real process, its URL on stdout, Ctrl-C, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.published import make_catalogue
from tests.support.running import command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_catalogue(folder, versions=1, n=10)
    return folder


@contextmanager
def _viewing(*options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command under way, and the URL that it told."""
    line = [sys.executable, "-m", "selfinstruct", "view", *map(str, options)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_catalogue(made: Path) -> None:
    """The URL is the one line on stdout; it shows the catalogue; Ctrl-C ends it well."""
    with _viewing("--catalogue", made / "catalogue", "--no-open") as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        status, page = _get(url)
        assert (status, "tiny" in page) == (200, True)
        assert _get(url.replace("127.0.0.1", "localhost"))[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, "stopped" in err, "Traceback" in err) == (0, "", True, False)


@pytest.mark.parametrize("target", ["tiny", "tiny@1"])
def test_a_dataset(made: Path, target: str) -> None:
    """NAME and NAME@VERSION begin at that version; the environment may name the catalogue."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELFINSTRUCT_CATALOGUE", str(made / "catalogue"))
        with _viewing(target, "--no-open") as (_, url):
            assert url.endswith("/d/tiny/1")
            assert "chart-funnel" in _get(url)[1]


def test_a_run(made: Path) -> None:
    """A run folder is shown without a catalogue, and ends by SIGTERM, too."""
    with _viewing(made / "run-1", "--no-open") as (process, url):
        assert url.endswith("/run")
        assert _get(url)[0] == 200
        assert json.loads(_get(url.removesuffix("/run") + "/catalogue.json")[1])["datasets"] == {}
        process.terminate()
        process.communicate(timeout=30)


def test_served_for_download(made: Path, tmp_path: Path) -> None:
    """What `view --serve` serves `download --from URL` fetches: the bytes of the manifest."""
    with _viewing("--catalogue", made / "catalogue", "--serve") as (_, url):
        for form in ((), ("--format", "messages")):
            done = command("download", "tiny", "--from", url.rstrip("/"), "-o", tmp_path / f"out{len(form)}", *form)
            assert done.returncode == 0, done.stderr
    for path in (made / "catalogue" / "tiny" / "1").rglob("*.*"):
        assert (
            tmp_path / "out0" / path.relative_to(made / "catalogue" / "tiny" / "1")
        ).read_bytes() == path.read_bytes()
    assert len((tmp_path / "out2" / "train.jsonl").read_text(encoding="utf-8").splitlines()) == 10


def test_a_browser_is_opened(made: Path, tmp_path: Path) -> None:
    """Without --no-open the browser of the user gets the page."""
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n', encoding="utf-8")
    browser.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROWSER", str(browser))
        with _viewing("--catalogue", made / "catalogue") as (_, url):
            from tests.support.running import eventually

            assert eventually(lambda: told.read_text(encoding="utf-8").strip() if told.exists() else None) == url


def test_a_port_that_is_taken(made: Path) -> None:
    """It is refused, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("view", "--catalogue", made / "catalogue", "--no-open", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--catalogue", "{tmp}/none"), "no catalogue in"),
        (("nothing", "--catalogue", "{made}/catalogue"), "no nothing in"),
        (("tiny@7", "--catalogue", "{made}/catalogue"), "no tiny@7"),
        (("../x", "--catalogue", "{made}/catalogue"), "not the name of a dataset"),
        (("--catalogue", "nonsense://x"), "nonsense"),
    ],
)
def test_what_is_not_there(made: Path, tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    """One message, a remedy, exit 2, nothing on stdout."""
    done = command("view", *(one.format(made=made, tmp=tmp_path) for one in options), "--no-open")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert told in done.stderr
    assert "  try: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_tells_of_how_many_versions_it_is(made: Path, tmp_path: Path) -> None:
    """Versions that a later one replaced are written, too: the rows are not those of the latest alone."""
    catalogue = tmp_path / "catalogue"
    shutil.copytree(made / "catalogue", catalogue)
    for options in ((), ("--replace", "--min-score", "4.5")):
        done = command("publish", made / "run-1", "twice", "--trial", "--catalogue", catalogue, *options)
        assert done.returncode == 0, done.stderr
    done = command("view", "twice", "--catalogue", catalogue, "--export", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out' / 'index.html'}\n"), done.stderr
    assert "20 rows of 2 versions in" in done.stderr
    done = command("view", "twice", "--catalogue", catalogue, "--export", tmp_path / "other", "--serve")
    assert (done.returncode, "--export serves nothing" in done.stderr) == (2, True)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra(made: Path, tmp_path: Path, missing: str) -> None:
    """Where a package of the viewer is not installed, the message names what to install."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n", encoding="utf-8")
    line = [sys.executable, "-m", "selfinstruct", "view", "--catalogue", str(made / "catalogue"), "--no-open"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 2, done.stderr
    assert f"no {missing}" in done.stderr
    assert "pip install 'selfinstruct[view]'" in done.stderr
