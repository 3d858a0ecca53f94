"""The field transformation on the compiled kernels; formulas in `fast/smearing.py`.

On a part of a lattice the links of a subset are renewed beside it once they have moved, and on the
way back of a gradient what acts on the staples, so that each pass looks one site far.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.fast import smearing as reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fast.cpu.learned import ACTIVATIONS
from l2hmc_bridge.fast.cpu.library import LINK, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fast.cpu.shapes import check_shape
from l2hmc_bridge.fast.halo import odd_here
from l2hmc_bridge.fast.smearing import ORDER, Rules
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.layout import check_links


def transform(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(F(V), log|J| [Nb])."""
    lattice, blocks = _entered(links)
    change = transform_blocks(lattice, blocks, rules)
    return _left(lattice, blocks), change


def inverse(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(V = F^-1(U), log|J| of F at V, [Nb]). Raises InversionError."""
    lattice, blocks = _entered(links)
    change = inverse_blocks(lattice, blocks, rules)
    return _left(lattice, blocks), change


def force(links: Tensor, rules: Rules, force_of: Callable[[Tensor], Tensor]) -> Tensor:
    """The force at V of S(F(V)) - log|J|, `force_of` that of S; like links."""
    lattice, blocks = _entered(links)

    def outer(moved: Tensor) -> Tensor:
        return blocked.algebra_in(lattice, force_of(blocked.links_out(lattice, moved)), len(links))

    gradient = force_blocks(lattice, blocks, rules, outer)
    SCRATCH.give(blocks)
    return blocked.algebra_out(lattice, gradient)


def transform_blocks(lattice: Lattice, blocks: Tensor, rules: Rules) -> Tensor:
    """log|J| [Nb] of blocked links, which move in place."""
    moves = [(sweep, *subset) for sweep in range(len(rules.biases)) for subset in ORDER]
    return _moved(lattice, blocks, rules, moves, 1)


def inverse_blocks(lattice: Lattice, blocks: Tensor, rules: Rules) -> Tensor:
    """log|J| [Nb] of the map that ends at blocked links, which go back in place; InversionError."""
    moves = [(sweep, *subset) for sweep in range(len(rules.biases)) for subset in ORDER]
    return _moved(lattice, blocks, rules, moves[::-1], -1)


def force_blocks(lattice: Lattice, blocks: Tensor, rules: Rules,
                 force_of: Callable[[Tensor], Tensor], out: Tensor | None = None) -> Tensor:
    """The components of `force` at blocked links; `force_of` computes those of S at others."""
    moved, starts = SCRATCH.like(blocks).copy_(blocks), [blocks]  # links before every sweep
    for sweep in range(len(rules.biases)):
        if sweep:
            starts.append(SCRATCH.like(moved).copy_(moved))
        _sweep(lattice, moved, rules, sweep)
    gradient = force_of(moved)
    weights = SCRATCH.like(moved)
    for sweep in reversed(range(len(rules.biases))):
        for mu, odd in reversed(ORDER):
            here = int(odd_here(lattice.part, odd))
            lattice.call("smear_pull", moved, mu, here, *_rule(rules, sweep), starts[sweep], moved,
                         weights, gradient)
            lattice.renew(weights[:, :, mu:mu + 1])
            lattice.call("smear_spread", moved, mu, here, moved, weights, gradient)
    SCRATCH.give(*starts[1:], moved, weights)
    lattice.renew(gradient)
    return gradient if out is None else out.copy_(gradient)


def _entered(links: Tensor) -> tuple[Lattice, Tensor]:
    check_links(links)
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
        here = int(odd_here(lattice.part, odd))
        lattice.call("smear_subset", blocks, mu, here, 1, *_rule(rules, sweep), blocks, lost, None)
        lattice.renew(blocks[:, :, mu:mu + 1])


def _moved(lattice: Lattice, blocks: Tensor, rules: Rules, moves: list[tuple[int, int, bool]],
           sign: int) -> Tensor:
    """log|J| [Nb] of subsets (sweep, direction, odd) that move in place, one after the other."""
    lost = torch.zeros(1, dtype=torch.int64)
    change = torch.zeros(len(blocks), dtype=torch.float64)
    for sweep, mu, odd in moves:
        here = int(odd_here(lattice.part, odd))
        change += lattice.sums("smear_subset", blocks, 1, mu, here, sign, *_rule(rules, sweep),
                               blocks, lost)[:, 0]
        lattice.renew(blocks[:, :, mu:mu + 1])
    part = None if lattice.part is None else parts.current()
    lost = lost if part is None or sign > 0 else part.network.total(lost)
    if int(lost):
        raise reference.not_inverted(int(lost))
    return change


def _rule(rules: Rules, sweep: int) -> tuple:
    """The arguments that say what rho is in a sweep; tensors must outlive the call."""
    plain = [one.detach().double().contiguous()
             for one in (rules.slopes, rules.offsets, rules.weights[sweep])]
    for one in plain:
        check_shape("field transformation: hidden units", one, (len(plain[0]),))
    return (float(rules.bound), float(rules.biases[sweep]), len(plain[0]),
            ACTIVATIONS.index(rules.activation), *plain)
