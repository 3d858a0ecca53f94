"""What training minimises: scalars of one batch of proposals, differentiable.

A = min(1, e^r) is the acceptance probability of a proposal with log ratio r = -dH + log|J|.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from l2hmc_bridge import layout, loops
from l2hmc_bridge.actions import normalised_change
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.markov import Info, State
from l2hmc_bridge.topology import topological_charge

Loss = Callable[[State, State, Info], Tensor]


def acceptance(info: Info) -> Tensor:
    """A = min(1, e^r), [Nb]; 0 where r is not a number."""
    ratio = torch.where(info.log_ratio.isfinite(), info.log_ratio, -torch.inf)
    return ratio.clamp(max=0).exp()


def energy_error(before: State, proposal: State, info: Info) -> Tensor:
    """log of the batch mean of r^2: the energy error at fixed MD time, free of its scale."""
    return info.log_ratio.square().mean().log()


def charge(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A (Q' - Q)^2] with the clover charge Q (the slides' loss)."""
    jump = topological_charge(proposal.links) - topological_charge(before.links)
    return -(acceptance(info) * jump.square()).mean()


def plaquette(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A V (p' - p)^2] with the mean plaquette p; the volume V keeps it of order one."""
    jump = loops.plaquettes(proposal.links).mean(1) - loops.plaquettes(before.links).mean(1)
    return -(acceptance(info) * jump.square()).mean() * layout.volume(before.links)


def link_distance(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A |U' - U|^2 / 4V]."""
    return -(acceptance(info) * normalised_change(before.links, proposal.links)).mean()


LOSSES: dict[str, Loss] = {
    "energy_error": energy_error,
    "charge": charge,
    "plaquette": plaquette,
    "link_distance": link_distance,
}


def mixture(weights: Mapping[str, float]) -> Loss:
    """The weighted sum of LOSSES; ConfigError names the choices."""
    unknown = sorted(set(weights) - set(LOSSES))
    if unknown or not weights:
        raise ConfigError(f"loss: expected some of {sorted(LOSSES)}, found {unknown or 'nothing'}")

    def loss(before: State, proposal: State, info: Info) -> Tensor:
        return sum(w * LOSSES[name](before, proposal, info) for name, w in weights.items())

    return loss
