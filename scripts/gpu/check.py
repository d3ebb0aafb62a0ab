"""Checks Stepwell on a GPU, part after part. Called by `scripts/gpu_check.sh`, which says how."""

import argparse
import os
import platform
import signal
import sys
from pathlib import Path

import host as machine
import part_digests
import part_kernels
import part_losses
import part_memory
import part_smoke
import part_speed
import precompile
import processes
from host import Host
from report import Failure, Report, Skip

# Seconds of each part, of 570 in all. What a part leaves goes to the next ones.
PARTS = {
    "doctor": 15,
    "kernels": 110,
    "smoke-test cuda": 45,
    "smoke-test vulkan": 45,
    "losses": 75,
    "speed": 150,
    "digests": 60,
    "memory": 70,
}


def arguments():
    parser = argparse.ArgumentParser(prog="gpu_check.sh")
    parser.add_argument("--programs", type=Path, required=True, help="folder with `stepwell` and `train-tests`")
    parser.add_argument("--out", type=Path, default=Path("gpu-check-results"), help="folder for results.json and logs")
    parser.add_argument("--seconds", type=float, default=570.0, help="time for everything")
    parser.add_argument("--device", help="device to check instead of the first GPU that works")
    parser.add_argument("--small", action="store_true", help="sizes for a software driver")
    parser.add_argument("--only", default="", help="parts, separated by commas: " + ", ".join(PARTS))
    parser.add_argument("--python", default=sys.executable, help="interpreter with PyTorch")
    return parser.parse_args()


def doctor(host, part):
    if host.program is None:
        raise Failure("there is no `stepwell` in the folder of programs")
    command = host.stepwell("doctor", "doctor")
    found, status = processes.json_of(command, host.log("doctor"), part.left(), "`doctor`")
    host.read_devices(found)
    part.known(findings=found["findings"], gpu=machine.gpu_name())
    if status:
        raise Failure("`doctor` found a problem")


def on_gpu(work):
    """A part that only a GPU, or a software driver, can do."""

    def run(host, part):
        if host.device is None:
            raise Skip(host.no_device())
        work(host, part)

    return run


def main():
    args = arguments()
    only = [name.strip() for name in args.only.split(",") if name.strip()]
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        sys.exit(f"gpu_check.sh: no part is called `{unknown[0]}`; there are: {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.out.mkdir(parents=True, exist_ok=True)
    out = args.out.resolve()
    facts = {"host": platform.platform(), "cores": machine.cores(), "seconds_allowed": args.seconds}
    report = Report(out / "results.json", facts)
    host = Host(args.programs, out, args.python)
    works = {
        "doctor": doctor,
        "kernels": on_gpu(part_kernels.run),
        "smoke-test cuda": part_smoke.on("cuda"),
        "smoke-test vulkan": part_smoke.on("vulkan"),
        "losses": on_gpu(part_losses.run),
        "speed": on_gpu(part_speed.run),
        "digests": on_gpu(part_digests.run),
        "memory": on_gpu(part_memory.run),
    }
    scale, due = args.seconds / sum(PARTS.values()), 0.0
    for name, seconds in PARTS.items():
        due += seconds * scale
        # Every part needs to know the devices.
        if only and name not in only and name != "doctor":
            continue
        limit = args.seconds - report.elapsed() if only else due - report.elapsed()
        limit = max(limit, 10) if name == "doctor" else limit
        report.run(name, limit, lambda part, work=works[name]: work(host, part))
        if name == "doctor":
            host.choose(args.device, args.small)
            report.note(device=host.device, sizes="small" if host.sizes is machine.SMALL else "full", devices=host.states)
            precompile.begin(host, enabled=not only or "speed" in only)
    sound = report.finish()
    print(f"results: {report.path}")
    sys.stdout.flush()
    processes.kill_all()
    os._exit(0 if sound else 1)


if __name__ == "__main__":
    main()
