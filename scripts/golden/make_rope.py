"""Writes rope.safetensors: the rotary table of `transformers` and a rotated example."""

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

import reference as ref

POSITIONS, HEAD_DIM, HEADS = 64, 16, 2


def main():
    config = LlamaConfig(
        hidden_size=HEADS * HEAD_DIM, num_attention_heads=HEADS, head_dim=HEAD_DIM,
        rope_parameters={"rope_type": "default", "rope_theta": ref.ROPE_THETA},
    )
    positions = torch.arange(POSITIONS)[None]
    cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), positions)
    angles = ref.rope_angles(positions, HEAD_DIM)
    exact_cos, exact_sin = angles.cos(), angles.sin()
    drift = max((cos - exact_cos).abs().max().item(), (sin - exact_sin).abs().max().item())
    assert drift < 1e-5, drift
    x = torch.randn(1, HEADS, POSITIONS, HEAD_DIM, generator=torch.Generator().manual_seed(41))
    rotated, _ = apply_rotary_pos_emb(x.double(), x.double(), exact_cos, exact_sin)
    ref.write_tensors("rope.safetensors", {
        "cos": cos[0], "sin": sin[0], "exact.cos": exact_cos[0], "exact.sin": exact_sin[0],
        "x": x[0], "rotated": rotated[0],
    })
    print(f"float32 table of transformers differs from float64 by {drift:.1e}")


if __name__ == "__main__":
    main()
