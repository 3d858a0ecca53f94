"""The time of an HMC trajectory on many GPUs by the model of benchmarks/ranks.md, as a table.

    python -m benchmarks.sampler.ranks_model [--site 0.9e-9] [--bandwidth 50e9] [--latency 10e-6]

Assumed, not measured: seconds for a site, force and drift; bytes a second between two GPUs; seconds
of a message.
"""

import argparse

import torch

from benchmarks.sampler.ranks import KERNEL
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import Extents, Single
from l2hmc_bridge.ranks.grid import Grid, chosen
from l2hmc_bridge.sampling.integrators import force_evaluations

LATTICES: tuple[Extents, ...] = ((64, 32, 32, 32), (96, 48, 48, 48), (128, 64, 64, 64),
                                 (192, 96, 96, 96))  # t, x, y, z
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LOCAL: Extents = (32, 32, 32, 32)  # of weak scaling
LINK = 384  # bytes of the four links of a site, two rows of each


def seconds(grid: Grid, lattice: Extents, given: argparse.Namespace) -> float:
    """R [s V_held + sum over cut directions of 2 latency + bytes / bandwidth]."""
    part = grid.part(lattice, 0, 1, Single())
    held = torch.Size(part.held).numel()
    exchange = sum(2 * given.latency + 2 * LINK * held / part.held[mu] / given.bandwidth
                   for mu in part.cut)
    return force_evaluations(KERNEL.plan) * (given.site * held + exchange)


def strong(lattice: Extents, given: argparse.Namespace) -> list[str]:
    """Milliseconds and efficiency on each number of GPUs; "-" if parts would be too thin."""
    alone = seconds(Grid((1, 1, 1, 1)), lattice, given)
    found = []
    for count in COUNTS:
        try:
            one = seconds(chosen("auto", lattice, count, 4, True), lattice, given)
            found.append(f"{1e3 * one:.3g} ({alone / count / one:.2f})")
        except ConfigError:
            found.append("-")
    return found


def weak(given: argparse.Namespace) -> list[str]:
    """The same for a part of LOCAL on each GPU, cut along t, z, y and x in turn."""
    ranks, found = [1, 1, 1, 1], []
    alone = seconds(Grid((1, 1, 1, 1)), LOCAL, given)
    for n, _ in enumerate(COUNTS):
        if n:
            ranks[(0, 3, 2, 1)[(n - 1) % 4]] *= 2
        t, x, y, z = ranks
        whole = tuple(a * b for a, b in zip(ranks, LOCAL, strict=True))
        one = seconds(Grid((t, x, y, z)), whole, given)
        found.append(f"{1e3 * one:.3g} ({alone / one:.2f})")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=float, default=0.9e-9)
    parser.add_argument("--bandwidth", type=float, default=50e9)
    parser.add_argument("--latency", type=float, default=10e-6)
    given = parser.parse_args()
    print("| lattice | " + " | ".join(map(str, COUNTS)) + " |")
    print("|---" * (len(COUNTS) + 1) + "|")
    for lattice in LATTICES:
        t, x = lattice[:2]
        print(f"| {x}^3 x {t} | " + " | ".join(strong(lattice, given)) + " |")
    print("| 32^4 each | " + " | ".join(weak(given)) + " |")


if __name__ == "__main__":
    main()
