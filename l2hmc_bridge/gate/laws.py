"""The laws an exact step obeys, measured: inverse, Jacobian, group, covariance, translation.

Each function returns the size of the violation; the gate and the tests put bounds on it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fields import loops, part, su3
from l2hmc_bridge.fields.part import largest
from l2hmc_bridge.fields.su3 import DIMENSION
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.groups import GROUPS, Group


class Chart(NamedTuple):
    """Real coordinates around a field and its momenta, `components` per entry of `shape`."""

    shape: tuple[int, ...]  # of the coordinates of one field
    momenta: Callable[[Tensor], Tensor]  # coordinates [n, *shape] -> momenta
    coordinates: Callable[[Tensor], Tensor]  # its inverse
    displace: Callable[[Tensor, Tensor], Tensor]  # (links, algebra) -> links
    between: Callable[[Tensor, Tensor], Tensor]  # (moved, links) -> the algebra between them


PhaseMap = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]  # (U, P) -> (U', P', log|J|)


def forward_map(kernel: L2HMC, known: State | None = None) -> PhaseMap:
    """Phi as a function of (U, P); at the links of `known` its force serves."""
    return _phase_map(kernel, 1, known)


def inverse_map(kernel: L2HMC, known: State | None = None) -> PhaseMap:
    """Phi^-1 as a function of (U, P); at the links of `known` its force serves."""
    return _phase_map(kernel, -1, known)


def force_at(kernel: L2HMC, links: Tensor, known: State | None) -> Tensor:
    """The guide's F at `links`: that of `known` where these are its links, computed elsewhere."""
    if known is not None and known.force is not None and links is known.links:
        return known.force
    return kernel.guide.force(links)


def _phase_map(kernel: L2HMC, sign: int, known: State | None) -> PhaseMap:
    def phi(links: Tensor, momenta: Tensor):
        end = kernel.directed(links, momenta, force_at(kernel, links, known), sign)
        return end.links, end.momenta, end.log_det

    return phi


def proposal_map(kernel: L2HMC) -> PhaseMap:
    """The map of one proposal: the palindrome, or one direction of the two."""
    if kernel.composition == "palindrome":
        return involution(kernel)
    return inverse_map(kernel)


def involution(kernel: L2HMC, known: State | None = None) -> PhaseMap:
    """(U, P) -> (U', -P', log|J|) of a palindrome: its own inverse."""

    def there(links: Tensor, momenta: Tensor):
        at = kernel.enter(links, momenta, force_at(kernel, links, known))
        kernel.palindrome(at)
        end = at.leave()
        return end.links, -end.momenta, end.log_det

    return there


def chart(links: Tensor, group: Group) -> Chart:
    """U = exp(x_a T_a) U_0 left-invariantly (Haar measure) on SU(3), U = U_0 + x elsewhere."""
    if group.name == "su3":
        return Chart(
            (*links.shape[1:-2], DIMENSION), su3.from_components, su3.to_components,
            lambda links, step: su3.exp(step) @ links,
            lambda moved, links: su3.project_algebra(moved @ links.mH),
        )
    return Chart(tuple(links.shape[1:]), lambda x: x, lambda x: x,
                 lambda links, step: links + step,
                 lambda moved, links: group.project(moved - links))


@torch.no_grad()
def round_trip(first: PhaseMap, second: PhaseMap, links: Tensor, momenta: Tensor,
               group: Group = GROUPS["su3"]):
    """(max|U'' - U|, max|P'' - P|, max|log|J| + log|J'||) after `first` and then `second`."""
    there = first(links, momenta)
    back = second(there[0], there[1])
    return (
        distance(back[0], links, group),
        float((back[1] - momenta).abs().max()),
        float((there[2] + back[2]).abs().max()),
    )


def group_defects(phi: PhaseMap, links: Tensor, momenta: Tensor) -> tuple[float, float, float]:
    """(growth of max|U U^+ - 1|, growth of max|det U - 1|, max|tr P| or max|P + P^+|), SU(3)."""
    end, moved, _ = phi(links, momenta)
    growth = [largest(defect(end).max(), end) - largest(defect(links).max(), links)
              for defect in (su3.unitarity_defect, su3.determinant_defect)]
    algebra = max(float(su3.trace(moved).abs().max()), float((moved + moved.mH).abs().max()))
    return growth[0], growth[1], algebra


def distance(one: Tensor, other: Tensor, group: Group) -> float:
    """Largest difference of two fields; angles are compared modulo 2 pi."""
    return float(group.apart(one, other).abs().max())


def mean_square(field: Tensor) -> float:
    """Mean of |x|^2 over all numbers of a field, of all processes that share it."""
    held = part.of(field)
    if held is None:
        return float(field.abs().square().mean())
    return float(fast.kinetic(field).mean()) / (36 * held.volume)


@torch.no_grad()
def numerical_log_det(
    phi: PhaseMap, links: Tensor, momenta: Tensor, h: float = 5e-4, batch: int = 512,
    group: Group = GROUPS["su3"],
) -> float:
    """log|det d(U',P')/d(U,P)| by fourth-order central differences, Nb = 1, any small lattice."""
    here = chart(links, group)
    count = torch.Size(here.shape).numel()
    centre_links, _, _ = phi(links, momenta)
    columns = []
    for start in range(0, 2 * count, batch):
        rows = torch.arange(start, min(start + batch, 2 * count))
        unit = torch.zeros(len(rows), 2 * count, dtype=torch.float64)
        unit[torch.arange(len(rows)), rows] = 1.0
        x, p = (here.momenta(part.reshape(-1, *here.shape)) for part in unit.split(count, dim=1))
        slope = torch.zeros((), dtype=torch.float64)
        for weight, step in ((8, h), (-8, -h), (-1, 2 * h), (1, -2 * h)):
            moved_links, moved_momenta, _ = phi(here.displace(links, step * x), momenta + step * p)
            turned = here.coordinates(here.between(moved_links, centre_links))
            moved = here.coordinates(moved_momenta).flatten(1)
            moved = torch.cat([turned.flatten(1), moved], 1)
            slope = slope + weight * moved / (12 * h)
        columns.append(slope)
    return float(torch.linalg.slogdet(torch.cat(columns)).logabsdet)


def jacobian_defect(phi: PhaseMap, links: Tensor, momenta: Tensor,
                    group: Group = GROUPS["su3"]) -> float:
    """|log|J| - numerical log|det|| at one phase-space point."""
    with torch.no_grad():
        stated = float(phi(links, momenta)[2][0])
    return abs(stated - numerical_log_det(phi, links, momenta, group=group))


def differentiated_defect(phi: PhaseMap, links: Tensor, momenta: Tensor,
                          batch: int = 32) -> float:
    """The same by automatic differentiation, for components with a meaning of their own, Nb = 1.

    Networks with kinks or jumps have a Jacobian almost everywhere, but no differences across one.
    """
    count, rows = links.numel(), []
    for start in range(0, 2 * count, batch):
        wanted = torch.arange(start, min(start + batch, 2 * count))
        inputs = [one.detach().repeat(len(wanted), *[1] * (one.ndim - 1)).requires_grad_()
                  for one in (links, momenta)]
        with torch.enable_grad():
            moved = torch.cat([end.flatten(1) for end in phi(*inputs)[:2]], 1)
            slopes = torch.autograd.grad(moved.gather(1, wanted[:, None]).sum(), inputs)
        rows.append(torch.cat([slope.flatten(1) for slope in slopes], 1))
    with torch.no_grad():
        stated = float(phi(links, momenta)[2][0])
    return abs(stated - float(torch.linalg.slogdet(torch.cat(rows)).logabsdet))


@torch.no_grad()
def covariance_defect(
    phi: PhaseMap, links: Tensor, momenta: Tensor, generator: torch.Generator
) -> float:
    """Largest difference between Phi after a random gauge transformation and the reverse."""
    gauge = su3.random_group((links.shape[0], *links.shape[2:6]), generator)

    def turn(links: Tensor, momenta: Tensor):
        turned = torch.stack(
            [gauge @ links[:, mu] @ loops.shift(gauge, mu).mH for mu in range(4)], dim=1
        )
        return turned, gauge[:, None] @ momenta @ gauge[:, None].mH

    return _difference(phi(*turn(links, momenta)), phi(links, momenta), turn)


@torch.no_grad()
def translation_defect(phi: PhaseMap, links: Tensor, momenta: Tensor, mu: int, steps: int) -> float:
    """Largest difference between Phi after a translation and the reverse."""

    def move(links: Tensor, momenta: Tensor):
        return (torch.roll(links, steps, dims=2 + mu), torch.roll(momenta, steps, dims=2 + mu))

    return _difference(phi(*move(links, momenta)), phi(links, momenta), move)


def _difference(one, other, symmetry) -> float:
    links, momenta = symmetry(other[0], other[1])
    return max(
        float((one[0] - links).abs().max()),
        float((one[1] - momenta).abs().max()),
        float((one[2] - other[2]).abs().max()),
    )
