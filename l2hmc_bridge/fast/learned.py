"""Kicks and drifts with scalar networks in the blocked layout, one pass over the lattice each.

The networks are those of `networks.py`: out = weight tanh(first in + offset) + bias per link.
"""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.native import ALGEBRA, Lattice, plain

MOST_OUTPUTS = 8

_INT, _DOUBLE, _POINTER = ctypes.c_int, ctypes.c_double, ctypes.c_void_p


class Network(NamedTuple):
    """Weights of one network, float64 and contiguous; raises ConfigError through `network`."""

    first: Tensor  # [hidden, inputs]
    offset: Tensor  # [hidden]
    weight: Tensor  # [outputs, hidden]
    bias: Tensor  # [outputs]


class _Network(ctypes.Structure):
    _fields_ = [("inputs", _INT), ("hidden", _INT), ("outputs", _INT), ("first", _POINTER),
                ("offset", _POINTER), ("weight", _POINTER), ("bias", _POINTER)]


class _Kick(ctypes.Structure):
    _fields_ = [("net", _Network), ("h", _DOUBLE), ("inverse", _INT), ("invariants", _POINTER),
                ("force", _POINTER), ("loops", _POINTER * MOST_OUTPUTS), ("momenta", _POINTER),
                ("out", _POINTER)]


class _Drift(ctypes.Structure):
    _fields_ = [("net", _Network), ("mu", _INT), ("odd", _INT), ("e", _DOUBLE),
                ("sign", _DOUBLE), ("mixing", _DOUBLE), ("momenta", _POINTER),
                ("links", _POINTER)]


def network(first: Tensor, offset: Tensor, weight: Tensor, bias: Tensor) -> Network:
    """The weights as the kernels want them; ConfigError beyond MOST_OUTPUTS outputs."""
    if weight.shape[0] > MOST_OUTPUTS:
        raise ConfigError(
            f"network: expected at most {MOST_OUTPUTS} outputs, found {weight.shape[0]}"
        )
    return Network(*(plain(one).to(torch.float64) for one in (first, offset, weight, bias)))


def kick(lattice: Lattice, net: Network, h: float, invariants: Tensor, force: Tensor,
         loops: list[Tensor], momenta: Tensor | None, inverse: bool = False,
         out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(P e^{h^2 s} - h push, log|J| [Nb]), push = F e^{2 h^2 q} + h^2 sum_l c_l V_l.

    (s, q, c_0, ...) is the network of `invariants` (width = inputs); log|J| = 8 h^2 sum s.
    `inverse`: e^{-h^2 s} (P + h push) and minus that; without `momenta`: the push alone.
    """
    out = lattice.empty(force.shape[0], ALGEBRA) if out is None else out
    pointers = (_POINTER * MOST_OUTPUTS)(*(one.data_ptr() for one in loops))
    task = _Kick(_structure(net), float(h), int(inverse), invariants.data_ptr(),
                 force.data_ptr(), pointers, None if momenta is None else momenta.data_ptr(),
                 out.data_ptr())
    sums = lattice.sums("learned_kick", force, 1, ctypes.byref(task))[:, 0]
    return out, (-8 if inverse else 8) * float(h) ** 2 * sums


def drift(lattice: Lattice, net: Network | None, mu: int, odd: bool | None, e: float, sign: int,
          mixing: float, momenta: Tensor, links: Tensor) -> None:
    """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U for one subset, in place.

    (q, c) is the network of (tr A A^dagger, <P, P>) of each link, Lap_mu the covariant Laplacian
    over the directions besides mu. The subset: direction mu, and one parity unless `odd` is None.
    """
    task = _Drift(_structure(net) if net else _Network(), int(mu), -1 if odd is None else int(odd),
                  float(e), float(sign), float(mixing), momenta.data_ptr(), links.data_ptr())
    lattice.call("learned_drift", links, ctypes.byref(task))


def _structure(net: Network) -> _Network:
    return _Network(net.first.shape[1], net.first.shape[0], net.weight.shape[0],
                    *(one.data_ptr() for one in net))
