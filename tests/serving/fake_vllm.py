"""A package that looks like vLLM from outside: written into a folder, started by `python -m`, as badly behaved as asked."""

from __future__ import annotations

import sys
from pathlib import Path

SERVER = """
import json, os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

told = {flag: value for flag, value in zip(sys.argv, sys.argv[1:]) if flag.startswith("--")}
odd = json.loads(os.environ.get("FAKE_VLLM", "{}"))
print("INFO Starting to load model", told["--model"], flush=True)
Path(told["--model"], "argv.json").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
if odd.get("child"):  # an engine that does not end with its server, nor when it is asked
    subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
time.sleep(odd.get("load", 0))
if odd.get("die"):
    print("Traceback (most recent call last):\\n  ...\\n" + odd["die"], flush=True)
    sys.exit(1)
if odd.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(9)
        body = json.dumps({"data": [{"id": "fake"}], "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(told["--port"])), Handler).serve_forever()
"""


def install(folder: Path, *, version: str = "0.32.0+cpu") -> Path:
    """Write an environment that has it; return the environment."""
    package = folder / "packages/vllm/entrypoints/openai"
    package.mkdir(parents=True)
    for place in (package, package.parent, package.parent.parent):
        (place / "__init__.py").write_text("")
    (package / "api_server.py").write_text(SERVER)
    metadata = folder / f"packages/vllm-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (folder / "bin").mkdir()
    python = folder / "bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}/packages" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def model(folder: Path) -> Path:
    """Write a folder that looks like a model."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder
