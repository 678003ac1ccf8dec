"""`datasets list`, `info`, `verify`: what is there, and whether it is what was published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.verify import find, verify
from selfinstruct.catalogue.version import Ref
from selfinstruct.errors import BadInputError, DamageError
from tests.support.published import make_catalogue
from tests.support.running import command


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    make_catalogue(folder, versions=2, n=10)
    return folder / "catalogue"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_a_dataset_that_is_not_there(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy lists the catalogue that was looked in, and not another one; where it is empty, that is what is told."""
    with pytest.raises(BadInputError) as caught:
        Catalogue(str(sound)).version(Ref("reel"))
    assert caught.value.remedy == f"selfinstruct datasets list --catalogue {sound}"
    with pytest.raises(BadInputError) as caught:
        Catalogue(str(tmp_path / "none")).version(Ref("reel"))
    assert "nothing is published there" in caught.value.remedy
    monkeypatch.setenv("SELFINSTRUCT_CATALOGUE", str(sound))
    with pytest.raises(BadInputError) as caught:
        Catalogue(str(sound)).version(Ref("reel"))
    assert caught.value.remedy == "selfinstruct datasets list"


def test_a_sound_catalogue_is_listed_told_and_verified(sound: Path) -> None:
    """Data on stdout, for people and as JSON; nothing of a file system in the way."""
    listed = command("datasets", "list", "--catalogue", sound)
    assert listed.stdout.split()[:2] == ["tiny@2", "20"]
    (told,) = json.loads(command("datasets", "list", "--catalogue", sound, "--json").stdout)["datasets"]
    assert (told["name"], told["version"], told["versions"]) == ("tiny", 2, [1, 2])
    info = command("datasets", "info", "tiny@1", "--catalogue", sound)
    assert "scripted (none)" in info.stdout
    assert "10 of 10 rows" in info.stdout
    facts = json.loads(command("datasets", "info", "tiny", "--catalogue", sound, "--json").stdout)
    assert facts["rows"]["sft"] == 20
    catalogue = Catalogue(str(sound))
    assert [len(find(catalogue, wanted)) for wanted in ("tiny", "tiny@v1", "all")] == [2, 1, 2]
    done = command("datasets", "verify", "all", "--catalogue", sound)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "2 versions sound\n")


def test_the_variable_names_the_catalogue_and_no_field_of_a_recipe(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SELFINSTRUCT_CATALOGUE is where commands look; a run with it set is the same run."""
    monkeypatch.setenv("SELFINSTRUCT_CATALOGUE", str(sound))
    assert command("datasets", "list").stdout.startswith("tiny@2")
    assert command("run", "demo", "-n", 1, "-o", tmp_path / "run", "-q").returncode == 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda root: flip(root / "2/data/sft/train-00001.parquet"), "2/data/sft/train-00001.parquet: the bytes are not"),
        (lambda root: edit(root / "1/recipe.yaml", "seed", "seeed"), "1/recipe.yaml: has"),
        (lambda root: (root / "2/data/seeds/train-00000.parquet").unlink(), "2/data/seeds/train-00000.parquet: is missing"),
        (lambda root: write(root / "1/data/sft/train-00009.parquet", "x"), "1/data/sft/train-00009.parquet: the manifest does not name it"),
        (lambda root: write(root / "1/data/.hidden", "x"), "1/data/.hidden: the manifest does not name it"),
        (lambda root: edit(root / "1/manifest.json", '"rows": 10', '"rows": 11'), "has 10 rows, the manifest says 11"),
        (lambda root: edit(root / "1/manifest.json", '"sft": 10', '"sft": 12'), "12 rows of sft, its shards have 10"),
        (lambda root: write(root / "1/manifest.json", "{"), "no readable manifest"),
        (lambda root: edit(root / "1/manifest.json", '"name": "tiny"', '"name": "other"'), "the manifest is that of other@1"),
        (lambda root: edit(root / "1/manifest.json", "data/sft/train-00000", "../../data/sft/train-00000"), "no readable manifest"),
    ],
)  # fmt: skip
def test_damage_is_found_and_named(damage: Callable[[Path], None], told: str, sound: Path, tmp_path: Path) -> None:
    """Flipped, cut, missing, foreign, miscounted, or a manifest that is not one: the file by its path."""
    root = tmp_path / "catalogue"
    shutil.copytree(sound, root)
    damage(root / "tiny")
    catalogue = Catalogue(str(root))
    lines = [line for one in find(catalogue, "all") for line in verify(catalogue, one)]
    assert any(told in line for line in lines), lines
    assert all(line.startswith(f"{root}/tiny/") for line in lines)


def test_damage_ends_with_1(sound: Path, tmp_path: Path) -> None:
    """What was found on stdout, which versions on stderr; `info` of a broken manifest says where it is."""
    root = tmp_path / "catalogue"
    shutil.copytree(sound, root)
    flip(root / "tiny/2/data/sft/train-00001.parquet")
    done = command("datasets", "verify", "all", "--catalogue", root)
    assert (done.returncode, len(done.stdout.splitlines()), "tiny@2: not as" in done.stderr) == (1, 1, True)
    write(root / "tiny/2/manifest.json", "{")
    done = command("datasets", "info", "tiny", "--catalogue", root)
    assert (done.returncode, "tiny/2/manifest.json" in done.stderr) == (1, True)


def test_what_is_not_there_is_bad_input(sound: Path, tmp_path: Path) -> None:
    """A name, a version, a catalogue: exit 2 and what there is."""
    catalogue = Catalogue(str(sound))
    for wanted in ("none", "tiny@9", "../tiny"):
        with pytest.raises(BadInputError):
            find(catalogue, wanted)
    with pytest.raises(BadInputError):
        find(Catalogue(str(tmp_path)), "all")
    assert command("datasets", "info", "tiny@9", "--catalogue", sound).returncode == 2
    listed = command("datasets", "list", "--catalogue", tmp_path)
    assert (listed.returncode, listed.stdout) == (0, "")


def test_a_damaged_version_hides_no_other(sound: Path, tmp_path: Path) -> None:
    """`list` shows what can be read, names what cannot, and says so by its status."""
    root = tmp_path / "catalogue"
    shutil.copytree(sound, root)
    shutil.copytree(root / "tiny", root / "other")
    done = command("datasets", "list", "--catalogue", root)
    assert (done.returncode, done.stdout.split()[0]) == (1, "tiny@2")
    assert "other/2/manifest.json" in done.stderr


def test_reading_what_is_damaged_names_the_shard(sound: Path, tmp_path: Path) -> None:
    """No traceback of a library; a manifest of a later format is no damage."""
    root = tmp_path / "catalogue"
    shutil.copytree(sound, root)
    version = Catalogue(str(root)).version(Ref("tiny", 1))
    write(root / "tiny/1/data/sft/train-00000.parquet", "no Parquet")
    (root / "tiny/1/data/seeds/train-00000.parquet").unlink()
    for view in ("sft", "seeds"):
        with pytest.raises(DamageError, match=f"tiny/1/data/{view}/train-00000.parquet: cannot be read"):
            list(version.rows(view))
    edit(root / "tiny/2/manifest.json", '"format": 1', '"format": 2, "new": true')
    with pytest.raises(BadInputError, match="of format 2"):
        Catalogue(str(root)).version(Ref("tiny", 2))


def test_an_edited_manifest_is_found_against_its_base(sound: Path, tmp_path: Path) -> None:
    """Counts of new rows that are not the difference; and a version that would go on with itself, or with a later one."""
    for number, (version, old, new, told) in enumerate(
        (
            (2, '"base": 1', '"base": 2', "version 2 cannot go on with version 2"),
            (2, '"base": 1', '"base": 3', "version 2 cannot go on with version 3"),
            (2, '"added": {\n    "sft": 10', '"added": {\n    "sft": 11', "11 new rows of sft, tiny@1 has 10 fewer"),
            (
                1,
                '"added": {\n    "sft": 10',
                '"added": {\n    "sft": 9',
                "it stands alone, and not all of its rows are new",
            ),
        )
    ):
        place = tmp_path / str(number)
        shutil.copytree(sound, place)
        edit(place / "tiny" / str(version) / "manifest.json", old, new)
        assert told in "".join(verify(Catalogue(str(place)), Ref("tiny", version)))


def test_folders_that_are_nobodys_are_passed_over(sound: Path, tmp_path: Path) -> None:
    """A volume's lost+found, or somebody's notes: no dataset, and no hindrance."""
    shutil.copytree(sound, tmp_path / "c")
    for name in ("My Notes", "lost+found", "ünter", "UP"):
        (tmp_path / "c" / name / "1").mkdir(parents=True)
    assert Catalogue(str(tmp_path / "c")).names() == ["tiny"]
    assert command("datasets", "verify", "all", "--catalogue", tmp_path / "c").stderr == "2 versions sound\n"
