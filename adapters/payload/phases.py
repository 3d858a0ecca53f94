"""What links are that are not periodic SU(3): boundaries, phases, scales, named as a person would.

det U finds what a plaquette cannot: a sign on single links is a fermion boundary or a staggered
phase multiplied into them, zero is a link that open boundaries switched off. Spatial links that are
one diagonal matrix each on a single time slice are a Schroedinger functional's. Centre phases have
det U = 1: they are found by plaquettes that they turn by 2 pi / 3.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.adapters.format.checks import GROUP_BOUND
from l2hmc_bridge.fields import loops, part as parts, su3
from l2hmc_bridge.fields.axes import DIRECTIONS

from .edges import edge as edge_of, fixed_slice

SOME_PHASES = ("phases (|det U - 1| up to {:.2g}, max|U U^+ - 1| small) multiplied into the links "
               "(one process says which); multiply them out again")
ORDERED = 0.4  # a mean plaquette from which turned plaquettes stand out


class Oddity(NamedTuple):
    """Why links are none of periodic SU(3): a boundary or not, and the sentence that names it."""

    boundary: bool
    sentence: str


def oddity(
    links: Tensor, unitarity: float, determinant: float, centre: bool = True
) -> Oddity | None:
    """What is odd about links [1,4,Nt,Nx,Ny,Nz,3,3] with these defects; None if nothing has a name.

    Links in SU(3) are asked for fixed boundaries and, if `centre`, for centre phases only. If
    several processes share them, phases of others have no pattern, and what is further from SU(3)
    than drift no name.
    """
    if fixed_slice(links):
        return Oddity(True, "Schroedinger-functional boundaries (constant diagonal spatial links "
                            "at t = 0)")
    if unitarity <= GROUP_BOUND and determinant <= GROUP_BOUND:
        turned = centre_phases(links) if centre else None
        return None if turned is None else Oddity(True, turned)
    if parts.shared(parts.lattice_of(links)) is not None:
        # Unitary links are told from drifted ones; those near SU(3) are neither 0 nor scaled.
        phases = unitarity <= GROUP_BOUND < determinant
        return Oddity(False, SOME_PHASES.format(determinant)) if phases else None
    if not torch.view_as_real(links).isfinite().all():
        return Oddity(False, "NaN or infinity")
    opened = switched_off(links)
    if opened is not None:
        return opened
    determinants = torch.linalg.det(links)[0]
    if unitarity <= GROUP_BOUND:
        return Oddity(False, _phases(links, determinants))
    return _scaled(links, determinants)


def switched_off(links: Tensor) -> Oddity | None:
    """Links that are zero: an open boundary if they are all those across one."""
    off = (links.abs().sum((-2, -1)) == 0)[0]
    if not off.any() or off.all():
        return None
    for mu, name in enumerate(DIRECTIONS):
        for place in (-1, 0):
            across = torch.zeros_like(off)
            across[mu].select(mu, place).fill_(True)
            if torch.equal(off, across):
                slice_named = "last" if place else "first"
                what = "time links" if name == "t" else f"{name} links"
                return Oddity(True, f"open boundaries ({what} 0 on the {slice_named} slice)")
    return Oddity(False, f"zero for {int(off.sum())} of {off.numel()} links")


def _phases(links: Tensor, determinants: Tensor) -> str:
    """What det U of modulus 1 on unitary links looks like."""
    odd = (determinants - 1).abs() > GROUP_BOUND
    signs = determinants.real < 0
    ordinary = bool(((determinants - torch.where(signs, -1.0, 1.0)).abs() <= GROUP_BOUND).all())
    trace = su3.trace(links).real[0] / 3
    numbers = (f"link trace {float(trace[odd].mean()):+.4f} on them, "
               f"{float(trace[~odd].mean()) if (~odd).any() else 0.0:+.4f} elsewhere")
    if ordinary:
        found = _sign_pattern(signs)
        where = "all time links of the last slice" if found == LAST_TIMES else (
            f"{int(signs.sum())} of {signs.numel()} links")
        return f"det U = -1 on {where} ({numbers}): {found}; multiply them out again"
    values = torch.unique((torch.angle(determinants[odd]) / math.pi).round(decimals=4))
    many = f"many values of det U on {int(odd.sum())} of {odd.numel()} links"
    one = f"det U = exp({float(values[0]):.4g} i pi) on {int(odd.sum())} of {odd.numel()} links"
    swapped = "Re and Im in each other's place (as GPT reads single-precision ILDG), or " if (
        odd.all() and values.tolist() == [-0.5]) else ""
    return (f"{one if values.numel() == 1 else many} ({numbers}; |det U - 1| up to "
            f"{float((determinants - 1).abs().max()):.2g}): {swapped}phases of U(1) (a twisted "
            "boundary, a chemical potential, QED) multiplied into the links; multiply them out "
            "again")


LAST_TIMES = "anti-periodic fermion boundaries multiplied into the links"


def _sign_pattern(signs: Tensor) -> str:
    """Name of a sign field [4,Nt,Nx,Ny,Nz] (true: -1): boundaries, staggered phases or neither."""
    found = [one for mu in range(4) if (one := _sign_of(signs[mu], mu)) is not None]
    if len(found) < 4:
        return "staggered or other phases multiplied into the links"
    crossing = [f"{name} (first slice)" if place == 0 else name
                for name, (_, place) in zip(DIRECTIONS, found, strict=True) if place is not None]
    if any(any(exponents) for exponents, _ in found):
        also = f" and anti-periodic boundaries in {', '.join(crossing)}" if crossing else ""
        return f"staggered phases{also} multiplied into the links"
    if crossing == ["t"]:
        return LAST_TIMES
    if crossing:
        return f"anti-periodic boundaries in {', '.join(crossing)} multiplied into the links"
    return "a common sign of all links of a direction"


def _sign_of(signs: Tensor, mu: int) -> tuple[tuple[int, ...], int | None] | None:
    """(parity exponents a of (-1)^(a.x), slice across which a boundary is) of one direction."""
    coordinates = torch.meshgrid(*(torch.arange(n) for n in signs.shape), indexing="ij")
    for place in (None, -1, 0):
        across = torch.zeros_like(signs)
        if place is not None:
            across.select(mu, place).fill_(True)
        for exponents in itertools.product((0, 1), repeat=4):
            sites = sum(a * x for a, x in zip(exponents, coordinates, strict=True))
            parity = torch.zeros_like(signs) if isinstance(sites, int) else sites % 2 == 1
            guess = parity ^ across
            if torch.equal(signs, guess) or torch.equal(signs, ~guess):
                return exponents, place
    return None


def _scaled(links: Tensor, determinants: Tensor) -> Oddity | None:
    """Whether they are momenta, or SU(3) times one number as a tadpole factor makes them."""
    corner = links[:, :, 0]  # enough to tell, and little to copy
    largest = float(corner.abs().max())
    if largest and float((corner + corner.mH).abs().max()) <= GROUP_BOUND * largest:
        return Oddity(False, "anti-Hermitian matrices: momenta of a trajectory, no links")
    norms = links.abs().square().sum((-2, -1)) / 3
    scale = float(norms.mean().sqrt())
    if scale < 1e-8 or not float((norms - scale**2).abs().max()) <= GROUP_BOUND * scale**2:
        return None
    if abs(scale - 1) < 2e-2 or (determinants.abs() - scale**3).abs().max() > 1e-3 * scale**3:
        return None
    return Oddity(False, f"SU(3) times {scale:.6g}: a tadpole or other factor multiplied into the "
                         "links")


def centre_phases(links: Tensor) -> str | None:
    """Whether plaquettes are turned by a centre phase: 't Hooft's twist, or Z3 phases on links.

    Plaquettes at the edges of the lattice are averaged over two axes at a time: what is turned
    along lines stands out. A field whose mean plaquette is near zero is asked for
    <Re (tr P)^3> / 27, 0.037 for random links.
    """
    turned, places, means, cubes = 0, 0, [], []
    edge, extents = edge_of(links), parts.lattice_of(links)
    for mu, nu in loops.PLANES:
        traces = _traces(edge, mu, nu, extents)
        cubes.append(float((traces**3).real.mean()))
        means.append(float(traces.real.mean()))
        found = [_turned(traces, kept) for kept in itertools.combinations(range(4), 2)]
        turned, places = turned + max(found), places + traces.numel()
    average = sum(means) / 6
    if average > ORDERED and turned:
        return (f"centre phases (Z3): about {turned} of {places} plaquettes at the edges are "
                "turned by 2 pi / 3: twisted boundaries, or phases multiplied into the links")
    if abs(average) < 0.05 and sum(cubes) / 6 > 0.1:
        return ("centre phases (Z3): tr P is near 0 on average and its cube is not "
                f"({sum(cubes) / 6:.3f}): phases multiplied into the links")
    return None


def _turned(traces: Tensor, kept: tuple[int, int]) -> int:
    """How many plaquettes lie where their average over the two other axes is turned."""
    others = [axis for axis in range(4) if axis not in kept]
    count = traces.shape[others[0]] * traces.shape[others[1]]
    if count < 8:
        return 0
    mean = traces.mean(others)
    away = (mean.angle().abs() - 2 * math.pi / 3).abs() < math.pi / 6
    return int((away & (mean.abs() > ORDERED / 2)).sum()) * count


def _traces(edge: Tensor, mu: int, nu: int, extents: Sequence[int]) -> Tensor:
    """tr P_mu_nu / 3 of the plaquettes whose links are all at the edge, [Nmu,Nnu,n,n]."""
    part = edge.movedim((1 + mu, 1 + nu), (1, 2))
    first, second = part[mu], part[nu]
    up = first @ second.roll(-1, 0)
    back = second @ first.roll(-1, 1)
    traces = (up * back.conj()).sum((-2, -1)) / 3
    # Of a cut axis the last site has its neighbour elsewhere.
    return traces[: 3 if extents[mu] > 4 else None, : 3 if extents[nu] > 4 else None]
