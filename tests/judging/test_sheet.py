"""The label sheet: what was said is on the disk, of this run, and nothing broken is taken for a label."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from selfinstruct.errors import BadInputError
from selfinstruct.judging.scored import ScoredRow, ScoredTable
from selfinstruct.judging.sheet import Label, open_sheet, read_sheet
from selfinstruct.judging.spreadsheet import read_csv, write_csv


def table(digest: str = "one", outputs: str = "Done.") -> ScoredTable:
    rows = [ScoredRow(f"r{number}", f"Do {number}.", "", outputs, 4.5) for number in range(6)]
    return ScoredTable(Path("run"), digest, (0.0, 5.0), 4.5, rows, len(rows))


def label(row: int, *, keep: bool | None = True, **more: object) -> Label:
    return Label.model_validate({"row": f"r{row}", "text": table().rows[row].text_id, "keep": keep, **more})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sheet with three labels, the second taken back and given anew."""
    with open_sheet(tmp_path / "labels.jsonl", table()) as sheet:
        for one in (label(0), label(1), label(1, taken_back=True), label(1, keep=False), label(2, score=3.5)):
            sheet.put(one)
    return tmp_path / "labels.jsonl"


def test_the_last_word_counts(path: Path) -> None:
    """Read back as it was said; the file holds every line that was ever said."""
    labels = read_sheet(path, table()).labels
    assert labels == {"r0": label(0), "r1": label(1, keep=False), "r2": label(2, score=3.5)}
    assert len(path.read_text().splitlines()) == 6


def test_a_second_sitting_goes_on(path: Path) -> None:
    """What was there stays byte for byte, what comes stands behind it."""
    before = path.read_bytes()
    with open_sheet(path, table()) as sheet:
        assert set(sheet.labels) == {"r0", "r1", "r2"}
        sheet.put(label(4))
    assert path.read_bytes().startswith(before)
    assert set(read_sheet(path, table()).labels) == {"r0", "r1", "r2", "r4"}


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_cut_off_by_a_kill(path: Path, cut: int) -> None:
    """Half a line at the end is no label and spoils no later one."""
    path.write_bytes(path.read_bytes()[:-cut])
    assert set(read_sheet(path, table()).labels) == {"r0", "r1"}
    with open_sheet(path, table()) as sheet:
        sheet.put(label(5))
    assert set(read_sheet(path, table()).labels) == {"r0", "r1", "r5"}


def test_a_sheet_of_another_run(path: Path) -> None:
    """Refused for reading and writing, untouched."""
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="label sheet of another run"):
        read_sheet(path, table("two"))
    with pytest.raises(BadInputError, match="label sheet of another run"), open_sheet(path, table("two")):
        pass
    assert path.read_bytes() == before


BROKEN = {
    "no JSON": ("{oops", "line 4: "),
    "no object": ("[1]", "line 4: "),
    "keep is none": ('{"row":"r4","text":"x","keep":"perhaps"}', "line 4: keep: "),
    "unknown field": ('{"row":"r4","text":"x","kept":true}', "line 4: kept: "),
    "without a row": ('{"text":"x","keep":true}', "line 4: row: "),
    "score outside": (
        '{"row":"r4","text":"x","keep":true,"score":7}',
        "line 4: score 7 is outside of the scale, 0 to 5",
    ),
    "control characters": ('{"row":"r4","\\u001b[2J":1}', "line 4: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_named(path: Path, name: str) -> None:
    """File, line, field; never passed over in silence, never shown raw."""
    line, words = BROKEN[name]
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[3:]]) + "\n")
    with pytest.raises(BadInputError) as told:
        read_sheet(path, table())
    assert f"{path} {words}" in str(told.value)
    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    "text", ["", "\n", "hello\n", '{"sheet":2,"run":"one","good":4}\n', '{"row":"r1","text":"x"}\n']
)
def test_no_label_sheet_at_all(tmp_path: Path, text: str) -> None:
    """Another file is not taken for one, nor written to."""
    (tmp_path / "notes.jsonl").write_text(text)
    with pytest.raises(BadInputError, match="notes"):
        read_sheet(tmp_path / "notes.jsonl", table())
    if text:
        with pytest.raises(BadInputError), open_sheet(tmp_path / "notes.jsonl", table()):
            pass
        assert (tmp_path / "notes.jsonl").read_text() == text


def test_one_person_at_a_time(path: Path) -> None:
    """Two terminals would count each other's rows as open."""
    with (
        open_sheet(path, table()),
        pytest.raises(BadInputError, match="open in another terminal"),
        open_sheet(path, table()),
    ):
        pass


def test_labels_about_other_texts_do_not_count(path: Path) -> None:
    """An answer that the run has replaced since is another answer."""
    current, stale = read_sheet(path, table()).current(table(outputs="Done anew."))
    assert (current, stale) == ([], 3)
    current, stale = read_sheet(path, table()).current(table())
    assert ([row.id for row, _ in current], stale) == (["r0", "r1", "r2"], 0)


def filled(tmp_path: Path, *cells: tuple[str, str], delimiter: str = ",") -> Path:
    """A CSV sheet with these (score, keep) cells, as a spreadsheet saves it."""
    write_csv(tmp_path / "out.csv", table().rows)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *lines = csv.reader(file)
    with (tmp_path / "in.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([head, *([*line[:4], *cell] for line, cell in zip(lines, cells, strict=False))])
    return tmp_path / "in.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_sheet_comes_back(tmp_path: Path, delimiter: str) -> None:
    """Scores with a point or a comma, words for yes and no; what was left empty is no label."""
    path = filled(
        tmp_path, ("4.5", ""), ("3,5", ""), ("", "Yes"), ("", "no"), ("2", "no"), ("", ""), delimiter=delimiter
    )
    assert read_csv(path, table(), good=4.5) == [
        label(0, score=4.5), label(1, keep=False, score=3.5), label(2), label(3, keep=False), label(4, keep=False, score=2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (("6", ""), "line 2, column score: '6': no number from 0 to 5"),
        (("good", ""), "line 2, column score: 'good'"),
        (("nan", ""), "line 2, column score: 'nan'"),
        (("", "perhaps"), "line 2, column keep: 'perhaps': neither yes nor no"),
        (("1", "yes"), "line 2, column keep: 'yes': a score of 1 says otherwise: yes is 4.5 and more"),
        (("5", "no"), "line 2, column keep: 'no': a score of 5 says otherwise"),
    ],
)
def test_a_cell_that_is_none_is_named(tmp_path: Path, cell: tuple[str, str], words: str) -> None:
    """File, line, column, value."""
    with pytest.raises(BadInputError, match="in") as told:
        read_csv(filled(tmp_path, cell), table(), good=4.5)
    assert words in str(told.value)


def test_two_lines_for_one_row(tmp_path: Path) -> None:
    """Neither of them counts in silence."""
    path = filled(tmp_path, ("", "yes"), ("", "no"))
    path.write_text(path.read_text(encoding="utf-8-sig").replace("id:r1", "id:r0"))
    with pytest.raises(BadInputError, match="line 3, column row: 'id:r0': line 2 is about this row too"):
        read_csv(path, table(), good=4.5)


def test_no_spreadsheet_takes_an_id_for_a_number(tmp_path: Path) -> None:
    """Ids of hexadecimal digits come out as text, and back as they were; a sheet written without the mark is read too."""
    rows = [ScoredRow(name, f"Do {name}.", "", "Done.", 4.5) for name in ("123456", "12e5", "00e123")]
    ids = ScoredTable(Path("run"), "one", (0.0, 5.0), 4.5, rows, len(rows))
    write_csv(tmp_path / "out.csv", rows)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [line[0] for line in csv.reader(file)][1:]
    for cell in cells:
        with pytest.raises(ValueError, match="could not convert"):
            float(cell)
    for name, written in (("new", cells), ("old", [row.id for row in rows])):
        (tmp_path / name).write_text("row,score,keep\n" + "".join(f"{cell},,yes\n" for cell in written))
        assert [one.row for one in read_csv(tmp_path / name, ids, good=4.5)] == ["123456", "12e5", "00e123"]


def test_a_row_that_is_not_there(tmp_path: Path) -> None:
    """The sheet of another run, by its first row that is filled in; a lost header; a lost file."""
    path = filled(tmp_path, ("", "yes"))
    path.write_text(path.read_text(encoding="utf-8-sig").replace("r0", "zz"))
    with pytest.raises(BadInputError, match="line 2, column row: 'id:zz'"):
        read_csv(path, table(), good=4.5)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInputError, match="line 1: no column 'row'"):
        read_csv(path, table(), good=4.5)
    with pytest.raises(BadInputError, match="cannot read"):
        read_csv(tmp_path / "nowhere.csv", table(), good=4.5)


def test_no_cell_is_a_formula_and_no_sheet_is_overwritten(tmp_path: Path) -> None:
    """Model text is never evaluated, by a spreadsheet neither; a sheet that may be filled in stays."""
    rows = [ScoredRow("r0", "=1+1", "\t@SUM(A1)", "-2\x1b[2J\nnext", 4.5)]
    write_csv(tmp_path / "out.csv", rows)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.reader(file))[1]
    assert cells[1:4] == ["'=1+1", "'    @SUM(A1)", "'-2\\u001b[2J\nnext"]
    with pytest.raises(BadInputError, match="may be filled in"):
        write_csv(tmp_path / "out.csv", rows)


def test_the_sheet_knows_no_score_of_the_judge(path: Path, tmp_path: Path) -> None:
    """Neither the JSONL nor the CSV tells a person what the judge thought."""
    write_csv(tmp_path / "blind.csv", table().rows)
    assert "4.5" not in (tmp_path / "blind.csv").read_text()
    assert all("judge" not in json.loads(line) for line in path.read_text().splitlines())
