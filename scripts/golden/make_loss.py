"""Writes loss.safetensors: cross-entropy of a tied head with a soft cap and weights of tokens, and its gradients."""

import torch
import torch.nn.functional as F

import reference as ref

ROWS, WIDTH, VOCAB = 9, 6, 29
CAP = 5.0


def main():
    generator = torch.Generator().manual_seed(43)
    # Wide enough that many logits are near the cap.
    x = 2.0 * torch.randn(ROWS, WIDTH, generator=generator)
    weight = torch.randn(VOCAB, WIDTH, generator=generator)
    targets = torch.randint(0, VOCAB, (ROWS,), generator=generator)
    targets[2] = targets[7] = ref.NOT_COUNTED
    token_weights = torch.rand(VOCAB, generator=generator) * 3.0
    token_weights[targets[0]] = 0.0
    tensors = {"x": x, "weight": weight, "targets": targets, "cap": torch.tensor([CAP]), "token_weights": token_weights}

    exact_x, exact_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    logits = CAP * torch.tanh(exact_x @ exact_weight.T / CAP)
    loss = F.cross_entropy(logits, targets, weight=token_weights.double(), ignore_index=ref.NOT_COUNTED)
    loss.backward()
    print("loss", loss.item())
    tensors |= {"loss": loss.detach()[None], "grads.x": exact_x.grad, "grads.weight": exact_weight.grad}
    ref.write_tensors("loss.safetensors", tensors)


if __name__ == "__main__":
    main()
