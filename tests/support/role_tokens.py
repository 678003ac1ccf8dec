"""Control tokens of chat templates, as their tokenizers have them: written down here apart from the patterns that find them."""

from __future__ import annotations

ROLE_TOKENS = (
    # ChatML, Qwen
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_response>",
    # Llama 2, Mistral
    "<s>", "</s>", "<unk>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[THINK]", "[/THINK]",
    # Llama 3, 4
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<|header_start|>",
    "<|finetune_right_pad_id|>",
    # Gemma
    "<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>",
    # Phi, harmony, Command R, GLM, Granite
    "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>",
    "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|CHATBOT_TOKEN|>", "<BOS_TOKEN>", "[gMASK]", "<sop>",
    "<|observation|>", "<|start_of_role|>", "<|end_of_role|>",
    # DeepSeek
    "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜tool▁calls▁begin｜>",
    # EXAONE
    "[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]",
    # Nemotron, Seed, infilling; full-width spellings that NFKC folds back
    "<extra_id_0>", "<seed:bos>", "<fim_prefix>", "<|fim_middle|>", "＜|im_start|＞", "<｜im_start｜>",
)  # fmt: skip
