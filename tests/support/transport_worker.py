"""One of several processes: what a transport says, in MPI's order and in another.

    python -m tests.support.transport_worker TRANSPORT

Rank 0 writes a line for each order: what every rank found wrong. mpi: MPI alone; carried: of
processes that mpirun started, and what neighbours swap must go by MPI; gloo: it must not.
"""

import sys

import torch

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import Part, holding
from l2hmc_bridge.ranks.grid import Grid
from l2hmc_bridge.ranks.mpi import over
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World, joined

LATTICE = (8, 2, 2, 4)


def wrong(transport):
    """Names of what is not as it should be, on this rank."""
    rank, size = transport.rank, transport.size
    counts, most = torch.tensor([[rank, 2**40, 0]]), torch.tensor([-1.0, float(rank)]).double()
    transport.total(counts)
    transport.largest(most)
    lower, upper = (rank - 1) % size, (rank + 1) % size
    below, above = transport.swap(lower, upper, torch.full((3,), 10.0 * rank),
                                  torch.full((2, 2), 10.0 * rank + 1))
    told = {
        "first": transport.from_first(f"rank {rank}") == "rank 0",
        "all": transport.of_all(rank) == list(range(size)),
        "sum": counts.tolist() == [[size * (size - 1) // 2, size * 2**40, 0]],
        "largest": most.tolist() == [-1, size - 1],
        "swap": bool((below == 10 * lower + 1).all() and (above == 10 * upper).all()
                     and below.shape == (2, 2)),
        "halves": halves(transport),
        **shared(World(transport)),
    }
    return [name for name, right in told.items() if not right]


def halves(transport):
    """Whether the two halves of the processes, or each of two alone, speak among themselves."""
    half = transport.size // 2
    group = transport.divided(half)
    first = transport.rank // half * half
    return (group.of_all(transport.rank) == list(range(first, first + half))
            and group.from_first(transport.rank) == first
            and (group.rank, group.size) == (transport.rank - first, half))


def shared(world):
    """What `Share` and `World` make of it."""
    share = Share(world, Grid((world.size, 1, 1, 1)), LATTICE, 1)
    field = torch.arange(4 * 128 * 9).view(1, 4, *LATTICE, 3, 3).to(torch.complex128) * (1 - 2j)
    part = share.part
    with holding(part):
        held = part.network.scattered(part, field if world.first else None)
        whole = part.network.gathered(part, held)
    try:
        world.each(lambda: refuse() if world.rank == world.size - 1 else None)
        refused = ""
    except ConfigError as error:
        refused = str(error)
    return {"scattered": torch.equal(held, part.taken(field)), "refused": refused == "by the last",
            "gathered": whole is None if world.rank else torch.equal(whole, field),
            "coordinates": share.part == Part(LATTICE, part.origin, part.extents, (1, 0, 0, 0))
            and part.origin[0] == world.rank * LATTICE[0] // world.size,
            "digest": len(share.digest(held)) == 64}


def refuse():
    raise ConfigError("by the last")


def compared(transport):
    for name, order in (("as it is", range(transport.size)),
                        ("turned", [*range(1, transport.size), 0]),
                        ("turned again", [*range(1, transport.size), 0])):
        found = transport.of_all(wrong(transport.in_order(list(order))))
        if transport.rank == 0:
            print(f"{name}: {found}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "mpi":
        compared(over())
    else:
        with joined() as every:
            by_mpi = every.transport.carrier is not None
            assert by_mpi == (sys.argv[1] == "carried"), every.transport.carrier
            compared(every.transport)
