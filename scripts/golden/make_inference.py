"""make_inference.py: logits and greedy tokens of small models of transformers, for crates/inference.

The weights are a function of their name and place (see `weight`), so only what the models answer is kept:
crates/inference/src/network/tests/golden.json. Made with transformers 5.24 and torch 2.15:

    python scripts/golden/make_inference.py > crates/inference/src/network/tests/golden.json
"""

import json

import numpy as np
import torch
from transformers import (
    LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
    Qwen3ForCausalLM,
)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def seed(name):
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return np.uint64(value)


def weight(name, shape):
    """SplitMix64 in order, as numbers between -1/2 and 1/2 with 24 bits."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = seed(name) + GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    values = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**24) - np.float32(0.5)
    values = values * np.float32(0.25) + np.float32(1) if "norm" in name else values
    return torch.from_numpy(values.reshape(shape))


COMMON = dict(vocab_size=90, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, eos_token_id=None, bos_token_id=None, pad_token_id=None)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(
        **COMMON, tie_word_embeddings=False, rms_norm_eps=1e-5,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama with biases": (LlamaForCausalLM, LlamaConfig(
        **COMMON, tie_word_embeddings=True, rms_norm_eps=1e-6, attention_bias=True, mlp_bias=True)),
    "mistral": (MistralForCausalLM, MistralConfig(**COMMON, tie_word_embeddings=False, sliding_window=9, rms_norm_eps=1e-5)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**COMMON, tie_word_embeddings=True, rms_norm_eps=1e-6)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**COMMON, tie_word_embeddings=True, head_dim=20, rms_norm_eps=1e-6)),
}
PROMPT = [(i * 31 + i * i % 11) % 90 for i in range(50)]


def main():
    torch.set_num_threads(1)
    answers = {}
    for name, (kind, config) in MODELS.items():
        model = kind(config).float().eval()
        state = {key: weight(key, tuple(value.shape)) for key, value in model.state_dict().items()}
        if config.tie_word_embeddings:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
        model.load_state_dict(state)
        with torch.no_grad():
            logits = model(torch.tensor([PROMPT])).logits[0]
            tokens = model.generate(torch.tensor([PROMPT]), max_new_tokens=40, do_sample=False)[0, len(PROMPT):]
        rows = {str(at): [float(f"{value:.6g}") for value in logits[at].tolist()] for at in (0, 20, 49)}
        answers[name] = dict(logits=rows, tokens=tokens.tolist())
    print(json.dumps(dict(prompt=PROMPT, models=answers)))


main()
