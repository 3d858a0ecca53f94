"""Gradient flow of SU(3) fields: dU_mu/dt = Z_mu(U) U_mu, with Luescher's third-order scheme.

Z = -g0^2 dS = -F at beta = 6: for the Wilson action Z_mu = -TA(U_mu A_mu), A the sum of staples
(arXiv:1006.4518, eq. 1.4). Times are in lattice units, t = t_phys / a^2.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields import loops, part, su3
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS

SYMANZIK = RECTANGLE_COEFFICIENTS["symanzik"]
SAFETY = 0.95  # arXiv:1301.4388, eq. D.3
# The scheme is stable for step * rate < 2.51; the rate of the fastest free mode (k = pi in all
# directions) is 16 for Wilson, 16 (1 + 16/12) for Symanzik and 2/3 of that for Zeuthen.
LARGEST_STEP = {"wilson": 0.15, "symanzik": 0.065, "zeuthen": 0.1}


def wilson(links: Tensor) -> Tensor:
    """Z_mu = -TA(U_mu A_mu): the Wilson flow; like links."""
    return -fast.force(links, 6.0)


def symanzik(links: Tensor) -> Tensor:
    """Z of the tree-level improved action, c0 = 5/3, c1 = -1/12 (arXiv:1508.05552, eq. 2.14)."""
    return -fast.force(links, 6.0, SYMANZIK)


def zeuthen(links: Tensor) -> Tensor:
    """Z_mu + (1/12) (U_mu(x) Z_mu(x+mu) U_mu(x)^dagger + backwards - 2 Z_mu) of `symanzik`.

    Free of all tree-level O(a^2) errors of the flow equation (arXiv:1508.05552, eq. 2.23).
    """
    held = part.of(links)
    if held is not None:
        held.require(3)  # two of `symanzik` at the links beside
    force = symanzik(links)
    result = []
    for mu in range(4):
        link, own = links[:, mu], force[:, mu]
        ahead = su3.product(su3.product(link, loops.shift(own, mu)), link.mH)
        behind = loops.shift(su3.product(su3.product(link.mH, own), link), mu, -1)
        result.append(own + (ahead + behind - 2 * own) / 12)
    return torch.stack(result, dim=1)


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "wilson": wilson,
    "symanzik": symanzik,
    "zeuthen": zeuthen,
}


def runge_kutta(
    links: Tensor, step: float | Tensor, kernel: Callable[[Tensor], Tensor] = wilson
) -> Tensor:
    """One step of Luescher's three-stage third-order scheme (arXiv:1006.4518, eq. C.2).

    W1 = exp(Z0/4) W0, W2 = exp(8/9 Z1 - 17/36 Z0) W1, W3 = exp(3/4 Z2 - 8/9 Z1 + 17/36 Z0) W2
    with Z_i = step Z(W_i). `step` is a number or [Nb].
    """
    return _stages(links, step, kernel)[0]


def _stages(
    links: Tensor, step: float | Tensor, kernel: Callable[[Tensor], Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """(third-order result, (Z0, Z1)) of one step."""
    size = step[:, None, None, None, None, None, None, None] if torch.is_tensor(step) else step
    first = size * kernel(links)
    middle = _moved(first, links, 0.25)
    second = size * kernel(middle)
    last = _moved((8 / 9) * second - (17 / 36) * first, middle)
    third = size * kernel(last)
    exponent = 0.75 * third - (8 / 9) * second + (17 / 36) * first
    return _moved(exponent, last), (first, second)


def _moved(algebra: Tensor, links: Tensor, step: float = 1.0) -> Tensor:
    """exp(step X) U, of the links of other processes too."""
    return _renewed(fast.expm_multiply(algebra, links, step))


def integrate(
    links: Tensor,
    times: Sequence[float],
    step: float = 0.02,
    kernel: str = "wilson",
    tolerance: float | None = None,
    any_step: bool = False,
) -> Iterator[tuple[float, Tensor]]:
    """(t, links at flow time t) for each of the increasing `times`.

    Without `tolerance`, each interval is cut into equal steps of at most `step`. With it the step
    adapts, per configuration, so that max over links of |V - V'|_F / 9 stays below it in every
    step, V' the embedded second-order result (arXiv:1301.4388, appendix D); `step` is then the
    first one tried. `any_step` repeats another code's run, stable or not. Raises ActionError for
    an unknown kernel, bad times or a bad step.
    """
    check(times, step, kernel, tolerance, any_step)
    if tolerance is None:
        for time, (length, count) in zip(times, _legs(times, step), strict=True):
            links = _fixed(links, length, count, kernel)
            yield time, links
        return
    now = 0.0
    size = torch.full((links.shape[0],), step, dtype=torch.float64, device=links.device)
    for time in times:
        links, size = _adaptive(links, time - now, size, kernel, tolerance)
        now = time
        yield time, links


def measured(
    links: Tensor,
    times: Sequence[float],
    step: float = 0.02,
    kernel: str = "wilson",
    tolerance: float | None = None,
    any_step: bool = False,
    traceless: bool = True,
) -> Iterator[tuple[float, fast.Measured]]:
    """(t, `fast.measured` at flow time t) for each of the increasing `times` of `integrate`."""
    if tolerance is None and kernel != "zeuthen":
        check(times, step, kernel, tolerance, any_step)
        found = fast.flow_measured(links, _legs(times, step), _coefficient(kernel), traceless)
        yield from zip(times, found, strict=True)
        return
    for time, field in integrate(links, times, step, kernel, tolerance, any_step):
        yield time, fast.measured(field, traceless)


def _legs(times: Sequence[float], step: float) -> list[tuple[float, int]]:
    """(size, number) of the equal steps, of at most `step`, that lead from each time to the next.
    """
    legs, now = [], 0.0
    for time in times:
        count = math.ceil((time - now) / step - 1e-9)
        legs.append(((time - now) / max(count, 1), count))
        now = time
    return legs


def _coefficient(kernel: str) -> float:
    """c1 of the action that flows."""
    return SYMANZIK if kernel == "symanzik" else 0.0


def _fixed(links: Tensor, step: float, count: int, kernel: str) -> Tensor:
    """`count` equal steps, compiled if a compiled flow of this kernel exists."""
    if not count:
        return links
    if kernel == "zeuthen":
        for _ in range(count):
            links = runge_kutta(links, step, zeuthen)
        return links
    return fast.flow(links, step, count, _coefficient(kernel))


def check(times: Sequence[float], step: float, kernel: str, tolerance: float | None,
          any_step: bool = False) -> None:
    """Raises ActionError for what `integrate` cannot do."""
    if kernel not in KERNELS:
        raise ActionError(f"flow kernel: expected one of {', '.join(KERNELS)}, found {kernel!r}")
    if not all(a <= b < math.inf for a, b in zip([0.0, *times], times, strict=False)):
        raise ActionError(f"flow times: expected increasing and not negative, found {times}")
    largest = 1.0 if any_step else LARGEST_STEP[kernel]
    if not 0 < step <= largest:
        raise ActionError(
            f"flow step: expected 0 < step <= {largest} for {kernel}, found {step}"
        )
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ActionError(f"flow tolerance: expected a positive number, found {tolerance}")


def _adaptive(
    links: Tensor, span: float, size: Tensor, kernel: str, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Every configuration over `span` with its own steps; (links, next step sizes [Nb])."""
    left = torch.full_like(size, span)
    while bool((left > 0).any()):
        step = torch.minimum(size, left)
        proposal, (first, second) = _stages(links, step, KERNELS[kernel])
        distance = _furthest(proposal, fast.expm_multiply(2 * second - first, links)) / 9
        taken = (distance <= tolerance) & (left > 0)
        links = torch.where(taken.view(-1, *[1] * 7), proposal, links)
        whole = step == left
        left = torch.where(taken, torch.where(whole, 0.0, left - step), left)
        factor = SAFETY * (tolerance / distance.clamp(min=1e-300)) ** (1 / 3)
        # A last step cut short by the target says nothing against the size in use.
        grown = torch.where(whole & taken, torch.maximum(size, step * factor), step * factor)
        size = torch.where(step > 0, grown.clamp(max=LARGEST_STEP[kernel]), size)
    return links, size


def _renewed(links: Tensor) -> Tensor:
    """Links whose copies of other processes' sites are right, in place if there are any."""
    held = part.of(links)
    if held is not None and held.cut:
        part.renew(held, links)
    return links


def _furthest(links: Tensor, others: Tensor) -> Tensor:
    """max |U - V|_F over all links of all processes that share them, [Nb]."""
    held, apart = part.of(links), links - others
    own = apart if held is None else held.kept(apart)
    largest = torch.view_as_real(own).square().flatten(-3).sum(-1).flatten(1).amax(1).sqrt()
    return largest if held is None else held.network.largest(largest)


def stout(links: Tensor, rho: float = 0.1, steps: int = 1) -> Tensor:
    """Isotropic stout smearing, U' = exp(-rho TA(U A)) U (hep-lat/0311018, eqs. 1-3); like links.

    One step is an Euler step of the Wilson flow of size rho.
    """
    for _ in range(steps):
        links = _moved(wilson(links), links, rho)
    return links


def ape(links: Tensor, alpha: float = 0.5, steps: int = 1) -> Tensor:
    """APE smearing: SU(3) projection of (1 - alpha) U + (alpha / 6) sum of staples; like links.

    Phys. Lett. B 192 (1987) 163, all six staples; projected to the nearest unitary matrix
    divided by det^(1/3).
    """
    for _ in range(steps):
        links = _projected((1 - alpha) * links + (alpha / 6) * fast.staples(links).mH)
    return links


def _projected(matrices: Tensor) -> Tensor:
    """The nearest links, on a part of a lattice of own sites; all processes raise what one does."""
    held = part.of(matrices)
    if held is None:
        return su3.project_group(matrices)
    error: LayoutError | None = None
    try:
        held.kept(matrices).copy_(su3.project_group(held.kept(matrices)))
    except LayoutError as found:
        error = found
    held.network.agreed(error)
    return _renewed(matrices)
