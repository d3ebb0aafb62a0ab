"""The PyTorch side of `stepwell bench train`: the same model, weights, batches and optimizer.

The model is written for speed, not taken from `transformers`: fused projections, fused attention
(causal, the fastest path available), fused AdamW. FOLDER holds files from `stepwell`: `config.json`,
`weights.safetensors` (Hugging Face names), `batches.bin` (per step i32 ids and targets).

MODE is f32 or bf16, alone or with -compile or -reduce-overhead (compiled, with CUDA graphs); bf16 is
autocast with f32 weights. Requests: `step N` returns seconds, losses and waiting times of N steps,
`gemm N` the rate of an N x N x N product, `launches` how much the host starts in one step on CUDA.
"""

import json
import sys
import time
from pathlib import Path

import bench_line

bench_line.need("torch", "safetensors.torch")

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


def rotate(x, cos, sin):
    """Half rotation of `[batch, heads, seq, head_dim]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Norm(nn.Module):
    def __init__(self, weight, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(weight), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Linear(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return F.linear(x, self.weight)


class Block(nn.Module):
    def __init__(self, shape, take):
        super().__init__()
        eps = shape["norm_eps"]
        self.widths = [shape["heads"], shape["kv_heads"], shape["kv_heads"]]
        self.head_dim = shape["head_dim"]
        self.gated = shape["ffn"]["kind"] == "swiglu"
        qkv = [take(f"self_attn.{part}_proj") for part in ("q", "k", "v")]
        self.input_norm = Norm(take("input_layernorm"), eps)
        self.qkv = Linear(torch.cat(qkv))
        self.query_norm = Norm(take("self_attn.q_norm"), eps) if shape["qk_norm"] else None
        self.key_norm = Norm(take("self_attn.k_norm"), eps) if shape["qk_norm"] else None
        self.attention_out = Linear(take("self_attn.o_proj"))
        self.ffn_norm = Norm(take("post_attention_layernorm"), eps)
        inputs = [take("mlp.gate_proj")] if self.gated else []
        self.ffn_in = Linear(torch.cat([*inputs, take("mlp.up_proj")]))
        self.ffn_out = Linear(take("mlp.down_proj"))

    def forward(self, x, cos, sin):
        batch, seq, _ = x.shape
        qkv = self.qkv(self.input_norm(x)).split([width * self.head_dim for width in self.widths], dim=-1)
        query, key, value = (
            part.view(batch, seq, width, self.head_dim).transpose(1, 2) for part, width in zip(qkv, self.widths)
        )
        if self.query_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        query, key = rotate(query, cos, sin).to(value.dtype), rotate(key, cos, sin).to(value.dtype)
        grouped = self.widths[0] != self.widths[1]
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, seq, -1))
        inner = self.ffn_in(self.ffn_norm(x))
        if self.gated:
            gate, up = inner.chunk(2, dim=-1)
            return x + self.ffn_out(F.silu(gate) * up)
        return x + self.ffn_out(F.gelu(inner))


class Model(nn.Module):
    def __init__(self, shape, weights):
        super().__init__()
        take = lambda layer: lambda part: weights[f"model.layers.{layer}.{part}.weight"]
        self.embedding = nn.Parameter(weights["model.embed_tokens.weight"])
        self.blocks = nn.ModuleList(Block(shape, take(layer)) for layer in range(shape["layers"]))
        self.final_norm = Norm(weights["model.norm.weight"], shape["norm_eps"])
        pairs = torch.arange(0, shape["head_dim"], 2, dtype=torch.float32) / shape["head_dim"]
        angles = torch.outer(torch.arange(shape["context"], dtype=torch.float32), 1.0 / shape["rope_theta"] ** pairs)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, targets, z_loss):
        x = F.embedding(ids, self.embedding)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin)
        logits, targets = F.linear(self.final_norm(x), self.embedding).flatten(0, 1), targets.flatten()
        cross_entropy = F.cross_entropy(logits, targets, ignore_index=-1)
        if not z_loss:
            return cross_entropy, cross_entropy
        counted = targets != -1
        squares = logits.float().logsumexp(-1).square() * counted
        return cross_entropy, cross_entropy + z_loss * squares.sum() / counted.sum()


class Training:
    def __init__(self, folder, mode):
        self.config = config = json.loads((folder / "config.json").read_text())
        self.device = "cpu" if config["device"] == "flex" else "cuda"
        self.reduced = mode.startswith("bf16")
        model = Model(config["shape"], load_file(folder / "weights.safetensors")).to(self.device)
        frozen = config["plan"]["freeze_layers"]
        if frozen:
            for part in [model.embedding, *model.blocks[:frozen]]:
                part.requires_grad_(False)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        _, _, compiled = mode.partition("-")
        how = {"compile": "default", "reduce-overhead": "reduce-overhead"}
        self.loss_of = torch.compile(model, mode=how[compiled]) if compiled else model
        options = config["optimizer"]
        matrices = [p for p in self.parameters if p.dim() >= 2]
        vectors = [p for p in self.parameters if p.dim() < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": options["weight_decay"]},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=(options["beta1"], options["beta2"]),
            eps=options["epsilon"],
            fused=True,
        )
        rows, columns = config["plan"]["batch"], config["shape"]["context"]
        words = 2 * rows * columns * len(config["learning_rates"])
        batches = torch.from_file(str(folder / "batches.bin"), size=words, dtype=torch.int32)
        self.batches = batches.view(-1, 2, rows, columns)
        self.done = 0

    def synchronize(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def step(self, count):
        plan, seconds, losses, waited = self.config["plan"], [], [], []
        for _ in range(count):
            started = time.perf_counter()
            ids, targets = self.batches[self.done].long().to(self.device)
            waited.append(time.perf_counter() - started)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config["learning_rates"][self.done]
            torch.compiler.cudagraph_mark_step_begin()
            with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.reduced):
                cross_entropy, loss = self.loss_of(ids, targets, plan.get("z_loss", 0.0))
            loss.backward()
            clip = plan["clip"]
            if clip > 0:
                torch.nn.utils.clip_grad_norm_(self.parameters, clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            losses.append(cross_entropy.item())
            self.synchronize()
            seconds.append(time.perf_counter() - started)
            self.done += 1
        return {"seconds": seconds, "losses": losses, "waited": waited}

    def launches(self):
        """Launches by the host, of kernels or of graphs, and kernels that ran, per step."""
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        steps = 2
        with torch.profiler.profile(activities=activities) as profile:
            self.step(steps)
        events = profile.events()
        started = [event for event in events if "LaunchKernel" in event.name or "GraphLaunch" in event.name]
        on_gpu = [event.name for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
        ran = [name for name in on_gpu if not name.startswith(("Memcpy", "Memset"))]
        return {"launches": len(started) / steps, "kernels": len(ran) / steps}

    def gemm(self, size):
        dtype = torch.bfloat16 if self.reduced else torch.float32
        a = torch.randn(size, size).to(self.device, dtype)
        best = float("inf")
        for _ in range(5):
            started = time.perf_counter()
            torch.mm(a, a)
            self.synchronize()
            best = min(best, time.perf_counter() - started)
        return {"flops_per_second": 2 * size**3 / best}


def main():
    folder, mode, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    training = Training(folder, mode)
    bench_line.serve(f"torch {torch.__version__}", {"step": training.step, "gemm": training.gemm, "launches": training.launches})


if __name__ == "__main__":
    main()
