"""Networks of whole leapfrog layers on U(1), as l2hmc-qcd trains them, with listed masks.

    kick    v' = v e^{e s/2} - (e/2) [F e^{e q} + t],             (s, q, t) = VNet_n(x, F)
    drift   x_A' = 2 atan(e^{e s} tan(x_A/2)) + e (v e^{e q} + t),  (s, q, t) = XNet_n(x_B, v)

Layer n is a half kick, the drifts of both halves of its mask, and a half kick with the same VNet_n
at the new field. Between two drifts the closing half kick of layer n-1 and the opening one of
layer n see one field; both are affine in v, so that they are one kick here, with one force:

    v' = a_2 (a_1 v - b_1) - b_2,    a = e^{h s},    b = h [F e^{2 h q} + t]

Each network is z = act(W_x X + W_v Y + b), z = act(W z + b) for every further layer of units, then
s = A_s tanh(W_s z + b_s), q likewise and t = W_t z + b_t; X may go through convolutions first.
VNet sees the angles in [-pi, pi) as they are, XNet (cos, sin) of the frozen ones and of zero for
the others: exact, but neither gauge covariant nor smooth. They fit one lattice.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.networks.layers import ACTIVATIONS, Network
from l2hmc_bridge.networks.masks import packed, unpacked
from l2hmc_bridge.networks.parts import Mixing
from l2hmc_bridge.systems.groups import GROUPS

KIND = "l2hmc-qcd"


class Layered(nn.Module):
    """What LayeredKick and LayeredDrift share: `networks` of one make, a group, a lattice."""

    kind, channels = KIND, 1
    by_inputs = True  # random weights that stand in for these shrink with the inputs they sum over

    def __init__(self, group: str, shape: tuple[int, ...], units: tuple[int, ...],
                 filters: tuple[tuple[int, int], ...], activation: str, networks: int, kind: str):
        super().__init__()
        if kind != KIND or group != "u1" or len(shape) != 3 or activation not in ACTIVATIONS:
            raise ConfigError(f"kind, group, activation: expected {KIND!r} on a lattice of u1 with "
                              f"one of {', '.join(ACTIVATIONS)}, found {kind!r}, {group!r}, "
                              f"{list(shape)}, {activation!r}")
        if not units or min(units) < 1:
            raise ConfigError(f"units: expected at least one layer of units, found {units}")
        self.shape, self.units, self.activation = tuple(shape), tuple(units), activation
        self.filters = tuple((int(features), int(size)) for features, size in filters)
        self.networks = nn.ModuleList(
            Network(self.channels, self.shape, self.units, self.filters, activation)
            for _ in range(networks))

    @property
    def weight(self) -> Tensor:
        """Last layers, [networks, 3 * links, units]."""
        return torch.stack([one.last.weight for one in self.each()])

    @property
    def bias(self) -> Tensor:
        """Of the last layers, [networks, 3 * links]."""
        return torch.stack([one.last.bias for one in self.each()])

    def each(self) -> Sequence[Network]:
        """The networks in turn."""
        return cast(Sequence[Network], self.networks)

    @property
    def first(self) -> nn.Module:
        """First layers of the fields."""
        return nn.ModuleList(one.field for one in self.each())

    @property
    def inputs(self) -> int:
        """Numbers that one of their units sums over."""
        return self.each()[0].field.in_features

    @property
    def fits(self) -> tuple[int, ...]:
        """[2, Nt, Nx] of the one lattice."""
        return self.shape

    def check(self, field: Tensor) -> None:
        """LayoutError unless the network fits the lattice of `field`."""
        if tuple(field.shape[1:]) != self.shape:
            raise LayoutError(f"lattice {list(field.shape[1:])}: expected {list(self.shape)}, the "
                              f"one this {self.kind} network was made for")

    def description(self) -> dict:
        """What `architecture.build` needs to make the same network again."""
        return {"kind": self.kind, "shape": list(self.shape), "units": list(self.units),
                "filters": [list(pair) for pair in self.filters], "activation": self.activation,
                "networks": len(self.networks)}


class LayeredKick(Layered):
    """VNet: the closing half kick of one layer and the opening one of the next as one kick.

    `halves[k]` = (closing, opening), what these two take of the step of kick k; the first kick has
    no closing half, the last no opening one. One network per layer, or one for all.
    """

    def __init__(self, steps: int, group: str, shape: tuple[int, ...], units: tuple[int, ...],
                 halves: tuple[tuple[float, float], ...], networks: int,
                 filters: tuple[tuple[int, int], ...] = (), activation: str = "leaky_relu",
                 kind: str = KIND):
        super().__init__(group, shape, units, filters, activation, networks, kind)
        self.halves = tuple((float(closing), float(opening)) for closing, opening in halves)
        if len(self.halves) != steps or networks not in (1, steps - 1):
            raise ConfigError(f"halves, networks: expected {steps} and 1 or {steps - 1}, found "
                              f"{len(self.halves)} and {networks}")

    def description(self) -> dict:
        return super().description() | {"halves": [list(pair) for pair in self.halves]}

    def features(self, field: Tensor, force: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """What the kicks at one field share: the field and its force."""
        return field, force

    def forward(self, kick: int, step: Tensor, features: tuple[Tensor, Tensor]):
        """(s, 0, t) of kick number `kick`: h s = h_1 s_1 + h_2 s_2, h (F + t) = a_2 b_1 + b_2."""
        field, force = features
        exponent, push = torch.zeros_like(force), torch.zeros_like(force)
        for layer, part in zip((kick - 1, kick), self.halves[kick], strict=True):
            if not 0 <= layer < len(self.halves) - 1:
                continue
            h = step * part
            s, q, t = self.each()[layer % len(self.networks)](field, force)
            push = torch.exp(h * s) * push + h * (force * torch.exp(2 * h * q) + t)
            exponent = exponent + h * s
        return exponent / step, torch.zeros_like(force), push / step - force


class LayeredDrift(Layered):
    """XNet: the links that `masks` freezes stand while the others move, then the reverse.

    `masks[k]` lists the links that stand first in layer k, as the hexadecimal digits of one bit per
    link of the flattened [2, Nt, Nx]. One network for all, one per layer, or two (first, second).
    """

    channels = 2  # cos and sin
    masks: Tensor  # bool [layers, 2, Nt, Nx]

    def __init__(self, steps: int, group: str, shape: tuple[int, ...], units: tuple[int, ...],
                 masks: tuple[str, ...], networks: int,
                 filters: tuple[tuple[int, int], ...] = (), activation: str = "leaky_relu",
                 kind: str = KIND):
        super().__init__(group, shape, units, filters, activation, networks, kind)
        if len(masks) != steps or networks not in (1, steps, 2 * steps):
            raise ConfigError(f"masks, networks: expected {steps} and 1, {steps} or {2 * steps}, "
                              f"found {len(masks)} and {networks}")
        listed = torch.stack([unpacked(digits, self.shape) for digits in masks])
        self.register_buffer("masks", listed, persistent=False)

    def description(self) -> dict:
        return super().description() | {"masks": [packed(mask) for mask in self.masks]}

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """Lambda+ (sign 1) or its exact inverse (sign -1), and log|J| [Nb]."""
        field, k, e = links, drift, step
        halves = ((self.masks[k], 0), (~self.masks[k], 1))
        log_det = momenta.new_zeros(len(momenta))
        for frozen, second in halves if sign > 0 else halves[::-1]:
            seen = torch.where(frozen, field, 0.0)
            network = self.network(k, second)
            s, q, t = network(torch.cat([torch.cos(seen), torch.sin(seen)], dim=1), momenta)
            moved, change = self.update(field, e * s, e * (momenta * torch.exp(e * q) + t), sign)
            field = torch.where(frozen, field, moved)
            log_det = log_det + torch.where(frozen, 0.0, change).flatten(1).sum(1)
        return field, log_det

    def network(self, k: int, second: int) -> Network:
        """That of layer k for its first (0) or second (1) half."""
        if len(self.networks) == 2 * len(self.masks):
            return self.each()[2 * k + second]
        return self.each()[k % len(self.networks)]

    def update(self, field: Tensor, exponent: Tensor, shift: Tensor, sign: int):
        """The group's update (sign 1) or its inverse (sign -1), and log dx'/dx."""
        group = GROUPS["u1"]
        return (group.update if sign > 0 else group.update_back)(field, exponent, shift)
