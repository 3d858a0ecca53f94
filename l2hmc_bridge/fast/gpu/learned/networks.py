"""Scalar networks as the kernels take them, those of networks/covariant.py."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LOOPS = ("square", "rectangle", "laplacian")  # in the order of a kick network's outputs
ROW, INPUTS = 8, 3  # numbers of a row of weights; two inputs and the offset come first


class Network(NamedTuple):
    """A network as the kernels take it: hidden + 1 rows of ROW numbers."""

    rows: Tensor
    tanh: bool

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return len(self.rows) - 1


def networks(first: Tensor, offset: Tensor, weights: Tensor, biases: Tensor, activation: str,
             places: Sequence[int], like: Tensor) -> list[Network]:
    """Networks with a common hidden layer: first [hidden, 2], offset [hidden], and for each of them
    weights[k] [outputs, hidden], biases[k] [outputs], for fields `like` this.

    Each is weight f(first in + offset) + bias of a link. places: which of the kernels' five outputs
    each output is; those of one place are added up.
    """
    rows = torch.zeros(len(weights), len(offset) + 1, ROW, dtype=torch.float64,
                       device=weights.device)
    rows[:, :-1, :2], rows[:, :-1, 2] = first, offset
    outputs = torch.cat([weights, biases[:, :, None]], dim=2).mT
    start = INPUTS + places[0]
    if list(places) == list(range(places[0], places[0] + len(places))):  # few calls on a GPU
        rows[:, :, start : start + len(places)] = outputs
    else:
        for output, place in enumerate(places):
            rows[:, :, INPUTS + place] += outputs[:, :, output]
    return [Network(one, activation == "tanh") for one in rows.to(like)]


def of_network(network: Network | None) -> tuple[Tensor | None, int]:
    """Its rows and hidden units, as kernels take them."""
    return (None, 0) if network is None else (network.rows, network.hidden)
