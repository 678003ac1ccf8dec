"""The peer's side of `throughput.py`: an instruction, four answers, a verdict on each, with curator 0.1.31 in its own words.

Runs in curator's own environment and imports nothing of ours. It asks for one answer a call: nine calls a row. A verdict
here is text that is not read: only the calls matter.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ |= {"TELEMETRY_ENABLED": "0", "CURATOR_DISABLE_CACHE": "1", "CURATOR_VIEWER": "0", "OPENAI_API_KEY": "none"}
os.environ["CURATOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="curator-")
# It counts tokens with a vocabulary that it fetches at every first start; litellm, which it needs, brings the same file.
LITELLM = find_spec("litellm")
assert LITELLM is not None
assert LITELLM.origin is not None
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(LITELLM.origin).parent / "litellm_core_utils" / "tokenizers")

from bespokelabs import curator  # type: ignore[import-not-found]  # noqa: E402 - it reads the environment when imported


class Ask(curator.LLM):  # type: ignore[misc]
    """Proposes an instruction."""

    def prompt(self, row: dict[str, Any]) -> str:
        """Ask for one."""
        return f"Write one instruction that a person could give to an assistant. It is about {row['topic']}."

    def parse(self, _: dict[str, Any], answer: str) -> list[dict[str, Any]]:
        """Give four rows, to be answered once each."""
        return [{"task": answer or "Say it.", "copy": number} for number in range(4)]


class Respond(curator.LLM):  # type: ignore[misc]
    """Answers an instruction."""

    def prompt(self, row: dict[str, Any]) -> str:
        """Show the instruction alone; the number keeps equal rows apart."""
        return f"{row['task']}\n({row['copy']})"

    def parse(self, row: dict[str, Any], answer: str) -> dict[str, Any]:
        """Keep the answer beside it."""
        return {"task": row["task"], "answer": answer}


class Judge(curator.LLM):  # type: ignore[misc]
    """Scores an answer."""

    def prompt(self, row: dict[str, Any]) -> str:
        """Show both."""
        return f"Task:\n{row['task']}\n\nAnswer:\n{row['answer']}\n\nScore the answer from 0 to 5, then give a reason."

    def parse(self, row: dict[str, Any], answer: str) -> dict[str, Any]:
        """Keep the text."""
        return row | {"verdict": answer}


def main() -> None:
    """Run it, and fail when rows are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--concurrency", type=int, default=0, help="0 leaves its own limits as they are")
    options = parser.parse_args()
    backend: dict[str, Any] = {"base_url": options.base_url, "invalid_finish_reasons": ["content_filter"]}
    if options.concurrency:
        backend |= {"max_concurrent_requests": options.concurrency}
        backend |= {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10}

    def model(kind: type[curator.LLM], tokens: int) -> curator.LLM:
        settings = {"max_tokens": tokens, "temperature": 1.0}
        return kind(model_name="busy", backend="openai", backend_params=backend, generation_params=settings)

    rows: Any = [{"topic": f"subject {number}"} for number in range(options.rows)]
    for kind, tokens in ((Ask, 2048), (Respond, 1024), (Judge, 256)):
        made = model(kind, tokens)(rows)
        rows = getattr(made, "dataset", made)
    print(f"{len(rows)} judged answers")
    if len(rows) != 4 * options.rows:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
