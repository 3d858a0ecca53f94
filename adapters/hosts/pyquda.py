"""PyQUDA (github.com/CLQCD/PyQUDA): LatticeGauge to and from links, proposals for its HMC loop.

    from l2hmc_bridge.adapters import pyquda as bridge

    propose = bridge.l2hmc_proposal(kernel, hmc.random)
    hmc.samplePhi()                                    # with fermions
    old = hmc.gaugeAction() + hmc.fermionAction()
    moved, correction = propose(gauge)                 # U', dK - log|J|; gauge stays as it is
    hmc.loadGauge(moved)
    new = hmc.gaugeAction() + hmc.fermionAction()
    if hmc.accept(new + correction - old):
        hmc.saveGauge(gauge)
    else:
        hmc.loadGauge(gauge)

Fields lie as pyquda_fields.py says. The anti-periodic sign of fermions is not in LatticeGauge:
hmc.loadGauge multiplies it into a copy, hmc.saveGauge takes it out again. QUDA counts
K = -tr P^2 / 2 (MILC's normalisation, where ours is -tr P^2): one unit of its MD time is sqrt(2) of
ours. Read at 0ac50a0 (2026-04-11).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fields.agreement import everywhere_finite
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.markov import Proposes

from .cut import draws_from, require_rank_alone, sharing
from .pyquda_fields import cut_of, from_links, to_links

__all__ = ["from_links", "host_action", "l2hmc_proposal", "to_links"]


def host_action(hmc: Any, gauge: Any, beta: float = 0.0) -> HostAction:
    """S of a PyQUDA HMC, gaugeAction() + fermionAction(), as a HostAction without a force.

    Its pseudofermions are drawn once a trajectory by hmc.samplePhi(). QUDA's resident gauge field
    is the last one that S was asked for: hmc.loadGauge(gauge) before going on without us. `gauge`
    only says which lattice; a copy is worked on. beta is what networks take as theirs.
    """
    scratch = gauge.copy()

    def value(links: Tensor) -> float:
        from_links(links, scratch)
        hmc.loadGauge(scratch)
        return hmc.gaugeAction() + hmc.fermionAction()

    def draw(links: Tensor, _generator: Any) -> None:
        from_links(links, scratch)
        hmc.loadGauge(scratch)
        hmc.samplePhi()

    return HostAction(value, None, draw if _has_noise(hmc) else None, beta)


class l2hmc_proposal:
    """A kernel's proposal for hmc.accept(delta), see the module's first lines.

    rng: a random.Random as hmc.random, of which 32 bits seed each trajectory, rank 0's on all
    ranks; or a torch.Generator, on one rank. With several ranks each computes with its own sites,
    bit for bit what one rank would: communicator is that of mpi4py which has them, by default
    PyQUDA's. Raises as `cut.sharing`.
    """

    def __init__(self, kernel: Proposes, rng: Any, communicator: Any = None):
        self.kernel, self.rng, self.communicator = kernel, rng, communicator

    def __call__(self, gauge: Any) -> tuple[Any, float]:
        """(a new LatticeGauge with U', dK - log|J|); (a copy of U, +inf) where it diverged."""
        with together(gauge, self.kernel, self.communicator):
            links, _, info = self.kernel.propose(to_links(gauge), draws_of(self.rng))
            correction, moved = float(info.delta_proposal[0]), gauge.copy()
            if not everywhere_finite(links) or not math.isfinite(correction):
                return moved, math.inf
            from_links(links, moved)
        return moved, correction


@contextmanager
def together(gauge: Any, kernel: Proposes, communicator: Any = None) -> Iterator[None]:
    """Compute with what this rank has of the lattice of a gauge field. Raises as `cut.sharing`."""
    cut = cut_of(gauge)
    if not cut.alone:
        cut = replace(cut, number=number_of(gauge.latt_info))
        communicator = gauge.latt_info.mpi_comm if communicator is None else communicator
    with sharing(cut, kernel, communicator):
        yield


def draws_of(rng: Any) -> Generators:
    """The draws of one trajectory, numbered by the site under a seed of 32 bits of rank 0's.

    A torch.Generator draws itself, on one rank.
    """
    if isinstance(rng, torch.Generator):
        require_rank_alone("PyQUDA gauge")
        return rng
    return draws_from(lambda: rng.getrandbits(32))


def number_of(info: Any) -> int:
    """PyQUDA's number of this rank's place, by which QUDA finds its neighbours."""
    try:
        from pyquda_comm import getGridRanks
    except ImportError as error:
        raise BridgeError("expected PyQUDA's pyquda_comm with getGridRanks, to know where its "
                          f"ranks lie, found none that imports ({error})") from error
    return int(getGridRanks()[info.mpi_rank])


def _has_noise(hmc: Any) -> bool:
    """Whether this HMC or one inside it has pseudofermions."""
    while hmc is not None:
        if hmc.fermion_monomials:
            return True
        hmc = getattr(hmc, "hmc_inner", None)
    return False
