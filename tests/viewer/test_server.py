"""Every route: what it answers, with which headers, and whom it refuses."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from selfinstruct.viewer.guard import HEADERS
from selfinstruct.viewer.library import Library
from selfinstruct.viewer.server import app
from tests.support.markup import Page
from tests.support.viewing import HOST, Viewer, browse

PAGES = ["/", "/d/tiny/2", "/d/tiny/2/rows", "/d/tiny/2/drops", "/d/tiny/1/against/2", "/catalogue.json", "/static/viewer.css",
         "/files/tiny/2/manifest.json", "/files/tiny/2/data/sft/train-00000.parquet", "/download/tiny/2/messages.jsonl",
         "/nowhere", "/d/tiny/9", "/d/tiny", "/run"]  # fmt: skip


def _first(viewer: Viewer, url: str, kind: str) -> str:
    found = re.search(rf'href="(/d/tiny/2/{kind}/[^"]+)"', viewer.page(url))
    assert found is not None
    return found[1]


def test_every_page_answers_and_is_whole(viewer: Viewer) -> None:
    """Each page is HTML without anything that the policy would stop, and its links lead somewhere."""
    row = _first(viewer, "/d/tiny/2/rows", "row")
    urls = [*PAGES[:5], row, row.replace("/row/", "/near/"), _first(viewer, "/d/tiny/2/drops", "drop")]
    links: set[str] = set()
    for url in urls:
        page = Page(viewer.page(url))
        assert not page.wrong, (url, page.wrong)
        links |= {link.partition("#")[0] for link in page.links if link.startswith("/")}
    for link in sorted(links):
        assert viewer.get(link).status_code in {200, 302}, link


def test_a_comparison_and_a_card_give_the_same_median(viewer: Viewer, catalogue: Catalogue) -> None:
    """Of the likeness to the nearest earlier instruction, half lie below one figure; the cell says that it is this."""
    card = catalogue.version(Ref("tiny", 2)).text("README.md")
    half = re.search(r"half lie below (0\.\d\d|1\.00)", card)
    assert half is not None
    told = " ".join(viewer.page("/d/tiny/1/against/2").split())
    cells = rf"nearest earlier instruction, half lie below</th><td>[\d.]+</td><td>{half[1]}</td>"
    assert re.search(cells, told), half[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("host", [HOST, "evil.example"])
def test_headers_stand_on_every_answer(library: Library, method: str, host: str) -> None:
    """Policy, nosniff and no-referrer are on answers of each kind, refusals included."""
    with browse(library) as viewer:
        for url in PAGES:
            answer = viewer.request(method, url, headers={"host": host})
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, url
            assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:8001", "localhost", "localhost:8000.evil.example", "", "127.0.0.1:8000@evil.example", "[::1]:8000"],
)  # fmt: skip
def test_a_foreign_host_gets_nothing(viewer: Viewer, host: str) -> None:
    """A name that only leads here (DNS rebinding) is answered 421, with no word of the data."""
    for url in PAGES:
        answer = viewer.get(url, headers={"host": host})
        assert answer.status_code == 421
        assert "tiny" not in answer.text


def test_its_own_names_are_answered(library: Library) -> None:
    """Both names of this machine are its own, in any case."""
    client = TestClient(app(library, hosts=["127.0.0.1:8000", "localhost:8000"]), base_url="http://LOCALHOST:8000")
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_it_only_reads(viewer: Viewer, method: str) -> None:
    """Anything but GET and HEAD is 405."""
    for url in PAGES:
        answer = viewer.request(method, url)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_a_body(viewer: Viewer) -> None:
    """HEAD is answered as GET is."""
    for url in PAGES:
        answer = viewer.head(url)
        assert (answer.status_code, answer.content) == (viewer.get(url).status_code, b""), url


def test_nothing_is_written_by_looking(viewer: Viewer, made: Path) -> None:
    """No page changes a file of the catalogue or adds one."""
    root = made / "catalogue"
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    for url in [*PAGES, _first(viewer, "/d/tiny/2/rows", "row")]:
        viewer.get(url)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")} == before


def test_what_is_not_there_is_not_found(viewer: Viewer) -> None:
    """Unknown datasets, versions, rows, drops, formats and files are 404 with a page."""
    for url in ("/d/none", "/d/tiny/3", "/d/tiny/0", "/d/tiny/01", "/d/tiny/x", "/d/tiny/2/row/none", "/d/tiny/2/near/none", "/d/tiny/2/drop/none",
                "/d/tiny/1/against/3", "/d/tiny@1/2", "/d/tiny/2/news", "/run", "/run/rows", "/download/tiny/2/kto.jsonl",
                "/download/tiny/2/messages", "/download/tiny/2/nonsense.jsonl", "/download/tiny/2/parquet.jsonl", "/files/tiny/2/",
                "/files/tiny/2/data", "/files/tiny/2/nothing.json", "/files/tiny/2/manifest.json/", "/static/", "/static/none.js"):  # fmt: skip
        answer = viewer.get(url)
        assert answer.status_code == 404, url
        assert not Page(answer.text).wrong


def test_too_long_a_question_is_refused(viewer: Viewer) -> None:
    """A URL without end costs nothing."""
    assert viewer.get(f"/d/tiny/2/rows?q={'x' * 9000}").status_code == 414


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=9999999", "page=x", "min=nan", "max=inf", "min=abc", "sort=n;DROP TABLE facts", "class=maybe",
                                   "version=%00", "q=%00", "q=%F0%28%8C%28", "q=%22", "q=%25%5F%27%3B--", "script=%3Cb%3E", "flag='", "lang=../../etc", "q=" + "a+" * 99])  # fmt: skip
def test_odd_questions_are_answered(viewer: Viewer, query: str) -> None:
    """Whatever stands in a query, there is a page."""
    for page in ("rows", "drops"):
        assert not Page(viewer.page(f"/d/tiny/2/{page}?{query}")).wrong


def test_the_head_of_a_catalogue(viewer: Viewer) -> None:
    """/catalogue.json names datasets and versions."""
    assert viewer.get("/catalogue.json").json() == {"format": 1, "trial": True, "datasets": {"tiny": [1, 2]}}


def test_files_are_the_bytes_of_the_manifest(viewer: Viewer, catalogue: Catalogue) -> None:
    """Every file that the manifest names comes with its length, its sha256 as ETag, and in ranges."""
    published = catalogue.version(Ref("tiny", 2))
    told = json.loads(viewer.get("/files/tiny/2/manifest.json").content)
    assert told == published.manifest.model_dump(mode="json")
    for path, file in published.manifest.files.items():
        url = f"/files/tiny/2/{path}"
        answer = viewer.get(url)
        assert hashlib.sha256(answer.content).hexdigest() == file.sha256
        assert answer.headers["etag"] == f'"{file.sha256}"'
        assert answer.headers["content-length"] == str(file.bytes)
        assert answer.headers["accept-ranges"] == "bytes"
        part = viewer.get(url, headers={"range": "bytes=5-20"})
        assert (part.status_code, part.content) == (206, answer.content[5:21])
        assert part.headers["content-range"] == f"bytes 5-20/{file.bytes}"
        rest = viewer.get(url, headers={"range": f"bytes={file.bytes - 7}-", "if-range": answer.headers["etag"]})
        assert (rest.status_code, rest.content) == (206, answer.content[-7:])
        other = viewer.get(url, headers={"range": "bytes=0-3", "if-range": '"another"'})
        assert (other.status_code, other.content) == (200, answer.content)
        assert viewer.get(url, headers={"range": f"bytes={file.bytes}-"}).status_code == 416
        assert viewer.get(url, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_rows_are_sent_as_they_are_downloaded(viewer: Viewer, made: Path, tmp_path: Path) -> None:
    """A direct download has the bytes that the command writes, in every format that is offered."""
    from selfinstruct.download import Order, download, make_plan, open_source

    offered = re.findall(r'href="(/download/tiny/2/([a-z-]+)\.jsonl)"', viewer.page("/d/tiny/2"))
    assert {name for _, name in offered} == {
        "alpaca",
        "messages",
        "prompt-completion",
        "sharegpt",
        "dpo",
        "dpo-text",
        "dpo-conversations",
        "reward",
    }
    for url, name in offered:
        source = open_source(str(made / "catalogue"), Ref("tiny", 2))
        download(source, make_plan(source.manifest, Order(format=name)), tmp_path / name)
        answer = viewer.get(url)
        assert answer.content == (tmp_path / name / "train.jsonl").read_bytes(), name
        assert answer.headers["content-disposition"] == f'attachment; filename="tiny-v2-{name}.jsonl"'


def test_languages(viewer: Viewer) -> None:
    """Accept-Language decides, ?lang= before it, and the choice stays."""
    asked = {"accept-language": "ko-KR,ko;q=0.9,en;q=0.5"}
    assert '<html lang="ko">' in viewer.get("/", headers=asked).text
    assert '<html lang="en">' in viewer.get("/", headers={"accept-language": "fr, en;q=0.1, ko;q=0.05"}).text
    assert '<html lang="en">' in viewer.get("/?lang=en", headers=asked).text
    assert '<html lang="en">' in viewer.get("/d/tiny/2", headers=asked).text
    viewer.cookies.clear()
    assert '<html lang="ko">' in viewer.get("/d/tiny/2/rows?q=x&lang=ko").text
    viewer.cookies.clear()


def _encodings() -> list[str]:
    """Ways to write paths that lead out of a folder."""
    dots = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
        "..;",
        "....",
        "%uff0e%uff0e",
        "%e2%80%a5",
    ]
    slashes = ["/", "%2f", "%5c", "\\", "%252f", "//", "/./", "%c0%af", "/%2e/"]
    targets = ["etc/passwd", "run-1/run.db", "outside.txt"]
    return [
        f"{dot}{slash}" * depth + target for dot in dots for slash in slashes for depth in (1, 4) for target in targets
    ]


def test_no_path_leads_outside(library: Library, made: Path) -> None:
    """Hundreds of encodings of `..` in names, versions, files and ids: 404 or 400, and no byte of anything outside."""
    (made / "outside.txt").write_text("SECRET-OUTSIDE", encoding="utf-8")
    bases = [
        "/files/tiny/2/",
        "/files/tiny/",
        "/files/",
        "/files/tiny/2/data/sft/",
        "/static/",
        "/d/",
        "/d/tiny/",
        "/d/tiny/2/row/",
        "/download/tiny/2/",
    ]
    encodings = _encodings()
    assert len(encodings) >= 200
    with browse(library) as viewer:
        for place, path in enumerate(encodings):
            for base in (bases[place % len(bases)], "/files/tiny/2/"):
                # as bytes: what httpx would tidy up comes as it is
                answer = viewer.get(f"http://{HOST}{base}{path}")
                assert answer.status_code in {400, 404}, (base + path, answer.status_code)
                assert b"SECRET-OUTSIDE" not in answer.content
                assert b"root:" not in answer.content


def test_raw_paths_lead_nowhere_either(made: Path) -> None:
    """Dots that no client would send: straight to the application, decoded and raw."""
    import asyncio

    (made / "outside.txt").write_text("SECRET-OUTSIDE", encoding="utf-8")
    inner = app(Library(Catalogue(str(made / "catalogue"))), hosts=[HOST])

    async def ask(path: str) -> tuple[int, bytes]:
        sent: list[dict[str, object]] = []
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
                 "headers": [(b"host", HOST.encode())], "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1)}  # fmt: skip

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            sent.append(message)

        await inner(scope, receive, send)
        return int(str(sent[0]["status"])), b"".join(bytes(one.get("body", b"")) for one in sent[1:])  # type: ignore[call-overload]

    for base in ("/files/tiny/2", "/files/tiny", "/files", "/static", "/d", "/d/tiny", "/download/tiny/2"):
        for path in (
            "/../../../outside.txt",
            "/../../../../../../../etc/passwd",
            "/..\\..\\outside.txt",
            "/\x00",
            "/./manifest.json",
            "//etc/passwd",
            "/~root",
        ):
            status, body = asyncio.run(ask(base + path))
            assert status in {400, 404}, base + path
            assert b"SECRET" not in body
            assert b"root:" not in body
