"""A lattice on two processes with GPUs, or one that they share, against one process: bits and time.

    torchrun --nproc-per-node 2 -m benchmarks.kernels.gpu_ranks [--lattice 32,16,16,16]

Two trajectories of HMC (force gradient), with the Wilson action and Iwasaki's, one of nested steps
around a term, one of trained steps with a kick network, a drift network and mixing, and what is
measured, with a flow that looks three sites far. Prints a line of JSON for each: what is not the
same bit for bit, seconds of a trajectory, bytes that a process sent in it, how many GPUs there are,
and why messages go through main memory, if they do. Status 2 if any bit differs. Where both
processes share a GPU the time says nothing of two.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.kernels.trajectories import NETWORKS, kernel as learned_kernel
from l2hmc_bridge import fast
from l2hmc_bridge.fields import agreement, su3
from l2hmc_bridge.fields.part import Extents, holding, whole
from l2hmc_bridge.observables.plan import Plan, records
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.reach import halo
from l2hmc_bridge.ranks.share import Neighbours, Share
from l2hmc_bridge.ranks.steps import Placed, on_device
from l2hmc_bridge.ranks.world import joined
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.markov import Proposer, State
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.sampling.terms import HostTerm
from l2hmc_bridge.systems.actions import GaugeAction, gauge_action

EXTRA = GaugeAction(0.6, -0.2)
TERM = HostTerm("rectangles", EXTRA, lambda links: agreement.own(EXTRA.force(links)),
                in_parts=True)
WILSON, IWASAKI = (HMC(gauge_action("wilson", 5.7), 0.2, 4, "force_gradient"),
                   HMC(gauge_action("iwasaki", 2.6), 0.2, 2, "force_gradient"))
KERNELS: dict[str, Proposer] = {
    "wilson": WILSON, "iwasaki": IWASAKI,
    "nested": Nested(IWASAKI, (Level("host", (TERM,), schedule("force_gradient", 0.2, 1)),)),
    "networks": learned_kernel(*NETWORKS["everything"])}
PLAN = Plan(flow_time=0.1, flow_step=0.05, flow_every=0.05, kernel="zeuthen", smear="ape",
            smear_steps=1, wilson_loops=3)
FURTHEST = 3  # sites that measurements look
COMPARED = len(KERNELS) + 1
Work = Callable[[Tensor], tuple[State, dict[str, list]]]


def timed(work: Callable[[], tuple[State, dict[str, list]]], device: torch.device):
    """What comes of it the second time, and the seconds that took."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    state, told = work()  # numbers were read: nothing is under way any more
    return state, told, time.perf_counter() - began


def measured(links: Tensor) -> tuple[State, dict[str, list]]:
    """What `measure` says of links, which stay."""
    return State(links, fast.action(links, 5.7), None), {"measured": records(links, PLAN)}


def step(kernel: Proposer, links: Tensor) -> tuple[State, dict[str, list]]:
    """A trajectory, and what a log says of it."""
    state, info = kernel.step(kernel.init(links), numbered(3, [1] * len(links)))
    return state, {"dH": info.delta_h.tolist(), "accepted": info.accepted.tolist(),
                   "plaquettes": fast.plaquettes(state.links).tolist(),
                   "charge": topological_charge(state.links).tolist()}


def compared(placed: Placed, lattice: Extents, depth: int, work: Work) -> dict:
    """What one process finds of the parts of all, on rank 0; elsewhere nothing.

    depth: how far the work looks. Parts have even extents, as drift networks want them.
    """
    world, device = placed.world, placed.device
    links = su3.exp(0.3 * su3.random_algebra((1, 4, *lattice), torch.Generator().manual_seed(1)))
    share = Share(world, chosen("auto", lattice, world.size, depth, True), lattice, depth)
    part = share.part
    with holding(part):
        own = part.taken(links).to(device)
        state, told, seconds = timed(lambda: work(own), device)
    gathered = share.whole_state(state)
    sent = part.network.traffic.sent // 2 if isinstance(part.network, Neighbours) else 0
    if gathered is None:
        return {}
    with holding(whole(lattice)):
        links = links.to(device)
        one, other, alone = timed(lambda: work(links), device)
    wrong = [name for name in told if told[name] != other[name]]
    for name, here, there in zip(State._fields, gathered, one, strict=True):
        known = here is not None and there is not None
        wrong += [name] if known and not torch.equal(here.cpu(), there.cpu()) else []
    return {"grid": str(share.grid), "differs": wrong, "ranks": seconds, "one": alone, "sent": sent}


@torch.no_grad()
def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lattice", default="32,16,16,16", help="t,x,y,z")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(given)
    t, x, y, z = map(int, options.lattice.split(","))
    rows = []
    with joined() as world:
        placed = on_device(world, options.device)
        works: dict[str, tuple[int, Work]] = {
            name: (halo(kernel, placed.device), partial(step, kernel))
            for name, kernel in KERNELS.items()}
        for name, (depth, work) in {**works, "measure": (FURTHEST, measured)}.items():
            found = compared(placed, (t, x, y, z), depth, work)
            dist.barrier()
            if found:
                rows.append({"action": name, "lattice": options.lattice, "device": options.device,
                             "gpus": torch.cuda.device_count(), "note": placed.note, **found})
                print(json.dumps(rows[-1]), flush=True)
    if rows and options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 2 if any(row["differs"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
