"""l2hmc-qcd's U(1) step from its formulas, and checkpoints after the layout of its save_ckpt.

Formulas: v' = e^{e s/2} v - (e/2)(F e^{e q} + t) twice a layer around the drifts of both halves,
x' = m x + (1 - m)[2 atan(e^{e s} tan(x/2)) + e (v e^{e q} + t)], e = sigmoid(log eps), with
s = c_s e^{coeff_s} tanh(W_s z + b_s), t = c_t (W_t z + b_t), q like s. Written one number after the
other and in no hurry; the sums of the networks are over the names of a state dict.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn import functional

ACTIVATIONS = {"leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x), "tanh": torch.tanh,
               "relu": lambda x: x.clamp(min=0), "swish": lambda x: x / (1 + torch.exp(-x)),
               "elu": lambda x: torch.where(x > 0, x, torch.expm1(x))}


@dataclass(frozen=True)
class Run:
    """One model: its state dict, and what only the run's configuration knows."""

    lattice: tuple[int, int] = (4, 4)  # Nt, Nx
    layers: int = 2
    units: tuple[int, ...] = (6, 5)
    filters: tuple[tuple[int, int], ...] = ()
    shared: bool = False
    split: bool = True
    batch_norm: bool = True
    activation: str = "leaky_relu"
    vnet_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of s, t, q
    xnet_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seed: int = 7
    beta: float = 1.5
    state: dict = field(default_factory=dict)

    @property
    def links(self):
        return 2 * self.lattice[0] * self.lattice[1]

    def masks(self):
        """m of each layer, [2, Nt, Nx]: as the constructor draws them after np.random.seed."""
        generator = np.random.RandomState(self.seed)
        masks = []
        for _ in range(self.layers):
            mask = np.zeros(self.links)
            mask[generator.permutation(np.arange(self.links))[:self.links // 2]] = 1
            masks.append(torch.from_numpy(mask).reshape(2, *self.lattice))
        return masks


def names(run):
    """Every network: (prefix, is it an xnet, layer, half)."""
    if run.shared:
        return [("vnet.", False, None, 0), ("xnet.", True, None, 0)]
    found = [(f"vnet.{n}.", False, n, 0) for n in range(run.layers)]
    for n in range(run.layers):
        halves = (("first.", 0), ("second.", 1)) if run.split else (("", 0),)
        found += [(f"xnet.{n}.{half}", True, n, index) for half, index in halves]
    return found


def trained(run, size=0.3, dtype=torch.float32):
    """`run` with random weights; coefficients of links that stand are 0, as training does it."""
    generator = torch.Generator().manual_seed(run.seed)

    def draw(*shape):
        return size * torch.randn(*shape, generator=generator, dtype=torch.float64)

    state = OrderedDict()
    for n in range(run.layers):
        for kind in ("xeps", "veps"):
            state[f"{kind}.{n}"] = 0.1 + 0.1 * torch.rand((), generator=generator,
                                                          dtype=torch.float64)
    for prefix, is_x, layer, half in names(run):
        for name, shape in shapes(run, is_x).items():
            state[prefix + name] = draw(*shape) / max(1, math.prod(shape[1:])) ** 0.5
        for name in ("scale.coeff", "transf.coeff"):
            state[prefix + name] = draw(1, run.links)
            if is_x and run.split and not run.shared:
                still = run.masks()[layer].reshape(1, -1) == (1 - half)
                state[prefix + name][still] = 0
        if run.batch_norm:
            width = run.units[-1]
            state |= {prefix + "batch_norm.weight": 1 + draw(width),
                      prefix + "batch_norm.bias": draw(width),
                      prefix + "batch_norm.running_mean": draw(width),
                      prefix + "batch_norm.running_var": 1 + draw(width).abs(),
                      prefix + "batch_norm.num_batches_tracked": torch.tensor(9)}
    return replace(run, state={k: v if v.dtype == torch.int64 else v.to(dtype)
                               for k, v in state.items()})


def shapes(run, is_x):
    """The linear layers of one network; convolutions grow the lattice, pooling halves it."""
    fields = (4 if is_x else 2) * run.lattice[0] * run.lattice[1]
    found, extents, channels, index = {}, list(run.lattice), 4 if is_x else 2, 1
    for n, (features, size) in enumerate(run.filters):
        index += 0 if n == 0 else 2
        found[f"input_layer.conv_stack.layers.{index}.weight"] = (features, channels, size, size)
        found[f"input_layer.conv_stack.layers.{index}.bias"] = (features,)
        extents, channels = [extent + size - 1 for extent in extents], features
        if n and n % 2 == 0:
            extents, index = [extent // 2 for extent in extents], index + 1
        index += 1 if n else 0
    if run.filters:
        place = f"input_layer.conv_stack.layers.{index + 2}"
        found |= {f"{place}.weight": (run.links, channels * extents[0] * extents[1]),
                  f"{place}.bias": (run.links,)}
        fields = run.links
    layers = {"input_layer.xlayer": (run.units[0], fields),
              "input_layer.vlayer": (run.units[0], run.links)}
    for n, units in enumerate(run.units[1:]):
        layers[f"hidden_layers.{n}"] = (units, run.units[n])
    for name in ("scale.layer", "transf.layer", "transl"):
        layers[name] = (run.links, run.units[-1])
    for name, shape in layers.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def save(path, run, change=lambda content: None, **more):
    """A file as save_ckpt writes it: float32 state dict with its copies, numpy step sizes, Adam."""
    state = OrderedDict((k, v.clone()) for k, v in run.state.items())
    state |= {f"networks.{k}": v for k, v in run.state.items() if "net." in k}
    moments = {n: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)} for n in range(2)}
    content = {
        "era": 1, "epoch": 20, "gstep": 120,
        "xeps": [run.state[f"xeps.{n}"].numpy() for n in range(run.layers)],
        "veps": [run.state[f"veps.{n}"].numpy() for n in range(run.layers)],
        "model_state_dict": state,
        "optimizer_state_dict": {"state": moments, "param_groups": [
            {"lr": 1e-3, "betas": (0.9, 0.999), "weight_decay": 0, "params": [0, 1]}]},
        **more,
    }
    change(content)
    torch.save(content, path)
    return path


def network(run, prefix, fields, other):
    """(s, t, q) [Nb, 2, Nt, Nx] of fields [Nb, channels, Nt, Nx] and other [Nb, 2, Nt, Nx]."""
    act = ACTIVATIONS[run.activation]

    def get(name):
        return run.state[prefix + name].double()

    def linear(name, x):
        return x @ get(f"{name}.weight").T + get(f"{name}.bias")

    if run.filters:
        places = sorted({int(name.split(".")[-2]) for name in run.state
                         if name.startswith(prefix + "input_layer.conv_stack")})
        for n, place in enumerate(places[:-1]):
            name = f"input_layer.conv_stack.layers.{place}"
            margin = run.filters[n][1] - 1
            for axis in (2, 3):
                extent = fields.shape[axis]
                fields = torch.cat([fields.narrow(axis, extent - margin, margin), fields,
                                    fields.narrow(axis, 0, margin)], axis)
            fields = functional.conv2d(fields, get(f"{name}.weight"), get(f"{name}.bias"))
            if n and n % 2 == 0:
                fields = functional.max_pool2d(fields, 2)
            fields = act(fields) if n else fields
        fields = act(linear(f"input_layer.conv_stack.layers.{places[-1]}", fields.flatten(1)))
    z = act(linear("input_layer.xlayer", fields.flatten(1))
            + linear("input_layer.vlayer", other.flatten(1)))
    for n in range(len(run.units) - 1):
        z = act(linear(f"hidden_layers.{n}", z))
    if run.batch_norm:
        z = ((z - get("batch_norm.running_mean")) / (get("batch_norm.running_var") + 1e-5).sqrt()
             * get("batch_norm.weight") + get("batch_norm.bias"))
    of_s, of_t, of_q = run.xnet_weights if prefix.startswith("x") else run.vnet_weights
    s = of_s * get("scale.coeff").exp() * linear("scale.layer", z).tanh()
    q = of_q * get("transf.coeff").exp() * linear("transf.layer", z).tanh()
    return tuple(one.reshape(other.shape) for one in (s, of_t * linear("transl", z), q))


def action(run, x):
    plaquette = x[:, 0] + x[:, 1].roll(-1, 1) - x[:, 0].roll(-1, 2) - x[:, 1]
    return run.beta * (1 - plaquette.cos()).sum((1, 2))


def force(run, x):
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(action(run, leaf).sum(), leaf)[0]


def acting(run, kind, n):
    return 1 / (1 + torch.exp(-torch.log(run.state[f"{kind}.{n}"].double())))


def half_kick(run, n, x, v, sign=1):
    e = acting(run, "veps", n)
    s, t, q = network(run, "vnet." if run.shared else f"vnet.{n}.", x, force(run, x))
    push = 0.5 * e * (force(run, x) * torch.exp(e * q) + t)
    scale = torch.exp(sign * e * s / 2)
    moved = scale * v - push if sign > 0 else scale * (v + push)
    return moved, (sign * e * s / 2).flatten(1).sum(1)


def half_drift(run, n, x, v, m, half, sign=1):
    """The links with m = 0 move; sign -1 is upstream's own backward update, as it stands there."""
    e = acting(run, "xeps", n)
    prefix = "xnet." if run.shared else f"xnet.{n}." + (("first.", "second.")[half] if run.split
                                                         else "")
    s, t, q = network(run, prefix, torch.cat([(m * x).cos(), (m * x).sin()], 1), v)
    scale = torch.exp(sign * e * s)
    shift = e * (v * torch.exp(e * q) + t)
    moved = 2 * torch.atan(scale * torch.tan(x / 2)) + (shift if sign > 0 else -scale * shift)
    log_det = torch.log(scale / (torch.cos(x / 2) ** 2 + (scale * torch.sin(x / 2)) ** 2))
    x = m * x + (1 - m) * moved
    return (x + math.pi) % (2 * math.pi) - math.pi, ((1 - m) * log_det).flatten(1).sum(1)


def forward(run, x, v):
    """(x', v', log|J|) of all layers in the forward direction."""
    total = 0.0
    for n, m in enumerate(run.masks()):
        v, kicked = half_kick(run, n, x, v)
        x, first = half_drift(run, n, x, v, m, 0)
        x, second = half_drift(run, n, x, v, 1 - m, 1)
        v, again = half_kick(run, n, x, v)
        total = total + kicked + first + second + again
    return x, v, total


def backward(run, x, v):
    """(x', v', log|J|) of all layers by upstream's own backward updates, last layer first."""
    total = 0.0
    for n, m in reversed(list(enumerate(run.masks()))):
        v, kicked = half_kick(run, n, x, v, -1)
        x, second = half_drift(run, n, x, v, 1 - m, 1, -1)
        x, first = half_drift(run, n, x, v, m, 0, -1)
        v, again = half_kick(run, n, x, v, -1)
        total = total + kicked + first + second + again
    return x, v, total
