"""Speaks the few endpoints of the Hub that a push and a pull use, on 127.0.0.1. Keeps repositories in memory, and a log.

Written from what the client sends (huggingface_hub 2.4: hf_api.py, _commit_api.py, lfs.py, hf_file_system.py).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_testing_token_of_nobody"  # noqa: S105 - known to this server alone


@dataclass
class Repo:
    """Commits are whole trees: path -> bytes."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    """main, tags, refs/pr/1 -> commit."""

    def commit(self, ref: str, tree: dict[str, bytes]) -> str:
        """Add one."""
        oid = hashlib.sha1(json.dumps([len(self.commits), sorted(tree)]).encode(), usedforsecurity=False).hexdigest()
        self.commits[oid] = tree
        self.refs[ref] = oid
        return oid

    def tree(self, revision: str) -> dict[str, bytes] | None:
        """Return the files at a branch, tag or commit."""
        return self.commits.get(self.refs.get(revision, revision))


@dataclass
class HubServer:
    """The Hub."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    """(method, path)."""
    ill: dict[str, int] = field(default_factory=dict)
    """Beginning of METHOD PATH -> status that is answered instead."""
    echo: bool = False
    """Whether refusals repeat the token."""

    def asked(self, what: str) -> list[str]:
        """Return the requests that begin so."""
        return [one for one in (f"{method} {path}" for method, path in self.log) if one.startswith(what)]


Answer = tuple[int, dict[str, str], bytes]


def _json(body: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _error(status: int, code: str, message: str = "no") -> Answer:
    return status, {"X-Error-Code": code, "X-Error-Message": message}, b"{}"


def _is_lfs(path: str) -> bool:
    return path.endswith(".parquet")


def _oid(path: str, body: bytes) -> str:
    """Return what git calls the file: of a large one, the hash of its bytes."""
    if _is_lfs(path):
        return hashlib.sha256(body).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def _entry(path: str, body: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "file", "path": path, "size": len(body), "oid": _oid(path, body)}
    if _is_lfs(path):
        told["lfs"] = {"oid": told["oid"], "size": len(body), "pointerSize": 130}
    return told


def create(hub: HubServer, body: bytes) -> Answer:
    asked = json.loads(body)
    name = f"{asked['organization']}/{asked['name']}"
    if name in hub.repos:
        return _json({"url": f"{hub.url}/datasets/{name}"}, 409)
    hub.repos[name] = repo = Repo(private=asked.get("private", asked.get("visibility") == "private"))
    repo.commit("main", {".gitattributes": b"*.parquet filter=lfs\n"})
    return _json({"url": f"{hub.url}/datasets/{name}", "name": name})


def info(hub: HubServer, name: str, revision: str = "main") -> Answer:
    repo = hub.repos[name]
    if repo.tree(revision) is None:
        return _error(404, "RevisionNotFound")
    sha = repo.refs.get(revision, revision)
    return _json(
        {"id": name, "sha": sha, "private": repo.private, "siblings": [], "tags": [], "downloads": 0, "likes": 0}
    )


def refs(hub: HubServer, name: str) -> Answer:
    found = hub.repos[name].refs
    tags = [
        {"name": one, "ref": f"refs/tags/{one}", "targetCommit": oid}
        for one, oid in found.items()
        if one.startswith("v")
    ]
    main = [{"name": "main", "ref": "refs/heads/main", "targetCommit": found["main"]}]
    return _json({"branches": main, "converts": [], "tags": tags})


def tree(hub: HubServer, name: str, revision: str, folder: str, *, recursive: bool) -> Answer:
    files = hub.repos[name].tree(revision)
    if files is None:
        return _error(404, "RevisionNotFound")
    prefix = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, body in files.items():
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and "/" in rest and not recursive:
            below = prefix + rest.split("/")[0]
            found[below] = {"type": "directory", "path": below, "size": 0, "oid": "0" * 40}
        elif path.startswith(prefix):
            found[path] = _entry(path, body)
    return _json(list(found.values())) if found or not folder else _error(404, "EntryNotFound")


def paths_info(hub: HubServer, name: str, revision: str, body: bytes) -> Answer:
    files = hub.repos[name].tree(revision)
    if files is None:
        return _error(404, "RevisionNotFound")
    return _json([_entry(path, files[path]) for path in json.loads(body)["paths"] if path in files])


def preupload(hub: HubServer, name: str, body: bytes) -> Answer:
    there = hub.repos[name].tree("main") or {}
    files = [
        {
            "path": path,
            "uploadMode": "lfs" if _is_lfs(path) else "regular",
            "shouldIgnore": False,
            **({"oid": _oid(path, there[path])} if path in there else {}),
        }
        for path in (one["path"] for one in json.loads(body)["files"])
    ]
    return _json({"files": files})


def batch(hub: HubServer, body: bytes) -> Answer:
    objects: list[dict[str, Any]] = []
    for one in json.loads(body)["objects"]:
        upload = {"actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}}}
        objects.append({**one, **({} if one["oid"] in hub.blobs else upload)})
    return _json({"transfer": "basic", "objects": objects})


def store(hub: HubServer, oid: str, body: bytes) -> Answer:
    assert hashlib.sha256(body).hexdigest() == oid
    hub.blobs[oid] = body
    return _json({})


def commit(hub: HubServer, name: str, body: bytes, *, pr: bool) -> Answer:
    repo = hub.repos[name]
    files = dict(repo.tree("main") or {})
    for line in body.splitlines():
        one = json.loads(line)
        value = one["value"]
        if one["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif one["key"] == "lfsFile":
            files[value["path"]] = hub.blobs[value["oid"]]  # never one that was not sent
        elif one["key"] == "deletedFile":
            del files[value["path"]]
    number = 1 + sum(one.startswith("refs/pr/") for one in repo.refs)
    oid = repo.commit(f"refs/pr/{number}" if pr else "main", files)
    home = f"{hub.url}/datasets/{name}"
    told = {"commitUrl": f"{home}/commit/{oid}", "commitOid": oid}
    return _json({**told, "pullRequestUrl": f"{home}/discussions/{number}"} if pr else told)


def tag(hub: HubServer, name: str, revision: str, body: bytes) -> Answer:
    repo, wanted = hub.repos[name], json.loads(body)["tag"]
    if wanted in repo.refs:
        return _error(409, "Conflict")
    repo.refs[wanted] = repo.refs.get(revision, revision)
    return _json({})


def resolve(hub: HubServer, name: str, revision: str, path: str, asked: str) -> Answer:
    repo = hub.repos[name]
    files = repo.tree(revision)
    if files is None:
        return _error(404, "RevisionNotFound")
    if path not in files:
        return _error(404, "EntryNotFound")
    body = files[path]
    headers = {
        "X-Repo-Commit": repo.refs.get(revision, revision),
        "ETag": f'"{_oid(path, body)}"',
        "Accept-Ranges": "bytes",
    }
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if part is None:
        return 200, headers, body
    first, last = int(part[1]), min(int(part[2] or len(body) - 1), len(body) - 1)
    return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(body)}"}, body[first : last + 1]


REPO = r"(?P<name>[\w.-]+/[\w.-]+)"


def route(hub: HubServer, method: str, path: str, query: str, body: bytes, asked: str) -> Answer:
    """Answer one request."""
    where = urlsplit(path).path
    routes: dict[str, Callable[[re.Match[str]], Answer]] = {
        r"POST /api/repos/create": lambda _: create(hub, body),
        r"POST /api/validate-yaml": lambda _: _json({"errors": [], "warnings": []}),
        rf"GET /api/datasets/{REPO}": lambda m: info(hub, m["name"]),
        rf"GET /api/datasets/{REPO}/revision/(?P<rev>[^/]+)": lambda m: info(hub, m["name"], unquote(m["rev"])),
        rf"GET /api/datasets/{REPO}/refs": lambda m: refs(hub, m["name"]),
        rf"GET /api/datasets/{REPO}/tree/(?P<rev>[^/]+)/?(?P<path>.*)": lambda m: tree(
            hub, m["name"], unquote(m["rev"]), unquote(m["path"]), recursive="recursive=true" in query.lower()
        ),
        rf"POST /api/datasets/{REPO}/paths-info/(?P<rev>.+)": lambda m: paths_info(
            hub, m["name"], unquote(m["rev"]), body
        ),
        rf"POST /api/datasets/{REPO}/preupload/.+": lambda m: preupload(hub, m["name"], body),
        rf"POST /datasets/{REPO}\.git/info/lfs/objects/batch": lambda _: batch(hub, body),
        r"PUT /lfs/(?P<oid>[0-9a-f]{64})": lambda m: store(hub, m["oid"], body),
        rf"POST /api/datasets/{REPO}/commit/.+": lambda m: commit(hub, m["name"], body, pr="create_pr=1" in query),
        rf"POST /api/datasets/{REPO}/tag/(?P<rev>.+)": lambda m: tag(hub, m["name"], unquote(m["rev"]), body),
        rf"(GET|HEAD) /datasets/{REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)": lambda m: resolve(
            hub, m["name"], unquote(m["rev"]), unquote(m["path"]), asked
        ),
    }
    for pattern, answer in routes.items():
        if found := re.fullmatch(pattern, f"{method} {where}"):
            if "name" in found.groupdict() and found["name"] not in hub.repos:
                return _error(404, "RepoNotFound")
            return answer(found)
    return _error(501, "NotSpoken", f"{method} {where}")


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            path, _, query = self.path.partition("?")
            hub.log.append((self.command, path))
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            token = self.headers.get("Authorization", "")
            ill = next((status for what, status in hub.ill.items() if f"{self.command} {path}".startswith(what)), None)
            if ill is not None:
                answer = _error(ill, "Ill", token if hub.echo else "ill")
            elif token != f"Bearer {TOKEN}" and not path.startswith("/lfs/"):  # a signed address there
                answer = _error(
                    401, "", f"Invalid token {token}" if hub.echo else "Invalid credentials in Authorization header"
                )
            else:
                answer = route(hub, self.command, path, query, body, self.headers.get("Range", ""))
            status, headers, told = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):
                    self.wfile.write(told)

        do_GET = do_HEAD = do_POST = do_PUT = _do  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextlib.contextmanager
def a_hub() -> Iterator[HubServer]:
    """Serve for the length of the block."""
    hub = HubServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub)) as listening:
        listening.daemon_threads = True
        hub.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            listening.shutdown()
            thread.join()
