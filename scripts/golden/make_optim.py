"""Writes adamw.safetensors and schedules.json: reference trajectories of the optimizer and the rate."""

import math

import torch
from transformers import (
    get_cosine_with_min_lr_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)
from transformers.optimization import get_constant_schedule_with_warmup

import reference as ref

SIZE, STEPS = 37, 10
OPTIMIZER = dict(lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
PEAK = 2e-3


def trajectory(initial, grads, clip, lrs):
    """Parameters [steps, size] and gradient norms [steps] before clipping, in float64."""
    parameter = torch.nn.Parameter(initial.double().clone())
    optimizer = torch.optim.AdamW([parameter], **OPTIMIZER)
    params, norms = [], []
    for grad, lr in zip(grads, lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        parameter.grad = grad.double().clone()
        norms.append(torch.nn.utils.clip_grad_norm_([parameter], clip or math.inf))
        optimizer.step()
        params.append(parameter.detach().clone())
    return torch.stack(params), torch.stack(norms)


def adamw():
    generator = torch.Generator().manual_seed(31)
    initial = torch.randn(SIZE, generator=generator)
    # Norms from about 0.2 to about 20, so that clipping at 1 acts on some steps and not on others.
    scale = torch.logspace(-1.5, 0.5, STEPS)[torch.randperm(STEPS, generator=generator)]
    grads = scale[:, None] * torch.randn(STEPS, SIZE, generator=generator)
    constant = [OPTIMIZER["lr"]] * STEPS
    changing = [OPTIMIZER["lr"] * (step + 1) / STEPS for step in range(STEPS)]
    params, norms = trajectory(initial, grads, None, constant)
    clipped, _ = trajectory(initial, grads, 1.0, constant)
    scheduled, _ = trajectory(initial, grads, None, changing)
    assert 0 < (norms > 1).sum() < STEPS
    ref.write_tensors("adamw.safetensors", {
        "initial": initial, "grads": grads, "params": params, "norms": norms,
        "clipped.params": clipped, "scheduled.params": scheduled, "scheduled.lr": torch.tensor(changing),
    })
    print("grad norms", [round(value, 3) for value in norms.tolist()])


def closed_form(shape, step, warmup, total, decay, final):
    """Stepwell's formula as a share of the peak rate; `step` is the 0-based step about to be taken."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / (total - warmup)
    if shape == "constant":
        return 1.0
    if shape == "linear":
        return final + (1 - final) * (1 - progress)
    if shape == "cosine":
        return final + (1 - final) / 2 * (1 + math.cos(math.pi * progress))
    return 1.0 if step < total - decay else final + (1 - final) * (total - step) / decay


def transformers_rates(shape, warmup, total, decay, final):
    """Rates of steps 0..=total as `transformers` counts them: its warm-up starts at 0."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    if shape == "constant":
        scheduler = get_constant_schedule_with_warmup(optimizer, warmup)
    elif shape == "linear":
        scheduler = get_polynomial_decay_schedule_with_warmup(optimizer, warmup, total, lr_end=PEAK * final, power=1.0)
    elif shape == "cosine":
        scheduler = get_cosine_with_min_lr_schedule_with_warmup(optimizer, warmup, total, min_lr_rate=final)
    else:
        scheduler = get_wsd_schedule(
            optimizer, warmup, decay, num_training_steps=total, decay_type="linear", min_lr_ratio=final
        )
    rates = []
    for _ in range(total + 1):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def schedules():
    cases = []
    for shape in ("cosine", "linear", "wsd", "constant"):
        for total, warmup, decay_fraction, final in ((40, 5, 0.25, 0.0), (30, 4, 0.5, 0.1), (12, 0, 0.25, 0.0)):
            if shape == "constant" and final:
                continue
            decay = math.ceil(decay_fraction * total)
            theirs = transformers_rates(shape, warmup, total, decay, final)
            # `transformers` starts the WSD warm-up at `final`; all others at 0, one step before Stepwell.
            rising = theirs if shape != "wsd" else transformers_rates(shape, warmup, total, decay, 0.0)
            rates = [rising[s + 1] if s < warmup else theirs[s] for s in range(total)]
            for step, rate in enumerate(rates):
                own = PEAK * closed_form(shape, step, warmup, total, decay, final)
                assert abs(rate - own) < 1e-15, (shape, step, rate, own)
            cases.append({
                "shape": shape, "total": total, "warmup_steps": warmup, "decay_fraction": decay_fraction,
                "decay_steps": decay, "final_fraction": final, "peak": PEAK, "lr": rates,
            })
    ref.write_json(ref.FIXTURES / "schedules.json", {
        "convention": "lr[s] = rate of the 0-based step s; s < warmup: transformers' value of s + 1, else of s",
        "cases": cases,
    })


if __name__ == "__main__":
    adamw()
    schedules()
