"""What is asked of a dedupe: its inputs as files, its options, its outputs; and every refusal before any work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct import __version__
from selfinstruct.errors import BadInputError
from selfinstruct.tables import Row, check_writable, data_files, place, read_rows
from selfinstruct.text.rouge import SAVED
from selfinstruct.text.tokens import TOKENIZERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Placed(NamedTuple):
    """A row and the number of the source it stands in."""

    source: int
    row: Row


@dataclass(frozen=True, slots=True)
class Job:
    """Inputs, options and output of one dedupe."""

    files: tuple[Path, ...]
    against: tuple[Path, ...]
    out: Path
    field: str
    threshold: float
    tokenizer: str
    skip_bad: bool

    @property
    def dropped_file(self) -> Path:
        """Where dropped and bad rows go."""
        return self.out.with_name(f"{self.out.name}.dropped.jsonl")

    @property
    def journal(self) -> Path:
        """Where decisions go until all is written."""
        return self.out.with_name(f".{self.out.name}.dedupe.jsonl")

    def question(self) -> dict[str, Any]:
        """Return everything that decisions depend on, as JSON; inputs by size and time of change.

        Raises:
            BadInputError: an input is gone.
        """
        return {
            "dedupe": __version__,
            "files": [_state(path) for path in self.files],
            "against": [_state(path) for path in self.against],
            "field": self.field,
            "threshold": self.threshold,
            "tokenizer": self.tokenizer,
            "skip_bad": self.skip_bad,
        }

    def rows(self, *, column: str | None = None) -> Iterator[Placed]:
        """Yield every row of the inputs, in order.

        Raises:
            BadInputError: an input is broken as a whole.
        """
        for source, path in enumerate(self.files, len(self.against)):
            for row in read_rows(path, column=column):
                yield Placed(source, row)

    def place(self, source: int, number: int) -> str:
        """Return file and place of a row, or of a text in a saved index."""
        path = (*self.against, *self.files)[source]
        return f"{path} {f'text {number}' if path.suffix == SAVED else place(path, number)}"


def checked(job: Job, *, save_index: Path | None) -> Job:
    """Return the job with folders replaced by their files, or refuse it.

    Raises:
        BadInputError: an option or a path that cannot be; an output that is an input.
    """
    if job.tokenizer not in TOKENIZERS:
        msg = f"no tokenizer {job.tokenizer!r}"
        raise BadInputError(msg, remedy=f"one of {', '.join(TOKENIZERS)}")
    if not 0 < job.threshold <= 1:
        msg = f"threshold {job.threshold} is no ROUGE-L F"
        raise BadInputError(msg, remedy="above 0, at most 1; Self-Instruct took 0.7")
    if save_index is not None and save_index.suffix != SAVED:
        msg = f"{save_index}: the suffix of a saved index is {SAVED}"
        raise BadInputError(msg, remedy=f"--save-index {save_index.with_suffix(SAVED)}")
    check_writable(job.out)
    outputs = [job.out, job.dropped_file, *([save_index] if save_index else [])]
    for output in outputs:
        if output.is_dir():
            msg = f"{output} is a folder"
            raise BadInputError(msg, remedy="give another path")
    _refuse_overlap(outputs, (*job.files, *job.against))
    whole = replace(
        job,
        files=tuple(file for path in job.files for file in data_files(path)),
        against=tuple(file for path in job.against for file in _against(path)),
    )
    _refuse_overlap(outputs, (*whole.files, *whole.against))
    return whole


def _against(path: Path) -> list[Path]:
    if path.suffix != SAVED or path.is_dir():
        return data_files(path)
    if not path.is_file():
        msg = f"cannot read {path}: no such index"
        raise BadInputError(msg, remedy="write one with --save-index")
    return [path]


def _refuse_overlap(outputs: list[Path], inputs: tuple[Path, ...]) -> None:
    there = {path.resolve(): path for path in inputs}
    for output in outputs:
        real = output.resolve()
        if real in there:
            msg = f"{output} is one of the inputs"
            raise BadInputError(msg, remedy="give another path")
        folder = next((there[one] for one in real.parents[:2] if one in there), None)
        if folder is not None:
            msg = f"{output} lies in the input folder {folder}"
            raise BadInputError(msg, remedy="give a path outside: the next command would read it as an input")


def _state(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise BadInputError(msg, remedy="give an existing file") from None
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]
