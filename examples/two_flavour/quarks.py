"""Pseudofermions: S and F of det(M^+ M), whole or as a Hasenbusch ratio.

    S = |Mhat_1^-1 phi|^2               weight det(Mhat_1 Mhat_1^+)
    S = |Mhat_1^-1 Mhat_2 phi|^2        weight det(Mhat_1 Mhat_1^+) / det(Mhat_2 Mhat_2^+)

With X = (Mhat_1 Mhat_1^+)^-1 psi, psi = phi or Mhat_2 phi, and Y = Mhat_1^+ X: S = <Y, Y> and
dS = 2 Re <X, dMhat_2 phi> - 2 Re <X, dMhat_1 Y>. A refresh draws eta ~ e^{-|eta|^2} and sets
phi = Mhat_1 eta or Mhat_2^-1 Mhat_1 eta.
"""

import torch
from torch import Tensor

from l2hmc_bridge.fields.su3 import project_algebra
from l2hmc_bridge.sampling.draws import Generators, draw_normal
from l2hmc_bridge.sampling.terms import SolverReport

from .dirac import EVEN, ODD, Dirac, Links, Quark, project
from .solver import Solution, product, solve

NOISE = 1e-12  # of the solve that draws phi: its law is not to depend on a solver's tolerance


class Pseudofermions:
    """One term of a stream: called for S [Nb]; force, refresh and report beside it.

    over: the heavier quark of a ratio. tolerance: |r| / |psi| of the solver; a force off by that
    much costs acceptance at most, and S = <Y, Y> is off by its square. The solution at the links
    last seen is kept, so that S and F at one field cost one solve; another field, or new noise,
    voids it.
    """

    def __init__(self, quark: Quark, over: Quark | None = None, tolerance: float = 1e-8,
                 limit: int = 10000):
        self.quark, self.over, self.tolerance, self.limit = quark, over, tolerance, limit
        self.phi: Tensor | None = None
        self._key: tuple[Tensor, int] | None = None
        self._known: tuple[Links, Tensor, Tensor] | None = None
        self._solves, self._iterations, self._failed = 0, 0.0, None

    def __call__(self, links: Tensor) -> Tensor:
        """S, float64 [Nb]."""
        _, _, right = self._solved(links)
        return product(right, right)

    def force(self, links: Tensor) -> Tensor:
        """F, like links, with d/de S(exp(e P) U) = <P, F>."""
        quarks, left, right = self._solved(links)
        force = -derivative(Dirac(quarks, self.quark), left, right)
        if self.over is not None:
            force = force + derivative(Dirac(quarks, self.over), left, self.phi)
        return force

    def refresh(self, links: Tensor, generator: Generators) -> None:
        """Draw phi given the links."""
        quarks = Links(links)
        shape = (4, 3, len(quarks.sites[ODD].own))
        eta = gaussian(shape, len(links), generator)
        self.phi, self._key = Dirac(quarks, self.quark).apply(eta), None
        if self.over is not None:
            heavy = Dirac(quarks, self.over)
            self.phi = heavy.adjoint(self._solve(heavy, self.phi, NOISE).field)

    def report(self) -> SolverReport:
        """What the solver did since this was last asked."""
        found = SolverReport(self._solves, self._iterations, self._failed)
        self._solves, self._iterations, self._failed = 0, 0.0, None
        return found

    def _solved(self, links: Tensor) -> tuple[Links, Tensor, Tensor]:
        """(links as quarks see them, X, Y)."""
        key = (links, links._version)
        if self._key is None or self._key[0] is not links or self._key[1] != key[1]:
            quarks = Links(links)
            light = Dirac(quarks, self.quark)
            source = self.phi if self.over is None else Dirac(quarks, self.over).apply(self.phi)
            left = self._solve(light, source, self.tolerance).field
            self._key, self._known = key, (quarks, left, light.adjoint(left))
        return self._known

    def _solve(self, dirac: Dirac, source: Tensor, tolerance: float) -> Solution:
        found = solve(dirac.normal, source, tolerance, self.limit)
        failed = ~found.converged
        self._solves += 1
        self._iterations += float(found.iterations.double().mean())
        self._failed = failed if self._failed is None else self._failed | failed
        return found


def derivative(dirac: Dirac, left: Tensor, right: Tensor) -> Tensor:
    """sum_a T_a d/de of 2 Re <left, Mhat right> under U -> exp(e T_a) U, [Nb,4,Nt,Nx,Ny,Nz,3,3].

    On both parities 2 Re <X, dMhat Y> = -2 kappa^2 Re <X, dH Y>, and the derivative of
    Re tr(T U W) is -TA(U W) / 2: kappa^2 TA(U W), W the outer products of half spinors.
    """
    links = dirac.links
    lefts, rights = {ODD: left, EVEN: dirac.adjoint_even(left)}, {ODD: right,
                                                                  EVEN: dirac.even(right)}
    product = left.new_empty(4, 3, 3, 2 * left.shape[2], links.chains)
    for mu in range(4):
        for here, there in ((EVEN, ODD), (ODD, EVEN)):
            ahead = (links.fetch(project(rights[there], mu, True), 2 * mu, here),
                     links.fetch(project(lefts[there], mu, False), 2 * mu, here))
            outer = (_outer(ahead[0], project(lefts[here], mu, True))
                     + _outer(ahead[1], project(rights[here], mu, False)))
            link = links.hops[here][2 * mu]
            product[mu][:, :, links.sites[here].own] = sum(
                link[:, k, None] * outer[None, k] for k in range(3))
    field = product.permute(4, 0, 3, 1, 2).reshape(links.chains, 4, *links.lattice, 3, 3)
    return dirac.quark.kappa**2 * project_algebra(field)


def _outer(column: Tensor, row: Tensor) -> Tensor:
    """sum over spins of column row^+, [2, 3, ...] twice -> [3, 3, ...]."""
    row = row.conj()
    return column[0, :, None] * row[0, None] + column[1, :, None] * row[1, None]


def gaussian(shape: tuple[int, ...], chains: int, generator: Generators) -> Tensor:
    """Complex numbers of density e^{-|z|^2}, [*shape, chains]."""
    numbers = torch.view_as_complex(draw_normal(chains, (*shape, 2), generator))
    return (numbers * 0.5**0.5).movedim(0, -1).contiguous()
