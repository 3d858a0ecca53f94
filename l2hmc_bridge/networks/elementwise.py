"""Networks where every component of a field has a meaning of its own: angles of U(1), vectors.

    kick    (s, q, t) = PNet(x, F):      v' = v e^{h s} - h [F e^{2 h q} + t],     log|J| = sum h s
    drift   (s, q, T) = XNet(x_B, v):    x_A' = update(x_A, e s, e v e^{e q} + T)

`update` is the group's: 2 atan(e^{e s} tan(x/2)) + c on angles, x e^{e s} + c on vectors, each
with its log|J|; first the half A of a checkerboard moves, then B. T = e t is a translation by
itself: it stays what it is when step sizes change. Networks see a field as its group shows it
(cos x, sin x), and their last layers start at zero: the untrained step is HMC.

Dense networks fit one lattice, convolutions with periodic padding any one.
"""

import torch
from torch import Tensor, nn

from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.networks.parts import Mixing
from l2hmc_bridge.systems.groups import GROUPS

OUTPUTS = ("s", "q", "t")
KINDS = ("dense", "conv", "gate")


class Elementwise(nn.Module):
    """One hidden layer shared by the sub-steps, one last layer for each of `layers`.

    kind "dense": tanh(W in + b) on the flattened lattice; "conv": the same with a periodic 3 x 3
    convolution, last layer 1 x 1; "gate" (drifts only): exactly one of `hidden` units is on, the
    one whose random projection of v is largest, so that t is one of `hidden` learned translations.
    `outputs` names what there is of s, q, t; the others are zero. Raises ConfigError.
    """

    channels = 0  # fields that the hidden layer sees, set by the two subclasses
    by_inputs = False

    def __init__(self, steps: int, group: str, shape: tuple[int, ...], kind: str = "dense",
                 hidden: int = 8, outputs: tuple[str, ...] = OUTPUTS,
                 layers: tuple[int, ...] | None = None):
        super().__init__()
        self.layers = tuple(range(steps)) if layers is None else tuple(int(n) for n in layers)
        self.group, self.shape, self.kind, self.hidden = group, tuple(shape), kind, int(hidden)
        self.outputs = tuple(outputs)
        self._check_choices(steps)
        double, size = torch.float64, self._last_size()
        inputs = self._fields() * (shape[0] if kind == "conv" else _count(shape))
        self.first: nn.Conv2d | nn.Linear
        if kind == "conv":
            self.first = nn.Conv2d(inputs, self.hidden, 3, padding=1, padding_mode="circular",
                                   dtype=double)
            inputs *= 9
        else:
            self.first = nn.Linear(inputs, self.hidden, dtype=double)
        self.inputs = inputs
        if kind == "gate":
            self.first.requires_grad_(False)
        rows = (len(self.layers), len(self.outputs), size)
        self.weight = nn.Parameter(torch.zeros(*rows, self.hidden, dtype=double))
        self.bias = nn.Parameter(torch.zeros(*rows, dtype=double))
        if kind == "gate":  # the unit that is on carries it all
            self.bias.requires_grad_(False)

    @property
    def fits(self) -> tuple[int, ...] | None:
        """Shape of the one field it fits; None for convolutions, which fit any lattice."""
        return None if self.kind == "conv" else self.shape

    def check(self, field: Tensor) -> None:
        """LayoutError unless the network fits the lattice of `field`."""
        if self.kind != "conv" and tuple(field.shape[1:]) != self.shape:
            raise LayoutError(f"lattice {list(field.shape[1:])}: expected {list(self.shape)}, the "
                              f"one this {self.kind} network was made for")

    def description(self) -> dict:
        """What `architecture.build` needs to make the same network again."""
        return {"kind": self.kind, "hidden": self.hidden, "outputs": list(self.outputs),
                "layers": list(self.layers), "shape": list(self.shape)}

    def hidden_units(self, fields: list[Tensor]) -> Tensor:
        """[Nb, hidden] (dense, gate) or [Nb, hidden, Nt, Nx] (conv) of fields [Nb, *shape]."""
        if self.kind == "conv":
            return torch.tanh(self.first(torch.cat(fields, dim=1)))
        before = self.first(torch.cat([field.flatten(1) for field in fields], dim=1))
        if self.kind == "gate":
            return nn.functional.one_hot(before.argmax(1), self.hidden).to(before)
        return torch.tanh(before)

    def read_out(self, k: int, hidden: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """(s, q, t) of sub-step k, each like `like`; zeros for what there is not."""
        if k not in self.layers:
            return (torch.zeros_like(like),) * len(OUTPUTS)
        layer, given = self.layers.index(k), {}
        for name, w, b in zip(self.outputs, self.weight[layer], self.bias[layer], strict=True):
            if self.kind == "conv":
                out = torch.einsum("ch,bhtx->bctx", w, hidden) + b[:, None, None]
            else:
                out = hidden @ w.T + b
            given[name] = out.reshape(like.shape)
        return tuple(given[name] if name in given else torch.zeros_like(like) for name in OUTPUTS)

    def has(self, k: int, name: str) -> bool:
        """Whether sub-step k has output `name`; it is zero otherwise."""
        return k in self.layers and name in self.outputs

    def _fields(self) -> int:
        return 1 if self.kind == "gate" else self.channels + (2 if self.group == "u1" else 1)

    def _last_size(self) -> int:
        return self.shape[0] if self.kind == "conv" else _count(self.shape)

    def _check_choices(self, steps: int) -> None:
        kinds = KINDS if isinstance(self, ElementwiseDrift) else KINDS[:2]
        if self.kind not in kinds or (self.kind == "conv" and len(self.shape) != 3):
            raise ConfigError(f"kind: expected one of {', '.join(kinds)} (conv on lattices only), "
                              f"found {self.kind!r}")
        if not self.outputs or set(self.outputs) - set(OUTPUTS) or self.hidden < 1:
            raise ConfigError(f"outputs, hidden: expected some of {OUTPUTS} and at least 1, found "
                              f"{self.outputs} and {self.hidden}")
        if not self.layers or not set(self.layers) <= set(range(steps)):
            raise ConfigError(f"layers: expected some of 0 to {steps - 1}, found {self.layers}")


class ElementwiseKick(Elementwise):
    """PNet: (s, q, t) from the field and its force."""

    channels = 1  # the force

    def features(self, field: Tensor, force: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """What the kicks at one field share: (hidden units, the force)."""
        return self.hidden_units([*GROUPS[self.group].seen(field), force]), force

    def forward(self, kick: int, step: Tensor, features: tuple[Tensor, Tensor]):
        """(s, q, t) of kick number `kick`, each like the force."""
        hidden, force = features
        return self.read_out(kick, hidden, force)


class ElementwiseDrift(Elementwise):
    """XNet: s, q, t of one half of the field from the other half and the momenta."""

    channels = 1  # the momenta

    def first_half(self, field: Tensor) -> Tensor:
        """The half that moves first, bool [*shape]: (sum of all indices) even, a checkerboard."""
        axes = [torch.arange(n, device=field.device) for n in field.shape[1:]]
        return torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0) % 2 == 0

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """Lambda+ (sign 1) or its exact inverse (sign -1), and log|J| [Nb]."""
        field, k, e = links, drift, step
        first, group = self.first_half(field), GROUPS[self.group]
        halves = [first, ~first] if sign > 0 else [~first, first]
        if self.kind == "gate":  # what moves a component depends on momenta alone: all at once
            halves = [torch.ones_like(first)]
        log_det = momenta.new_zeros(len(momenta))
        for active in halves:
            s, q, t = self.read_out(k, self._units(field, momenta, active), momenta)
            push = momenta * torch.exp(e * q) if self.has(k, "q") else momenta
            if self.has(k, "s"):
                update = group.update if sign > 0 else group.update_back
                moved, change = update(field, e * s, e * push + t)
            else:  # it only shifts
                moved = group.project(field + sign * (e * push + t))
                change = torch.zeros_like(field)
            field = torch.where(active, moved, field)
            log_det = log_det + torch.where(active, change, 0.0).flatten(1).sum(1)
        return field, log_det

    def _units(self, field: Tensor, momenta: Tensor, active: Tensor) -> Tensor:
        if self.kind == "gate":
            return self.hidden_units([momenta])
        seen = GROUPS[self.group].seen(field)
        return self.hidden_units([*(torch.where(active, 0.0, one) for one in seen), momenta])


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count
