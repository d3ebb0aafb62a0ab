"""Writes lora.safetensors: PEFT's adapters on the tiny Llama of make_model.py, and what a few steps of AdamW make of them."""

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

import reference as ref

STEPS = 4
OPTIMIZER = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
SETTINGS = dict(r=3, lora_alpha=6.0, target_modules=["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"])


def base():
    """The model of llama_tiny.safetensors."""
    weights = load_file(ref.FIXTURES / "llama_tiny.safetensors")
    weights = {name.removeprefix("weights."): weight for name, weight in weights.items() if name.startswith("weights.")}
    model = ref.llama(weights["model.embed_tokens.weight"].shape[0])
    model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return model.eval()


def adapters(model):
    """Names in PEFT's file, and parameters."""
    return {name.replace(".default", ""): tensor for name, tensor in model.named_parameters() if "lora_" in name}


def loss_of(logits, targets):
    counted = targets >= 0
    return torch.nn.functional.cross_entropy(logits[counted], targets[counted])


def main():
    model = get_peft_model(base(), LoraConfig(**SETTINGS, task_type="CAUSAL_LM")).double()
    generator = torch.Generator().manual_seed(72)
    with torch.no_grad():
        for tensor in adapters(model).values():
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    tensors = {f"step0.{name}": tensor.detach().clone() for name, tensor in adapters(model).items()}
    optimizer = torch.optim.AdamW(adapters(model).values(), **OPTIMIZER)
    ids = torch.randint(0, 67, (2, 17), generator=generator)
    targets = ids.roll(-1, 1)
    targets[:, -1] = ref.NOT_COUNTED
    targets[0, :5] = ref.NOT_COUNTED
    losses = []
    with ref.in_float64():
        for step in range(1, STEPS + 1):
            loss = loss_of(model(input_ids=ids).logits, targets)
            losses.append(loss.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step in (1, STEPS):
                tensors |= {f"step{step}.{name}": tensor.detach().clone() for name, tensor in adapters(model).items()}
    merged = model.merge_and_unload().state_dict()["model.layers.1.mlp.down_proj.weight"]
    ref.write_tensors("lora.safetensors", tensors | {
        "input_ids": ids.int(), "targets": targets.int(), "losses": torch.stack(losses), "merged": merged,
    })
    print("losses", [round(value.item(), 6) for value in losses])


if __name__ == "__main__":
    main()
