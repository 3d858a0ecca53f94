"""The field transformation on the compiled kernels; formulas in `fast/smearing.py`."""

from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.fast import smearing as reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fast.cpu.learned import ACTIVATIONS
from l2hmc_bridge.fast.cpu.library import LINK, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fast.smearing import ORDER, Rules


def transform(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(F(V), log|J| [Nb])."""
    lattice, blocks = _entered(links)
    change = torch.zeros(len(links), dtype=torch.float64)
    for sweep in range(len(rules.biases)):
        for subset in ORDER:
            change += _subset(lattice, blocks, rules, sweep, subset, 1)
    return _left(lattice, blocks), change


def inverse(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(V = F^-1(U), log|J| of F at V, [Nb]). Raises InversionError."""
    lattice, blocks = _entered(links)
    change = torch.zeros(len(links), dtype=torch.float64)
    for sweep in reversed(range(len(rules.biases))):
        for subset in reversed(ORDER):
            change += _subset(lattice, blocks, rules, sweep, subset, -1)
    return _left(lattice, blocks), change


def force(links: Tensor, rules: Rules, force_of: Callable[[Tensor], Tensor]) -> Tensor:
    """The force at V of S(F(V)) - log|J|, `force_of` that of S; like links."""
    lattice, blocks = _entered(links)
    starts = []  # of every sweep
    for sweep in range(len(rules.biases)):
        starts.append(SCRATCH.like(blocks).copy_(blocks))
        _sweep(lattice, blocks, rules, sweep)
    outer = force_of(blocked.links_out(lattice, blocks))
    weights, gradient = SCRATCH.like(blocks), blocked.algebra_in(lattice, outer)
    for sweep in reversed(range(len(rules.biases))):
        for mu, odd in reversed(ORDER):
            lattice.call("smear_pullback", blocks, mu, int(odd), *_rule(rules, sweep),
                         starts[sweep], blocks, weights, gradient)
    SCRATCH.give(*starts, blocks, weights)
    return blocked.algebra_out(lattice, gradient)


def _entered(links: Tensor) -> tuple[Lattice, Tensor]:
    lattice = library.lattice_of(links)
    blocks = SCRATCH.take(lattice.field(len(links), LINK), lattice.dtype)
    return lattice, blocked.links_in(lattice, links, out=blocks)


def _left(lattice: Lattice, blocks: Tensor) -> Tensor:
    result = blocked.links_out(lattice, blocks)
    SCRATCH.give(blocks)
    return result


def _sweep(lattice: Lattice, blocks: Tensor, rules: Rules, sweep: int) -> None:
    """One sweep in place, without log|J|."""
    lost = torch.zeros(1, dtype=torch.int64)
    for mu, odd in ORDER:
        lattice.call("smear_subset", blocks, mu, int(odd), 1, *_rule(rules, sweep), blocks, lost,
                     None)


def _subset(lattice: Lattice, blocks: Tensor, rules: Rules, sweep: int, subset: tuple[int, bool],
            sign: int) -> Tensor:
    """log|J| of one subset [Nb], which moves in place."""
    lost = torch.zeros(1, dtype=torch.int64)
    mu, odd = subset
    change = lattice.sums("smear_subset", blocks, 1, mu, int(odd), sign, *_rule(rules, sweep),
                          blocks, lost)[:, 0]
    if int(lost):
        SCRATCH.give(blocks)
        raise reference.not_inverted(int(lost))
    return change


def _rule(rules: Rules, sweep: int) -> tuple:
    """The arguments that say what rho is in a sweep; tensors must outlive the call."""
    plain = [one.detach().double().contiguous()
             for one in (rules.slopes, rules.offsets, rules.weights[sweep])]
    return (float(rules.bound), float(rules.biases[sweep]), len(plain[0]),
            ACTIVATIONS.index(rules.activation), *plain)
