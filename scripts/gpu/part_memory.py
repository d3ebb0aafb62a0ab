"""Memory of a training over 2,000 steps, on the GPU and on the host: it must not grow."""

import contest
from report import Failure

BATCH = 2
AT_ONCE = 50
# The first samples are left out: allocators still reach their size.
SETTLED = 0.25
# Growth from the settled size that counts as a leak.
ALLOWED = 0.05
ALLOWED_MIB = 64


def run(host, part):
    sizes = host.sizes
    steps = sizes.memory_steps
    folder = contest.material(
        host, "memory", steps=steps, batch=BATCH, context=sizes.memory_context, device=host.device, rate=1e-4,
        deadline=part.deadline
    )
    precision = "f32" if host.device == "wgpu" or host.software else "bf16"
    samples = []
    part.known(precision=precision, batch=BATCH, context=sizes.memory_context, wanted_steps=steps, samples=samples)
    at_once = min(AT_ONCE, max(steps // 20, 1))
    with contest.ours(host, folder, precision, part.deadline) as own:
        done = 0
        while done < steps and part.left() > 3:
            try:
                seconds = own.ask(f"step {at_once}", part.deadline)["seconds"]
            except Failure:
                if own.child.poll() is not None:
                    raise
                break
            done += len(seconds)
            samples.append({"step": done, **own.memory(), "seconds_per_step": round(sum(seconds) / len(seconds), 5)})
            part.known(steps=done)
    problems = [problem for field in ("gpu_mib", "host_mib") if (problem := growth(part, samples, field))]
    if problems:
        raise Failure("; ".join(problems))
    if done < steps:
        raise Failure(f"only {done} of {steps} steps in time; up to there memory did not grow")


def growth(part, samples, field):
    settled = [sample for sample in samples[int(len(samples) * SETTLED):] if sample[field] is not None]
    if len(settled) < 2:
        part.known(**{field: "not measured"})
        return None
    first, last = settled[0], settled[-1]
    grown = last[field] - first[field]
    slope = grown / (last["step"] - first["step"]) * 1000
    part.known(**{field: {"first": first[field], "last": last[field], "mib_per_1000_steps": round(slope, 2)}})
    if grown > max(ALLOWED * first[field], ALLOWED_MIB):
        return f"{field} grows from {first[field]:.0f} to {last[field]:.0f}, {slope:.0f} MiB per 1,000 steps"
    return None
