"""PyQUDA's fermion monomials as terms of a nested step, and the step in its HMC loop.

    from l2hmc_bridge.adapters.hosts import pyquda_terms as bridge

    light = HMC(latt_info, [CloverWilsonAction(...)], None)    # one HMC object for each level
    light.initialize(seed, gauge)                              # makes light.random
    term = bridge.host_term("light", light, gauge, LatticeMom(latt_info))
    kernel = Nested(inner, (Level("light", (term,), schedule("omf2", 1 / 6, 6)),))
    update = bridge.nested_update(kernel, light.random)
    update.check(gauge)                                        # once: S and F of each term
    accepted, dh = update(gauge)                               # in place

QUDA's momenta are sqrt(2) of ours over a time 1 / sqrt(2) of ours, so updateMom(1) from zero leaves
-2 F: `check` compares it with a difference of S before anything is recorded. LatticeMom.data is
[4, 2, Lt, Lz, Ly, Lx/2, 10]: matrix entries 01, 02, 12, then the imaginary diagonal and a zero.
With several ranks all fields are those of a rank's own sites; S is the sum QUDA made over ranks.
Read at 0ac50a0 (2026-04-11) and in QUDA's gauge_field_order.h.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError, SolverError
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.sampling.levels import unsolved, usage
from l2hmc_bridge.sampling.markov import Info
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm, SolverReport, check_terms

from .pyquda import draws_of, together
from .pyquda_fields import as_tensor, from_links, move, to_links

__all__ = ["host_term", "nested_update", "to_momenta"]


def host_term(name: str, hmc: Any, gauge: Any, mom: Any,
              iterations: Callable[[], float] | None = None,
              gives_up: tuple[type[Exception], ...] = ()) -> HostTerm:
    """The fermion monomials of an HMC object as one term.

    hmc: pyquda.hmc.HMC with these monomials and no gauge monomial, initialised; its resident gauge
    field and momenta are ours from here on (hmc.loadGauge before going on without us). `gauge` only
    says which lattice; `mom` is a LatticeMom to work in. S and F count as a solve each;
    iterations() tells how many the solvers made since last asked. A solve that ended at its
    `invert_param.maxiter`, of which QUDA only warns, did not converge (the trajectory is rejected),
    nor did one that raised any of gives_up. Raises ActionError for an HMC with gauge monomials,
    with an HMC inside, or none of fermions.
    """
    _require_fermions(name, hmc)
    scratch, told = gauge.copy(), {"solves": 0}

    def asked(links: Tensor, function: Callable[[], Any], solves: int = 1) -> Any:
        from_links(links, scratch)
        told["solves"] += solves
        try:
            with holding(None):  # QUDA computes with what it has, whatever part of it is ours
                hmc.loadGauge(scratch)
                found = function()
        except gives_up as error:
            raise SolverError(f"PyQUDA term {name!r}: {error}") from error
        if solves and _at_their_limit(hmc):
            raise SolverError(f"PyQUDA term {name!r}: a solver reached its maxiter")
        return found

    def report() -> SolverReport:
        solves, told["solves"] = told["solves"], 0
        return SolverReport(solves, iterations() if iterations else 0.0)

    return HostTerm(name, lambda links: float(asked(links, hmc.fermionAction)),
                    lambda links: asked(links, lambda: _force(hmc, mom)),
                    lambda links, _generator: asked(links, hmc.samplePhi, solves=0), report,
                    in_parts=True)


def _require_fermions(name: str, hmc: Any) -> None:
    """Raise ActionError unless an HMC has fermion monomials, and these alone."""
    if hmc.hmc_inner is not None:
        raise ActionError(f"PyQUDA term {name!r}: expected an HMC without hmc_inner, found one: "
                          "its action would count, and its force not (one term for each)")
    if hmc.gauge_monomials or not hmc.fermion_monomials:
        raise ActionError(f"PyQUDA term {name!r}: expected an HMC of fermion monomials alone, "
                          f"found {len(hmc.gauge_monomials)} of the gauge field and "
                          f"{len(hmc.fermion_monomials)} of fermions")


def _at_their_limit(hmc: Any) -> bool:
    """Whether a solver of these monomials ended at the number of iterations it may make."""
    return any(one.invert_param.iter >= one.invert_param.maxiter for one in hmc.fermion_monomials)


def _force(hmc: Any, mom: Any) -> Tensor:
    """F of the monomials at QUDA's resident field, of this rank's sites."""
    mom.data[...] = 0
    hmc.loadMom(mom)
    hmc.updateMom(1.0)
    hmc.saveMom(mom)
    return -0.5 * to_momenta(mom)


def to_momenta(mom: Any) -> Tensor:
    """LatticeMom -> anti-Hermitian matrices like links, [1,4,Nt,Nx,Ny,Nz,3,3], QUDA's numbers."""
    packed = as_tensor(mom.data)
    matrices = packed.new_zeros((*packed.shape[:-1], 3, 3), dtype=torch.complex128)
    for number, (row, column) in enumerate(((0, 1), (0, 2), (1, 2))):
        entry = torch.complex(packed[..., 2 * number], packed[..., 2 * number + 1])
        matrices[..., row, column], matrices[..., column, row] = entry, -entry.conj()
    for number in range(3):
        matrices[..., number, number] = 1j * packed[..., 6 + number]
    _, _, nt, nz, ny, half = packed.shape[:6]
    links = matrices.new_empty((1, 4, nt, 2 * half, ny, nz, 3, 3))
    move(links, matrices, into_links=True)
    return links


class nested_update:
    """A nested step on a LatticeGauge in place; `usage()` says what each level cost so far.

    rng, ranks and communicator: as `pyquda.l2hmc_proposal`.
    """

    def __init__(self, kernel: Nested, rng: Any, communicator: Any = None):
        self.kernel, self.rng, self.communicator = kernel, rng, communicator
        self.infos: list[Info] = []

    def check(self, gauge: Any) -> None:
        """`terms.check_terms` of its terms at this field, which stays; draws their noise."""
        with together(gauge, self.kernel, self.communicator):
            check_terms(self.kernel.action.terms, to_links(gauge), draws_of(self.rng))

    def __call__(self, gauge: Any) -> tuple[bool, float]:
        """(accepted, dH = dK + dS - log|J|); a rejected field is not touched."""
        with together(gauge, self.kernel, self.communicator):
            state, info = self.kernel.step(self.kernel.init(to_links(gauge)), draws_of(self.rng))
            if info.accepted[0]:
                from_links(state.links, gauge)
        self.infos.append(info)
        delta = -float(info.log_ratio[0])
        return bool(info.accepted[0]), delta if math.isfinite(delta) else math.inf

    def usage(self) -> dict[str, dict[str, float]]:
        """{level: forces, solves, iterations of a trajectory}."""
        return usage(self.infos)

    @property
    def unsolved(self) -> int:
        """Trajectories rejected because a solver gave up."""
        return unsolved(self.infos)
