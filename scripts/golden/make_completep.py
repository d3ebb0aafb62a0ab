"""Writes completep.safetensors: five steps of a Llama with CompleteP's factors in the forward pass, and its losses.

The factors of the branches and of the head are applied as the paper writes them (Dey et al. 2025, table 1, alpha = 1).
Stepwell has them in its weights instead, so its weights of `o_proj`, `down_proj` and the final norm are these times
1 / depth, 1 / depth and 1 / width.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import reference as ref

VOCAB, BATCH, SEQ, STEPS = 23, 2, 17, 5
# The base has hidden 4 and 1 layer.
WIDTH, DEPTH = 4.0, 2.0
SHAPE = dict(hidden_size=16, intermediate_size=20, num_attention_heads=2, num_key_value_heads=1)
LR, EPS, DECAY, BETAS = 1e-2, 1e-4, 0.1, (0.9, 0.95)


def llama():
    config = LlamaConfig(**(ref.shape(VOCAB) | SHAPE), mlp_bias=False)
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config)


def multiply(factor):
    def hook(_module, _inputs, output):
        return (output[0] * factor, *output[1:]) if isinstance(output, tuple) else output * factor

    return hook


def groups(model):
    """AdamW's settings by parameter."""
    for name, parameter in model.named_parameters():
        group = {"params": [parameter], "lr": LR, "eps": EPS, "weight_decay": 0.0}
        if "embed_tokens" in name:
            group |= {"eps": EPS / WIDTH, "weight_decay": DECAY}
        elif name.startswith("model.layers.") and parameter.dim() == 2:
            group |= {"lr": LR / WIDTH, "eps": EPS / (WIDTH * DEPTH), "weight_decay": DECAY * WIDTH}
        elif name.startswith("model.layers."):
            group |= {"eps": EPS / (WIDTH * DEPTH)}
        yield group


def main():
    generator = torch.Generator().manual_seed(47)
    with ref.in_float64():
        model = ref.randomise(llama(), 47, 0.2).double()
        for layer in model.model.layers:
            layer.self_attn.register_forward_hook(multiply(1 / DEPTH))
            layer.mlp.register_forward_hook(multiply(1 / DEPTH))
        model.model.norm.register_forward_hook(multiply(1 / WIDTH))
        tensors = {f"initial.{name}": value.detach().clone() for name, value in model.named_parameters()}
        optimizer = torch.optim.AdamW(groups(model), betas=BETAS)
        losses, batches = [], []
        for _ in range(STEPS):
            stream = torch.randint(0, VOCAB, (BATCH, SEQ + 1), generator=generator)
            batches.append(stream)
            loss = ref.mean_loss(ref.logits_of(model, stream[:, :-1].contiguous()), stream[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print("losses", losses)
        after = {f"after.{name}": value.detach().clone() for name, value in model.named_parameters()}
    ref.write_tensors("completep.safetensors", tensors | after | {"losses": torch.tensor(losses), "streams": torch.stack(batches)})


if __name__ == "__main__":
    main()
