"""Whether a run may become a version, which one, and under what terms. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from selfinstruct import seeds
from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.licences import SHIPPED_SEEDS, settle
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.version import ALL, Licences, Ref
from selfinstruct.errors import BadInputError, DamageError, NothingToExportError
from selfinstruct.export import kept_records
from selfinstruct.files import sha256
from selfinstruct.judging.cut import check
from selfinstruct.judging.scored import scale_of
from selfinstruct.records import Row
from selfinstruct.stages.answered import Answered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun


class How(NamedTuple):
    """What is kept, and what may become of a dataset that exists, and of a catalogue that does not: options of `publish_run`."""

    cut: Cut | None
    source: Licences | None
    add: bool
    replace: bool
    trial: bool
    new_lineage: bool


class Plan(NamedTuple):
    """What is to be written."""

    ref: Ref
    number: int
    base: Published | None
    licences: Licences
    changed: tuple[str, ...]


def check_run(run: StoredRun, cut: Cut | None) -> None:
    """Refuse a run that nothing can be published of.

    Raises:
        BadInputError: it has not ended, or its seeds are not at hand. NothingToExportError: no row. DamageError: not sound.
    """
    if not run.ended:  # written when a run begins and when it ends
        msg = f"{run.folder} has not ended: it goes on just now, or was killed"
        raise BadInputError(msg, remedy=f"selfinstruct watch {run.folder}, or selfinstruct resume {run.folder}")
    accounts = run.accounts()
    problems = list(accounts.problems())
    if run.ended == "filled" and (accounts.ledger.open or accounts.ledger.accepted != run.target):
        problems.append(f"it was asked for {run.target} rows, the ledger says {accounts.ledger!r}")
    if problems:
        msg = f"{run.folder}: {problems[0]}"
        raise DamageError(msg, remedy=f"selfinstruct verify {run.folder}")
    if cut is not None:
        check(cut, scale_of(run))
    if next(kept_records(run, Row, cut), None) is None:
        kept = "accepted no row" if cut is None else f"has no row of a score of {cut.min_score:g}"
        msg = f"{run.folder} {kept}: there is nothing to publish"
        raise NothingToExportError(msg, remedy=f"selfinstruct {'stats' if cut is None else 'sweep'} {run.folder}")
    if (
        not kinship.is_given(run.recipe)
        and kinship.inputs_of(run)["seeds"] != seeds.load(seeds.find(run.recipe.seeds))[1]
    ):
        msg = f"{run.recipe.seeds}: the seed file has changed since {run.folder} was made with it"
        raise BadInputError(
            msg, remedy="bring the file of then back: a version holds the seeds that its rows came from"
        )


def check_name(name: str) -> None:
    """Refuse a name that no dataset can have.

    Raises:
        BadInputError: so it is.
    """
    if name == ALL:
        msg = f"no dataset can be called {ALL!r}: `datasets verify {ALL}` is about every one"
        raise BadInputError(msg, remedy="give another name")


def check_kind(what: str, catalogue: Catalogue, *, scripted: bool, trial: bool) -> None:
    """Keep rows for trying out apart from all others; `what` makes or made them.

    Raises:
        BadInputError: they would be mixed.
    """
    new = not catalogue.facts and not catalogue.names()
    if trial and not new and not catalogue.trial:
        msg = f"{catalogue.root} is a catalogue of real datasets"
        raise BadInputError(msg, remedy="leave out --trial, or give another --catalogue")
    only_trial = trial if new else catalogue.trial
    if scripted and not only_trial:
        msg = f"{what} is of the scripted engine: its rows teach a model nothing and are never published"
        raise BadInputError(
            msg, remedy="to try publishing out, in a catalogue that is for nothing else: --trial --catalogue trial"
        )
    if only_trial and not scripted:
        msg = f"{catalogue.root} is a catalogue for trying out, {what} is a real run"
        raise BadInputError(msg, remedy="give another --catalogue, without --trial")


def _is_scripted(run: StoredRun) -> bool:
    """Say whether a scripted engine had a hand in a row, whatever the recipe says."""
    rows = (body["record"] for _, body in run.store.scan(run.tree.rows, upto=run.closing))
    return run.recipe.scripted or any(row is not None and row["provenance"]["scripted"] for row in rows)


def plan(run: StoredRun, catalogue: Catalogue, wanted: Ref, how: How, said: Mapping[str, str]) -> Plan:
    """Return what would be written just now.

    Raises:
        BadInputError: it may not be, or its terms are unknown.
    """
    check_name(wanted.name)
    check_kind(str(run.folder), catalogue, scripted=_is_scripted(run), trial=how.trial)
    known = catalogue.versions(wanted.name)
    number = max(known, default=0) + 1
    if wanted.version is not None and wanted.version != number:
        what = "exists, and is never changed" if wanted.version in known else f"is not the next one: {number} is"
        msg = f"{wanted} {what}"
        raise BadInputError(msg, remedy=f"selfinstruct publish {run.folder} {wanted.name} --add, or --replace")
    if how.add and how.replace:
        raise BadInputError(
            "--add and --replace: rows come in addition, or stand alone", remedy="leave one of them out"
        )
    latest = catalogue.version(Ref(wanted.name, number - 1)) if known else None
    changed = _refuse_stranger(run, latest, how) if latest is not None and not how.replace else []
    base = latest if how.add else None
    inputs = kinship.inputs_of(run)
    writers, judges = _models(run, inputs)
    before = latest.manifest.licences if latest else None
    of_seeds, of_source = _origins(run, inputs, latest, how.source)
    licences = settle(
        said,
        writers=writers,
        judges=judges,
        seeds=of_seeds,
        source=of_source,
        before=_joined(before, how.source),
        trial=run.recipe.scripted or catalogue.trial,
    )
    if base is not None:
        earlier = base.manifest.licences
        licences = licences.model_copy(
            update={
                "writers": {**earlier.writers, **licences.writers},
                "judges": {**earlier.judges, **licences.judges},
                # SPDX's way to say that there are two files of seeds: the base's rows grew from another.
                "seeds": " AND ".join(dict.fromkeys((*earlier.seeds.split(" AND "), *licences.seeds.split(" AND ")))),
            }
        )
    if how.replace and latest is not None and latest.manifest.licences == licences and _is(run, how.cut, latest):
        msg = f"{run.folder} was published already, as {latest.manifest.ref}: nothing of it would be different"
        raise BadInputError(msg, remedy=f"selfinstruct datasets info {latest.manifest.ref}")
    return Plan(Ref(wanted.name, number), number, base, licences, tuple(changed))


def _is(run: StoredRun, cut: Cut | None, latest: Published) -> bool:
    """Say whether the latest version is what would be made of this run by itself."""
    there = latest.manifest
    made = (run.digest, run.ended, run.target, None if cut is None else cut.asked())
    if (there.recipe, there.ended, there.ordered, there.cut) != made or there.base is not None:
        return False
    return there.rows["sft"] == sum(1 for _ in kept_records(run, Row, cut))


def _refuse_stranger(run: StoredRun, latest: Published, how: How) -> list[str]:
    """Refuse what does not go on with the latest version; return what was changed where that is allowed."""
    name, inputs = latest.manifest.name, kinship.inputs_of(run)
    if latest.manifest.recipe == run.digest:
        msg = f"{run.folder} was published already, as {latest.manifest.ref}"
        raise BadInputError(
            msg, remedy=f"selfinstruct extend {name} -n ROWS; or --replace: a version of what it has now"
        )
    if not how.add:
        msg = f"{name} exists: its latest version is {latest.manifest.ref}"
        raise BadInputError(
            msg,
            remedy=f"--add, if the run was made against it (selfinstruct extend {name}); --replace: a version without its rows",
        )
    if not kinship.extends(inputs, latest):
        msg = f"{run.folder} was not made against {latest.manifest.ref}: rows could be near to those that are there"
        raise BadInputError(msg, remedy=f"selfinstruct extend {name} -n ROWS; or --replace: a version without its rows")
    changed = kinship.changes(latest, run.recipe, inputs)
    if changed and not how.new_lineage:
        msg = f"{run.folder} was made otherwise than {latest.manifest.ref}; changed:" + "".join(
            f"\n  {one}" for one in changed
        )
        raise BadInputError(msg, remedy="undo the change; or --new-lineage: the version then tells it")
    return changed


def _models(run: StoredRun, inputs: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the models that wrote, those that are said to have written given answers among them, and those that judged."""
    asked = [
        (stage.scale is not None, inputs[f"model of {one}"]) for stage in run.recipe.stages for one in stage.engines()
    ]
    given = [stage.written_by.split(", ") for stage in run.recipe.stages if isinstance(stage, Answered)]
    wrote = [*(one for models in given for one in models if one), *(model for judges, model in asked if not judges)]
    return wrote, [model for judges, model in asked if judges]


def _origins(
    run: StoredRun, inputs: Mapping[str, str], latest: Published | None, source: Licences | None
) -> tuple[str | None, str | None]:
    """Return the terms of seeds and of given rows as `settle` takes them.

    What was said of the latest version's holds for this one only where they are the same: digests tell.
    """
    given = kinship.is_given(run.recipe)
    same = latest is not None and kinship.origin(inputs, given=given) == kinship.origin(
        latest.manifest.inputs, given=given
    )
    before = latest.manifest.licences if latest is not None and same else None
    if given:
        known = source.dataset if source else before.source if before else ""
        return source.seeds if source else before.seeds if before else "", known or None
    return SHIPPED_SEEDS if _ships_seeds(run) else (before.seeds if before else "") or None, ""


def _joined(before: Licences | None, source: Licences | None) -> Licences | None:
    """Return what is known of models and of the dataset: what was said of it, and what the source says of its models."""
    if before is None or source is None:
        return before or source
    return before.model_copy(
        update={"writers": {**source.writers, **before.writers}, "judges": {**source.judges, **before.judges}}
    )


def _ships_seeds(run: StoredRun) -> bool:
    known = (path for path in seeds.shipped().parent.glob("*.jsonl"))
    return kinship.inputs_of(run)["seeds"] in map(sha256, known)
