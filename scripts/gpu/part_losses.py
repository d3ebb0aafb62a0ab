"""The first steps of a training on the device, in f32 and bf16, against the losses of the CPU."""

import threading

import contest
import host as machine
from report import Failure

# Low, so that rounding differences do not grow faster than the training learns.
RATE = 1e-4
# Largest difference of losses: in the first ten steps, and in all of them.
TOLERANCE = {"f32": (1e-3, 2e-2), "bf16": (1e-2, 1e-1)}
AT_ONCE = 5


def run(host, part):
    sizes = host.sizes
    folder = contest.material(
        host, "losses", steps=sizes.loss_steps, batch=sizes.loss_batch, context=sizes.context, device=host.device,
        rate=RATE, deadline=part.deadline
    )
    cpu = contest.on_device(folder, "flex")
    problems, compared = [], 0
    for precision in ("f32", "bf16"):
        sides = {"device": Side(host, part, folder, precision), "cpu": Side(host, part, cpu, precision)}
        for side in sides.values():
            side.start()
        for side in sides.values():
            side.join()
        losses = {name: side.losses for name, side in sides.items()}
        result = {"losses": losses, "seconds": {name: side.seconds for name, side in sides.items()}}
        errors = {name: side.error for name, side in sides.items() if side.error}
        if "has no bf16" in errors.get("device", ""):
            part.known(**{precision: {"skipped": errors["device"]}})
            continue
        differences = [abs(a - b) for a, b in zip(losses["device"], losses["cpu"])]
        first, all_of_them = TOLERANCE[precision]
        result["largest_difference"] = max(differences, default=None)
        result["largest_difference_of_first_ten"] = max(differences[:10], default=None)
        result["tolerance"] = {"first_ten": first, "all": all_of_them}
        part.known(**{precision: result | ({"errors": errors} if errors else {})})
        compared += len(differences)
        # The comparison is written so that a loss that is no number fails.
        if not all(x <= first for x in differences[:10]) or not all(x <= all_of_them for x in differences):
            problems.append(f"{precision} differs by up to {max(differences):.2e}")
        problems += [f"{precision}, {name}: {error}" for name, error in errors.items()]
    if problems or not compared:
        raise Failure("; ".join(problems) or "nothing was compared")


class Side(threading.Thread):
    """Trains on one device, while the other side trains on the other."""

    def __init__(self, host, part, folder, precision):
        super().__init__(daemon=True)
        self.host, self.part, self.folder, self.precision = host, part, folder, precision
        self.losses, self.seconds, self.error = [], 0.0, None

    def run(self):
        threads = max(machine.cores() - 1, 1)
        try:
            with contest.ours(self.host, self.folder, self.precision, self.part.deadline, threads) as side:
                for first in range(0, self.host.sizes.loss_steps, AT_ONCE):
                    # Two more steps than `--steps` are in the material.
                    answer = side.ask(f"step {min(AT_ONCE, self.host.sizes.loss_steps - first)}", self.part.deadline)
                    self.losses += answer["losses"]
                    self.seconds = round(self.seconds + sum(answer["seconds"]), 3)
                    self.part.known(progress={self.precision: len(self.losses)})
        except Exception as error:
            self.error = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
