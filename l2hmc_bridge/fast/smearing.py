"""The covariant field transformation in torch: U' = exp(-rho X) U on one link subset after another.

X = TA(U A) with the six plaquette staples A of the link, which are frozen while the links of one
direction and one parity move; rho > 0 smooths (a step of the Wilson flow), |rho| < 1/8 keeps the
map invertible. In left coordinates, dU U^-1 = T_b e_b, with Y = -rho X, Z = ad Y and
B_ab = <T_a, TA(T_b U A)> the Jacobian of one link is the 8 x 8 matrix

    J = e^Z + dexp_Z (-rho B) = e^Z [1 - rho phi(-Z) B],    phi(z) = (e^z - 1) / z

whose determinant is that of the bracket (det e^Z = 1). Field transformations: arXiv:0907.5491;
with plaquette staples: arXiv:2405.19692. rho may depend on frozen invariants of the link.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.errors import InversionError
from l2hmc_bridge.fields import layout, loops, su3

SERIES_TERMS = 24  # of phi: 1.5^24 / 25! is below 1e-20, and |Z| < 1.5 for |rho| < 1/8
MOST_ITERATIONS = 400  # of the inverse, which contracts by 6 |rho| at least
# Units in the last place by which entries of U may move in the last iteration of the inverse: the
# first at once, the second once an iteration moves them no less than the one before.
ROUNDING, NEARLY = 2.0, 500.0
ORDER = tuple((mu, odd) for mu in range(4) for odd in (False, True))
ACTIVATIONS = {"tanh": torch.tanh, "isru": lambda x: x * torch.rsqrt(1 + x * x)}


class Rules(NamedTuple):
    """rho = bound tanh(weights . f(slopes tr(A A^dagger)/36 + offsets) + bias), sweep by sweep."""

    bound: float
    activation: str
    slopes: Tensor  # [H]
    offsets: Tensor  # [H]
    weights: Tensor  # [sweeps, H]
    biases: Tensor  # [sweeps]

    def rho(self, sweep: int, staples: Tensor) -> Tensor:
        """rho of links with these staples, [...]."""
        if not len(self.slopes):
            return (self.bound * torch.tanh(self.biases[sweep])).expand(staples.shape[:-2])
        square = torch.view_as_real(staples).square().flatten(-3).sum(-1) / 36
        hidden = ACTIVATIONS[self.activation](square[..., None] * self.slopes + self.offsets)
        return self.bound * torch.tanh(hidden @ self.weights[sweep] + self.biases[sweep])


def transform(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(F(V), log|J| [Nb]) of links V, sweep after sweep, subset after subset."""
    change = links.new_zeros(len(links)).real
    for sweep in range(len(rules.biases)):
        for mu, odd in ORDER:
            active, staples, rho = _subset(links, rules, sweep, mu, odd)
            change = change + _sum(active, log_det(links[:, mu], staples, rho))
            links = _put(links, mu, active, smeared(links[:, mu], staples, rho))
    return links, change


def inverse(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(V = F^-1(U), log|J| of F at V, [Nb]) of links U. Raises InversionError."""
    change = links.new_zeros(len(links)).real
    for sweep in reversed(range(len(rules.biases))):
        for mu, odd in reversed(ORDER):
            active, staples, rho = _subset(links, rules, sweep, mu, odd)
            # Links that do not move have no inverse with these staples, which are not frozen.
            rho = torch.where(active, rho, 0.0)
            found = unsmeared(links[:, mu], staples, rho)
            change = change + _sum(active, log_det(found, staples, rho))
            links = _put(links, mu, active, found)
    return links, change


def pullback(links: Tensor, moved: Tensor, log_det: Tensor, force: Tensor, recorded: bool
             ) -> Tensor:
    """The force at V of S(F(V)) - log|J| from that of S at U = F(V), by differentiation.

    `moved` and `log_det` are `transform(links)` with their graph; recorded: differentiable itself.
    """
    slope, = torch.autograd.grad((moved, log_det), links,
                                 (2 * force @ moved, -torch.ones_like(log_det)),
                                 create_graph=recorded)
    return su3.project_algebra(links @ slope.mH) / -2


def smeared(links: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    """exp(-rho TA(U A)) U for links [..., 3, 3], rho [...]."""
    return su3.exp(_exponent(links, staples, rho)) @ links


def log_det(links: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    """log |det J| of `smeared` at each link, [...]."""
    return torch.linalg.slogdet(_bracket(links, staples, rho)).logabsdet


def unsmeared(moved: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    """The links that `smeared` takes to `moved`, by fixed-point iteration U = exp(rho X(U)) U'.

    Every link stops by itself where its entries change by rounding alone. Differentiable once, by
    the implicit function. Raises InversionError where 400 iterations do not get there.
    """
    with torch.no_grad():
        links = _fixed_point(moved, staples, rho)
    if torch.is_grad_enabled() and any(one.requires_grad for one in (moved, staples, rho)):
        return _implicit(links, moved, staples, rho)
    return links


def not_inverted(moving: int) -> InversionError:
    """What is raised where the iteration does not end."""
    return InversionError(
        f"field transformation: expected its inverse within {MOST_ITERATIONS} iterations, found "
        f"{moving} links still moving (|rho| below 1/8 is invertible on every field)")


def _fixed_point(moved: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    links, unit = moved, torch.finfo(moved.dtype).eps
    still = torch.ones(moved.shape[:-2], dtype=torch.bool, device=moved.device)
    last = torch.full(still.shape, torch.inf, dtype=moved.real.dtype, device=moved.device)
    for _ in range(MOST_ITERATIONS):
        new = su3.exp(-_exponent(links, staples, rho)) @ moved
        change = (new - links).abs().flatten(-2).amax(-1)
        links = torch.where(still[..., None, None], new, links)
        # A NaN stays what it is, and is no reason to go on.
        still = still & (change > ROUNDING * unit) & ((change < last) | (change > NEARLY * unit))
        last = change
        if not bool(still.any()):
            return links
    raise not_inverted(int(still.sum()))


def _implicit(links: Tensor, moved: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    """The same links with the derivative -J^-1 dr of the residual r = log(U'(U) U'^-1) = 0."""
    there = smeared(links, staples, rho)
    residual = su3.to_components(su3.project_algebra(there @ moved.mH))
    with torch.no_grad():
        exponent = _exponent(links, staples, rho)
        turned = _adjoint(su3.exp(exponent)) @ _bracket(links, staples, rho)
    step = -torch.linalg.solve(turned, residual)
    change = su3.from_components(step - step.detach())  # a derivative, no change
    return links + change @ links


def _subset(links: Tensor, rules: Rules, sweep: int, mu: int, odd: bool
            ) -> tuple[Tensor, Tensor, Tensor]:
    """(where links move, staples, rho) of direction mu; right on one parity at a time."""
    staples = loops.staple_sum(links, mu)
    active = layout.parity(links).eq(odd).expand(staples.shape[:-2])
    return active, staples, rules.rho(sweep, staples)


def _put(links: Tensor, mu: int, active: Tensor, moved: Tensor) -> Tensor:
    moved = torch.where(active[..., None, None], moved, links[:, mu])
    return torch.cat([links[:, :mu], moved[:, None], links[:, mu + 1:]], dim=1)


def _sum(active: Tensor, numbers: Tensor) -> Tensor:
    return torch.where(active, numbers, 0.0).flatten(1).sum(1)


def _exponent(links: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    return -rho[..., None, None] * su3.project_algebra(links @ staples)


def _bracket(links: Tensor, staples: Tensor, rho: Tensor) -> Tensor:
    """1 - rho phi(-Z) B, [..., 8, 8], phi(-Z) B by Horner's rule."""
    loop = links @ staples
    rho = rho[..., None, None]
    change = _matrix_of(loop)
    turn = _adjoint_map(-rho * su3.project_algebra(loop))
    factors = [1 / math.factorial(n + 1) for n in range(SERIES_TERMS + 1)]
    total = factors[-1] * change
    for n in range(SERIES_TERMS - 1, -1, -1):
        total = factors[n] * change - turn @ total
    return torch.eye(su3.DIMENSION, dtype=total.dtype, device=total.device) - rho * total


def _matrix_of(loop: Tensor) -> Tensor:
    """B_ab = <T_a, TA(T_b M)> = -2 Re tr(T_a T_b M), [..., 8, 8]."""
    pairs = _pairs(loop.dtype, loop.device)
    return -2 * torch.einsum("abij,...ji->...ab", pairs, loop).real


def _adjoint_map(algebra: Tensor) -> Tensor:
    """ad Y: (ad Y)_ab = <T_a, [Y, T_b]>, [..., 8, 8]."""
    structure = _structure(algebra.dtype, algebra.device)
    return torch.einsum("cab,...c->...ab", structure, su3.to_components(algebra))


def _adjoint(group: Tensor) -> Tensor:
    """Ad g: (Ad g)_ab = <T_a, g T_b g^-1>, [..., 8, 8]."""
    basis = su3.generators(group.dtype, group.device)
    turned = torch.einsum("...ij,bjk,...lk->...bil", group, basis, group.conj())
    return -2 * torch.einsum("aij,...bji->...ab", basis, turned).real


@functools.lru_cache(maxsize=16)
def _pairs(dtype: torch.dtype, device: torch.device) -> Tensor:
    """T_a T_b, [8, 8, 3, 3]."""
    basis = su3.generators(dtype, device)
    return basis[:, None] @ basis


@functools.lru_cache(maxsize=16)
def _structure(dtype: torch.dtype, device: torch.device) -> Tensor:
    """<T_a, [T_c, T_b]> as [c, a, b]."""
    basis = su3.generators(device=device)
    commutator = basis[:, None] @ basis - (basis[:, None] @ basis).transpose(0, 1)
    found = -2 * torch.einsum("aij,cbji->cab", basis, commutator).real
    return found.to(torch.empty((), dtype=dtype).real.dtype)
