"""Heat bath and overrelaxation of the Wilson action in torch: formulas, any device and precision.

Cabibbo and Marinari (PLB 119, 387): for a in the SU(2) subgroup of rows i < j of SU(3),
Re tr(a U A) = 2 (a0 r0 - a.r) + rest with the staples A and the quaternion r of the 2 x 2 part of
U A. With k = |r|, v = r / k and b = a v the weight exp(-S) is exp((2 beta k / 3) b0) on the sphere.
Heat bath: b drawn from it, by Kennedy and Pendleton (PLB 156, 393). Overrelaxation: a = v^-2, which
keeps b0 and so the action. Links that share no plaquette move at once: direction after direction,
colour after colour. Every number is one of `philox`, by site, sweep, direction, subgroup, attempt.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.philox import fine_uniform, philox, uniform
from l2hmc_bridge.fields import loops
from l2hmc_bridge.fields.layout import check_links, volume

SUBGROUPS = ((0, 1), (0, 2), (1, 2))  # rows
ATTEMPTS = 1024  # room in the numbering: each fails with a probability of 0.52 at most
WEAK = 0.5  # 2 beta k / 3 below which a uniform b0 is accepted more often than Kennedy's
SMALLEST = {torch.float64: 1e-24, torch.float32: 1e-12}  # k^2 of a link whose staples cancel
MOST_SITES = 2**32  # that a counter can tell apart


class Numbers(NamedTuple):
    """Six uniform numbers in (0, 1) of one attempt."""

    first: Tensor  # to 52 bits, as `second`: logarithms are taken
    second: Tensor
    angle: Tensor
    accept: Tensor
    height: Tensor
    turn: Tensor


def colours(extents: tuple[int, ...]) -> Tensor:
    """Classes of sites without neighbours in the same class, int64 [Nt,Nx,Ny,Nz]: 0, 1 or 0, 1, 2.

    Parity where all extents are multiples of four (or two), three classes elsewhere: the sum of
    the coordinates' colours on their circles, modulo the number of classes. A circle of 2 m sites
    with odd m is coloured as one of m sites twice, so that no half differs from the other.
    """
    circles = [_circle(extent) for extent in extents]
    count = 1 + max(int(circle.max()) for circle in circles)
    total = torch.zeros((), dtype=torch.int64)
    for mu, circle in enumerate(circles):
        total = total + circle.view([-1 if nu == mu else 1 for nu in range(len(extents))])
    return total % count


def _circle(extent: int) -> Tensor:
    """0, 1, 0, 1, ... on a circle, closed by 2 if its length is odd."""
    period = extent // 2 if extent % 4 == 2 and extent > 2 else extent
    place = torch.arange(extent) % period
    return torch.where((place == period - 1) & (period % 2 == 1), 2, place % 2)


def fits(links: Tensor) -> bool:
    """Whether a lattice has no extent of 1, and no more sites than counters tell apart."""
    return min(links.shape[2:6]) >= 2 and volume(links) <= MOST_SITES


def check(links: Tensor) -> None:
    """LayoutError for links on an extent of 1, and for more sites than counters tell apart."""
    check_links(links)
    extents = tuple(links.shape[2:6])
    if min(extents) < 2:
        raise LayoutError(f"heat bath: expected extents of at least 2, found {extents}: the action "
                          "is not linear in a link that meets itself in a plaquette")
    if not fits(links):
        raise LayoutError(f"heat bath: expected at most 2^32 sites, found extents {extents}")


def check_words(words: Tensor, chains: int) -> None:
    """LayoutError unless `words` are whole numbers [Nb, 4] of so many chains."""
    if tuple(words.shape) != (chains, 4) or words.is_floating_point() or words.is_complex():
        raise LayoutError(f"heat bath: expected words int64 [{chains}, 4], found {words.dtype} "
                          f"{list(words.shape)}")


def heat_bath(links: Tensor, beta: float, words: Tensor, sweeps: int, overrelaxations: int
              ) -> Tensor:
    """`sweeps` heat-bath sweeps over all links, then `overrelaxations` of the other kind.

    words: int64 [Nb, 4], the key and the upper counter words of each chain; see sampling/counter.
    """
    check(links)
    check_words(words, len(links))
    links, of_sites = links.clone(), colours(tuple(links.shape[2:6])).flatten().to(links.device)
    classes = [(of_sites == colour).nonzero()[:, 0] for colour in range(int(of_sites.max()) + 1)]
    for sweep in range(sweeps + overrelaxations):
        for mu in range(4):
            for sites in classes:
                field = links[:, mu].flatten(1, 4).clone()
                staples = loops.staple_sum(links, mu).flatten(1, 4)[:, sites]
                if sweep < sweeps:
                    draws = _Draws(words.to(links.device), sites, 4 * sweep + mu, beta)
                    field[:, sites] = heated(field[:, sites], staples, draws)
                else:
                    field[:, sites] = reflected(field[:, sites], staples)
                links[:, mu] = field.view_as(links[:, mu])
    return links


def reflected(links: Tensor, staples: Tensor) -> Tensor:
    """Links [Nb, n, 3, 3] after the reflection a = v^-2 in each subgroup, in turn."""
    for rows in SUBGROUPS:
        part = quaternion(links, staples, rows)
        square = part.square().sum(-1)
        inverse = torch.where(square > SMALLEST[square.dtype], 1 / square, 0)
        rotation = -2 * (part[..., :1] * part) * inverse[..., None]
        rotation[..., 0] = torch.where(inverse > 0, -1 - rotation[..., 0], 1)
        links = rotated(links, rotation, rows)
    return links


class _Draws(NamedTuple):
    """Who draws in one step of a sweep: `number` is 4 sweep + direction."""

    words: Tensor  # [Nb, 4]
    sites: Tensor  # [n]
    number: int
    beta: float

    def of(self, which: Tensor, subgroup: int, attempt: int) -> Numbers:
        """Of the links `which`, places in [Nb * n]."""
        words, site = self.words[which // len(self.sites)], self.sites[which % len(self.sites)]
        count = ((4 * self.number + subgroup) * ATTEMPTS + attempt) * 2
        counter = torch.stack((site, torch.full_like(site, count), words[:, 2], words[:, 3]), -1)
        a = philox(counter, words[:, :2]).unbind(-1)
        counter[:, 1] += 1
        b = philox(counter, words[:, :2]).unbind(-1)
        return Numbers(fine_uniform(a[0], a[1]), fine_uniform(a[2], a[3]), *map(uniform, b))


def heated(links: Tensor, staples: Tensor, draws: _Draws) -> Tensor:
    """Links [Nb, n, 3, 3] after the heat bath of each subgroup, in turn; in SU(3) to rounding."""
    for subgroup, rows in enumerate(SUBGROUPS):
        part = quaternion(links, staples, rows)
        square = part.square().sum(-1)
        real, known = square.dtype, square > SMALLEST[square.dtype]
        size = square.sqrt()
        unit = torch.where(known[..., None], part / size[..., None],
                           torch.tensor([1.0, 0, 0, 0], dtype=real, device=part.device))
        alpha = (2 * draws.beta / 3) * size.flatten()
        drawn = torch.full((len(alpha), 4), torch.nan, dtype=real, device=alpha.device)
        pending = torch.arange(len(alpha), device=alpha.device)
        pending = pending[~alpha.isnan()]  # what is not a number stays so
        for attempt in range(ATTEMPTS):
            numbers = Numbers(*(n.to(real) for n in draws.of(pending, subgroup, attempt)))
            delta, good = candidate(alpha[pending], numbers)
            drawn[pending[good]] = on_sphere(delta, numbers)[good]
            pending = pending[~good]
            if not len(pending):
                break
        links = rotated(links, times_inverse(drawn.view_as(unit), unit), rows)
    return orthonormal(links)


def candidate(alpha: Tensor, numbers: Numbers) -> tuple[Tensor, Tensor]:
    """(delta = 1 - b0, whether it is taken): then b0 has density sqrt(1 - b0^2) exp(alpha b0).

    As Kennedy and Pendleton, delta = -(ln R1 + cos^2(pi R2 / 2) ln R3) / (alpha + 1/4), density
    sqrt(delta) e^{-(alpha + 1/4) delta}, is taken if R4^2 <= (1 - delta / 2) e^{delta / 2}: theirs
    without the 1/4 fails twenty times as often at alpha = 14, and one lane that fails holds up all.
    For small alpha delta = 2 R1 is taken if R4^2 <= delta (2 - delta) e^{-2 alpha delta}.
    """
    cosine_square = 0.5 - 0.5 * torch.sin(torch.pi * (numbers.angle - 0.5))
    energy = -(numbers.first.log() + cosine_square * numbers.second.log())
    weak = alpha < WEAK
    delta = torch.where(weak, 2 * numbers.first, energy / (alpha + 0.25))
    limit = torch.where(weak, delta * (2 - delta) * torch.exp(-2 * alpha * delta),
                        (1 - delta / 2) * torch.exp(delta / 2))
    return delta, numbers.accept.square() <= limit


def on_sphere(delta: Tensor, numbers: Numbers) -> Tensor:
    """The unit quaternion with b0 = 1 - delta and a direction from two uniform numbers."""
    length = (delta * (2 - delta)).sqrt()
    across = 2 * length * (numbers.height * (1 - numbers.height)).sqrt()
    angle = 2 * torch.pi * (numbers.turn - 0.5)
    return torch.stack((1 - delta, across * angle.cos(), across * angle.sin(),
                        length * (2 * numbers.height - 1)), dim=-1)


def quaternion(links: Tensor, staples: Tensor, rows: tuple[int, int]) -> Tensor:
    """r of the 2 x 2 part w of U A: w = r0 + i r.sigma + i (the same with other r), [..., 4]."""
    i, j = rows
    (ii, ij), (ji, jj) = (
        [(links[..., a, :] * staples[..., :, b]).sum(-1) for b in rows] for a in rows
    )
    return 0.5 * torch.stack(((ii + jj).real, (ij + ji).imag, (ij - ji).real, (ii - jj).imag), -1)


def times_inverse(left: Tensor, right: Tensor) -> Tensor:
    """b v^-1 of unit quaternions, as of the matrices q0 + i q.sigma."""
    b, v = left[..., 1:], right[..., 1:]
    b0, v0 = left[..., :1], right[..., :1]
    return torch.cat((b0 * v0 + (b * v).sum(-1, keepdim=True),
                      b * v0 - v * b0 + torch.linalg.cross(b, v)), dim=-1)


def rotated(links: Tensor, rotation: Tensor, rows: tuple[int, int]) -> Tensor:
    """a U with a = [[a0 + i a3, a2 + i a1], [-a2 + i a1, a0 - i a3]] in two rows."""
    i, j = rows
    first = torch.complex(rotation[..., 0], rotation[..., 3])[..., None]
    second = torch.complex(rotation[..., 2], rotation[..., 1])[..., None]
    links = links.clone()
    above, below = links[..., i, :].clone(), links[..., j, :].clone()
    links[..., i, :] = first * above + second * below
    links[..., j, :] = first.conj() * below - second.conj() * above
    return links


def orthonormal(links: Tensor) -> Tensor:
    """Rows made orthonormal from the first, the third that of determinant 1: rounding undone.

    To the square of what the rows miss: for links that are in SU(3) but for rounding.
    """
    first, second = _normal(links[..., 0, :]), links[..., 1, :]
    second = _normal(second - (first.conj() * second).sum(-1, keepdim=True) * first)
    return torch.stack((first, second, torch.linalg.cross(first, second).conj()), dim=-2)


def _normal(row: Tensor) -> Tensor:
    return row * (1.5 - 0.5 * torch.view_as_real(row).square().sum((-2, -1)))[..., None]
