"""Makes texts safe to be shown to a judge: nothing in them is a turn, a fence, or hidden. Knows no judge; stored texts stay.

As little as possible is touched. "Assistant:", "### Response:" and dialogues of all kinds are ordinary text, and stand inside
the fence like everything else.
"""

from __future__ import annotations

import re
from hashlib import blake2b


def fence(*texts: str, key: str) -> tuple[str, tuple[str, ...]]:
    """Return a nonce of 16 hex digits that stands in none of the texts, and the texts as they may stand between its lines.

    Equal keys give equal nonces, so that prompts share their beginning, unless a text holds that nonce: then it is another
    one. Whoever can compute a nonce can therefore still not write it.
    """
    shown = tuple(map(neutral, texts))
    held = "\n".join(shown).lower()
    count = 0
    while (nonce := blake2b(f"{key}:{count}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()) in held:
        count += 1
    return nonce, shown


def neutral(text: str) -> str:
    """Return `text` without invisible characters, its control tokens and imitated fences in brackets that no tokenizer knows.

    `<|im_start|>` comes back between single angle quotation marks, `[INST]` between white brackets; of a line
    `End of answer 0123456789abcdef` the code is quoted so. Text without any of them comes back as it is; a second call changes
    nothing more.
    """
    invisible = _CONTROL if text.isascii() else _INVISIBLE
    while (seen := invisible.sub("", text)) != text:  # what is taken out may bring others together
        text = seen
    bracketed = _TOKEN.sub(lambda found: found[0].translate(_BRACKETS), seen)
    return _FENCE_LINE.sub("\\1\u2039\\2\u203a", bracketed)


_BRACKETS = str.maketrans("<\uff1c\ufe64>\uff1e\ufe65[]", "\u2039\u2039\u2039\u203a\u203a\u203a\u27e6\u27e7")
"""No Unicode normalisation turns these back: they have no decomposition."""

_LEFT, _RIGHT, _BAR = "[<\uff1c\ufe64]", "[>\uff1e\ufe65]", "[|\uff5c]"
"""With the full-width forms: DeepSeek's tokens have such bars, and NFKC makes plain ones of the others."""

_NAMED = (
    # Llama 2, Mistral, Gemma, GLM, Nemotron, Seed; reasoning and tools of Qwen and DeepSeek; code infilling
    r"s|bos|eos|unk|pad|sop|eop|BOS_TOKEN|EOS_TOKEN"
    r"|im_start|im_end|start_of_turn|end_of_turn|begin_of_text|end_of_text|extra_id_\d{1,3}"
    r"|seed:\w{1,30}|think(?:ing)?|tool_calls?|tool_response|fim_(?:prefix|middle|suffix|pad)"
)
_SQUARE = (
    # Llama 2 and Mistral, GLM, InternLM
    r"INST|SYSTEM_PROMPT|MODEL_SETTINGS|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT|ARGS)|CALL_ID|THINK|gMASK"
    r"|UNUSED_TOKEN_\d{1,4}"
)
_TOKEN = re.compile(
    rf"{_LEFT}{_BAR}[^\s<>\uff1c\uff1e\ufe64\ufe65|\uff5c]{{1,64}}{_BAR}{_RIGHT}"  # ChatML, Llama 3, Phi, harmony, Command R ...
    rf"|{_LEFT}{_BAR}/?[a-z_]{{2,40}}{_RIGHT}|{_LEFT}/?[a-z_]{{2,40}}{_BAR}{_RIGHT}"  # Gemma 4: one bar
    rf"|{_LEFT}/?(?:{_NAMED}){_RIGHT}"
    rf"|{_LEFT}{{2}}/?SYS{_RIGHT}{{2}}"
    rf"|\[/?(?:{_SQUARE})\]"
    r"|\[\|/?(?:system|user|assistant|tool|endofturn)\|\]"  # EXAONE
)

_BREAKS = "\n\r\v\f\x85\u2028\u2029"
_FENCE_LINE = re.compile(
    rf"((?:^|(?<=[{_BREAKS}]))[^\w{_BREAKS}]{{0,20}}"
    r"(?:end|(?:end[ \t]{1,4}of[ \t]{1,4})?(?:the[ \t]{1,4}|first[ \t]{1,4})?"
    r"(?:task|input|answer|response|reference|instruction|rubric)"
    r"|(?:과제|작업|입력|답변|응답|참고|기준)(?:의)?(?:[ \t]{0,4}끝)?|끝)"
    rf"(?:[ \t]{{1,4}}[A-Z0-9]{{1,2}})?[^\w{_BREAKS}]{{1,20}})"
    rf"([0-9a-f]{{16}})(?=[^\w\u203a{_BREAKS}]{{0,20}}(?:$|[{_BREAKS}]))",
    re.IGNORECASE,
)
"""A line with the name of a fenced text, perhaps its number or letter, and a code of the length of ours."""

_JOINED = "\u0590-\u10ff\u1200-\u1bff\u2190-\u2bff\ua800-\uabff\ufb1d-\ufdff\ufe0f\ufe70-\ufefc\U0001f000-\U0001faff"
"""What may be followed by a joiner or a mark of direction: Semitic and Indic scripts, emoji."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
"""All that is invisible in ASCII."""
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls but tab and ends of lines
    "\xad\u034f\u061c\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"  # zero width, bidi, fillers
    f"|(?<![{_JOINED}])[\u200c-\u200f]|[\u200c-\u200f](?=[\u200b-\u200f])"
    "|(?<!\U0001f3f4)(?<![\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+"  # tags, but those of the flags of regions
    "|(?<=[\U000e0020-\U000e007f]{7})[\U000e0000-\U000e007f]+"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}"  # variation selectors in a row carry bytes, one alone a glyph
)
