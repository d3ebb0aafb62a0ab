"""Writes adafactor.safetensors: reference trajectories of `transformers.Adafactor` without a relative learning rate."""

import torch
from transformers.optimization import Adafactor

import reference as ref

STEPS = 10
SHAPES = {"tall": (9, 5), "wide": (4, 11), "square": (7, 7), "vector": (13,), "stack": (8, 6)}
# The stack is two parameters of the reference, one above the other.
PARTS = {"stack": (3, 5)}
OPTIMIZER = dict(lr=2e-2, weight_decay=0.1, relative_step=False, warmup_init=False)


def trajectory(initial, grads, parts, scale_parameter):
    """Parameters after each step, in float64."""
    parameters = [torch.nn.Parameter(part.double().clone()) for part in initial.split(parts)]
    optimizer = Adafactor(parameters, scale_parameter=scale_parameter, **OPTIMIZER)
    params = []
    for grad in grads:
        for parameter, part in zip(parameters, grad.split(parts)):
            parameter.grad = part.double().clone()
        optimizer.step()
        params.append(torch.cat([parameter.detach().clone() for parameter in parameters]))
    return torch.stack(params)


def adafactor():
    generator = torch.Generator().manual_seed(53)
    tensors = {}
    for name, shape in SHAPES.items():
        initial = torch.randn(*shape, generator=generator)
        # Of different sizes, so that some updates are clipped.
        grads = torch.randn(STEPS, *shape, generator=generator) * torch.linspace(0.1, 3, STEPS).view(-1, *[1] * len(shape))
        parts = PARTS.get(name, (shape[0],))
        tensors |= {
            f"{name}.initial": initial,
            f"{name}.grads": grads,
            f"{name}.plain": trajectory(initial, grads, parts, False),
            f"{name}.scaled": trajectory(initial, grads, parts, True),
        }
        moved = (tensors[f"{name}.plain"][-1] - initial).norm()
        print(name, "moved", round(moved.item(), 4))
    ref.write_tensors("adafactor.safetensors", tensors)


if __name__ == "__main__":
    adafactor()
