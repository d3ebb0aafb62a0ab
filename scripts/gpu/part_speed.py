"""Step time, MFU, launches and memory of each batch size, next to PyTorch eager, compiled, and compiled with CUDA
graphs, in turns."""

import time

import contest
import host as machine
import launches
import precompile
from report import Failure

MODES = ("", "-compile", "-reduce-overhead")
# A process of PyTorch is not started with less time left.
LEAST_SECONDS = 10


def run(host, part):
    precompile.end()
    torch, why_not = host.has_torch() if host.device == "cuda" else (None, f"PyTorch is compared on cuda, not {host.device}")
    part.known(torch=torch, torch_skipped=why_not, gpu=machine.gpu_name(), formula="6 N + 12 L Q T per token (PaLM)")
    batches, failures = host.sizes.batches, []
    for index, batch in enumerate(batches):
        # Every batch size gets its share of the time that is left.
        share = time.monotonic() + max(part.left(), 0) / (len(batches) - index)
        try:
            measure(host, part, batch, share, torch)
        except Failure as error:
            failures.append(f"batch {batch}: {error}")
            part.known(**{f"batch {batch}": part.result.get(f"batch {batch}", {}) | {"failed": str(error)}})
    if failures:
        raise Failure("; ".join(failures))
    if part.left() < 0:
        raise Failure("no time was left")


def measure(host, part, batch, deadline, torch):
    sizes, key = host.sizes, f"batch {batch}"
    folder = precompile.material(host, batch, part.deadline)
    precision = "bf16" if host.device in ("cuda", "vulkan", "metal") and not host.software else "f32"
    result = {"precision": precision, "context": sizes.context, "contestants": {}, "pairs": {}}
    part.known(**{key: result})
    modes = [f"{precision}{mode}" for mode in MODES] if torch else []
    with contest.ours(host, folder, precision, deadline) as own:
        warm(own, result, deadline)
        settle(host, result, own, contest.turns([own], sizes.rounds, sizes.steps, deadline)[own.name], batch)
        part.known()
        crowded = [mode for mode in modes if not pair(host, part, result, own, folder, mode, batch, deadline)]
        rate = own.ask(f"gemm {sizes.product}", part.deadline)["flops_per_second"]
        result["own_product_flops_per_second"] = rate
    part.known()
    for mode in crowded:
        alone(host, part, result, folder, mode, batch, deadline)
    result["launches_per_step"] = launches.ours(host, folder, precision, deadline)
    part.known()


def warm(entry, result, deadline):
    """Two steps, in which kernels are compiled and measured."""
    took = entry.ask("step 2", deadline)["seconds"]
    result["contestants"][entry.name] = {
        "version": entry.version, "startup_seconds": round(entry.startup, 1), "first_step_seconds": round(took[0], 2)
    }


def pair(host, part, result, own, folder, mode, batch, deadline):
    """Measures a mode of PyTorch and ours in turns. False if the GPU has no room for both."""
    try:
        with opened(host, result, folder, mode, deadline) as other:
            seconds = contest.turns([own, other], host.sizes.rounds, host.sizes.steps, deadline)
            settle(host, result, own, seconds[own.name], batch)
            settle(host, result, other, seconds[other.name], batch)
            ratio = contest.median(seconds[other.name]) / contest.median(seconds[own.name])
            result["pairs"][mode] = {"theirs_over_ours": round(ratio, 3), "seconds": seconds}
            part.known()
            count(result, other, deadline)
    except Failure as error:
        if own.child.poll() is not None:
            raise
        result["pairs"].setdefault(mode, {})["skipped"] = str(error)
        part.known()
        return "out of memory" not in str(error).lower()
    part.known()
    return True


def alone(host, part, result, folder, mode, batch, deadline):
    """Measures a mode of PyTorch after ours has left the GPU."""
    try:
        with opened(host, result, folder, mode, deadline) as other:
            seconds = contest.turns([other], host.sizes.rounds, host.sizes.steps, deadline)
            settle(host, result, other, seconds[other.name], batch)
            count(result, other, deadline)
        result["pairs"][mode]["measured"] = "alone, after ours"
    except Failure as error:
        result["pairs"][mode]["skipped_alone"] = str(error)
    part.known()


def opened(host, result, folder, mode, deadline):
    """Starts PyTorch and lets it warm up."""
    if deadline - time.monotonic() < LEAST_SECONDS:
        raise Failure("no time was left")
    other = contest.torch(host, folder, mode, deadline)
    try:
        warm(other, result, deadline)
    except Failure:
        other.close()
        raise
    return other


def count(result, other, deadline):
    result["contestants"][other.name]["launches_per_step"] = other.ask("launches", deadline)


def settle(host, result, entry, seconds, batch):
    """Figures of one contestant, from its latest turns."""
    middle = contest.median(seconds)
    tokens = batch * host.sizes.context / middle
    flops = tokens * flop_per_token(host)
    known = machine.nominal()
    figures = {
        "seconds_per_step": round(middle, 5), "least": round(min(seconds), 5), "most": round(max(seconds), 5),
        "tokens_per_second": round(tokens), "model_tflops_per_second": round(flops / 1e12, 3),
        "mfu_of_data_sheet": round(flops / known[0 if result["precision"] == "bf16" else 1], 4) if known else None,
        "memory": entry.memory(),
    }
    result["contestants"][entry.name].update(figures)


def flop_per_token(host):
    """6 N + 12 L Q T, as `bench train` counts."""
    parameters, layers, width = {"deep60": (60_659_520, 60, 320), "tiny": (133_440, 2, 64)}[host.sizes.preset]
    return 6 * parameters + 12 * layers * width * host.sizes.context
