"""Step sizes and weights of the gauge-covariant networks as the kernels take them."""

from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.cpu import learned
from l2hmc_bridge.fast.gpu.learned.networks import LOOPS, Network, networks
from l2hmc_bridge.l2hmc.engine import Map
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork


class Folded(NamedTuple):
    """Networks of two invariants: scales are folded into the weights, beta - 6 into the offset."""

    first: Tensor  # [hidden, 2]
    offset: Tensor  # [hidden]
    weights: Tensor  # [networks, outputs, hidden]
    biases: Tensor  # [networks, outputs]
    activation: str


def step_sizes(kernel: Map) -> tuple[list[float], list[float], list[float]]:
    """(kicks, drifts, displacements) as numbers, read in one go: they may lie on a GPU."""
    parts = kernel.effective()
    numbers = iter(torch.cat(parts).tolist())
    kicks, drifts, displacements = ([next(numbers) for _ in range(len(part))] for part in parts)
    return kicks, drifts, displacements


def kick_weights(network: KickNetwork, beta: float) -> list[learned.Network]:
    """For kernels in main memory."""
    return learned.networks(*_of_kicks(network, beta))


def drift_weights(network: DriftNetwork, beta: float) -> list[learned.Network]:
    """For kernels in main memory."""
    return learned.networks(*_of_drifts(network, beta))


def kick_rows(network: KickNetwork, beta: float, like: Tensor) -> list[Network]:
    """For kernels on a GPU, where the field `like` is, in its precision."""
    places = [0, 1, *(2 + LOOPS.index(name) for name in network.loops)]
    return networks(*_of_kicks(network, beta), places, like)


def drift_rows(network: DriftNetwork, beta: float, like: Tensor) -> list[Network]:
    """For kernels on a GPU, where the field `like` is, in its precision."""
    places = range(len(network.outputs))
    return networks(*_of_drifts(network, beta), places, like)


def _of_kicks(network: KickNetwork, beta: float) -> Folded:
    """Inputs Re tr(U A)/18, <F,F>/(8 beta) and beta - 6."""
    return _folded(network, (1 / 18, 1 / (8 * max(beta, 1e-3))), beta)


def _of_drifts(network: DriftNetwork, beta: float) -> Folded:
    """Inputs tr(A A^dagger)/36, <P,P>/8 and beta - 6."""
    return _folded(network, (1 / 36, 1 / 8), beta)


def _folded(network: KickNetwork | DriftNetwork, scale: tuple[float, float], beta: float) -> Folded:
    first = network.first.weight.detach()
    offset = network.first.bias.detach() + first[:, 2] * (beta - 6)
    inputs = first[:, :2] * torch.tensor(scale, dtype=torch.float64, device=first.device)
    return Folded(inputs, offset, network.weight.detach(), network.bias.detach(),
                  network.activation)
