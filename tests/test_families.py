"""The family of a model follows from its name, whoever serves it and however it was tuned."""

from __future__ import annotations

import json

import pytest

from selfinstruct.families import TABLE, family, same_family

NAMES = {
    "Qwen/Qwen2.5-7B-Instruct": "qwen",
    "Qwen/QwQ-32B": "qwen",
    "/models/Qwen3-8B/": "qwen",
    "/cache/models--Qwen--Qwen2.5-7B/snapshots/0123abcd": "qwen",
    "meta-llama/Llama-3.1-8B-Instruct": "llama",
    "lmsys/vicuna-13b-v1.5": "llama",
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF": "llama",
    "nvidia/Nemotron-4-340B-Instruct": "nemotron",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "mistral",
    "HuggingFaceH4/zephyr-7b-beta": "mistral",
    "teknium/OpenHermes-2.5-Mistral-7B": "mistral",
    "google/gemma-2-9b-it": "gemma",
    "microsoft/Phi-4-mini-instruct": "phi",
    "cognitivecomputations/dolphin-2.9-llama3-8b": "llama",
    "cognitivecomputations/dolphin-3": "cognitivecomputations",
    "gpt-4o-mini-2024-07-18": "gpt",
    "openai/gpt-oss-20b": "gpt",
    "text-davinci-003": "gpt",
    "EleutherAI/gpt-neox-20b": "gpt-neo",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0": "claude",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": "deepseek",
    "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct": "exaone",
    "upstage/SOLAR-10.7B-Instruct-v1.0": "solar",
    "naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B": "hyperclova",
    "kakaocorp/kanana-1.5-8b-instruct-2505": "kanana",
    "01-ai/Yi-1.5-34B-Chat": "yi",
    "THUDM/glm-4-9b-chat": "glm",
    "internlm/internlm2_5-7b-chat": "internlm",
    "tiiuae/Falcon3-7B-Instruct": "falcon",
    "allenai/OLMo-2-1124-7B-Instruct": "olmo",
    "ibm-granite/granite-3.1-8b-instruct": "granite",
    "CohereForAI/c4ai-command-r-plus": "command",
    "some-lab/Yield-7B": "some-lab",
    "/models/mine": "mine",
    "scripted": "scripted",
    "": "",
    "///": "",
}


@pytest.mark.parametrize(("name", "wanted"), NAMES.items())
def test_family_of_a_name(name: str, wanted: str) -> None:
    """The word in its own name decides, in any spelling; else the organisation, else the name itself."""
    assert family(name) == wanted
    assert family(name.upper()) == wanted


def test_the_user_knows_better() -> None:
    """A mapping goes before the table, whatever the case, and touches no other model."""
    told = {"acme/Secret-1": "Qwen"}
    assert family("Acme/secret-1", families=told) == "qwen"
    assert same_family("acme/Secret-1", "Qwen/Qwen3-8B", families=told)
    assert not same_family("acme/Secret-1", "Qwen/Qwen3-8B")


def test_nobody_is_no_family() -> None:
    """Two models without a name are not kin: nothing is known of either."""
    assert not same_family("", "")
    assert same_family("scripted", "scripted")


def test_a_word_names_one_family() -> None:
    """No word of the table stands under two families, and each is written as names are compared."""
    words = [word for found in json.loads(TABLE.read_text()).values() for word in found]
    assert len(words) == len(set(words))
    assert all(word == word.lower().replace(".", "-").replace("_", "-") for word in words)
