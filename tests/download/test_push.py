"""To the Hub and back, with the real client against a server on this machine: private unless said, whole or not to be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from selfinstruct.catalogue.version import MANIFEST
from tests.download.test_download import snapshot
from tests.support.hand_made import publish_files, sft_shard
from tests.support.hub_server import TOKEN, HubServer, a_hub

REPO = "jane/tiny"
BIG = "data/lineage/train-00000.parquet"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with a_hub() as hub:
        yield hub


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A catalogue with one version; not of the scripted engine, or nothing would be sent."""
    files = {
        "README.md": b"---\nlicense: cc0-1.0\n---\n# tiny\n",
        "recipe.yaml": b"a: 1\n",
        "data/sft/train-00000.parquet": sft_shard(tmp_path / "shard", ["one", "two"]),
        BIG: Random(1).randbytes(7_000_000),  # more than a block of the client
    }
    publish_files(tmp_path / "catalogue", files, trial=False, rows={"sft": 2})
    return tmp_path / "catalogue"


def command(hub: HubServer, root: Path, *line: object, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    """The real command, with nothing of whoever runs the tests in its environment."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**keep, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(root.parent / "hf")}
    environment |= {"SELFINSTRUCT_CATALOGUE": str(root)} | ({} if token is None else {"HF_TOKEN": token})
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, line)],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert TOKEN not in done.stdout + done.stderr
    assert not any(TOKEN.encode() in one.read_bytes() for one in root.parent.rglob("*") if one.is_file())
    return done


def test_there_and_back(hub: HubServer, root: Path, tmp_path: Path) -> None:
    """Private, one commit, a tag; pulled by tag or by main the bytes are equal; converted too; a second push sends nothing."""
    done = command(hub, root, "push", "tiny", REPO)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{hub.url}/datasets/{REPO}/tree/v1\n"
    repo = hub.repos[REPO]
    assert repo.private
    assert repo.refs["v1"] == repo.refs["main"]
    assert len(repo.commits) == 2  # the empty one, and ours
    whole = snapshot(root / "tiny/1")
    assert {path: body for path, body in (repo.tree("v1") or {}).items() if path != ".gitattributes"} == whole
    done = command(hub, root, "download", "tiny@1", "--from", f"hf://{REPO}", "-o", tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "got") == whole
    done = command(hub, root, "download", "tiny", "--from", f"hf://datasets/{REPO}@main", "--format", "alpaca", "-o", tmp_path / "rows", "-q")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "rows/train.jsonl").read_text().count("\n") == 2
    hub.log.clear()
    done = command(hub, root, "push", "tiny", REPO)
    assert "nothing to do" in done.stderr
    assert not hub.asked("PUT")
    assert not hub.asked(f"POST /api/datasets/{REPO}/commit")


def test_public_only_when_said(hub: HubServer, root: Path) -> None:
    """--public makes a public one; to a public one nothing is sent without it, to a private one nothing with it."""
    assert command(hub, root, "push", "tiny", REPO, "--public").returncode == 0
    assert not hub.repos[REPO].private
    refused = command(hub, root, "push", "tiny", REPO)
    assert (refused.returncode, "is public" in refused.stderr, "--public" in refused.stderr) == (2, True, True)
    hub.repos[REPO].private = True
    refused = command(hub, root, "push", "tiny", REPO, "--public")
    assert (refused.returncode, "was to be public" in refused.stderr) == (2, True)


def test_to_a_pull_request(hub: HubServer, root: Path, tmp_path: Path) -> None:
    """--create-pr leaves main and tags as they are; the request can be pulled."""
    done = command(hub, root, "push", "tiny", REPO, "--create-pr")
    assert done.stdout == f"{hub.url}/datasets/{REPO}/discussions/1\n"
    assert hub.repos[REPO].tree("main") == {".gitattributes": b"*.parquet filter=lfs\n"}
    assert "v1" not in hub.repos[REPO].refs
    done = command(hub, root, "download", "tiny", "--from", f"hf://{REPO}@refs/pr/1", "-o", tmp_path / "got")
    assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path / "got") == snapshot(root / "tiny/1")


def test_a_cut_upload_is_not_seen(hub: HubServer, root: Path, tmp_path: Path) -> None:
    """Cut before the commit: no revision has a part of it, exit 3; the same command then sends no shard twice."""
    hub.ill = {f"POST /api/datasets/{REPO}/commit": 503}
    cut = command(hub, root, "push", "tiny", REPO)
    assert cut.returncode == 3
    assert f"try: selfinstruct push tiny {REPO}" in cut.stderr
    assert hub.repos[REPO].tree("main") == {".gitattributes": b"*.parquet filter=lfs\n"}
    pulled = command(hub, root, "download", "tiny", "--from", f"hf://{REPO}", "-o", tmp_path / "got")
    assert (pulled.returncode, "holds no published version" in pulled.stderr) == (2, True)
    hub.ill = {}
    hub.log.clear()
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    assert not hub.asked("PUT")
    assert {*snapshot(root / "tiny/1")} <= {*(hub.repos[REPO].tree("v1") or {})}


def test_cut_before_the_tag(hub: HubServer, root: Path) -> None:
    """Committed and not tagged: the same command tags that commit and makes no other."""
    hub.ill = {f"POST /api/datasets/{REPO}/tag": 500}
    assert command(hub, root, "push", "tiny", REPO).returncode == 3
    hub.ill = {}
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    repo = hub.repos[REPO]
    assert repo.refs["v1"] == repo.refs["main"]
    assert len(repo.commits) == 2


@pytest.mark.parametrize("line", [("push", "tiny", REPO), ("download", "tiny", "--from", f"hf://{REPO}", "-o", "got")])
def test_a_token_that_is_refused(hub: HubServer, root: Path, line: tuple[str, ...]) -> None:
    """401 and 403: what to do, exit 2, and never the token, also where the server repeats it."""
    hub.echo = True
    hub.ill = {"GET ": 403, "POST ": 403}
    done = command(hub, root, *line)
    assert (done.returncode, "hf auth login" in done.stderr) == (2, True), done.stderr
    hub.ill = {}
    wrong = command(hub, root, *line, token="hf_wrong")
    assert (wrong.returncode, "hf auth login" in wrong.stderr, "hf_wrong" in wrong.stderr) == (2, True, False), (
        wrong.stderr
    )
    assert hub.repos == {}


def test_no_token(hub: HubServer, root: Path) -> None:
    """Nothing is even asked."""
    done = command(hub, root, "push", "tiny", REPO, token=None)
    assert (done.returncode, "no token" in done.stderr, hub.log) == (2, True, [])


def test_rows_for_trying_out_are_never_sent(hub: HubServer, tmp_path: Path) -> None:
    """Refused before anything is asked, whatever else is said."""
    publish_files(tmp_path / "catalogue", {"recipe.yaml": b"a: 1\n"}, trial=True)
    done = command(hub, tmp_path / "catalogue", "push", "tiny", REPO, "--public")
    assert (done.returncode, "for trying out" in done.stderr, hub.log) == (2, True, [])


def test_a_damaged_version_is_not_sent(hub: HubServer, root: Path) -> None:
    """A file that is not what the manifest says: named, and nothing is asked."""
    (root / "tiny/1/recipe.yaml").write_bytes(b"b: 2\n")
    done = command(hub, root, "push", "tiny", REPO)
    assert (done.returncode, "recipe.yaml" in done.stderr, hub.log) == (1, True, [])


def test_what_a_repository_holds_is_not_spoilt(hub: HubServer, root: Path, tmp_path: Path) -> None:
    """Something else, another dataset, another v1, a later version: each is refused and main stays."""
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    repo = hub.repos[REPO]
    before = dict(repo.refs)
    publish_files(root, {"recipe.yaml": b"c: 3\n"}, name="other", version=2, trial=False)
    another = command(hub, root, "push", "other@2", REPO)
    assert (another.returncode, "holds tiny@1, not other" in another.stderr) == (2, True), another.stderr
    publish_files(tmp_path / "second", {"recipe.yaml": b"c: 3\n"}, trial=False)
    same_number = command(hub, tmp_path / "second", "push", "tiny@1", REPO)
    assert (same_number.returncode, "has another v1" in same_number.stderr) == (2, True), same_number.stderr
    repo.refs["v9"] = repo.refs["main"]
    publish_files(root, {"recipe.yaml": b"c: 3\n"}, version=2, trial=False)
    back = command(hub, root, "push", "tiny@2", REPO)
    assert (back.returncode, "would go back" in back.stderr) == (2, True), back.stderr
    del repo.refs["v9"]
    assert repo.refs == before
    repo.commit("main", {"model.bin": b"x"})
    foreign = command(hub, root, "push", "tiny@2", REPO)
    assert (foreign.returncode, "holds something else (model.bin)" in foreign.stderr) == (2, True), foreign.stderr


def test_the_next_version(hub: HubServer, root: Path) -> None:
    """Only what is new is sent; a shard that it does not have is gone from main and stays at the old tag."""
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    shard = (root / "tiny/1/data/sft/train-00000.parquet").read_bytes()
    publish_files(root, {"recipe.yaml": b"a: 2\n", "data/sft/train-00000.parquet": shard}, version=2, trial=False)
    hub.log.clear()
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    assert not hub.asked("PUT")
    repo = hub.repos[REPO]
    assert BIG in (repo.tree("v1") or {})
    assert BIG not in (repo.tree("v2") or {})
    assert (repo.tree("v2") or {})[MANIFEST] == (root / "tiny/2" / MANIFEST).read_bytes()


def test_papers_of_the_version_before_do_not_stay(hub: HubServer, root: Path) -> None:
    """What only the earlier version has is gone, whatever its folder; what somebody else put there stays."""
    papers = {"diff.md": b"# 1\n", "audit.json": b"{}", "card/verbs.svg": b"<svg/>", "recipe.yaml": b"a: 1\n"}
    publish_files(root, papers, version=2, trial=False)
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    repo = hub.repos[REPO]
    repo.commit("main", {**(repo.tree("main") or {}), "notes.md": b"mine", "data/more.csv": b"a,b"})
    publish_files(root, {"recipe.yaml": b"a: 2\n"}, version=3, trial=False)
    done = command(hub, root, "push", "tiny", REPO)
    assert done.returncode == 0, done.stderr
    assert {*(repo.tree("v3") or {})} == {".gitattributes", "notes.md", "data/more.csv", "recipe.yaml", MANIFEST}


def test_other_bytes_from_the_hub_are_refused(hub: HubServer, root: Path, tmp_path: Path) -> None:
    """What was changed there is named with both hashes, and nothing is made."""
    assert command(hub, root, "push", "tiny", REPO).returncode == 0
    files = hub.repos[REPO].tree("v1") or {}
    files[BIG] = files[BIG][:-1] + bytes([files[BIG][-1] ^ 1])
    done = command(hub, root, "download", "tiny@1", "--from", f"hf://{REPO}", "-o", tmp_path / "got")
    assert (done.returncode, BIG in done.stderr, "sha256" in done.stderr) == (1, True, True), done.stderr
    assert not (tmp_path / "got").exists()
