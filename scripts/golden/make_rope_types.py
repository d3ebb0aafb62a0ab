"""Writes rope_types.json: configurations of rotary positions, and the frequencies that `transformers` computes."""

import json
import pathlib

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/models/src/tests/rope_types.json"
HEAD_DIM = 16
LONG = [1.0 + 0.37 * i for i in range(HEAD_DIM // 2)]
SHORT = [1.0 + 0.011 * i for i in range(HEAD_DIM // 2)]
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}

# Each: fields of config.json, in the old or the new style.
CASES = {
    "nothing": {},
    "old default": {"rope_theta": 500000.0, "rope_scaling": None},
    "new default": {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}},
    "old linear": {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 2.5}},
    "new linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}},
    "dynamic": {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}},
    "llama3": {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
    "new llama3": {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, **LLAMA3}},
    "yarn": {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}},
    "yarn without factor": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 50000.0, "factor": None, "original_max_position_embeddings": 256}},
    "yarn mscale": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.7, "beta_fast": 16, "beta_slow": 2, "original_max_position_embeddings": 64}},
    "yarn attention": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "attention_factor": 0.8, "truncate": False, "original_max_position_embeddings": 64}},
    "longrope": {"rope_theta": 10000.0, "original_max_position_embeddings": 128, "rope_scaling": {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG}},
    "longrope factor": {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 16.0, "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64}},
    "longrope attention": {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "attention_factor": 1.3, "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64}},
}
POSITIONS = [1, 65, 129, 1024, 3000]


def main():
    cases = []
    for name, fields in CASES.items():
        config = LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=HEAD_DIM, max_position_embeddings=1024,
                             **json.loads(json.dumps(fields)))
        kind = config.rope_parameters["rope_type"]
        rows = []
        for positions in POSITIONS:
            if kind == "default":
                frequencies, attention = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
            else:
                frequencies, attention = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=positions)
            assert frequencies.dtype == torch.float32
            rows.append(frequencies.tolist())
        cases.append({"name": name, "fields": fields, "attention": attention, "frequencies": rows})
    golden = {"head_dim": HEAD_DIM, "context": 1024, "positions": POSITIONS, "cases": cases}
    OUT.write_text(json.dumps(golden, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
