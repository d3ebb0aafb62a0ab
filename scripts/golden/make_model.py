"""Writes {llama,qwen3}_tiny.safetensors, {llama,qwen3}_tiny_step.safetensors and expected.json.

Forward, loss, gradients and one AdamW step of a tiny model in float64, with and without packed
documents. See README.md for the tensors of each file.
"""

import copy

import torch

import reference as ref

VOCAB, BATCH, SEQ = 67, 2, 17
STD = 0.05
OPTIMIZER = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
WEIGHT_DECAY = 0.1
CLIP = 1.0
# Chosen among 11..24 for the largest small gradients: Adam's first update is nearly the sign of the
# gradient, so that where |gradient| is close to eps an error of float32 would grow past 1e-5.
LLAMA_BATCH, QWEN3_BATCH = 15, 13
# First position of the second document in each row.
BOUNDARIES = (7, 12)


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    stream = torch.randint(0, VOCAB, (BATCH, SEQ + 1), generator=generator)
    ids, targets = stream[:, :-1].contiguous(), stream[:, 1:].clone()
    targets[0, 3] = targets[1, 0] = targets[1, SEQ - 1] = ref.NOT_COUNTED
    starts = torch.zeros(BATCH, SEQ, dtype=torch.int64)
    packed_targets = targets.clone()
    for row, boundary in enumerate(BOUNDARIES):
        starts[row, boundary:] = boundary
        packed_targets[row, boundary - 1] = ref.NOT_COUNTED
    return ids, targets, starts, packed_targets


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def adamw_step(model):
    """One step on the gradients in place; returns the norm before clipping."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() == 2], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ],
        **OPTIMIZER,
    )
    norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
    optimizer.step()
    return norm.item()


def largest_difference(left, right):
    return max((left[name].double() - right[name].double()).abs().max().item() for name in left)


def named(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def run(model, ids, targets, starts, packed_targets):
    """All contents of the fixtures, in the model's dtype."""
    packed_logits = ref.logits_of(model, ids, starts)
    packed_loss = ref.mean_loss(packed_logits, packed_targets)
    packed_grads = gradients(model, packed_loss)
    logits = ref.logits_of(model, ids)
    loss = ref.mean_loss(logits, targets)
    grads = gradients(model, loss)
    nll = ref.token_nll(logits, targets)
    grad_norm = adamw_step(model)
    return dict(
        logits=logits, nll=nll, loss=loss.item(), grads=grads, grad_norm=grad_norm, after=named(model),
        packed_logits=packed_logits, packed_loss=packed_loss.item(), packed_grads=packed_grads,
        loss_after=ref.mean_loss(ref.logits_of(model, ids), targets).item(),
    )


def check_packing(model, ids, packed_logits):
    """RoPE sees only distances, so a packed document gives the logits of the document alone."""
    for row, boundary in enumerate(BOUNDARIES):
        for part in (slice(0, boundary), slice(boundary, SEQ)):
            alone = ref.logits_of(model, ids[row : row + 1, part])[0]
            assert (alone - packed_logits[row, part]).abs().max() < 1e-12


def make(name, model, seed):
    data = batch(seed)
    ids, targets, starts, packed_targets = data
    plain = copy.deepcopy(model)
    model = copy.deepcopy(model).double()
    weights = named(model)
    with ref.in_float64():
        with torch.no_grad():
            check_packing(model, ids, ref.logits_of(model, ids, starts))
        exact = run(model, *data)
    single = run(plain, *data)
    drift = {
        "logits": largest_difference({"": exact["logits"]}, {"": single["logits"]}),
        "grads": largest_difference(exact["grads"], single["grads"]),
        "after": largest_difference(exact["after"], single["after"]),
        "packed_logits": largest_difference({"": exact["packed_logits"]}, {"": single["packed_logits"]}),
        "packed_grads": largest_difference(exact["packed_grads"], single["packed_grads"]),
    }
    assert max(drift.values()) < 1e-6, f"{name}: float32 transformers disagrees: {drift}"

    ref.write_tensors(f"{name}.safetensors", {
        **{f"weights.{key}": value for key, value in weights.items()},
        "input_ids": ids, "targets": targets, "logits": exact["logits"], "nll": exact["nll"],
        "packed.starts": starts, "packed.targets": packed_targets, "packed.logits": exact["packed_logits"],
        **{f"packed.grads.{key}": value for key, value in exact["packed_grads"].items() if "self_attn" in key},
    })
    ref.write_tensors(f"{name}_step.safetensors", {
        **{f"grads.{key}": value for key, value in exact["grads"].items()},
        **{f"after.{key}": value for key, value in exact["after"].items()},
    })
    return {
        "architecture": type(model).__name__,
        "config": {**ref.shape(VOCAB), "qk_norm": name.startswith("qwen3")},
        "parameters": sum(value.numel() for value in weights.values()),
        "counted": int((targets != ref.NOT_COUNTED).sum()),
        "loss": exact["loss"],
        "grad_norm": exact["grad_norm"],
        "loss_after": exact["loss_after"],
        "packed_counted": int((packed_targets != ref.NOT_COUNTED).sum()),
        "packed_loss": exact["packed_loss"],
        "smallest_nonzero_grad": min(g[g != 0].abs().min().item() for g in exact["grads"].values()),
        "float32_max_abs_difference": drift,
    }


def main():
    expected = {
        "optimizer": {**OPTIMIZER, "weight_decay": WEIGHT_DECAY, "clip_grad_norm": CLIP},
        "llama_tiny": make("llama_tiny", ref.randomise(ref.llama(VOCAB), 1, STD), LLAMA_BATCH),
        "qwen3_tiny": make("qwen3_tiny", ref.randomise(ref.qwen3(VOCAB), 2, STD), QWEN3_BATCH),
    }
    ref.write_json(ref.FIXTURES / "expected.json", expected)
    for name in ("llama_tiny", "qwen3_tiny"):
        print(name, {key: value for key, value in expected[name].items() if key != "config"})


if __name__ == "__main__":
    main()
