"""Weights of the gauge-covariant networks as the compiled kernels take them."""

import torch

from l2hmc_bridge.fast.cpu import learned
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork


def kick_weights(network: KickNetwork, beta: float) -> list[learned.Network]:
    """Inputs Re tr(U A)/18, <F,F>/(8 beta) and beta - 6, the last one folded into the offset."""
    return _folded(network, (1 / 18, 1 / (8 * max(beta, 1e-3))), beta)


def drift_weights(network: DriftNetwork, beta: float) -> list[learned.Network]:
    """Inputs tr(A A^dagger)/36, <P,P>/8 and beta - 6."""
    return _folded(network, (1 / 36, 1 / 8), beta)


def _folded(network: KickNetwork | DriftNetwork, scale: tuple[float, float], beta: float
            ) -> list[learned.Network]:
    first = network.first.weight.detach()
    offset = network.first.bias.detach() + first[:, 2] * (beta - 6)
    inputs = first[:, :2] * torch.tensor(scale, dtype=torch.float64)
    return learned.networks(inputs, offset, network.weight, network.bias, network.activation)
