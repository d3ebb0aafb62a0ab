"""Shared parts of the fixture writers: the tiny models, float64 arithmetic and file output.

`transformers` casts to float32 inside RMSNorm and the rotary embedding, whatever the model's dtype.
`in_float64` replaces these two forwards, so a float64 model computes in float64 throughout and
the stored float32 values were rounded only once. The formulas stay those of `transformers`;
`make_model.py` checks that the unpatched float32 model agrees.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "golden"
ROPE_THETA = 10000.0
NOT_COUNTED = -1

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def shape(vocab_size):
    """Arguments of both configurations: the keys of the exported `config.json`."""
    return dict(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        hidden_act="silu",
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        attention_bias=False,
        attention_dropout=0.0,
        use_cache=False,
    )


def llama(vocab_size, **more):
    config = LlamaConfig(**shape(vocab_size), mlp_bias=False, **more)
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config)


def qwen3(vocab_size, **more):
    config = Qwen3Config(**shape(vocab_size), use_sliding_window=False, **more)
    config._attn_implementation = "sdpa"
    return Qwen3ForCausalLM(config)


def randomise(model, seed, std):
    """Fixed weights: matrices N(0, std^2); norm weights around 1, wide for the per-head norms."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            spread = 0.3 if "q_norm" in name or "k_norm" in name else 0.1
            noise = 1.0 + spread * noise
        else:
            noise = std * noise
        parameter.data.copy_(noise)
    return model.eval()


def _rms_norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def rope_angles(positions, head_dim, theta=ROPE_THETA):
    """Angles `position * theta^(-2i / head_dim)` in float64, the two halves equal: [..., head_dim]."""
    inverse = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    half = positions[..., None].to(torch.float64) * inverse
    return torch.cat((half, half), dim=-1)


def _rotary(self, x, position_ids):
    angles = rope_angles(position_ids, self.config.head_dim)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


@contextlib.contextmanager
def in_float64():
    """Context in which the models neither cast to float32 nor use a fused attention kernel."""
    classes = [
        (modeling_llama.LlamaRMSNorm, _rms_norm),
        (modeling_qwen3.Qwen3RMSNorm, _rms_norm),
        (modeling_llama.LlamaRotaryEmbedding, _rotary),
        (modeling_qwen3.Qwen3RotaryEmbedding, _rotary),
    ]
    kept = [cls.forward for cls, _ in classes]
    for cls, forward in classes:
        cls.forward = forward
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for (cls, _), forward in zip(classes, kept):
            cls.forward = forward


def document_mask(starts):
    """[batch, 1, seq, seq], true where query i may see key j: `starts[i] <= j <= i`."""
    seq = starts.shape[1]
    key = torch.arange(seq)
    return ((key[None, None, :] <= key[None, :, None]) & (key[None, None, :] >= starts[:, :, None]))[:, None]


def logits_of(model, ids, starts=None):
    """[batch, seq, vocab]; positions are 0..seq regardless of documents."""
    positions = torch.arange(ids.shape[1]).expand(ids.shape[0], -1)
    starts = torch.zeros_like(ids) if starts is None else starts
    return model(input_ids=ids, position_ids=positions, attention_mask=document_mask(starts)).logits


def token_nll(logits, targets):
    """[batch, seq] in nats, 0 where the target is not counted."""
    flat = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NOT_COUNTED, reduction="none")
    return flat.view(targets.shape)


def mean_loss(logits, targets):
    return token_nll(logits, targets).sum() / (targets != NOT_COUNTED).sum()


def to_host(tensor):
    """float32 or int32: the only two types in the fixtures."""
    kind = np.float32 if tensor.is_floating_point() else np.int32
    return np.ascontiguousarray(tensor.detach().numpy().astype(kind))


def write_tensors(name, tensors):
    path = FIXTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: to_host(value) for key, value in sorted(tensors.items())}, path)
    path.chmod(0o644)
    report(path)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report(path)


def report(path):
    print(f"{path.name}: {path.stat().st_size} bytes")
