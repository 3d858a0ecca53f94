"""One of several processes of PyQUDA on Triton kernels in their interpreter, fields as on GPUs.

    TRITON_INTERPRET=1 python -m tests.support.planar_pyquda_worker RANKS LATTICE

RANKS and LATTICE are X,Y,Z,T. Rank 0 writes what is not the same bit for bit as on one rank.
"""

import sys
from random import Random

import torch

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.hosts import pyquda, pyquda_fields, pyquda_terms
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from tests.support import nested_worker
from tests.support.hosts_worker import communicators, same
from tests.support.planar_verbs_worker import in_the_interpreter
from tests.support.ranks_worker import WILSON
from tests.support.standins import pyquda_standin, ranks_standin as ranks

STEP = HMC(WILSON, 0.2, 1, "leapfrog")


class Monomial(nested_worker.Monomial):
    """One of a host that does not compute with our kernels."""

    def action(self, links):
        with fast.using("torch"):
            return super().action(links)

    def force(self, links):
        with fast.using("torch"):
            return super().force(links)


def nested(gauge, made, rng, communicator):
    """A nested update around a monomial; made: its HMC class."""
    host = made(gauge.latt_info, [Monomial(0.8, communicator)], None)
    host.initialize(7, gauge)
    term = pyquda_terms.host_term("heavy", host, gauge,
                                  pyquda_standin.LatticeMom(gauge.latt_info))
    levels = Level("heavy", (term,), schedule("force_gradient", 0.2, 1)),
    return pyquda_terms.nested_update(Nested(STEP, levels), rng)


def told(info, gauge, made, number, spoken, handed):
    """[(name, value)] of a proposal, and of a nested update that moves the field."""
    propose = pyquda.l2hmc_proposal(STEP, Random(7 + number), handed)
    moved, correction = propose(gauge)
    update = nested(gauge, made, Random(7 + number), spoken)
    update.communicator = handed
    accepted, delta = update(gauge)
    return [("proposal", correction), ("proposed links", moved), ("accepted", accepted),
            ("dH", delta), ("links", gauge), ("usage", update.usage())]


def differences(info, mine, whole):
    """Names of what is not the same here."""
    for (name, one), (_, other) in zip(mine, whole, strict=True):
        if hasattr(one, "data"):
            one = torch.from_numpy(one.data)
            other = torch.from_numpy(info.evenodd(ranks.pyquda_own(info, other.lexico())))
        if not same(one, other):
            yield name


@torch.no_grad()
def main(grid, lattice):
    torch.set_num_threads(1)
    in_the_interpreter()
    pyquda_fields.in_main_memory = lambda data: False
    mpi, xyzt = ([int(n) for n in word.split(",")] for word in (grid, lattice))
    links = su3.exp(0.4 * su3.random_algebra((1, 4, xyzt[3], *xyzt[:3]),
                                             torch.Generator().manual_seed(1)))
    with communicators("gloo") as (handed, spoken):
        info = ranks.pyquda_info(xyzt, mpi, ranks.Reversed(spoken))
        mine = told(info, ranks.pyquda_field(info, links), ranks.HMC, info.mpi_rank,
                    info.mpi_comm, handed)
        alone = pyquda_standin.LatticeGauge(pyquda_standin.LatticeInfo(xyzt))
        pyquda_standin.store(links, alone)
        whole = told(info, alone, pyquda_standin.HMC, 0, None, None)
        every = spoken.allgather(list(differences(info, mine, whole)))
        if spoken.Get_rank() == 0:
            moved = not torch.equal(links, pyquda.to_links(alone))
            print(f"differs: {every}, moved: {moved}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
