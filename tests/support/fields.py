"""Small fields the tests share: rough links on four different extents, gauge transformations."""

import torch

from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.systems.actions import cold_start

EXTENTS = (4, 6, 8, 2)  # (t, x, y, z), all different


def rough_links(generator, lattice=EXTENTS, chains=1, width=0.5) -> torch.Tensor:
    """Links at a typical distance `width` from the unit field: neither smooth nor random."""
    cold = cold_start(lattice, chains)
    return su3.exp(width * su3.random_algebra(cold.shape[:-2], generator)) @ cold


def gauge_transform(links, generator):
    """U_mu(x) -> g(x) U_mu(x) g(x+mu)^dagger with Haar-random g; returns (links', g)."""
    gauge = su3.random_group((links.shape[0], *links.shape[2:6]), generator)
    turned = torch.stack(
        [gauge @ links[:, mu] @ loops.shift(gauge, mu).mH for mu in range(4)], dim=1
    )
    return turned, gauge
