"""The networks inside `layered.py`: dense layers, with convolutions before them if wanted."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from l2hmc_bridge.errors import ConfigError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": functional.leaky_relu, "relu": functional.relu, "tanh": torch.tanh,
    "elu": functional.elu, "swish": functional.silu,
}


class Convolutions(nn.Module):
    """Convolutions with periodic padding, then one linear layer to `count` numbers.

    A kernel of size n pads n - 1 on every side, so the field grows by n - 1; every second one after
    the first ends in max pooling by 2; the activation follows every one but the first.
    Raises ConfigError for kernels that do not fit the field.
    """

    def __init__(self, channels: int, lattice: tuple[int, ...],
                 filters: tuple[tuple[int, int], ...], count: int, activation: str):
        super().__init__()
        self.activation, self.layers = activation, nn.ModuleList()
        for n, (features, size) in enumerate(filters):
            if not 2 <= size <= min(lattice) + 1:
                raise ConfigError(f"filters: expected sizes of 2 to {min(lattice) + 1} on "
                                  f"{list(lattice)}, found {size}")
            self.layers.append(nn.Conv2d(channels, features, size, dtype=torch.float64))
            lattice = tuple((extent + size - 1) // (2 if _pooled(n) else 1) for extent in lattice)
            channels = features
        self.last = nn.Linear(channels * torch.Size(lattice).numel(), count, dtype=torch.float64)

    def forward(self, fields: Tensor) -> Tensor:
        """[Nb, channels, Nt, Nx] -> [Nb, count]."""
        act = ACTIVATIONS[self.activation]
        for n, layer in enumerate(cast(Sequence[nn.Conv2d], self.layers)):
            margin = layer.kernel_size[0] - 1
            fields = layer(functional.pad(fields, (margin,) * 4, mode="circular"))
            fields = functional.max_pool2d(fields, 2) if _pooled(n) else fields
            fields = act(fields) if n else fields
        return act(self.last(fields.flatten(1)))


class Network(nn.Module):
    """(s, q, t) of `channels` fields X and one field Y per link; see above. Raises ConfigError."""

    def __init__(self, channels: int, shape: tuple[int, ...], units: tuple[int, ...],
                 filters: tuple[tuple[int, int], ...], activation: str):
        super().__init__()
        self.shape, self.activation = shape, activation
        count, double = torch.Size(shape).numel(), torch.float64
        self.front = (Convolutions(channels * shape[0], shape[1:], filters, count, activation)
                      if filters else None)
        self.field = nn.Linear(count if filters else channels * count, units[0], dtype=double)
        self.other = nn.Linear(count, units[0], dtype=double)
        self.hidden = nn.ModuleList(nn.Linear(*pair, dtype=double)
                                    for pair in zip(units, units[1:], strict=False))
        self.last = nn.Linear(units[-1], 3 * count, dtype=double)  # s, q, t one after the other
        self.amplitude = nn.Parameter(torch.ones(2 * count, dtype=double))  # of s, then of q

    def forward(self, fields: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(s, q, t), each like `other`, of fields [Nb, channels * 2, Nt, Nx]."""
        act = ACTIVATIONS[self.activation]
        seen = fields.flatten(1) if self.front is None else self.front(fields)
        units = act(self.field(seen) + self.other(other.flatten(1)))
        for layer in self.hidden:
            units = act(layer(units))
        s, q, t = self.last(units).unflatten(1, (3, -1)).unbind(1)
        of_s, of_q = self.amplitude.chunk(2)
        s, q = of_s * torch.tanh(s), of_q * torch.tanh(q)
        return s.reshape(other.shape), q.reshape(other.shape), t.reshape(other.shape)


def _pooled(n: int) -> bool:
    return n > 0 and n % 2 == 0
