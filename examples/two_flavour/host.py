"""The terms of this host by name: what a nested step, and its training, asks for."""

from l2hmc_bridge.sampling.terms import Host, HostTerm

from .dirac import Quark
from .quarks import Pseudofermions


def two_flavour(lattice: tuple[int, int, int, int], kappa: float, two_kappa_mu: float = 0.0,
                hasenbusch: float | None = None, tolerance: float = 1e-7,
                limit: int = 5000) -> Host:
    """det(M^+ M) as one term "quarks", or as "heavy" and "ratio" with a twist `hasenbusch` between.

    lattice is (Nt, Nx, Ny, Nz). The ratio is the part whose solves cost most.
    """
    light = Quark(kappa, two_kappa_mu)
    if hasenbusch is None:
        parts = {"quarks": Pseudofermions(light, None, tolerance, limit)}
    else:
        heavy = Quark(kappa, hasenbusch)
        parts = {"heavy": Pseudofermions(heavy, None, tolerance, limit),
                 "ratio": Pseudofermions(light, heavy, tolerance, limit)}
    parameters = {"kappa": kappa, "two_kappa_mu": two_kappa_mu}
    if hasenbusch is not None:
        parameters["hasenbusch"] = hasenbusch
    terms = tuple(HostTerm(name, part, part.force, part.refresh, part.report)
                  for name, part in parts.items())
    return Host("two flavours of twisted-mass Wilson quarks", parameters, terms)
