"""What a published version of 100,000 rows costs to look at, to take away and to go on from.

    python benchmarks/catalogue.py [ROWS] [EARLIER]

Pages and searches are timed over HTTP from outside of the server, the median and the slowest of nine after one warm-up;
first paint is Chromium's own figure, where Chromium is. `extend` is measured as what EARLIER published rows (1,000,000) add to
the start of a run, against none. Rows are a scripted run's over and over (`_large_version.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from _large_version import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.catalogue.place import Published

SEARCHES = ("metaphor", "heavy rain", "서울", "산", "zz-not-there", "e", "juniper 95")


def main(rows: int, earlier: int) -> None:
    """Print a line for each figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        began = time.monotonic()
        version = make(folder, rows)
        print(f"{rows:,} rows published in {time.monotonic() - began:.0f} s (made up; {_size(folder / 'catalogue')})")
        viewer(version)
        taken(version, folder)
        shutil.rmtree(folder / "catalogue" / "large")
        went_on(folder, earlier)


def viewer(version: Published) -> None:
    """Time pages and searches."""
    rows = list(_first(version, 3))
    with served(version) as (url, pid):
        began = time.monotonic()
        while b"data-item" not in _get(f"{url}/d/large/1/rows"):  # until then a page that says how far it is
            time.sleep(0.1)
        print(f"first rows, their index made for them: {time.monotonic() - began:.1f} s")
        pages = {
            "catalogue": "/",
            "dataset": "/d/large/1",
            "rows": "/d/large/1/rows",
            "rows, page 900": "/d/large/1/rows?page=900",
            "drops": "/d/large/1/drops",
            "one row": f"/d/large/1/row/{rows[1]}",
        }
        for name, path in pages.items():
            print(f"  {name}: {_timed(url + path)}")
        for text in SEARCHES:
            found = f"{url}/d/large/1/rows?q={urllib.parse.quote(text)}"
            print(
                f"  search {text!r}: {_timed(*(f'{found}&min=-{number}' for number in range(1, 11)))}"
            )  # none is remembered
        print(f"  first paint: {_painted(f'{url}/d/large/1')}")
        print(f"  resident at most: {_peak(pid)}")


def taken(version: Published, folder: Path) -> None:
    """Time the static export and downloads."""
    rows = version.manifest.rows["sft"]
    for name, arguments in {
        "static export": ["view", "large", "--export", str(folder / "static")],
        "download, messages": ["download", "large", "--format", "messages", "-o", str(folder / "messages"), "-q"],
        "download, alpaca": ["download", "large", "--format", "alpaca", "-o", str(folder / "alpaca"), "-q"],
        "download as it is": ["download", "large", "-o", str(folder / "whole"), "-q"],
    }.items():
        began = time.monotonic()
        _command(*arguments, catalogue=version.catalogue.root)
        seconds = time.monotonic() - began
        print(f"{name}: {seconds:.1f} s, {rows / seconds:,.0f} rows/s")


def went_on(folder: Path, earlier: int) -> None:
    """Time what earlier rows add to `extend`."""
    seconds = {}
    for count in (1000, earlier):
        place = folder / f"earlier-{count}"
        root = make(place, count, lineage=False).catalogue.root
        began = time.monotonic()
        _command("extend", "large", "-n", "20", "-o", str(place / "runs"), "-q", catalogue=root)
        seconds[count] = time.monotonic() - began
        shutil.rmtree(place)
    added = seconds[earlier] - seconds[1000]
    print(f"extend by 20 rows: {seconds[1000]:.1f} s with 1,000 earlier rows, {added:.1f} s more with {earlier:,}")


@contextmanager
def served(version: Published) -> Iterator[tuple[str, int]]:
    """Run the viewer; yield its URL and process."""
    command = [sys.executable, "-m", "selfinstruct", "view", "large", "--no-open"]
    environment = {**os.environ, "SELFINSTRUCT_CATALOGUE": version.catalogue.root}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        yield found[0], process.pid
        process.terminate()


def _command(*arguments: str, catalogue: str) -> None:
    environment = {**os.environ, "SELFINSTRUCT_CATALOGUE": catalogue}
    line = [sys.executable, "-m", "selfinstruct", *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _first(version: Published, count: int) -> Iterator[str]:
    for row, _ in zip(version.rows("sft", ["id"]), range(count), strict=False):
        yield row["id"]


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=300) as answer:  # noqa: S310 - our own loopback server
        content: bytes = answer.read()
        return content


def _timed(*urls: str) -> str:
    times = []
    for url in urls * (10 // len(urls)):
        began = time.perf_counter()
        _get(url)
        times.append(1000 * (time.perf_counter() - began))
    return f"{statistics.median(times[1:]):.0f} ms, slowest {max(times[1:]):.0f} ms"


def _painted(url: str) -> str:
    chromium = shutil.which("chromium")
    if chromium is None:
        return "not measured: no Chromium"
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - wanted only here

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        figures = []
        for _ in range(5):
            page = browser.new_page()
            page.goto(url, wait_until="load")
            script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
            page.wait_for_function(script)
            figures.append(float(page.evaluate(script)))
            page.close()
        browser.close()
    return f"{statistics.median(figures):.0f} ms, slowest {max(figures):.0f} ms"


def _peak(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(f"{int(line.split()[1]) / 1024:.0f} MB" for line in status.splitlines() if line.startswith("VmHWM"))


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.0f} MB"


if __name__ == "__main__":
    sizes = [int(text.replace(",", "")) for text in sys.argv[1:]]
    main(sizes[0] if sizes else 100_000, sizes[1] if len(sizes) > 1 else 1_000_000)
