"""A novelty index on disk: one Arrow file of texts and their tokens, so that nothing is cut anew. Knows no threshold."""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from selfinstruct.errors import BadInputError
from selfinstruct.files import publish
from selfinstruct.text.tokens import TOKENIZERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfinstruct.text.rouge import Contents

FORMAT = "selfinstruct novelty 1"
SCHEMA = pa.schema(
    {"text": pa.large_binary(), "tokens": pa.large_list(pa.dictionary(pa.int32(), pa.large_binary()))}
)  # bytes, since a text may hold what UTF-8 has no place for
# Cut by the tokenizer when an index is saved and again when it is loaded: tokens of another release or of another Unicode
# version are noticed.
_SAMPLE = (
    "Self-Instruct 2022, naïve \uff21\uff22\uff23 한국어 日本語 カタカナ ภาษาไทย हिन्दी العربية русский 👍🏽 e\u0301 ﬁ ½"
)


def save(path: Path, texts: Sequence[str], contents: Contents, *, tokenizer: str) -> None:
    """Write it whole or not at all.

    Raises:
        NoRoomError: the disk refused.
    """
    tokens, starts, letters, word_starts = _only_used(contents)
    buffers = [None, pa.py_buffer(word_starts), pa.py_buffer(letters)]
    words = pa.Array.from_buffers(pa.large_binary(), max(0, len(word_starts) - 1), buffers)
    cut = pa.DictionaryArray.from_arrays(pa.array(tokens.astype(np.int32, copy=False)), words)
    columns = [
        _binary(texts),
        pa.LargeListArray.from_arrays(pa.array(starts), cut),
    ]
    batch = pa.record_batch(columns, schema=SCHEMA)
    about = {"format": FORMAT, "tokenizer": tokenizer, "sample": _sample(tokenizer), "sha256": _digest(batch)}
    schema = SCHEMA.with_metadata({"novelty": json.dumps(about)})
    with publish(path) as temporary, pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def load(path: Path, *, tokenizer: str) -> tuple[list[str], Contents]:
    """Return texts and contents.

    Raises:
        BadInputError: no such file, damage, another format, or another tokenizer.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            reader = pa.ipc.open_file(source)
            about = json.loads((reader.schema.metadata or {}).get(b"novelty", b"{}"))
            _check(path, about, tokenizer=tokenizer)
            batch = reader.get_batch(0)
            batch.validate(full=True)
            damaged = batch.schema.remove_metadata() != SCHEMA or _digest(batch) != about.get("sha256")
    except (OSError, pa.ArrowException, ValueError) as error:
        msg = f"{path}: not a saved novelty index ({' '.join(str(error).split())[:160]})"
        raise BadInputError(msg, remedy="save it anew (dedupe --save-index)") from None
    if damaged:
        msg = f"{path}: damaged: its bytes are not those that were saved"
        raise BadInputError(msg, remedy="save it anew (dedupe --save-index)")
    lists = batch.column("tokens")
    words = lists.values.dictionary
    _, word_starts, letters = words.buffers()
    return (
        _texts(batch.column("text")),
        (
            lists.values.indices.to_numpy().astype(np.uint32, copy=False),
            lists.offsets.to_numpy(),
            np.frombuffer(letters or b"", np.uint8),
            np.frombuffer(word_starts, np.int64)[: len(words) + 1] if len(words) else np.zeros(1, np.int64),
        ),
    )


def _only_used(contents: Contents) -> Contents:
    """Return them without words of texts that were left out, in order of first use: the same texts make the same file."""
    tokens, starts, letters, word_starts = contents
    firsts = np.full(max(0, len(word_starts) - 1), -1, np.int64)
    firsts[tokens[::-1]] = np.arange(len(tokens))[::-1]  # of several, the last assignment stays: the first use
    used = np.flatnonzero(firsts >= 0)
    used = used[np.argsort(firsts[used])]
    place = np.zeros(len(firsts), np.uint32)
    place[used] = np.arange(len(used))
    spelled = letters.tobytes()
    words = [spelled[word_starts[word] : word_starts[word + 1]] for word in used.tolist()]
    ends = np.fromiter(accumulate(map(len, words), initial=0), np.int64)
    return place[tokens], starts, np.frombuffer(b"".join(words), np.uint8), ends


def _binary(texts: Sequence[str]) -> pa.Array:
    try:
        return pa.array(texts, pa.large_string()).cast(pa.large_binary())
    except UnicodeEncodeError:  # half a character somewhere
        return pa.array([text.encode(errors="surrogatepass") for text in texts], pa.large_binary())


def _texts(column: pa.Array) -> list[str]:
    try:
        return list(column.cast(pa.large_string()).to_pylist())
    except pa.ArrowInvalid:
        return [text.decode(errors="surrogatepass") for text in column.to_pylist()]


def _check(path: Path, about: dict[str, Any], *, tokenizer: str) -> None:
    if about.get("format") != FORMAT:
        msg = f"{path}: format {about.get('format')!r}, not {FORMAT!r}"
        raise BadInputError(msg, remedy="save it anew (dedupe --save-index)")
    if about.get("tokenizer") != tokenizer:
        msg = f"{path}: cut by tokenizer {about.get('tokenizer')!r}, and {tokenizer!r} was asked for"
        raise BadInputError(msg, remedy=f"give --tokenizer {about.get('tokenizer')}, or save it anew")
    if about.get("sample") != _sample(tokenizer):
        msg = f"{path}: cut by another version of tokenizer {tokenizer!r}"
        raise BadInputError(msg, remedy="save it anew (dedupe --save-index)")


def _sample(tokenizer: str) -> str:
    return hashlib.sha256("\n".join(TOKENIZERS[tokenizer](_SAMPLE)).encode()).hexdigest()[:16]


def _digest(batch: pa.RecordBatch) -> str:
    """Return the sha256 of every buffer that holds something."""
    digest = hashlib.sha256()
    lists = batch.column("tokens")
    for array in (batch.column("text"), lists, lists.values.indices, lists.values.dictionary):
        for buffer in array.buffers() if len(array) else ():
            digest.update(memoryview(buffer) if buffer is not None else b"-")
    return digest.hexdigest()
