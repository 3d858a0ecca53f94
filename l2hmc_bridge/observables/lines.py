"""Lines of links around a lattice that several processes share: each carries them through its part.
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


def _through(field: Tensor, mu: int, line: Tensor | None = None) -> Tensor:
    """A line through all of a field [Nb,Nt,Nx,Ny,Nz,3,3], after what came before."""
    for step in range(field.shape[1 + mu]):
        link = field.select(1 + mu, step)
        line = link if line is None else line @ link
    if line is None:
        raise ValueError("a lattice without sites")
    return line
