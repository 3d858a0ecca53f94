"""Rows of the gate for dense SU(3) networks, which fit one lattice and are not gauge covariant."""

from dataclasses import replace

import torch
from torch import Tensor

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.fields import su3
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.dense import Dense
from l2hmc_bridge.sampling.draws import draw_momenta


def is_dense(kernel: L2HMC) -> bool:
    """Whether a network of the kernel is one of networks/dense.py."""
    return any(isinstance(one, Dense) for one in (kernel.kick_network, kernel.drift_network))


def rebuilt(kernel: L2HMC, lattice: tuple[int, ...], generator: torch.Generator) -> L2HMC:
    """The same kernel on a lattice small enough for a dense Jacobian, its networks random."""
    description = architecture.describe(kernel)
    for part in ("kick_network", "drift_network"):
        if description[part] and description[part].get("kind") == "dense":
            description[part] = {**description[part], "shape": [4, *lattice]}
    small = architecture.build(description, kernel.action)
    values = architecture.tensors(small)
    for name, value in values.items():
        if not name.startswith("steps."):
            values[name] = 0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    values.update({k: v for k, v in architecture.tensors(kernel).items() if k.startswith("steps.")})
    architecture.load_tensors(small, values)
    return replace(kernel, **architecture.modules(small))


@torch.no_grad()
def kicks(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """Every kick as trained on its own lattice: affine in P, every link scaled by one number.

    For such a map log|J| = 8 sum log of the scales, exactly, whatever the size of the lattice.
    """
    force = kernel.guide.force(links)
    momenta, move = (draw_momenta(links, generator) for _ in range(2))
    affine, determinant = 0.0, 0.0

    def kicked(k: int, momenta: Tensor) -> tuple[Tensor, Tensor]:
        at = kernel.enter(links, momenta, force)
        at.kick(k)
        end = at.leave()
        return end.momenta, end.log_det

    for k in range(kernel.layers + 1):
        ends = [kicked(k, momenta + c * move) for c in (0.0, 1.0, 2.0)]
        change = ends[1][0] - ends[0][0]
        scale = (su3.inner(change, move) / su3.inner(move, move))[..., None, None]
        affine = max(affine, float((change - scale * move).abs().max()),
                     float((ends[2][0] - ends[1][0] - change).abs().max()))
        exact = su3.DIMENSION * scale.log().sum()
        determinant = max(determinant, *(float((end[1] - exact).abs()) for end in ends))
    return [
        Check("kicks as trained: affine, one scale per link", affine, 0, 1e-10, "exact law"),
        Check("kicks as trained: log|J| = 8 sum log scale", determinant, 0, 1e-8, "exact law"),
    ]
