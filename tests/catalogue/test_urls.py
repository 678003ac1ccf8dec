"""A catalogue at a URL holds what one in a folder holds, and says no in the same words."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from selfinstruct.catalogue.one_file import one_file
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.placing import placed
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.verify import verify
from selfinstruct.catalogue.version import Ref
from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError, DamageError, UnreachableError
from selfinstruct.extend import plan
from selfinstruct.pipeline import run_sync
from tests.support.published import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", n=20)


def test_a_url_holds_what_a_folder_holds(run: Path, tmp_path: Path) -> None:
    """The same files with the same bytes; a second version has the shards of the first, copied where they lie."""
    url = "memory://same"
    far, near = publish_run(run, "tiny", url, trial=True), publish_run(run, "tiny", str(tmp_path / "c"), trial=True)
    assert far.manifest.files == near.manifest.files
    night = plan("tiny", url, folder=tmp_path / "runs")
    assert (tmp_path / "runs" / "tiny-2" / "earlier" / "1" / "train-00000.parquet").is_file()
    run_sync(night.recipe, night.folder, target=5)
    second = night.publish()
    assert (second.manifest.base, second.manifest.rows["sft"]) == (1, 25)
    catalogue = Catalogue(url)
    assert catalogue.names() == ["tiny"]
    assert [list(verify(catalogue, Ref("tiny", number))) for number in (1, 2)] == [[], []]


def test_damage_on_the_way_is_found(run: Path, tmp_path: Path) -> None:
    """Rows that are not those of the manifest are never compared with: the folder keeps nothing of them."""
    publish_run(run, "tiny", "memory://damage", trial=True)
    files = fsspec.filesystem("memory")
    shard = "/damage/tiny/1/data/sft/train-00000.parquet"
    files.pipe_file(shard, files.cat_file(shard)[:-1] + b"?")
    with pytest.raises(DamageError, match="train-00000"):
        plan("tiny", "memory://damage", folder=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_damage_of_a_folder_is_found_before_a_night_begins(run: Path, tmp_path: Path) -> None:
    """Bytes that are not those of the manifest, or none: named at once, for another night as for a judge."""
    made = publish_run(run, "tiny", str(tmp_path / "c"), trial=True)
    shard = tmp_path / "c/tiny/1/data/sft/train-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[300] ^= 1
    for damaged in (bytes(data), None):
        shard.unlink()
        if damaged:
            shard.write_bytes(damaged)
        with pytest.raises(DamageError, match=r"train-00000\.parquet: not what the manifest of tiny@1 names"):
            plan("tiny", str(tmp_path / "c"), folder=tmp_path / "runs")
        with pytest.raises(DamageError, match="train-00000"):
            one_file(made, "sft", tmp_path / "rows.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_who_comes_second_at_a_url_is_refused(run: Path) -> None:
    """A manifest that appeared while another was uploaded is never written over."""
    url = "memory://second"
    first = publish_run(run, "tiny", url, trial=True)
    manifest = first.text("manifest.json")
    with pytest.raises(BadInputError, match="meanwhile"):
        upload_again(first, manifest.replace('"made_by": "', '"made_by": "other '))
    assert Catalogue(url).version(Ref("tiny")).text("manifest.json") == manifest


def upload_again(version: Published, manifest: str) -> None:
    """Bring a version to a place where one has appeared since it was looked for."""
    with placed(version.catalogue, version.manifest.ref) as folder:
        for name in version.manifest.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with version.open(name) as opened:
                (folder / name).write_bytes(opened.read())
        (folder / "manifest.json").write_text(manifest, encoding="utf-8")


def test_an_unknown_protocol_is_bad_input() -> None:
    """Told with what would help, before anything is done."""
    with pytest.raises(BadInputError, match="nowhere"):
        Catalogue("nowhere://bucket")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://127.0.0.1:1/c"])
def test_a_catalogue_that_cannot_be_reached_is_told_as_such(url: str, run: Path) -> None:
    """A server that is down is no fault of ours, and nobody's input: the exit status of a server that does not answer."""
    for line in (["datasets", "list"], ["publish", str(run), "tiny"]):
        done = CliRunner().invoke(app, [*line, "--catalogue", url])
        assert isinstance(done.exception, UnreachableError)
        assert str(done.exception).startswith(f"catalogue {url}: ")


def test_a_file_is_no_catalogue(tmp_path: Path) -> None:
    """Nor is a URL that lacks a part: refused with what is to be given, and not taken for one that is empty."""
    (tmp_path / "c").write_text("mine")
    with pytest.raises(BadInputError, match="a file, and no folder"):
        Catalogue(str(tmp_path / "c"))
    with pytest.raises(BadInputError, match="org"):
        Catalogue("github://x")


def test_what_is_told_of_a_url_opens_again(run: Path) -> None:
    """A path without its protocol is nothing that anybody can open."""
    done = CliRunner().invoke(app, ["publish", str(run), "tiny", "--catalogue", "memory://told/c", "--trial", "-q"])
    where = done.stdout.strip()
    assert where.startswith("memory://")
    assert fsspec.open(f"{where}/manifest.json").open().read().startswith(b"{")
    info = CliRunner().invoke(app, ["datasets", "info", "tiny", "--catalogue", "memory://told/c"]).stdout
    assert f"data_files='{where}/data/sft/*.parquet'" in info
