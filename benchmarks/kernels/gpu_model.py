"""What the kernels of a GPU should take: registers from the compiler, time from traffic and flop.

    python -m benchmarks.kernels.gpu_model [--architectures 80,90] [--json FILE]

Compiles every kernel that trajectories use without a GPU being there (Triton's own ptxas), and
writes registers, spills, warps a multiprocessor holds, bytes and flop per site, and the time per
site that the slowest of three gives: flop at the rate of multiply-adds, what must come from memory
at the rate of a copy, and what threads read of the caches at the rate that a plain kernel of the
force reached on an H200. Nothing here is measured but these three rates.
"""

import argparse
import json
import math
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.kernels.modelled import gradients, networks, observables, work as counted
from benchmarks.kernels.modelled.work import EXPONENTIAL, FORCE, Work
from benchmarks.kernels.table import table
from l2hmc_bridge.fast.gpu import launch, planar
from l2hmc_bridge.fields import su3

# H200, measured: multiply-adds, copy; cache: 19 matrices of 18 numbers a link in 1.30 ns a site.
FLOPS, COPY, CACHE = {"double": 32.2e12, "single": 64.4e12}, 4.16e12, 4 * 19 * 144 / 1.30e-9
REGISTERS, WARPS, PROGRAMS = 65536, 64, 32  # of a multiprocessor, of compute capability 8.0 and 9.0
ELSEWHERE = {"double": 8, "single": 4}  # bytes of a number
HEAD = """# Kernels with numbers apart on a GPU: a model, not a measurement

Written by `python -m benchmarks.kernels.gpu_model`. Registers and spills are the compiler's; flop,
bytes that threads read and bytes that memory must move are counted, per site; the expected time is
the largest of flop at 32.2 TFLOP/s (64.4 in single precision, not measured), memory at 4.16 TB/s
and reads at 8.4 TB/s, the rate at which a plain kernel of the same force read its 19 matrices a
link on an H200; an A100 (sm 80) is slower. Latency, launches, and reads that meet in the
first-level cache are left out."""
COLUMNS = {"kernel": "kernel", "precision": "precision", "architecture": "sm", "registers":
           "registers", "spilled": "bytes spilled", "warps": "warps of 64", "cached": "bytes read",
           "moved": "bytes of memory", "flop": "flop", "ns": "ns per site, expected",
           "bound": "bound by"}


WORK = {
    "force": FORCE,
    "kick": Work(FORCE.instructions + 8, FORCE.read + 8, FORCE.moved + 8),
    "kick and drift": Work(FORCE.instructions + 8 + EXPONENTIAL + 72, FORCE.read + 8,
                           FORCE.moved + 8 + 12),
    "rectangles": Work(18 * (4 * 72 + 6 * 24 + 18) + 132, (18 * 5 + 1) * 12 + 8, 12 + 16),
    "drift": Work(EXPONENTIAL + 72 + 24, 20, 20 + 12),
    "known kick": Work(16, 16, 16 + 8),
    "known kick and drift": Work(EXPONENTIAL + 72 + 24 + 16, 28, 28 + 20),
    "links in": Work(0, 18, 30), "links out": Work(24, 12, 30),
    "algebra in": Work(0, 18, 26), "algebra out": Work(0, 8, 26),
    **counted.NETWORKS,
    **{name: Work(*work) for name, work in observables.WORK.items()},
    **gradients.WORK,
}


@dataclass(frozen=True)
class Row:
    """One kernel, as it was compiled and as it should run."""

    kernel: str
    precision: str
    architecture: int
    registers: int
    spilled: int
    warps: int
    cached: int
    moved: int
    flop: int
    ns: float
    bound: str


def modelled(name: str, precision: str, architecture: int, registers: int, spilled: int) -> Row:
    """The model of a kernel with that many registers, four links a site."""
    work, size = WORK[name], ELSEWHERE[precision]
    together = 1 if name in observables.OF_SITES + gradients.OF_SITES else 4  # warps of a program
    held = math.ceil(max(registers, 24) / 8) * 8 * 32 * together  # registers come in eights
    warps = together * min(WARPS // together, PROGRAMS, REGISTERS // held)
    cached, moved, flop = (4 * size * work.read, 4 * size * work.moved, 8 * work.instructions)
    times = {"multiply-adds": flop / FLOPS[precision], "memory": moved / COPY,
             "caches": cached / CACHE}
    bound = max(times, key=lambda one: times[one])
    return Row(name, precision, architecture, registers, spilled, warps, cached, moved, flop,
               1e9 * times[bound], bound)


class Absent:
    """What a launch asks of the driver of a GPU, where there is none."""

    def __init__(self, architecture: int):
        self.architecture = architecture

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return self.architecture  # Triton keeps what it made for each device

    def get_current_stream(self, device: int) -> int:
        return 0


class Compiling:
    """Takes the place of a start: compiles, and keeps what came out."""

    def __init__(self, architecture: int):
        self.architecture = architecture
        self.made: dict[str, tuple[int, int]] = {}
        self.hashes: set[str] = set()
        self.label = ""

    def __call__(self, kernel, grid, there, arguments, constants) -> None:
        made = kernel.warmup(*arguments, grid=grid, **constants, enable_fp_fusion=True)
        if made.metadata.target.arch != self.architecture:
            raise RuntimeError(f"expected machine code for sm_{self.architecture}, found that for "
                               f"sm_{made.metadata.target.arch}")
        if made.hash not in self.hashes:
            self.hashes.add(made.hash)
            self.made[self.label] = max(self.made.get(self.label, (0, 0)),
                                        usage(made.asm["cubin"]))


def usage(binary: bytes) -> tuple[int, int]:
    """(registers, bytes of the stack) of a kernel: a kernel that spills has a stack."""
    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        done = subprocess.run([knobs.nvidia.cuobjdump.path, "-res-usage", file.name],
                              capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    registers, stack, local = (int(re.findall(rf"{word}:(\d+)", said)[0])
                               for word in ("REG", "STACK", "LOCAL"))
    return registers, stack + local


def compile_all(architecture: int, dtype: torch.dtype, extents: tuple[int, ...],
                start: Compiling) -> None:
    """Every kernel of a trajectory for fields like these, each under its name in WORK."""
    from triton.runtime import driver

    driver.set_active(Absent(architecture))
    launch._start = start
    links = su3.random_group((2, 4, *extents), torch.Generator().manual_seed(1)).to(dtype)

    def named(name: str, call) -> object:
        start.label = name
        return call()

    named("links in", lambda: planar.enter(links, planar.LINKS))
    at = planar.Moving(links, 6.0)
    named("algebra in", lambda: planar.enter(links, planar.ALGEBRA))
    named("force", at.force)
    named("drift", lambda: at.drift(0.1))
    at.kick(-0.1)
    named("kick and drift", lambda: at.drift(0.1))
    named("kick", lambda: at._run(at.links, 0.1, 1.0))
    at.known = at.momenta
    at.kick(-0.1)
    named("known kick", at._settle)
    at.kick(-0.1)
    named("known kick and drift", lambda: at.drift(0.1))
    named("links out", lambda: planar.leave(at.links, extents))
    named("algebra out", lambda: planar.leave(at.momenta, extents))
    at.c1 = 0.1
    named("rectangles", at.force)
    networks.kernels(links, named)
    observables.kernels(at, named)
    gradients.kernels(links, named)


def rows(architectures: list[int], precisions: dict[str, torch.dtype]) -> list[Row]:
    """Each kernel is compiled once, whatever the lattice: RuntimeError if not."""
    found = []
    for architecture in architectures:
        for precision, dtype in precisions.items():
            start = Compiling(architecture)
            compile_all(architecture, dtype, (2, 3, 4, 5), start)
            count = len(start.hashes)
            compile_all(architecture, dtype, (16, 8, 1, 16), start)
            if len(start.hashes) != count or set(start.made) != set(WORK):
                raise RuntimeError(f"expected {sorted(WORK)}, found {sorted(start.made)}, and "
                                   f"{len(start.hashes) - count} more for another lattice")
            found += [modelled(name, precision, architecture, *start.made[name]) for name in WORK]
    return found


def page(found: list[Row]) -> str:
    """The table with what it rests on."""
    total = 20 * _ns(found, "kick and drift")
    ns = {row.kernel: row.ns for row in found if row.precision == "double"}
    lines = [HEAD, "", *table([asdict(row) for row in found], COLUMNS), "",
             f"A trajectory of 20 forces, double precision: {total:.0f} ns per site in kicks with "
             f"drifts. A five-loop charge: {observables.five_loops(ns):.1f} ns.", "",
             networks.page(ns)]
    return "\n".join(lines) + "\n"


def _ns(found: list[Row], name: str) -> float:
    return next(row.ns for row in found if (row.kernel, row.precision) == (name, "double"))


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--architectures", default="80,90")
    parser.add_argument("--precisions", default="double,single")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/gpu_model.json"))
    options = parser.parse_args(given)
    known = {"double": torch.complex128, "single": torch.complex64}
    found = rows([int(one) for one in options.architectures.split(",")],
                 {name: known[name] for name in options.precisions.split(",")})
    options.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
    options.json.with_suffix(".md").write_text(page(found))


if __name__ == "__main__":
    main()
