"""`stepwell smoke-test` on a device: train, kill, resume, compare every digest."""

import processes
from host import SMALL
from report import Failure, Skip


def on(device):
    def run(host, part):
        tested = device
        if host.software:
            # Mesa's compiler crashes on the SPIR-V of `vulkan`; `wgpu` is the way to test on it.
            if device != "vulkan":
                raise Skip(host.missing(device) or "a software driver")
            tested = host.device
        elif host.missing(device):
            raise Skip(host.missing(device))
        settings = [word for setting in (SMALL.smoke if host.software else ()) for word in ("-S", setting)]
        command = host.stepwell("smoke", "smoke-test", "--device", tested, *settings)
        found, status = processes.json_of(command, host.log(f"smoke-{tested}"), part.left(), "`smoke-test`")
        part.known(device=tested, **found)
        if status or not found.get("passed"):
            why = f"these artifacts differ: {', '.join(found['different'])}" if found.get("different") else found.get("error")
            raise Failure(str(why))

    return run
