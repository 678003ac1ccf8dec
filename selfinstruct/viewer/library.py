"""What there is to look at: versions of a catalogue, or one run. Hands out rows, lineages and figures; knows no page.

An index is built by the first who asks, in a thread of its own; until it is there `index()` raises `Preparing`.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from selfinstruct.catalogue.verify import insist
from selfinstruct.catalogue.version import FIGURES, RECIPE, Ref, Version
from selfinstruct.catalogue.views import lineage_of, views
from selfinstruct.errors import BadInputError, DamageError, SelfInstructError
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures, StageCounts
from selfinstruct.runs import open_stored
from selfinstruct.store import read_run
from selfinstruct.text.rouge import NoveltyIndex
from selfinstruct.text.show import printable
from selfinstruct.viewer import cache
from selfinstruct.viewer.index import Index, build
from selfinstruct.viewer.lineage import HEAD, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfinstruct.catalogue.place import Catalogue, Published
    from selfinstruct.text.rouge import Neighbour

    Fact = dict[str, Any]

PATIENCE = 1.0
"""Seconds that a page waits for an index before it says that one is being built."""
COMPARED = 200_000
"""Instructions among which a nearest one is looked for, at most: the index of these takes some 300 MB."""
AT_ONCE, NEAR = 2000, 100
"""Rows of a shard that are unpacked at once: of all of them, and around a lineage."""


class Preparing(Exception):  # noqa: N818 - no error: come again
    """The index is being built: `done` of `total` rows are in."""

    def __init__(self, done: int, total: int) -> None:
        """Take how far it is."""
        super().__init__(f"{done} of {total}")
        self.done, self.total = done, total


class _Builder:
    """Builds one index in a thread, once."""

    def __init__(self, total: int, work: Callable[[Callable[[int], None]], Index]) -> None:
        self._total, self._work = total, work
        self._done, self._result, self._error = 0, None, None  # type: tuple[int, Index | None, Exception | None]
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="index").start()

    def _run(self) -> None:
        def hear(done: int) -> None:
            self._done = done

        try:
            self._result = self._work(hear)
        except Exception as error:  # noqa: BLE001 - raised again in the thread of who asked
            self._error = error
        self._ended.set()

    @property
    def is_void(self) -> bool:
        """Whether what it built has been removed since: another viewer may have needed the room."""
        return self._result is not None and not self._result.exists

    def result(self, *, patience: float) -> Index:
        if not self._ended.wait(patience):
            raise Preparing(self._done, self._total)
        if self._error is not None:
            raise self._error
        assert self._result is not None  # noqa: S101 - it ended without an error
        return self._result


class Shown(ABC):
    """A version or a run, to be looked at."""

    base: str
    """Where its pages lie: /d/NAME/VERSION, or /run."""
    title: str
    manifest: Version | None = None

    def __init__(self) -> None:
        """Build nothing yet."""
        self._lock, self._comparing = threading.Lock(), threading.Lock()
        self._builder: _Builder | None = None
        self._near: tuple[Index, NoveltyIndex] | None = None

    @abstractmethod
    def index(self, *, patience: float = PATIENCE) -> Index:
        """Return the index of its rows. Raises Preparing while it is being built."""

    @abstractmethod
    def lineage(self, row: str) -> list[Fact]:
        """Return the steps that `runs.lineage` and `catalogue.views` tell of a row, first things first; empty when unknown."""

    @property
    @abstractmethod
    def figures(self) -> Figures | None:
        """Its figures; None where it has none."""

    @property
    @abstractmethod
    def trial(self) -> bool:
        """Whether it was made by the scripted engine."""

    @abstractmethod
    def paper(self, name: str) -> str:
        """Return the text of a file that stands beside the rows (README.md, audit.md, diff.md); empty when there is none."""

    @property
    @abstractmethod
    def recipe(self) -> Fact:
        """The recipe that made it, resolved; empty where it cannot be read."""

    def nearest(self, text: str, count: int = 1) -> list[Neighbour]:
        """Return the instructions of its rows that are nearest to `text`, itself left out. Nothing in very large sets."""
        index = self.index()
        with self._comparing:
            if self._near is None or self._near[0] is not index:
                instructions = index.instructions()
                if len(instructions) > COMPARED:
                    return []
                near = NoveltyIndex(tokenizer=self.tokenizer)
                near.extend(instructions)
                self._near = index, near
            found = self._near[1].nearest(text, count + 1)
        return [one for one in found if one.text != text][:count]

    @property
    def tokenizer(self) -> str:
        """What texts were compared by: the recipe's, or the one that sees all scripts."""
        gates = (gate for stage in _stages(self.recipe) for gate in stage.get("gates", []) if isinstance(gate, dict))
        named = next((gate.get("tokenizer") for gate in gates if gate.get("kind") == "rouge"), None)
        return named if named in {"rouge", "unicode"} else "unicode"


class ShownVersion(Shown):
    """A published version."""

    def __init__(self, published: Published, *, caches: Path) -> None:
        """Show `published`; its index lies in `caches`."""
        super().__init__()
        self.published, self._caches = published, caches
        self.manifest: Version = published.manifest
        self.title = str(self.manifest.ref)
        self.base = f"/d/{self.manifest.name}/{self.manifest.version}"

    def index(self, *, patience: float = PATIENCE) -> Index:
        """Return the index from the cache, or build it there."""
        with self._lock:
            if self._builder is None or self._builder.is_void:
                views = ("sft", "lineage", "dropped", "seeds")
                self._builder = _Builder(sum(self.manifest.rows.get(view, 0) for view in views), self._build)
            builder = self._builder
        try:
            return builder.result(patience=patience)
        except Preparing:
            raise
        except Exception:
            if self._builder is builder:
                self._builder = None  # who mends it need not start the viewer again
            raise

    def _build(self, told: Callable[[int], None]) -> Index:
        place = cache.place_of(self.manifest, self._caches)
        _ = self.recipe  # takes 0.3 s the first time
        if not place.exists():
            build(place, self._views(), told=told)
        cache.used(place)
        return Index(place)

    def _views(self) -> Iterator[tuple[str, Fact]]:
        for view in ("sft", "dropped", "seeds"):
            yield from ((view, row) for row in self.rows(view))
        yield from (("lineage", spot) for spot in self._spots())

    def rows(self, view: str) -> Iterator[Fact]:
        """Yield the rows of a view, the oldest first."""
        for shard in self.manifest.shards(view):
            with self._opened(shard) as file:
                for batch in file.iter_batches(AT_ONCE):
                    yield from batch.to_pylist()

    def _spots(self) -> Iterator[Fact]:
        """Yield where the lineage of each row lies; of its text only the beginning is looked at."""
        import pyarrow.compute as pc  # noqa: PLC0415 - 188 ms, wanted only here

        for shard, name in enumerate(self.manifest.shards("lineage")):
            with self._opened(name) as file:
                for part in range(file.num_row_groups):
                    offsets = count()
                    for batch in file.iter_batches(NEAR, row_groups=[part], columns=["id", "lineage"]):
                        heads = pc.utf8_slice_codeunits(batch["lineage"], 0, HEAD).to_pylist()
                        for one, head in zip(batch["id"].to_pylist(), heads, strict=True):
                            yield {
                                "id": one, "shard": shard, "part": part, "offset": next(offsets), "root": root_of(head or ""),
                            }  # fmt: skip

    @contextmanager
    def _opened(self, shard: str) -> Iterator[Any]:
        """Open a shard.

        Raises:
            DamageError: it is not what was published, or no Parquet file, or not one of these columns.
        """
        insist(self.published, shard)
        import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            with self.published.open(shard) as opened:
                yield pq.ParquetFile(opened)
        except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
            msg = f"{self.title}: {shard} cannot be read ({printable(error, longest=120)})"
            raise DamageError(msg, remedy=f"selfinstruct datasets verify {self.title}") from None

    def lineage(self, row: str) -> list[Fact]:
        """Return it from its shard, of which only the pages before it are unpacked."""
        spot = self.index().spot(row)
        if spot is None:
            return []
        shard, part, offset = spot
        with self._opened(self.manifest.shards("lineage")[shard]) as file:
            batches = file.iter_batches(NEAR, row_groups=[part], columns=["lineage"])
            wanted = next(islice(batches, offset // NEAR, None))
            text = wanted["lineage"][offset % NEAR].as_py()
        try:
            steps = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []

    def paper(self, name: str) -> str:
        """Return a file of the version."""
        return self.published.text(name) if name in self.manifest.files else ""

    @cached_property
    def figures(self) -> Figures | None:
        """Read `figures.json`; what a later selfinstruct wrote may not be readable."""
        try:
            return Figures.model_validate_json(self.paper(FIGURES))
        except ValidationError:
            return None

    @property
    def trial(self) -> bool:
        """As the manifest says."""
        return self.manifest.trial

    @cached_property
    def recipe(self) -> Fact:
        """Read `recipe.yaml`."""
        from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only for single rows
        from ruamel.yaml.error import YAMLError  # noqa: PLC0415

        try:
            told = YAML(typ="safe", pure=True).load(self.paper(RECIPE))
        except YAMLError:
            return {}
        return told if isinstance(told, dict) else {}


class ShownRun(Shown):
    """A run, which may still go on: its index and figures are those of a moment, taken anew when it has grown."""

    base = "/run"
    NEWEST = 8
    """Rows that are shown as the newest."""
    AGAIN = 5.0
    """An index is built anew at most so many times its building time after it was there."""

    def __init__(self, folder: Path) -> None:
        """Show the run in `folder`.

        Raises:
            BadInputError: there is none.
        """
        super().__init__()
        self.folder, self.title = folder, folder.resolve().name
        self._temporary = tempfile.TemporaryDirectory(prefix="selfinstruct-")
        self._numbers = count(1)
        self._index: Index | None = None
        self._seconds = self._ended = 0.0
        self._seen = 0
        self._figures: Figures | None = None
        self._asof = ""
        with open_stored(folder) as run:
            self._recipe = run.recipe.model_dump(mode="json")
            self._trial = run.recipe.scripted

    def index(self, *, patience: float = PATIENCE) -> Index:
        """Return the index of the run as it was a moment ago; the first one is waited for."""
        with self._lock:
            if self._builder is not None:
                try:
                    self._index = self._builder.result(patience=patience if self._index is None else 0)
                    self._builder = None
                except Preparing:
                    if self._index is None:
                        raise
                except Exception:
                    self._builder, self._seen = None, -1  # the next who asks tries again
                    if self._index is None:
                        raise
            elif self._index is None or (self._is_due() and self._has_grown()):
                self._seen = self._extent()
                self._builder = _Builder(0, self._build)
        return self._index if self._index is not None else self.index(patience=patience)

    def _has_grown(self) -> bool:
        with suppress(SelfInstructError):  # away for a moment: what is known of it stays
            return self._extent() != self._seen
        return False

    def _is_due(self) -> bool:
        return time.monotonic() > self._ended + self.AGAIN * self._seconds

    def _extent(self) -> int:
        with read_run(self.folder) as store:
            return store.extent()

    def _build(self, told: Callable[[int], None]) -> Index:
        began = time.monotonic()
        number = next(self._numbers)
        place = Path(self._temporary.name) / f"{number}.sqlite"
        with open_stored(self.folder) as run:
            self._figures = of_run(run)
            build(place, ((view, row) for view, row in views(run, version=1) if view != "lineage"), told=told)
        for old in Path(self._temporary.name).glob("*.sqlite"):
            if int(old.stem) < number - 1:  # the one before may be in use
                old.unlink()
        self._ended = time.monotonic()
        self._seconds = self._ended - began
        self._asof = time.strftime("%H:%M:%S")
        return Index(place)

    def lineage(self, row: str) -> list[Fact]:
        """Return it from the store."""
        with open_stored(self.folder) as run:
            return lineage_of(run, row)

    def paper(self, name: str) -> str:
        """Return nothing: papers are written when a run is published, and `selfinstruct report` has its audit."""
        del name
        return ""

    @property
    def recipe(self) -> Fact:
        """The stored recipe."""
        return self._recipe

    @property
    def figures(self) -> Figures | None:
        """Those of the moment at which the index was built; none before."""
        return self._figures

    @property
    def trial(self) -> bool:
        """As its recipe says."""
        return self._trial

    def news(self) -> Fact:
        """Return how it stands now: `stages` (label -> counts), `target`, `ended`, `newest` rows, `works` (it goes on)."""
        with open_stored(self.folder) as run:
            accounts = run.accounts()
            paths = sorted((path for _, path in run.store.paths(run.tree.rows)), reverse=True)[: self.NEWEST]
            requests = sorted({int(path.partition(".")[0]) for path in paths})
            found = {
                row.path: body["record"] for row, body in run.store.of_requests(requests) if row.stage == run.tree.rows
            }
            return {
                "ledger": accounts.ledger,
                "stages": {
                    label: StageCounts(**ledger.model_dump(), drops=accounts.drops_by_stage.get(label, {}))
                    for label, ledger in accounts.stages.items()
                },
                "target": run.target,
                "ended": run.ended,
                "newest": [found[path] for path in paths if path in found],
                "asof": self._asof,
                "usage": accounts.calls,
            }


class Library:
    """A catalogue, and perhaps a run."""

    def __init__(self, catalogue: Catalogue | None = None, *, run: Path | None = None) -> None:
        """Take what there is to look at."""
        self.catalogue = catalogue
        self.run = ShownRun(run) if run is not None else None
        self.caches = cache.folder() or self._passing
        self._known: dict[Ref, ShownVersion] = {}
        self._lock = threading.Lock()

    @cached_property
    def _passing(self) -> Path:
        """A folder for indexes that goes with this library."""
        self._temporary = tempfile.TemporaryDirectory(prefix="selfinstruct-")
        return Path(self._temporary.name)

    @property
    def where(self) -> str:
        """Where it lies, for people."""
        return self.catalogue.root if self.catalogue is not None else str(self.run.folder if self.run else "")

    def sets(self) -> dict[str, list[int]]:
        """Return name -> versions, the oldest first."""
        return (
            {} if self.catalogue is None else {name: self.catalogue.versions(name) for name in self.catalogue.names()}
        )

    def whole(self, name: str) -> list[ShownVersion]:
        """Return the versions of a dataset whose manifests can be read, the oldest first."""
        found = []
        for number in self.sets().get(name, []):
            with suppress(BadInputError, DamageError):
                found.append(self.version(Ref(name, number)))
        return found

    def version(self, wanted: Ref) -> ShownVersion:
        """Return a version, the latest where none is named.

        Raises:
            BadInputError: there is none.
        """
        if self.catalogue is None:
            msg = "no catalogue was given"
            raise SelfInstructError(msg)
        if wanted.version is not None and wanted in self._known:
            return self._known[wanted]
        published = self.catalogue.version(wanted)
        with self._lock:  # versions never change
            return self._known.setdefault(published.manifest.ref, ShownVersion(published, caches=self.caches))


def _stages(recipe: Fact) -> list[Fact]:
    found = recipe.get("stages")
    stages = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    return [stage for stage in stages if isinstance(stage, dict)]
