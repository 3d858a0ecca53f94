"""One of two processes under mpirun, of which the second has a fault.

    python -m tests.support.carrier_worker FAULT

lacks: it has no mpi4py; raises: an error of its own while the other one waits for its links.
Each writes what it has to say.
"""

import sys

import torch

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.ranks.launch import launch
from l2hmc_bridge.ranks.world import joined


def main(fault):
    if fault == "lacks" and launch().rank == 1:
        sys.modules["mpi4py"] = None
    with joined() as world:
        told = world.told(world.transport.carrier is None)
        if world.rank == 1 and fault == "raises":
            raise RuntimeError("out of memory, say")
        one = torch.full((1000,), float(world.rank))
        below, above = world.transport.swap(1 - world.rank, 1 - world.rank, one, one)
        right = bool((below == 1 - world.rank).all() and (above == 1 - world.rank).all())
        print(f"rank {world.rank}: without MPI {told}, right {right}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BridgeError as error:
        print(f"an error: {error}", flush=True)
        sys.exit(1)
