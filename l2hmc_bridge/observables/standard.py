"""Observables of SU(3) gauge fields: links [Nb,4,Nt,Nx,Ny,Nz,3,3] -> real [Nb].

Loops are normalised to 1 on the unit field. G is the clover field strength of `fields/loops.py`,
anti-Hermitian; its trace is removed (MILC, QUDA, QEX) unless `traceless=False` (GPT, Grid).
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fields import loops, part, su3
from l2hmc_bridge.fields.layout import DIRECTIONS
from l2hmc_bridge.observables import lines
from l2hmc_bridge.observables.topology import (
    charge_density,
    charge_density_5li,
    topological_charge,
    topological_charge_5li,
)

__all__ = ["MEASUREMENTS", "charge_density", "charge_density_5li", "measure", "topological_charge",
           "topological_charge_5li"]

PLANE_NAMES = tuple(f"plaquette_{DIRECTIONS[mu]}{DIRECTIONS[nu]}" for mu, nu in loops.PLANES)
CONVENTIONS = ("traceless", "gpt")


def plaquette(links: Tensor) -> Tensor:
    """(1/18V) sum_{x,mu<nu} Re tr P_mu_nu, [Nb]."""
    return fast.plaquettes(links).mean(1)


def plaquette_spatial(links: Tensor) -> Tensor:
    """Mean over the planes (x,y), (x,z), (y,z), [Nb]; MILC prints three times this as ss."""
    return fast.plaquettes(links)[:, 3:].mean(1)


def plaquette_temporal(links: Tensor) -> Tensor:
    """Mean over the planes (t,x), (t,y), (t,z), [Nb]; MILC prints three times this as st."""
    return fast.plaquettes(links)[:, :3].mean(1)


def plaquette_plane(links: Tensor, plane: int) -> Tensor:
    """Mean over one of loops.PLANES: (t,x) (t,y) (t,z) (x,y) (x,z) (y,z), [Nb]."""
    mu, nu = loops.PLANES[plane]
    return _mean_trace(loops.plaquette_field(links, mu, nu))


def rectangle(links: Tensor) -> Tensor:
    """Mean of Re tr / 3 over the twelve orientations of the 2x1 rectangle, [Nb].

    Commun. Math. Phys. 97 (1985) 59.
    """
    return (loops.rectangles(links).sum((1, 2)) - 4) / 12


def rectangle_gpt(links: Tensor) -> Tensor:
    """Mean over the six rectangles whose long side is the larger index in x,y,z,t, [Nb].

    What GPT's rectangle(U, 2, 1) averages.
    """
    order = (1, 2, 3, 0)
    table = loops.rectangles(links)
    return torch.stack(
        [table[:, order[i], order[j]] for i in range(4) for j in range(i)], dim=1
    ).mean(1)


def polyakov_loop(links: Tensor, mu: int = 0) -> Tensor:
    """(1/3 V_perp) sum tr prod_{n} U_mu(x + n mu) around direction mu, complex [Nb].

    Phys. Lett. B 72 (1978) 477; ordered along +mu, the link at coordinate 0 leftmost.
    """
    held = part.of(links)
    if held is not None:
        return lines.polyakov_loop(held, links, mu)
    field = links[:, mu]
    line = field.select(1 + mu, 0)
    for step in range(1, field.shape[1 + mu]):
        line = line @ field.select(1 + mu, step)
    return su3.trace(line).flatten(1).mean(1) / 3


def wilson_loop(links: Tensor, r: int, t: int) -> Tensor:
    """W(R,T): Re tr / 3 of loops of R spatial links and T time links, mean over x, y, z; [Nb].

    Phys. Rev. D 10 (1974) 2445; planes of time and one space direction only, both turns alike.
    """
    held = part.of(links)
    if held is not None:
        return lines.wilson_loop(held, links, r, t)
    time = loops.line(links, 0, t)
    total = torch.zeros(len(links), dtype=torch.float64, device=links.device)
    for mu in (1, 2, 3):
        space = loops.line(links, mu, r)
        loop = (space @ loops.shift(time, mu, r)) @ (time @ loops.shift(space, 0, t)).mH
        total = total + _mean_trace(loop)
    return total / 3


def energy_density(links: Tensor, traceless: bool = True) -> Tensor:
    """E = -sum_{mu<nu} tr G_mu_nu G_mu_nu per site from the clover, [Nb].

    arXiv:1006.4518, eq. 2.1 with G = G^a T_a. MILC prints the parts of the three temporal and the
    three spatial planes apart, see `energy_density_parts`.
    """
    return fast.clover(links, traceless)[:, :2].sum(1)


def energy_density_parts(links: Tensor, traceless: bool = True) -> tuple[Tensor, Tensor]:
    """(temporal, spatial) parts of the clover energy density, each [Nb]; MILC's E_t and E_s."""
    temporal, spatial, _ = fast.clover(links, traceless).unbind(1)
    return temporal, spatial


def energy_density_plaquette(links: Tensor) -> Tensor:
    """E = 2 sum_{mu<nu} Re tr(1 - P_mu_nu) per site = 36 (1 - plaquette), [Nb].

    arXiv:1006.4518, eq. 3.1.
    """
    return 36 * (1 - plaquette(links))


def _polyakov_part(mu: int, part: str, links: Tensor) -> Tensor:
    loop = polyakov_loop(links, mu)
    return loop.real if part == "real" else loop.imag


MEASUREMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plaquette": plaquette,
    "plaquette_spatial": plaquette_spatial,
    "plaquette_temporal": plaquette_temporal,
    **{
        name: functools.partial(plaquette_plane, plane=plane)
        for plane, name in enumerate(PLANE_NAMES)
    },
    "rectangle": rectangle,
    "rectangle_gpt": rectangle_gpt,
    "link_trace": loops.link_trace,
    **{
        f"polyakov_loop_{name}_{part}": functools.partial(_polyakov_part, mu, part)
        for mu, name in enumerate(DIRECTIONS)
        for part in ("real", "imag")
    },
    **{
        f"wilson_loop_{r}x{t}": functools.partial(wilson_loop, r=r, t=t)
        for r in range(1, 5)
        for t in range(1, 5)
    },
    "energy_density": energy_density,
    "energy_density_plaquette": energy_density_plaquette,
    "topological_charge": topological_charge,
    "topological_charge_5li": topological_charge_5li,
    "unitarity_defect": su3.unitarity_defect,
    "determinant_defect": su3.determinant_defect,
}


def measure(links: Tensor, traceless: bool = True, five_loop: bool = True) -> dict[str, Tensor]:
    """The standard set with every loop formed once: {name of MEASUREMENTS: [Nb]}.

    Plaquettes (mean, spatial, temporal, planes), link trace, Polyakov loops, clover energy
    density and charge, and the five-loop charge unless `five_loop` is False.
    """
    found = fast.measured(links, traceless)
    planes = found.planes
    result = {
        "plaquette": planes.mean(1),
        "plaquette_spatial": planes[:, 3:].mean(1),
        "plaquette_temporal": planes[:, :3].mean(1),
        **{name: planes[:, plane] for plane, name in enumerate(PLANE_NAMES)},
        "link_trace": loops.link_trace(links),
    }
    for mu, name in enumerate(DIRECTIONS):
        loop = polyakov_loop(links, mu)
        result[f"polyakov_loop_{name}_real"] = loop.real
        result[f"polyakov_loop_{name}_imag"] = loop.imag
    result.update(flowed_values(found))
    result["energy_density_plaquette"] = 36 * (1 - result["plaquette"])
    if five_loop:
        result["topological_charge_5li"] = topological_charge_5li(links, traceless)
    return result


def defects(links: Tensor) -> dict[str, Tensor]:
    """max |U U^dagger - 1| and max |det U - 1| over all links, each [Nb]."""
    found = torch.tensor([fast.group_defects(one) for one in links], dtype=torch.float64)
    held = part.of(links)
    unitarity, determinant = (found if held is None else held.network.largest(found)).unbind(1)
    return {"unitarity_defect": unitarity, "determinant_defect": determinant}


def measure_flowed(links: Tensor, traceless: bool = True) -> dict[str, Tensor]:
    """What is wanted along the flow: plaquette, clover energy density and charge, each [Nb]."""
    return flowed_values(fast.measured(links, traceless))


def flowed_values(found: fast.Measured) -> dict[str, Tensor]:
    """The same of what was measured."""
    temporal, spatial, charge = found.clover.unbind(1)
    return {
        "plaquette": found.planes.mean(1),
        "energy_density": temporal + spatial,
        "topological_charge": charge,
    }


def _mean_trace(loop: Tensor) -> Tensor:
    return su3.trace(loop).real.flatten(1).mean(1) / 3
