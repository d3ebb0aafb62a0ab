"""The machine, the programs under test, and the sizes to use on it."""

import dataclasses
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

import processes
from report import Failure

# Dense bf16 and f32 rates of tensor cores and ordinary units in FLOP/s, from data sheets.
NOMINAL = {"H100": (989e12, 67e12), "H200": (989e12, 67e12), "A100": (312e12, 19.5e12), "B200": (2250e12, 80e12)}


@dataclasses.dataclass
class Sizes:
    """Sizes of the parts that train."""

    preset: str
    context: int
    loss_batch: int
    loss_steps: int
    batches: tuple
    rounds: int
    steps: int
    memory_steps: int
    memory_context: int
    product: int
    smoke: tuple = ()
    digests: tuple = ()


FULL = Sizes("deep60", 512, 2, 50, (8, 32, 128), 3, 5, 2000, 128, 4096)
# A software driver compiles a dozen matrix products for each shape before it chooses one, so few shapes must do.
SMALL = Sizes(
    "tiny", 16, 2, 6, (1, 2), 2, 2, 60, 16, 64,
    smoke=("steps=20", "context=16", "batch=2", "documents=100"),
    digests=("model=tiny", "vocab_size=512", "context=16", "batch=2", "steps=300"),
)


class Host:
    def __init__(self, programs, out, python):
        self.out, self.python = out, python
        self.here = Path(__file__).resolve().parent
        self.work = out / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.program = self.unpacked(programs, "stepwell")
        self.tests = self.unpacked(programs, "train-tests")
        self.states = {}
        self.device, self.software, self.sizes = None, False, FULL

    def unpacked(self, programs, name):
        """Path of a program, which may be compressed."""
        plain, packed = programs / name, programs / f"{name}.xz"
        if plain.exists() or not packed.exists():
            return plain.resolve() if plain.exists() else None
        target = self.work / name
        with lzma.open(packed) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out)
        target.chmod(0o755)
        return target.resolve()

    def log(self, name):
        return self.out / f"{name}.log"

    def stepwell(self, state, *words):
        return [self.program, "--state-dir", self.work / state, "--quiet", "--output", "json", *words]

    def read_devices(self, doctor):
        """Sets the state of every device from what `doctor` says: `cuda: ready, ...`."""
        texts = [finding["text"] for finding in doctor["findings"] if finding["name"] == "device"]
        self.states = dict(text.split(": ", 1) for text in texts)

    def ready(self, name):
        return self.states.get(name, "").startswith("ready")

    def missing(self, name):
        """Why a device cannot be used; `None` if it can."""
        if self.ready(name):
            return None
        return self.states.get(name, f"this build has no `{name}`")

    def is_software(self, name):
        """True for a driver that computes on the processor; `doctor` shows wgpu's kind of adapter."""
        return ", Cpu through" in self.states.get(name, "")

    def choose(self, wanted, small):
        """Chooses the device to check: the one asked for, or the first GPU, or else a software driver. The SPIR-V of
        `vulkan` crashes the compiler of Mesa's software driver, `wgpu` does not."""
        names = [wanted] if wanted else ["cuda", "metal", "vulkan", "wgpu"]
        usable = [name for name in names if self.ready(name)]
        real = [name for name in usable if not self.is_software(name)]
        soft = sorted(usable, key=lambda name: name != "wgpu")
        self.device = (real or soft or [None])[0]
        self.software = bool(self.device) and not real
        self.sizes = SMALL if small or self.software else FULL

    def no_device(self):
        said = "; ".join(f"{name}: {text}" for name, text in self.states.items() if name != "flex")
        return f"no GPU can be used ({said or 'this build has no GPU backend'})"

    def has_torch(self):
        """Version of a PyTorch that sees CUDA, or the reason why there is none."""
        code = "import torch, safetensors.torch; print(torch.__version__, torch.cuda.is_available())"
        try:
            status, output = processes.finish([self.python, "-c", code], self.log("torch"), 60, "PyTorch's import")
        except (Failure, OSError) as error:
            return None, str(error)
        if status:
            return None, f"`{self.python}` cannot import it: {processes.last_lines(self.log('torch'), 1)}"
        version, cuda = output.split()
        return (version, None) if cuda == "True" else (None, f"PyTorch {version} sees no CUDA")


def gpu_name():
    return _smi("name")


def nominal():
    """Rates of bf16 and f32 products by the data sheet, if the GPU is known."""
    name = gpu_name() or ""
    return next((rates for model, rates in NOMINAL.items() if re.search(rf"\b{model}\b", name)), None)


def gpu_memory_mib():
    """Memory of the first GPU that is in use, by all processes; `None` without `nvidia-smi`."""
    text = _smi("memory.used")
    return float(text) if text else None


def _smi(field):
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = answer.stdout.strip()
    return text.splitlines()[0].strip() if answer.returncode == 0 and text else None


def resident_mib(pid):
    """Memory of a process on the host."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else None


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
