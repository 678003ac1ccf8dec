"""Sends a published version to a dataset repository of the Hub: its files as they are, in one commit, and a tag.

A version is there when its tag is; what a cut upload left is in no revision, and is not sent again.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.catalogue.version import CARD, MANIFEST, Ref
from selfinstruct.download.files import Files, Hub
from selfinstruct.download.hub import LOGIN, told
from selfinstruct.download.plan import Order, make_plan
from selfinstruct.download.source import WAITS, patiently
from selfinstruct.download.work import download
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.files import sha256
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi

    from selfinstruct.catalogue.place import Published

NEW = frozenset({".gitattributes", ".gitignore", CARD})
"""What may lie in a repository that somebody has just made."""


class Pushed(NamedTuple):
    """What became of it."""

    url: str
    """Of the repository at the tag, or of the pull request."""
    new: bool
    """False: it was there already."""


def push(
    published: Published, repo: str, *, public: bool = False, create_pr: bool = False, waits: Sequence[float] = WAITS
) -> Pushed:
    """Send a version to the repository `repo` (USER/NAME), private unless `public`; with `create_pr` to a pull request.

    The token is that of HF_TOKEN or of huggingface_hub's own login.

    Raises:
        BadInputError: made by the scripted engine; no token, or one that may not; a repository that holds something else,
            another version of that number, a later one, or is not as private as was asked. DamageError: a file of the version
            is not what it was. UnreachableError: the Hub does not answer; the same call goes on.
    """
    version = published.manifest
    if version.trial or published.catalogue.trial:
        msg = f"{version.ref} is for trying out: rows of the scripted engine are never sent anywhere"
        raise BadInputError(msg, remedy="publish a run that a model wrote, to a catalogue that is not for trying out")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}", repo, re.ASCII):
        msg = f"{printable(repo, longest=120)!r} is no repository"
        raise BadInputError(msg, remedy="USER/NAME, for instance jane/tasks")
    from huggingface_hub import HfApi, get_token  # noqa: PLC0415 - half a second

    if get_token() is None:
        raise BadInputError("no token for the Hub", remedy=LOGIN)
    api = HfApi()
    with ExitStack() as stack:
        folder = published.folder or _fetched(published, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        _check_whole(published, folder)
        patiently(lambda: _repository(api, repo, public=public), waits)
        with told():
            there = set(api.list_repo_files(repo, repo_type="dataset"))
            tags = {tag.name for tag in api.list_repo_refs(repo, repo_type="dataset").tags}
        if _is_there(published, repo, tags):
            return Pushed(_url(api, repo, version.ref), new=False)
        before = _before(version.ref, repo, there, tags, create_pr=create_pr)
        made = patiently(
            lambda: _commit(api, repo, published, folder, before & there, create_pr=create_pr),
            () if create_pr else waits,  # an answer that was lost would make a second request
        )
    if create_pr:
        return Pushed(made.pr_url or made.commit_url, new=True)
    patiently(lambda: _tag(api, repo, f"v{version.version}", made.oid), waits)
    return Pushed(_url(api, repo, version.ref), new=True)


def _fetched(published: Published, folder: Path) -> Path:
    """Bring a version that does not lie on this machine."""
    source = Files(published.catalogue.files, published.root, published.manifest)
    download(source, make_plan(published.manifest, Order()), folder / "version")
    return folder / "version"


def _check_whole(published: Published, folder: Path) -> None:
    for name, file in published.manifest.files.items():
        if not (folder / name).is_file() or sha256(folder / name) != file.sha256:
            msg = f"{folder / name} is not what the manifest says; nothing was sent"
            raise DamageError(msg, remedy="restore the version from a copy")


def _repository(api: HfApi, repo: str, *, public: bool) -> None:
    """Make it where there is none, as private as was asked."""
    from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415 - half a second

    with told():
        try:
            private = bool(api.dataset_info(repo).private)
        except RepositoryNotFoundError:
            api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
            return
    if private == public:
        msg = f"{repo} is {'private, and was to be public' if private else 'public'}"
        remedy = (
            "change that on its settings page, or leave out --public"
            if private
            else "add --public if it may be seen by all"
        )
        raise BadInputError(msg, remedy=remedy)


def _is_there(published: Published, repo: str, tags: set[str]) -> bool:
    """Say whether the repository has this version.

    Raises:
        BadInputError: it has another one of that number.
    """
    ref = published.manifest.ref
    if f"v{ref.version}" not in tags:
        return False
    if Hub(f"hf://{repo}@v{ref.version}", Ref(ref.name)).manifest != published.manifest:
        msg = f"{repo} has another v{ref.version}; what is published is never changed"
        raise BadInputError(msg, remedy="another repository, or a new version")
    return True


def _before(ref: Ref, repo: str, there: set[str], tags: set[str], *, create_pr: bool) -> set[str]:
    """Return the files of the version that is on the main branch; refuse a repository that this version would spoil."""
    later = sorted(
        int(tag[1:]) for tag in tags if re.fullmatch(r"v[1-9][0-9]{0,8}", tag) and int(tag[1:]) > (ref.version or 0)
    )
    if later and not create_pr:
        msg = f"{repo} has v{later[-1]} already: with v{ref.version} its main branch would go back"
        raise BadInputError(msg, remedy="push versions in their order, or add --create-pr")
    if MANIFEST in there:
        return set(Hub(f"hf://{repo}@main", Ref(ref.name)).manifest.files)  # of another dataset: says so
    if others := there - NEW:
        msg = f"{repo} holds something else ({printable(', '.join(sorted(others)), longest=120)})"
        raise BadInputError(msg, remedy="another repository, or an empty one")
    return set()


def _commit(
    api: HfApi, repo: str, published: Published, folder: Path, before: set[str], *, create_pr: bool
) -> CommitInfo:
    """Send what the Hub does not have, then everything becomes visible at once.

    Of the files of the version `before` it, those that this one has not are gone; what others put there stays.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415 - half a second

    names = [*published.manifest.files, MANIFEST]
    stale = sorted(before - set(names))
    work: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names
    ]
    work += [CommitOperationDelete(path_in_repo=name) for name in stale]
    ref = published.manifest.ref
    with told():
        return api.create_commit(
            repo, work, commit_message=f"{ref.name} v{ref.version}", repo_type="dataset", create_pr=create_pr
        )


def _tag(api: HfApi, repo: str, tag: str, revision: str) -> None:
    with told():
        api.create_tag(repo, tag=tag, revision=revision, repo_type="dataset", exist_ok=True)


def _url(api: HfApi, repo: str, ref: Ref) -> str:
    return f"{api.endpoint}/datasets/{repo}/tree/v{ref.version}"
