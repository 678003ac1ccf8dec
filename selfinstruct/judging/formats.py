"""What of a cut each format goes by, and whether it can be written at all. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct import kinds
from selfinstruct.errors import BadInputError, NothingToExportError
from selfinstruct.judging.refilter import records
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import PreferencePair
from selfinstruct.stage import Exporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun


def cuts(run: StoredRun, cut: Cut, forms: Sequence[str]) -> dict[str, Cut]:
    """Return for each format what of `cut` applies to its records; all are looked at before the first one is written.

    Raises:
        BadInputError: no such format, one whose records have no score, or something asked of pairs and no format of pairs.
        NothingToExportError: the cut keeps nothing for one of them.
    """
    reads = {form: kinds.resolve(form.replace("-", "_"), Exporter, folders=EXPORTERS).reads for form in forms}
    if cut != cut.of_rows() and PreferencePair not in reads.values():
        other = sorted(cut.asked().items() - cut.of_rows().asked().items())
        asked = ", ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in other)
        msg = f"{asked}: that is asked of pairs, and there are none in {' and '.join(forms) or 'a count of rows'}"
        raise BadInputError(msg, remedy="add --format dpo -o OUT, or leave it out")
    found = {form: cut if kind is PreferencePair else cut.of_rows() for form, kind in reads.items()}
    for form, kind in reads.items():
        if next(records(run, found[form], kind), None) is None:
            msg = f"{run.folder} has nothing of a score of {cut.min_score:g} for {form}; nothing was written"
            raise NothingToExportError(msg, remedy=f"selfinstruct sweep {run.folder}")
    return found
