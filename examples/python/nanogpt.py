"""Trains a small GPT on characters, in the manner of nanoGPT. The lines marked `stepwell` are all that Stepwell needs."""

import argparse
import math
import pathlib

import stepwell  # stepwell
import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--data", default=__file__)
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--out", default="model.pt")
args = parser.parse_args()

batch_size, block_size, width, heads, layers, dropout, peak = 16, 64, 64, 4, 3, 0.1, 3e-3
torch.manual_seed(1337)

text = pathlib.Path(args.data).read_text(encoding="utf-8")
characters = sorted(set(text))
data = torch.tensor([characters.index(c) for c in text])
train_data, val_data = data[: -len(data) // 10], data[-len(data) // 10 :]


def get_batch(source):
    starts = torch.randint(len(source) - block_size, (batch_size,))
    x = torch.stack([source[i : i + block_size] for i in starts])
    y = torch.stack([source[i + 1 : i + 1 + block_size] for i in starts])
    return x, y


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, heads, c // heads).transpose(1, 2) for part in self.qkv(self.ln1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout if self.training else 0.0)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(len(characters), width), nn.Embedding(block_size, width)
        self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
        self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, len(characters))

    def forward(self, x, y):
        h = self.tokens(x) + self.positions(torch.arange(x.shape[1]))
        return F.cross_entropy(self.head(self.ln(self.blocks(h))).flatten(0, 1), y.flatten())


@torch.no_grad()
def estimate_val_loss():
    model.eval()
    losses = [model(*get_batch(val_data)).item() for _ in range(4)]
    model.train()
    return sum(losses) / len(losses)


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=peak)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / args.steps))

state = {"model": model, "optimizer": optimizer, "scheduler": scheduler}  # stepwell
for step in range(stepwell.checkpoint.restore(state) + 1, args.steps + 1):  # stepwell (was: range(1, args.steps + 1))
    loss = model(*get_batch(train_data))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    logs = {"loss": loss.item()}
    if step % 25 == 0:
        logs["val_loss"] = estimate_val_loss()
        print(f"step {step}: loss {logs['loss']:.4f}, val loss {logs['val_loss']:.4f}", flush=True)
    stepwell.metrics(step, logs)  # stepwell
    stepwell.checkpoint.save(step, state, every=20)  # stepwell

torch.save(model.state_dict(), args.out)
