"""What a link has of its neighbours, as torch fields, from links with their numbers apart."""

import torch
from torch import Tensor

from l2hmc_bridge.fast.cpu.library import plain
from l2hmc_bridge.fast.gpu.launch import launch_planar
from l2hmc_bridge.fast.gpu.planar import ALGEBRA, LANES


def per_link(links: Tensor, extents: tuple[int, ...], form: str, mu: int = -1) -> Tensor:
    """The `form` of staples.py of each link, or of those of direction `mu` alone.

    Scalars are [Nb,4,Nt,Nx,Ny,Nz] or [Nb,Nt,Nx,Ny,Nz], matrices have [3,3] beside it.
    """
    directions = 4 if mu < 0 else 1
    numbers = () if form in ("trace", "norm") else (3, 3)
    dtype = links.dtype.to_complex() if numbers else links.dtype
    out = torch.empty(len(links), directions, *extents, *numbers, dtype=dtype,
                      device=links.device)
    launch_planar("staples.staple_kernel", links, links,
                  torch.view_as_real(out) if numbers else out, max(mu, 0), *extents, FORM=form,
                  D=directions, num_warps=directions)
    return out if mu < 0 else out[:, 0]


def algebra(links: Tensor, field: Tensor, extents: tuple[int, ...], mu: int = -1,
            scale: float = 1.0) -> Tensor:
    """scale TA(field) with its numbers apart, of four directions or of `mu` alone."""
    field = field if mu < 0 else field.unsqueeze(1)
    directions = field.shape[1]
    out = links.new_empty(len(field), directions, links.shape[2], ALGEBRA, LANES)
    launch_planar("staples.algebra_kernel", links, torch.view_as_real(plain(field)), out,
                  scale, *extents, D=directions, num_warps=directions)
    return out


def laplacian(links: Tensor, field: Tensor, extents: tuple[int, ...], transverse: bool,
              mu: int = -1) -> Tensor:
    """Lap of an algebra field with its numbers apart, of four directions or of `mu` alone."""
    directions = field.shape[1]
    out = torch.empty(len(field), directions, *extents, 3, 3, dtype=links.dtype.to_complex(),
                      device=links.device)
    launch_planar("staples.laplacian_kernel", links, links, field, torch.view_as_real(out),
                  max(mu, 0), *extents, FIRST=int(transverse), D=directions, num_warps=directions)
    return out if mu < 0 else out[:, 0]
