"""Lines of links on a lattice that several processes share, however far they reach.

Around the lattice each process carries them through its part; else what lies ahead is sent back.
"""

import torch
from torch import Tensor

from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import Part
from l2hmc_bridge.fields.sums import exact_total


def polyakov_loop(part: Part, links: Tensor, mu: int) -> Tensor:
    """(1/3 V_perp) sum tr prod_n U_mu(x + n mu), complex [Nb]; the product from coordinate 0 on.

    Where mu is cut a process goes on from the product that the one below it has.
    """
    field = part.kept(links)[:, mu]
    count = part.lattice[mu] // part.extents[mu]
    line = _through(field, mu)
    for _ in range(count - 1):  # after n of them the lines of the first n + 1 processes are right
        numbers = torch.view_as_real(line).contiguous()
        below, _ = part.network.swap(mu, numbers, numbers)
        if part.origin[mu]:
            line = _through(field, mu, torch.view_as_complex(below))
    traces = torch.view_as_real(su3.trace(line)).flatten(1, -2)
    if part.origin[mu] + part.extents[mu] != part.lattice[mu]:
        traces = torch.zeros_like(traces)  # not around the lattice yet
    transverse = part.volume // part.lattice[mu]
    real, imaginary = (exact_total(part.network, one[:, None, None])
                       for one in traces.unbind(-1))
    return torch.complex(real, imaginary) / (3 * transverse)


def wilson_loop(part: Part, links: Tensor, r: int, t: int) -> Tensor:
    """`standard.wilson_loop` of a part: mean of Re tr / 3 over sites and x, y, z, [Nb]."""
    field = part.kept(links)
    time = _line(part, field[:, 0], 0, t)
    total = torch.zeros(len(links), dtype=torch.float64, device=links.device)
    for mu in (1, 2, 3):
        space = _line(part, field[:, mu], mu, r)
        loop = su3.product(su3.product(space, ahead(part, time, mu, r)),
                           su3.product(time, ahead(part, space, 0, t)).mH)
        total = total + exact_total(part.network, su3.trace(loop).real[:, None])
    return total / (9 * part.volume)


def ahead(part: Part, field: Tensor, mu: int, steps: int) -> Tensor:
    """field(x + steps mu) at the own sites x of a field [Nb,Nt,Nx,Ny,Nz,...] on them, steps >= 0.

    What lies beyond the next process comes through it.
    """
    axis, extent = 1 + mu, part.extents[mu]
    if part.lattice[mu] == extent:
        return field.roll(-steps, axis)
    for _ in range(steps % part.lattice[mu] // extent):
        field = _from_above(part, field, mu)
    rest = steps % extent
    if rest == 0:
        return field
    above = _from_above(part, field.narrow(axis, 0, rest), mu)
    return torch.cat((field.narrow(axis, rest, extent - rest), above), axis)


def _from_above(part: Part, field: Tensor, mu: int) -> Tensor:
    """What the next process has of this field."""
    numbers = torch.view_as_real(field).contiguous()
    _, above = part.network.swap(mu, numbers, numbers.new_zeros(1))
    return torch.view_as_complex(above)


def _line(part: Part, link: Tensor, mu: int, length: int) -> Tensor:
    """U_mu(x) U_mu(x+mu) ... of `length` links at own sites."""
    product = link
    for _ in range(1, length):
        link = ahead(part, link, mu, 1)
        product = su3.product(product, link)
    return product


def _through(field: Tensor, mu: int, line: Tensor | None = None) -> Tensor:
    """A line through all of a field [Nb,Nt,Nx,Ny,Nz,3,3], after what came before."""
    for step in range(field.shape[1 + mu]):
        link = field.select(1 + mu, step)
        line = link if line is None else su3.product(line, link)
    if line is None:
        raise ValueError("a lattice without sites")
    return line
