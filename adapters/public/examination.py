"""What this machine and installation offer: processor, kernels, GPU, packages, speed."""

import importlib.metadata
import importlib.util
import inspect
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from l2hmc_bridge import __version__, fast, models
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fast.gpu import functions as gpu_functions, launch
from l2hmc_bridge.fast.gpu.gradients import trials
from l2hmc_bridge.fast.gpu.gradients.differentiated import KERNELS
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.markov import trajectory_generator
from l2hmc_bridge.systems.actions import GaugeAction, cold_start

GOOD, ABSENT, BROKEN = "good", "absent", "broken"
LATTICE = (8, 8, 8, 8)
BETA = 6.0
PACKAGES = {  # module: what it is for
    "lyncs_io": "files and arrays of lyncs: pip install 'l2hmc-bridge[lyncs]'",
    "triton": "kernels for NVIDIA GPUs; comes with torch's CUDA builds",
    "tensorboard": "`train --tensorboard`: pip install tensorboard",
    "gpt": "fields of GPT; built from its repository, not the gpt of PyPI",
    "pyquda": "fields of PyQUDA: pip install pyquda",
    "mpi4py": "GPT and PyQUDA on several ranks: pip install 'l2hmc-bridge[mpi]'",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, what was found, whether that is good, and what to do."""

    name: str
    found: str
    verdict: str = GOOD
    advice: str = ""


def examine(seconds: float = 10.0) -> Iterator[Finding]:
    """Everything, one finding after the other; `seconds` are spent on speed, none if 0."""
    yield Finding("l2hmc-bridge", f"{__version__}, in {Path(models.__file__).parents[1]}")
    yield Finding("python, torch", f"{platform.python_version()}, {torch.__version__}")
    yield Finding("processor", processor())
    yield from kernels()
    yield Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors",
                  advice="--threads, or OMP_NUM_THREADS, changes it")
    yield from gpu()
    yield shipped()
    yield from packages()
    if seconds > 0:
        yield from speed(seconds)


def processor() -> str:
    """Its name and the widest instruction set that torch sees."""
    name = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.is_file():
        lines = path.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines
                     if line.startswith("model name")), name)
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def kernels() -> Iterator[Finding]:
    """The compiled kernels in both precisions: which are built, which serves."""
    for name, dtype in (("double", torch.float64), ("single", torch.float32)):
        built, serving = library.built(dtype), library.library_of(dtype)
        title = f"compiled kernels, {name}"
        if not built:
            yield Finding(title, "none: torch computes, about ten times slower", ABSENT,
                          "install with a C++ compiler at hand (pip install --no-cache-dir .)")
        elif serving is None:
            yield Finding(title, f"{', '.join(built)} built, none can be loaded", BROKEN,
                          "build them again (pip install --no-cache-dir --force-reinstall .)")
        elif fast.choice() == "torch":
            yield Finding(title, f"{serving.level}, switched off", ABSENT,
                          "L2HMC_BRIDGE_FAST=off is set")
        else:
            yield Finding(title, f"{serving.level} serves, of {', '.join(built)}")


def gpu() -> Iterator[Finding]:
    """Each GPU, and whether its kernels agree with torch."""
    if not torch.cuda.is_available():
        yield Finding("GPU", "none that torch can use", ABSENT,
                      "needs an NVIDIA GPU, its driver and torch's CUDA build")
        return
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        name = f"GPU {index}"
        if not launch.triton_available():
            yield Finding(name, f"{torch.cuda.get_device_name(device)}, torch alone", ABSENT,
                          "triton is not installed: pip install triton")
            continue
        wrong = [one for one in launch.TRIALS if not launch.trusted(
            one, inspect.unwrap(getattr(gpu_functions, one)), device, torch.complex128)]
        wrong += [f"gradient of {one}" for one in trials.TRIALS
                  if not trials.agrees(one, KERNELS, device, torch.complex128)]
        told, count = torch.cuda.get_device_name(device), len(launch.TRIALS) + len(trials.TRIALS)
        yield (Finding(name, f"{told}, all {count} kernels agree with torch in double "
                             "precision")
               if not wrong else
               Finding(name, f"{told}, torch in the place of: {', '.join(wrong)}", BROKEN,
                       "--device cuda is right but slow"))


def shipped() -> Finding:
    """The bundle that ships: its hash and fingerprint."""
    try:
        loaded = bundle.load(models.default(), BETA)
    except BridgeError as error:
        return Finding("bundle that ships", str(error), BROKEN, "install the package again")
    return Finding("bundle that ships", f"{loaded.hash[:12]}, its fingerprint reproduced")


def packages() -> Iterator[Finding]:
    """Optional packages: version, or what is missing without them."""
    for name, purpose in PACKAGES.items():
        version = version_of(name)
        if version:
            yield Finding(name, version, advice=purpose.partition(";")[0].partition(":")[0])
        else:
            yield Finding(name, "not installed", ABSENT, purpose)


def version_of(package: str) -> str:
    """The version of an optional package, "installed" if it states none, "" if it is not there."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return ""
    places = spec.submodule_search_locations or ()
    if package == "gpt" and not any(Path(place, "qcd").is_dir() for place in places):
        return ""  # the unrelated one
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "installed"


@torch.no_grad()
def speed(seconds: float) -> Iterator[Finding]:
    """Milliseconds of a trajectory on 8^4: HMC and the bundle that ships, half the time each."""
    action = GaugeAction(BETA)
    for name, kernel in (("HMC (OMF4, 15 forces)", HMC(action, 0.3, 3, "omf4")),
                         ("the bundle that ships", bundle.load(models.default(), BETA).kernel)):
        state = kernel.init(cold_start(LATTICE))
        state, info = kernel.step(state, trajectory_generator(1, 0, 1))
        begin, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - begin) < seconds / 2 or count < 2:
            state, info = kernel.step(state, trajectory_generator(1, 0, count + 2))
            count += 1
        forces = int(info.force_evaluations)
        per_site = 1e6 * spent / count / forces / 8**4
        yield Finding(f"speed, {name}", f"{1e3 * spent / count:.1f} ms a trajectory on 8^4, "
                      f"{per_site:.2f} us per force and site")
