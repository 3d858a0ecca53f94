"""Training in single precision: what is differentiated runs on fields in complex64.

Master weights, step sizes, the optimiser and the chains themselves stay in double precision, and so
does every number that accepts or rejects: sums over a lattice are float64 whatever its links are.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.l2hmc.kernel import L2HMC

NETWORKS = ("kick_network", "drift_network")


def single(kernel: L2HMC) -> L2HMC:
    """The kernel for fields in complex64: networks are copies in float32, all else is shared."""
    copies = {name: copy.deepcopy(network).to(torch.float32)
              for name, network in _networks(kernel).items()}
    return replace(kernel, kick_network=copies.get("kick_network"),
                   drift_network=copies.get("drift_network"))


def hand_back(lowered: L2HMC, kernel: L2HMC) -> None:
    """Gradients of the networks of `single(kernel)` become those of the kernel, in float64."""
    masters = _networks(kernel)
    for name, network in _networks(lowered).items():
        for one, master in zip(network.parameters(), masters[name].parameters(), strict=True):
            master.grad = None if one.grad is None else one.grad.to(master.dtype)


def kept(links: Tensor, proposed: Tensor, accepted: Tensor,
         project: Callable[[Tensor], Tensor]) -> Tensor:
    """Chains in complex128: where accepted what was proposed, projected onto the group again."""
    moved = links.clone()
    if bool(accepted.any()):
        moved[accepted] = project(proposed[accepted].to(links.dtype))
    return moved


def _networks(kernel: L2HMC) -> dict[str, Any]:
    return {name: part for name, part in architecture.modules(kernel).items()
            if name in NETWORKS}
