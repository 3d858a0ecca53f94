"""Whether a state is what was saved: links in the group, their action and force, their last row.

A digest tells damage; it does not tell a state that somebody else has written. These laws do.
"""

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields.part import largest, of
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling.markov import State

GROUP = 1e-9  # max|U U^+ - 1|, max|det U - 1|; save points keep 1e-13
RELATIVE = 1e-9  # of action and force, computed anew, perhaps by other kernels
PLAQUETTE = 1e-10  # of the last row, which a projection to SU(3) may have followed


def group_defect(links: Tensor) -> float:
    """The larger of max|U U^+ - 1| and max|det U - 1|, of all who share the lattice."""
    return largest(torch.tensor(max(fast.group_defects(links)), dtype=torch.float64), links)


@torch.no_grad()
def require_state(where: object, kernel: StreamKernel, state: State) -> None:
    """Raise StreamError unless links are in SU(3), and action and force are theirs."""
    defect = group_defect(state.links)
    if not defect <= GROUP:
        raise StreamError(f"{where}: expected links in SU(3) within {GROUP:g}, found a distance of "
                          f"{defect:.2g}: this is not what was saved")
    kernel.check(state.links)
    guide = kernel.guide
    if guide is None or state.level_actions is None:
        _same(where, "action", state.action, kernel.action(state.links), state.links)
    else:  # of a nested step: what is stored is that of level 0
        _same(where, "action", state.level_actions[:, 0], guide(state.links), state.links)
    if guide is not None and state.force is not None:
        _same(where, "force", state.force, guide.force(state.links), state.links)


def require_last(where: object, state: State, row: Row, chains: Chains = ALL) -> None:
    """Raise StreamError unless the last row has the plaquettes of these links."""
    found = fast.plaquettes(state.links).mean(1).tolist()
    for chain, ours in zip(chains.own(range(len(row["plaquette"]))), found, strict=True):
        told = row["plaquette"][chain]
        if not abs(ours - told) <= PLAQUETTE:
            raise StreamError(f"{where}: expected the log of this state, whose plaquette in chain "
                              f"{chain} is {ours:.12f}, found {told:.12f} in its last row: the log "
                              "of another stream, or altered")


def _same(where: object, name: str, stored: Tensor, anew: Tensor, links: Tensor) -> None:
    held = of(links)
    if held is not None and anew.ndim == links.ndim:  # near the edges of a part nobody knows it
        stored, anew = held.kept(stored), held.kept(anew)
    apart = largest((stored - anew).abs().max(), links)
    if not apart <= RELATIVE * max(1.0, largest(anew.abs().max(), links)):
        raise StreamError(f"{where}: expected the {name} of the links in it, found one that "
                          f"differs by {apart:.2g}: this is not what was saved")
