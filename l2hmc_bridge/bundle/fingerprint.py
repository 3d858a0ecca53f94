"""The fingerprint of a kernel: what it does to one seeded field.

No law can catch a wrong link mask, since any mask makes an exact step: only a stored result can.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.systems.groups import group_of
from l2hmc_bridge.systems.table import system_of

TOLERANCE = 1e-10
LATTICES = {"su3": (2, 2, 4, 4), "u1": (6, 4)}  # x, y, z, t, for kernels that fit any lattice


@torch.no_grad()
def fingerprint(kernel: L2HMC, seed: int) -> tuple[Tensor, float, float]:
    """(U', dH, log|J|) of Phi on a seeded field of LATTICES or of the lattice that fits."""
    group = group_of(kernel.action)
    links, momenta = phase_point(kernel, seed)
    end = kernel.directed(links, momenta, kernel.guide.force(links), 1)
    delta = kernel.action(end.links) - kernel.action(links)
    delta = delta + group.kinetic(end.momenta) - group.kinetic(momenta)
    return end.links, float(delta), float(end.log_det)


def phase_point(kernel: L2HMC, seed: int) -> tuple[Tensor, Tensor]:
    """A rough field and momenta that fit the kernel, from the seed alone, Nb = 1."""
    system = system_of(kernel.action)
    shape = (1, *field_shape(kernel), group_of(kernel.action).components)
    raw = np.random.Philox(seed).random_raw(2 * int(np.prod(shape)))
    uniform = torch.from_numpy((raw >> np.uint64(11)).astype(np.float64) / 2**53)
    numbers = (2 * uniform - 1).reshape(2, *shape)
    return system.field(numbers[0]), system.momenta(numbers[1])


def field_shape(kernel: L2HMC, any_lattice: Mapping[str, tuple[int, ...]] = LATTICES):
    """Shape of one field, colour apart: that of a network that fits one, else of `any_lattice`."""
    system = system_of(kernel.action)
    for network in (kernel.kick_network, kernel.drift_network):
        if network is not None and network.fits is not None:
            return network.fits
    if system.fixed(kernel.action):
        return system.fixed(kernel.action)
    shape = system.shape(any_lattice[kernel.action.group])
    return shape[:len(shape) - system.colour]


def difference(one: tuple[Tensor, float, float], other: tuple[Tensor, float, float]) -> float:
    """Largest deviation, dH and log|J| relative if they exceed 1; NaN if anything is."""
    found = [float((one[0] - other[0]).abs().max()),
             *(abs(a - b) / max(1.0, abs(a)) for a, b in zip(one[1:], other[1:], strict=True))]
    return math.nan if any(map(math.isnan, found)) else max(found)
