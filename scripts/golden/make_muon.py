"""Writes muon.safetensors: reference trajectories of Muon on a tall, a wide and a square matrix."""

from unittest import mock

import torch

import reference as ref

STEPS = 10
SHAPES = {"tall": (9, 5), "wide": (4, 11), "square": (7, 7)}
OPTIMIZER = dict(lr=2e-2, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")


def trajectory(initial, grads, dtype):
    """Parameters [steps, rows, columns]. PyTorch iterates in bfloat16 whatever the gradient is; here in `dtype`."""
    parameter = torch.nn.Parameter(initial.double().clone())
    optimizer = torch.optim.Muon([parameter], **OPTIMIZER)
    params = []
    with mock.patch("torch.bfloat16", dtype):
        for grad in grads:
            parameter.grad = grad.double().clone()
            optimizer.step()
            params.append(parameter.detach().clone())
    return torch.stack(params)


def muon():
    generator = torch.Generator().manual_seed(37)
    tensors = {}
    for name, shape in SHAPES.items():
        initial = torch.randn(*shape, generator=generator)
        grads = torch.randn(STEPS, *shape, generator=generator)
        exact = trajectory(initial, grads, torch.float64)
        reduced = trajectory(initial, grads, torch.bfloat16)
        moved = (exact[-1] - initial).norm()
        print(name, "moved", round(moved.item(), 4), "bfloat16 differs by", round((exact - reduced)[-1].norm().item(), 6))
        assert (exact - reduced)[-1].norm() < 0.02 * moved
        tensors |= {f"{name}.initial": initial, f"{name}.grads": grads, f"{name}.params": exact}
    ref.write_tensors("muon.safetensors", tensors)


if __name__ == "__main__":
    muon()
