"""Trains a tiny network, as a PyTorch script would: with `--seed` and `--steps`, by hand or as a step of train.toml."""

import argparse
import json
import math
import random
import time

import stepwell

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--steps", type=int, default=300)
args = parser.parse_args()

width, rate = 8, 0.05
draw = random.Random(args.seed)
state = {"step": 0, "w": [draw.gauss(0, 1) for _ in range(3 * width)]}


def predict(w, x):
    return sum(w[3 * i] * math.tanh(w[3 * i + 1] * x + w[3 * i + 2]) for i in range(width))


def loss_at(w, points):
    return sum((predict(w, x) - math.sin(3 * x)) ** 2 for x in points) / len(points)


def train_step(step, w):
    """One step of stochastic gradient descent; its data depend only on the seed and the step."""
    data = random.Random(f"{args.seed}/{step}")
    points = [data.uniform(-1, 1) for _ in range(16)]
    gradient = [0.0] * len(w)
    for x in points:
        error = 2 * (predict(w, x) - math.sin(3 * x)) / len(points)
        for i in range(width):
            out, hidden = w[3 * i], math.tanh(w[3 * i + 1] * x + w[3 * i + 2])
            slope = error * out * (1 - hidden * hidden)
            for offset, part in enumerate((error * hidden, slope * x, slope)):
                gradient[3 * i + offset] += part
    return [weight - rate * part for weight, part in zip(w, gradient)], loss_at(w, points)


step = stepwell.checkpoint.restore(state)
if step:
    print(f"resumed at step {step}", flush=True)
while state["step"] < args.steps:
    step = state["step"] + 1
    state["w"], loss = train_step(step, state["w"])
    state["step"] = step
    time.sleep(0.005)
    stepwell.metrics(step, loss=loss)
    stepwell.progress(step, args.steps)
    if step % 25 == 0 or stepwell.stop_requested():
        print(f"step {step}  loss {loss:.4f}", flush=True)
        stepwell.checkpoint.save(step, state)

stepwell.values(val_loss=loss_at(state["w"], [i / 50 - 1 for i in range(101)]))
stepwell.artifact("model.json").write_text(json.dumps(state["w"]))
