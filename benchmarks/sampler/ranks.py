"""A lattice on two processes against one process with as many threads, in turns, in one run.

    torchrun --nproc-per-node 2 -m benchmarks.sampler.ranks [--turns 9] [--json FILE]

A trajectory of HMC (force gradient, four steps). While one process computes the whole, the others
wait. Apart: seconds in exchanges, of which those between processes, and bytes sent against the
model of benchmarks/ranks.md.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import torch.distributed as dist

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.ranks.grid import Grid, chosen
from l2hmc_bridge.ranks.share import Neighbours, Share
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import force_evaluations
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.systems.actions import cold_start, gauge_action

LATTICES = ((16, 16, 16, 16), (32, 16, 16, 16))  # t, x, y, z
LINK, MOMENTUM = 576, 256  # bytes of the four links, or momenta, of a site in the blocked layout
KERNEL = HMC(gauge_action("wilson", 6.0), 0.25, 4, "force_gradient")


def model_bytes(grid: Grid, lattice, halo: int = 1) -> int:
    """Sent by a rank in a trajectory: the links after each drift, the momenta at the end."""
    part = grid.part(lattice, 0, halo, None)
    sites, seen = 0, list(part.held)
    for mu in part.cut:
        sites += 2 * halo * torch.Size(seen).numel() // part.held[mu]
    renewals = force_evaluations(KERNEL.plan)
    return sites * (LINK * renewals + MOMENTUM)


class Timed:
    """Seconds spent in renewing copies, messages included."""

    def __init__(self):
        self.seconds, self._renew = 0.0, library.Lattice.renew
        library.Lattice.renew = lambda lattice, field: self.renew(lattice, field)

    def renew(self, lattice, field):
        began = time.perf_counter()
        self._renew(lattice, field)
        self.seconds += time.perf_counter() - began


def started(links):
    """A state some trajectories away from the unit field."""
    state = markov.state_at(KERNEL, links)
    for number in range(2):
        state, _ = markov.step(KERNEL, state, numbered(1, [number]))
    return state


def turn(state, number: int) -> float:
    began = time.perf_counter()
    markov.step(KERNEL, state, numbered(2, [number]))
    return time.perf_counter() - began


def measured(world: World, lattice, turns: int, timed: Timed) -> dict:
    """Medians of one lattice."""
    share = Share(world, chosen("auto", lattice, world.size, 1, False), lattice, 1)
    part, alone, all_of_it = share.part, [], []
    with holding(part):
        state = started(part.taken(cold_start(lattice)))
    one = share.whole_state(state)
    exchange, waiting, sent = [], [], 0
    for number in range(turns):
        if one is not None:
            torch.set_num_threads(world.size)
            with holding(whole(lattice)):
                alone.append(turn(one, number))
        torch.set_num_threads(1)
        dist.barrier()
        traffic = part.network.traffic if isinstance(part.network, Neighbours) else None
        before, bytes_before, timed.seconds = traffic.seconds, traffic.sent, 0.0
        with holding(part):
            all_of_it.append(turn(state, number))
        exchange.append(timed.seconds)
        waiting.append(traffic.seconds - before)
        sent = traffic.sent - bytes_before
        dist.barrier()
    if one is None:
        return {}
    ratios = [a / b for a, b in zip(alone, all_of_it, strict=True)]
    return {"lattice": list(lattice), "grid": str(share.grid), "processes": world.size,
            "one_process": statistics.median(alone), "ranks": statistics.median(all_of_it),
            "speed": statistics.median(ratios), "exchange": statistics.median(exchange),
            "messages": statistics.median(waiting), "sent": sent,
            "sent_by_the_model": model_bytes(share.grid, lattice)}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    fast.keep_memory()
    with joined() as world:
        timed = Timed()
        found = [measured(world, lattice, given.turns, timed) for lattice in LATTICES]
        if world.first:
            for one in found:
                print(json.dumps(one))
            if given.json:
                given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
