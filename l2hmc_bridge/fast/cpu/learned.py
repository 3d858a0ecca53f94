"""Kicks and drifts with scalar networks in the blocked layout, one pass over the lattice each.

The networks are those of `networks/covariant.py`: weight f(first in + offset) + bias per link.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu.library import ALGEBRA, Lattice, plain
from l2hmc_bridge.fast.cpu.shapes import check_shape

MOST_OUTPUTS = 8
FORWARD, INVERSE, TURN = range(3)  # modes of a kick
NO_DIRECTION = -1
ALONE, FIRST, LAST = range(3)  # of a subset that drifts: no other link moves, or after or before it
ACTIVATIONS = ("tanh", "isru")  # f of a network, isru: x / sqrt(1 + x^2)

_INT, _DOUBLE, _POINTER = ctypes.c_int, ctypes.c_double, ctypes.c_void_p


class _Network(ctypes.Structure):
    _fields_ = [("hidden", _INT), ("outputs", _INT), ("activation", _INT), ("first", _POINTER),
                ("offset", _POINTER), ("weight", _POINTER), ("bias", _POINTER)]


class _Squares(ctypes.Structure):
    _fields_ = [("mu", _INT), ("odd", _INT), ("of_blocks", _POINTER)]


class _Kick(ctypes.Structure):
    _fields_ = [("net", _Network), ("h", _DOUBLE), ("mode", _INT), ("square", _INT),
                ("beta", _DOUBLE), ("c1", _DOUBLE), ("mixing", _DOUBLE), ("wanted", _Squares),
                ("links", _POINTER), ("force", _POINTER),
                ("invariants", _POINTER), ("base", _POINTER), ("loops", _POINTER * MOST_OUTPUTS),
                ("scale", _POINTER), ("momenta", _POINTER), ("keep_scale", _POINTER),
                ("keep_force", _POINTER), ("keep_invariants", _POINTER),
                ("keep_square", _POINTER), ("out", _POINTER)]


class _Drift(ctypes.Structure):
    _fields_ = [("net", _Network), ("mu", _INT), ("odd", _INT), ("order", _INT), ("e", _DOUBLE),
                ("sign", _DOUBLE), ("mixing", _DOUBLE), ("known", _Squares),
                ("momenta", _POINTER), ("links", _POINTER)]


class _Task(ctypes.Structure):
    _fields_ = [("kick", _POINTER), ("drift", _POINTER), ("out", _POINTER)]


class Network(NamedTuple):
    """Where the kernels find the weights of one network, and the tensors that hold them."""

    structure: _Network
    outputs: int
    weights: tuple[Tensor, ...]


class Squares(NamedTuple):
    """Room for tr A A^dagger of the links of direction mu and one parity (odd or even).

    Only blocks whose sites all have this parity have any: those of lattices whose halved directions
    are multiples of four, or not halved.
    """

    mu: int
    odd: bool
    of_blocks: Tensor  # [Nb, blocks, lanes]

    def structure(self) -> _Squares:
        """What the kernels take."""
        return _Squares(self.mu, int(self.odd), self.of_blocks.data_ptr())


NO_SQUARES = _Squares()


def networks(first: Tensor, offset: Tensor, weights: Tensor, biases: Tensor,
             activation: str = "tanh") -> list[Network]:
    """Networks with a common hidden layer: first [hidden, 2], offset [hidden], and for each of them
    weights[k] [outputs, hidden], biases[k] [outputs]; f is one of ACTIVATIONS. ConfigError beyond
    MOST_OUTPUTS outputs, LayoutError for other shapes.
    """
    count, outputs, hidden = weights.shape
    for name, one, shape in (("first", first, (hidden, 2)), ("offset", offset, (hidden,)),
                             ("bias", biases, (count, outputs))):
        check_shape(f"network: {name}", one, shape)
    if outputs > MOST_OUTPUTS:
        raise ConfigError(f"network: expected at most {MOST_OUTPUTS} outputs, found {outputs}")
    kept = tuple(plain(one).to(torch.float64) for one in (first, offset, weights, biases))
    first_at, offset_at, weight_at, bias_at = (one.data_ptr() for one in kept)
    return [Network(_Network(hidden, outputs, ACTIVATIONS.index(activation), first_at, offset_at,
                             weight_at + 8 * k * outputs * hidden, bias_at + 8 * k * outputs),
                    outputs, kept) for k in range(count)]


def network(first: Tensor, offset: Tensor, weight: Tensor, bias: Tensor,
            activation: str = "tanh") -> Network:
    """One network."""
    return networks(first, offset, weight[None], bias[None], activation)[0]


class Local(NamedTuple):
    """What the force kernel finds of each link of a field, in the blocked layout."""

    force: Tensor
    invariants: Tensor | None = None  # Re tr(U A) and <F, F>, what a kick network sees
    square: Tensor | None = None  # TA((U A)^2) / 36


class Push(NamedTuple):
    """What a kick pushes with at `links`: F e^{2 h^2 q} + h^2 sum_l c_l V_l + mixing Lap F.

    (s, q, c_0, ...) is the network of the invariants Re tr(U A) and <F, F> of each link; a V_l that
    is None is the covariant Laplacian of `base`; Lap is the transverse one. Without `force` it is
    computed on the way for the action (beta, c1) and never stored; the V_l with number `square` is
    then TA((U A)^2) / 36, no other one is None, and mixing is 0. Without a network s is `scale`.
    Computed, it leaves the squares of the staples of a subset in `wanted`.
    """

    links: Tensor
    net: Network | None = None
    force: Tensor | None = None
    invariants: Tensor | None = None
    base: Tensor | None = None
    loops: tuple[Tensor | None, ...] = ()
    mixing: float = 0.0
    beta: float = 0.0
    c1: float = 0.0
    square: int = -1
    scale: Tensor | None = None
    wanted: Squares | None = None


class Task(NamedTuple):
    """A kick or a drift that is to run."""

    structure: _Kick | _Drift
    held: tuple  # whatever the structure points to
    changes: Tensor | None = None  # of a kick, once it has run: log|J| [Nb]; of a part counts of it
    weight: float = 0.0  # of these counts; 0: there are none


def kick_task(lattice: Lattice, push: Push, h: float, momenta: Tensor | None, mode: int,
              out: Tensor, keep_scale: Tensor | None = None, keep: Local | None = None) -> Task:
    """What `kick` does."""
    net = push.net.structure if push.net else _Network()
    loops = (_POINTER * MOST_OUTPUTS)(*(_address(loop) for loop in push.loops))
    task = _Kick(net, float(h), mode, push.square, push.beta, push.c1,
                 float(push.mixing), _squares(push.wanted),
                 *(_address(one) for one in (push.links, push.force, push.invariants, push.base)),
                 loops, *(_address(one) for one in (push.scale, momenta, keep_scale,
                                                    *(keep or (None, None, None)), out)))
    held, chains = (push, momenta, out, keep_scale, keep), push.links.shape[0]
    if lattice.part is None:
        return Task(task, held, torch.empty(chains, dtype=torch.float64))
    sign = 0.0 if push.net is None and push.scale is None else (1.0, -1.0, 0.0)[mode]
    return Task(task, held, lattice.counts(chains, 1)[:, 0], sign * ALGEBRA * float(h) * float(h))


def log_det(lattice: Lattice, kicks: Sequence[Task], chains: int) -> Tensor:
    """log|J| of kicks that have run, of all processes, [Nb]."""
    if lattice.part is None:
        return sum((cast(Tensor, task.changes) for task in kicks),
                   torch.zeros(chains, dtype=torch.float64))
    change = torch.zeros(chains, dtype=torch.float64)
    told = [task for task in kicks if task.weight]
    if told:
        totals = lattice.total(torch.stack([cast(Tensor, task.changes) for task in told]))
        for task, total in zip(told, totals, strict=True):
            change += task.weight * total
    return change


def drift_task(net: Network | None, mu: int, odd: bool | None, e: float, sign: int, mixing: float,
               momenta: Tensor, links: Tensor, order: int = ALONE, known: Squares | None = None
               ) -> Task:
    """What `drift` does."""
    task = _Drift(net.structure if net else _Network(), int(mu), -1 if odd is None else int(odd),
                  order, float(e), float(sign), float(mixing), _squares(known),
                  momenta.data_ptr(), links.data_ptr())
    return Task(task, (net, momenta, links, known))


def run(lattice: Lattice, links: Tensor, tasks: Sequence[Task]) -> None:
    """Task after task, in one call: between two calls Python's own data leave the caches."""
    entries = (_Task * len(tasks))()
    for entry, task in zip(entries, tasks, strict=True):
        at = ctypes.addressof(task.structure)
        if task.changes is None:
            entry.drift = at
        else:
            entry.kick, entry.out = at, task.changes.data_ptr()
    lattice.call("learned_run", links, len(tasks), ctypes.byref(entries))


def kick(lattice: Lattice, push: Push, h: float, momenta: Tensor | None, mode: int = FORWARD,
         out: Tensor | None = None, keep_scale: Tensor | None = None,
         keep: Local | None = None) -> tuple[Tensor, Tensor]:
    """(P e^{h^2 s} - h push, log|J| = 8 h^2 sum s [Nb]).

    INVERSE: e^{-h^2 s} (P + h push) and -log|J|. TURN: forward, a flip and the inverse together,
    2 h e^{-h^2 s} push - P, log|J| = 0. Without `momenta` the push alone. `out` may be `momenta`; s
    goes into `keep_scale` as well, and what was computed here of a force into `keep`.
    """
    out = lattice.empty(push.links.shape[0], ALGEBRA) if out is None else out
    task = kick_task(lattice, push, h, momenta, mode, out, keep_scale, keep)
    run(lattice, push.links, [task])
    return out, log_det(lattice, [task], len(push.links))


def drift(lattice: Lattice, net: Network | None, mu: int, odd: bool | None, e: float, sign: int,
          mixing: float, momenta: Tensor, links: Tensor, order: int = ALONE,
          known: Squares | None = None) -> None:
    """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U for one subset, in place.

    (q, c) is the network of (tr A A^dagger, <P, P>) of each link, Lap_mu the covariant Laplacian
    over the directions besides mu. The subset: direction mu, and one parity unless `odd` is None;
    nothing for mu = NO_DIRECTION. FIRST, LAST: all other links move too, by exp(sign e P), after
    the subset or before it. The squares of its staples may be `known`: then, and without c, FIRST
    is one pass.
    """
    run(lattice, links, [drift_task(net, mu, odd, e, sign, mixing, momenta, links, order, known)])


def _squares(squares: Squares | None) -> _Squares:
    return NO_SQUARES if squares is None else squares.structure()


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
