"""One of several processes of a host: updates of its fields in parts and of the whole.

    python -m tests.support.hosts_worker TRANSPORT RANKS LATTICE [without-copies]

TRANSPORT is mpi, under mpirun, or gloo; RANKS and LATTICE are X,Y,Z,T. Rank 0 writes a line for
each kernel: its name, and what is not the same bit for bit as on one rank; then what all ranks
refuse, and whether alike.
"""

import sys
from contextlib import contextmanager
from random import Random

import torch

from l2hmc_bridge.adapters.hosts import gpt, pyquda
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.ranks.world import joined
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from tests.support.ranks_worker import WILSON, learned
from tests.support.standins import gpt_standin, pyquda_standin, ranks_standin as ranks

KERNELS = {
    "hmc": HMC(WILSON, 0.2, 3, "force_gradient"),
    "kick network": learned(),
    "drift network, mixing": learned(subsets="turn", mixing=True),
    "heat bath": HeatBath(WILSON, 1, 1),  # which proposes nothing
}


@contextmanager
def communicators(transport):
    """(what the bridge is handed, what the host's fields speak by)."""
    if transport == "mpi":
        from mpi4py import MPI

        yield None, MPI.COMM_WORLD
        return
    with joined() as world:
        yield world.transport, ranks.Gloo()


def gpt_updates(kernel, mine, alone, communicator):
    """Of GPT's fields: (name, what came on several ranks, what on one)."""
    told = []
    for name, make, action in (
            ("update", gpt.l2hmc_update, ()), ("proposal", gpt.l2hmc_proposal, ()),
            ("update by GPT's action", gpt.l2hmc_update, (gpt_standin.wilson(5.6),))
    )[:1 if isinstance(kernel, HeatBath) else 3]:
        rank = mine[0].grid.processor
        here = make(kernel, gpt_standin.random(f"rank {rank}"), communicator)
        there = make(kernel, gpt_standin.random("rank 0"))
        for _ in range(2):
            told.append((name, here(mine, *action), there(alone, *action)))
            told.append((f"{name}, links", gpt_standin.tensor(mine), gpt_standin.tensor(alone)))
    return told


def pyquda_updates(kernel, mine, alone, communicator):
    """The same of PyQUDA's."""
    told, info = [], mine.latt_info
    if isinstance(kernel, HeatBath):
        return []
    here = pyquda.l2hmc_proposal(kernel, Random(7 + info.mpi_rank), communicator)
    there = pyquda.l2hmc_proposal(kernel, Random(7))
    for _ in range(2):
        (mine, one), (alone, other) = here(mine), there(alone)
        expected = info.evenodd(ranks.pyquda_own(info, alone.lexico()))
        told += [("proposal", one, other),
                 ("proposal, links", torch.from_numpy(mine.data), torch.from_numpy(expected))]
    return told


def refusals(mpi, theirs, handed):
    """(what, error) of a lattice whose parts are odd, and of links that one rank alone has wrong.
    """
    xyzt, generator = [4 * n for n in mpi], torch.Generator().manual_seed(2)
    xyzt[3] = 3 * mpi[3]
    for what, kernel, sign in (("odd parts", KERNELS["drift network, mixing"], 1),
                               ("a boundary", KERNELS["hmc"], -1)):
        links = su3.exp(su3.random_algebra((1, 4, xyzt[3], *xyzt[:3]), generator))
        links[:, 0, -1] *= sign
        U = ranks.gpt_field(ranks.grid(xyzt, gpt_standin.double, mpi, theirs), links)
        try:
            gpt.l2hmc_update(kernel, gpt_standin.random("one"), handed)(U)
            yield what, "nothing"
        except BridgeError as error:
            yield what, f"{type(error).__name__} {error}"


def same(one, other):
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@torch.no_grad()
def main(transport, grid, lattice, *how):
    torch.set_num_threads(1)
    if how:
        library.Lattice.renew = lambda self, field: None
    mpi, xyzt = ([int(n) for n in word.split(",")] for word in (grid, lattice))
    links = su3.exp(0.4 * su3.random_algebra((1, 4, xyzt[3], *xyzt[:3]),
                                             torch.Generator().manual_seed(1)))
    with communicators(transport) as (handed, spoken):
        theirs = ranks.Reversed(spoken)  # as Grid's, none of MPI's own order
        on = ranks.grid(xyzt, gpt_standin.double, mpi, theirs)
        whole = gpt_standin.grid(xyzt, gpt_standin.double)
        info = ranks.pyquda_info(xyzt, mpi, theirs if transport == "gloo" else spoken)
        for name, kernel in KERNELS.items():
            U = gpt_standin.unit(whole)
            gpt_standin.store(links, U)
            gauge = pyquda_standin.LatticeGauge(pyquda_standin.LatticeInfo(xyzt))
            pyquda_standin.store(links, gauge)
            told = [("GPT", *one) for one in gpt_updates(kernel, ranks.gpt_field(on, links), U,
                                                         handed)]
            told += [("PyQUDA", *one) for one in pyquda_updates(
                kernel, ranks.pyquda_field(info, links), gauge, handed)]
            wrong = {f"{host} {what}" for host, what, one, other in told if not same(one, other)}
            found = sorted(set().union(*spoken.allgather(wrong)))
            if spoken.Get_rank() == 0:
                print(f"{name}: {', '.join(found) or 'the same'}", flush=True)
        for what, error in refusals(mpi, theirs, handed):
            every = spoken.allgather(error)
            if spoken.Get_rank() == 0:
                print(f"{what}: {error if set(every) == {error} else every}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
