"""A real tokenizer, with every control token of the list among its special ones, finds none in what a judge is shown."""

from __future__ import annotations

import json
import subprocess

from selfinstruct.text.fence import neutral
from tests.support.attacks import ATTACKS
from tests.support.role_tokens import ROLE_TOKENS
from tests.vllm.make_environment import PYTHON
from tests.vllm.make_environment import main as make_environment

SCRIPT = """
import json, sys
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
asked = json.load(sys.stdin)
found = []
for normalizer in (None, normalizers.NFKC()):
    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if normalizer:
        made.normalizer = normalizer
    made.add_special_tokens([AddedToken(one, normalized=bool(normalizer), special=True) for one in asked["tokens"]])
    found.append([made.encode(text).tokens for text in asked["texts"]])
print(json.dumps(found))
"""


def special(texts: list[str]) -> list[list[list[str]]]:
    """Return the special tokens in each text: as it is, and in NFKC, as some tokenizers read it."""
    make_environment()
    asked = json.dumps({"tokens": ROLE_TOKENS, "texts": texts})
    done = subprocess.run([str(PYTHON), "-c", SCRIPT], input=asked, capture_output=True, text=True, check=True)
    found: list[list[list[str]]] = json.loads(done.stdout)
    return found


def test_no_special_token_is_left() -> None:
    """In none of the attacks nor in any token of the list once it was made neutral; each of them was one before."""
    texts = [*ROLE_TOKENS, *(one["text"] for one in ATTACKS)]
    assert not any(tokens for read in special([neutral(one) for one in texts]) for tokens in read)
    assert all(tokens for read in special(list(ROLE_TOKENS)) for tokens in read)
