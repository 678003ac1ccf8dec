"""From a catalogue that is served: what came is kept, the rest is asked for, and what lies is refused before it is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import MANIFEST, ref
from selfinstruct.download import Order, download, make_plan, open_source
from selfinstruct.errors import BadInputError, DamageError, NoRoomError, SelfInstructError, UnreachableError
from selfinstruct.files import sha256
from tests.download.test_download import snapshot
from tests.support.file_server import FileServer, Manners, free_port, serving
from tests.support.hand_made import publish_files
from tests.support.published import make_catalogue

SHARD = "data/sft/train-00000.parquet"
BODY = Random(1).randbytes(200_000)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return publish_files(tmp_path / "catalogue", {SHARD: BODY, "recipe.yaml": b"a: 1\n"})


def get(
    server: FileServer, path: Path, form: str | None = None, *, name: str = "tiny", waits: tuple[float, ...] = ()
) -> bool:
    source = open_source(server.url, ref(name))
    return download(source, make_plan(source.manifest, Order(form)), path, waits=waits)


def asked(server: FileServer) -> list[int]:
    """First bytes of the shard that were asked for."""
    return [start for path, start in server.log if path.endswith(SHARD)]


def test_what_is_served_is_not_read_as_a_folder(catalogue: Catalogue) -> None:
    """`datasets list`, `extend` and the like say so, and what can be had of it; nobody is told of a bad name."""
    with serving(catalogue) as server:
        with pytest.raises(BadInputError, match="is served") as caught:
            Catalogue(server.url)
        assert f"selfinstruct download NAME --from {server.url} -o DIR" in caught.value.remedy


@pytest.mark.parametrize(
    ("slip", "meant"), [("hf:/jane/tasks", "hf://jane/tasks"), ("https:/a.example", "https://a.example")]
)
def test_one_slash_is_a_slip(slip: str, meant: str) -> None:
    """It is no folder of that name, in which nothing is found."""
    with pytest.raises(BadInputError, match="is no address") as caught:
        open_source(slip, ref("tiny"))
    assert caught.value.remedy == f"did you mean {meant}?"


def test_the_same_as_from_the_folder(tmp_path: Path) -> None:
    """As it is, and converted; of the latest version where none is named; only the shards that are needed are asked for."""
    catalogue = make_catalogue(tmp_path, versions=2)
    with serving(catalogue) as server:
        get(server, tmp_path / "whole")
        server.log.clear()
        get(server, tmp_path / "dpo", "dpo", name="tiny@1")
    assert snapshot(tmp_path / "whole") == snapshot(tmp_path / "catalogue/tiny/2")
    shards = [path for path, _ in server.log if "/data/" in path]
    assert shards == ["/files/tiny/1/data/preference/train-00000.parquet"]
    assert (tmp_path / "dpo/train.jsonl").stat().st_size


def test_a_connection_that_drops_goes_on_from_there(catalogue: Catalogue, tmp_path: Path) -> None:
    """Dropped at 60 %: the next try asks for the rest alone, and the file is whole."""
    with serving(catalogue, Manners(drop_at=0.6, drops=1)) as server:
        get(server, tmp_path / "got", waits=(0,))
    assert asked(server) == [0, 120_000]
    assert (tmp_path / "got" / SHARD).read_bytes() == BODY


@pytest.mark.parametrize("path", ["/catalogue.json", "/files/tiny/1/manifest.json"])
def test_what_says_what_there_is_drops(catalogue: Catalogue, tmp_path: Path, path: str) -> None:
    """The head or the manifest, cut at 60 %: not damage, but asked for again, whole."""
    with serving(catalogue, Manners(drop_at=0.6, drops=1, dropped=path)) as server:
        get(server, tmp_path / "got")
        assert [one for one, _ in server.log].count(path) == 2
    assert snapshot(tmp_path / "got") == snapshot(tmp_path / "catalogue/tiny/1")


def test_a_server_that_always_drops(catalogue: Catalogue, tmp_path: Path) -> None:
    """Told after some tries, nothing is lost, nothing half is seen; once the server is well the same call fetches the rest."""
    with serving(catalogue, Manners(drop_at=0.6)) as server:
        with pytest.raises(UnreachableError, match=r"stopped after 120,000 of 200,000 bytes|stopped in the middle"):
            get(server, tmp_path / "got", waits=(0, 0))
        assert asked(server) == [0, 120_000, 120_000]
        assert not (tmp_path / "got").exists()
        server.manners.drop_at = None
        server.log.clear()
        get(server, tmp_path / "got")
    assert asked(server) == [120_000]
    assert ("/files/tiny/1/recipe.yaml", 0) not in server.log
    assert snapshot(tmp_path / "got") == snapshot(tmp_path / "catalogue/tiny/1")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalogue", "got"]


def test_a_server_without_ranges(catalogue: Catalogue, tmp_path: Path) -> None:
    """It sends the whole again: taken from the start."""
    with serving(catalogue, Manners(drop_at=0.6, drops=1, ranges=False)) as server:
        get(server, tmp_path / "got", waits=(0,))
    assert asked(server) == [0, 120_000]
    assert (tmp_path / "got" / SHARD).read_bytes() == BODY


def test_other_bytes_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    """A file that was changed: its name and both hashes, nothing is made, and the good ones need not come again."""
    with serving(catalogue, Manners(other=lambda body: b"x" + body[1:] if len(body) > 9 else body)) as server:
        with pytest.raises(DamageError) as caught:
            get(server, tmp_path / "got")
        for one in (SHARD, sha256(tmp_path / "catalogue/tiny/1" / SHARD)):
            assert one in str(caught.value)
        assert not (tmp_path / "got").exists()
        server.manners.other = None
        server.log.clear()
        get(server, tmp_path / "got")
    assert [path.rpartition("/")[2] for path, _ in server.log if "recipe" in path] == []
    assert asked(server) == [0]


@pytest.mark.parametrize("length", [lambda size: size + 1, lambda size: size + 10**15, lambda size: size // 2])
def test_a_length_that_lies(catalogue: Catalogue, tmp_path: Path, length: Callable[[int], int]) -> None:
    """Content-Length that is not the manifest's: refused before a byte of it is written."""
    with (
        serving(catalogue, Manners(length=length)) as server,
        pytest.raises(DamageError, match="the manifest says 200000"),
    ):
        get(server, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_it_does_not_follow_away(catalogue: Catalogue, tmp_path: Path) -> None:
    """A redirect to another host is told, not followed."""
    with (
        serving(catalogue) as other,
        serving(catalogue, Manners(status=302, location=f"{other.url}/catalogue.json")) as server,
    ):
        with pytest.raises(BadInputError, match="sends on to"):
            get(server, tmp_path / "got")
        assert other.log == []


def test_a_proxy_of_the_environment_is_not_asked(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a host that is not this one: what is fetched is between it and us."""
    with serving(catalogue) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with pytest.raises(UnreachableError):
            open_source(f"http://127.0.0.2:{free_port()}", ref("tiny"))
        assert proxy.log == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_is_ill(catalogue: Catalogue, tmp_path: Path, status: int) -> None:
    """Tried again, then told as what may pass."""
    with serving(catalogue) as server:
        source = open_source(server.url, ref("tiny"))
        server.manners.status = status
        with pytest.raises(UnreachableError, match=f"answers {status}"):
            download(source, make_plan(source.manifest, Order()), tmp_path / "got", waits=(0,))
    assert sum("/data/" in path or "recipe" in path for path, _ in server.log) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses(catalogue: Catalogue, tmp_path: Path, status: int) -> None:
    """Not tried again: it would refuse again."""
    with serving(catalogue, Manners(status=status)) as server, pytest.raises(BadInputError, match=f"answers {status}"):
        get(server, tmp_path / "got")
    assert len(server.log) == 1


def test_nobody_there(tmp_path: Path) -> None:
    """A port where nobody listens: exit 3, and nothing is written."""
    with pytest.raises(UnreachableError, match="does not answer"):
        open_source(f"http://127.0.0.1:{free_port()}", ref("tiny"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "head", [b"<html>", b"[]", b'{"format": "1"}', b'{"format": 1, "datasets": {"tiny": [1.5]}}', b"[" * 100_000]
)
def test_no_catalogue(catalogue: Catalogue, head: bytes) -> None:
    """Something else that is served: said so."""
    with (
        serving(catalogue, Manners(head=head)) as server,
        pytest.raises(BadInputError, match="not the head of a catalogue"),
    ):
        open_source(server.url, ref("tiny"))


def test_a_newer_catalogue(catalogue: Catalogue) -> None:
    """Of a format that this version does not know: it says what to upgrade."""
    head = b'{"format": 2, "datasets": {"tiny": [1]}, "more": true}'
    with serving(catalogue, Manners(head=head)) as server, pytest.raises(BadInputError, match="format 2") as caught:
        open_source(server.url, ref("tiny"))
    assert "a later selfinstruct" in caught.value.remedy


def test_names_that_are_not_there(catalogue: Catalogue) -> None:
    """The message says what there is."""
    with serving(catalogue) as server:
        for name in ("huge", "tiny@4"):
            with pytest.raises(BadInputError, match=f"no {name}") as caught:
                open_source(server.url, ref(name))
            assert "tiny" in caught.value.remedy


@pytest.mark.parametrize(
    "url",
    ["http://", "http://user:secret@127.0.0.1:1", "http://127.0.0.1:1/?a=b", "file:///etc", "ftp://127.0.0.1:1/y"],
)
def test_addresses_that_are_none(url: str) -> None:
    """Refused, and a password in one is not repeated."""
    with pytest.raises(SelfInstructError) as caught:
        open_source(url, ref("tiny"))
    assert "secret" not in str(caught.value) + caught.value.remedy


HOSTILE: dict[str, tuple[dict[str, Any], type[SelfInstructError], str]] = {
    "outside": ({"files": {"../../x": {"sha256": "0" * 64, "bytes": 1}}}, DamageError, "no path inside"),
    "absolute": ({"files": {"/etc/x": {"sha256": "0" * 64, "bytes": 1}}}, DamageError, "no path inside"),
    "hidden": ({"files": {".git/config": {"sha256": "0" * 64, "bytes": 1}}}, DamageError, "no path inside"),
    "hash": ({"files": {"x": {"sha256": "../../x", "bytes": 1}}}, DamageError, "sha256"),
    "negative": ({"files": {"x": {"sha256": "0" * 64, "bytes": -1}}}, DamageError, "bytes"),
    "petabytes": ({"files": {"x": {"sha256": "0" * 64, "bytes": 10**18}}}, NoRoomError, "1,000,000,000,000,000,000 bytes"),
    "itself": ({"files": {MANIFEST: {"sha256": "0" * 64, "bytes": 1}}}, DamageError, "names itself"),
    "clash": ({"files": {one: {"sha256": "0" * 64, "bytes": 1} for one in ("x", "x/y")}}, DamageError, "as a folder"),
    "long": ({"files": {"x" * 300: {"sha256": "0" * 64, "bytes": 1}}}, DamageError, "300 characters"),
    "many": ({"files": {f"x{n}": {"sha256": "0" * 64, "bytes": 0} for n in range(100_001)}}, DamageError, "100,001 files"),
    "newer": ({"format": 2, "wings": True}, BadInputError, "format 2"),
    "other": ({"name": "huge"}, BadInputError, "holds huge@1, not tiny@1"),
    "version": ({"version": 7}, BadInputError, "holds tiny@7, not tiny@1"),
    "unknown": ({"wings": True}, DamageError, "no readable manifest"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_manifest_that_lies(catalogue: Catalogue, tmp_path: Path, kind: str) -> None:
    """Refused before anything but it is asked for, and nothing is written."""
    changes, error, what = HOSTILE[kind]
    manners = Manners(manifest=lambda body: json.dumps({**json.loads(body), **changes}).encode())
    with serving(catalogue, manners) as server, pytest.raises(error, match=what):
        get(server, tmp_path / "got")
    assert [path for path, _ in server.log] == ["/catalogue.json", f"/files/tiny/1/{MANIFEST}"]
    assert [one.name for one in tmp_path.iterdir()] == ["catalogue"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 9, b"[" * 1_000_000, b" " * (65 << 20)])
def test_a_manifest_that_is_none(catalogue: Catalogue, tmp_path: Path, body: bytes) -> None:
    """Half, deep, or without an end: told as what it is, and no more of it is read than a manifest could have."""
    with serving(catalogue, Manners(manifest=lambda _: body)) as server, pytest.raises(DamageError):
        get(server, tmp_path / "got")
    assert [one.name for one in tmp_path.iterdir()] == ["catalogue"]
