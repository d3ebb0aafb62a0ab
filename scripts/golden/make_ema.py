"""Writes ema.safetensors: averages of `torch.optim.swa_utils.AveragedModel` over the weights of 20 steps."""

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import reference as ref

STEPS, SIZE, DECAY = 20, 17, 0.9


def ema():
    generator = torch.Generator().manual_seed(18)
    weights = torch.randn(STEPS, SIZE, generator=generator)
    model = torch.nn.Linear(SIZE, 1, bias=False).double()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    averages = []
    for now in weights:
        with torch.no_grad():
            model.weight.copy_(now.double())
        averaged.update_parameters(model)
        averages.append(averaged.module.weight.detach().clone().flatten())
    ref.write_tensors("ema.safetensors", {"weights": weights, "averages": torch.stack(averages)})


if __name__ == "__main__":
    ema()
