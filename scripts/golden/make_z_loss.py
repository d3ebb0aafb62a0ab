"""Writes z_loss.safetensors: cross-entropy and z-loss of a tied head, and their gradients."""

import torch

import reference as ref

ROWS, WIDTH, VOCAB = 9, 6, 29
Z_LOSS = 0.01


def main():
    generator = torch.Generator().manual_seed(41)
    # Wide enough that log Z is far from log VOCAB.
    x = 2.0 * torch.randn(ROWS, WIDTH, generator=generator)
    weight = torch.randn(VOCAB, WIDTH, generator=generator)
    targets = torch.randint(0, VOCAB, (ROWS,), generator=generator)
    targets[2] = targets[7] = ref.NOT_COUNTED
    tensors = {"x": x, "weight": weight, "targets": targets, "coefficient": torch.tensor([Z_LOSS])}

    exact_x, exact_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    logits = exact_x @ exact_weight.T
    cross_entropy = ref.mean_loss(logits[None], targets[None])
    z_loss = tensors["coefficient"].double() * logits.logsumexp(-1)[targets != ref.NOT_COUNTED].square().mean()
    (cross_entropy + z_loss).sum().backward()
    print("cross-entropy", cross_entropy.item(), "z-loss", z_loss.item())
    tensors |= {"terms": torch.stack([cross_entropy, z_loss[0]]), "grads.x": exact_x.grad, "grads.weight": exact_weight.grad}
    ref.write_tensors("z_loss.safetensors", tensors)


if __name__ == "__main__":
    main()
