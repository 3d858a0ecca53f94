"""The field transformation, by whoever serves: compiled kernels, or the torch formulas.

F, its inverse, log|J| and the force of S(F(V)) - log|J|; formulas, signs and shapes in
`smearing.py`. On a GPU and where gradients are recorded torch serves.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast import smearing
from l2hmc_bridge.fast.cpu import smearing as compiled
from l2hmc_bridge.fast.smearing import Rules


def transform(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(F(V), log|J| [Nb]) of links V, sweep after sweep, subset after subset."""
    serving = compiled if fast.compiled(links, rules.biases) else smearing
    return serving.transform(links, rules)


def inverse(links: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """(V = F^-1(U), log|J| of F at V, [Nb]) of links U. Raises InversionError."""
    serving = compiled if fast.compiled(links, rules.biases) else smearing
    return serving.inverse(links, rules)


def force(links: Tensor, rules: Rules, force_of: Callable[[Tensor], Tensor]) -> Tensor:
    """The force at V of S(F(V)) - log|J|, `force_of` that of S; like links."""
    if fast.compiled(links, rules.biases):
        return compiled.force(links, rules, force_of)
    given = (links, rules.slopes, rules.offsets, rules.weights, rules.biases)
    recorded = torch.is_grad_enabled() and any(one.requires_grad for one in given)
    with torch.enable_grad():
        there = links if recorded and links.requires_grad else links.detach().requires_grad_()
        moved, log_det = smearing.transform(there, rules)
        force = force_of(moved if recorded else moved.detach())
        found = smearing.pullback(there, moved, log_det, force, recorded)
    return found if recorded else found.detach()
