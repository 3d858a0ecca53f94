"""What training minimises: scalars of one batch of proposals, differentiable.

A = min(1, e^r) is the acceptance probability of a proposal with log ratio r = -dH + log|J|.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields import layout, loops, u1
from l2hmc_bridge.observables import flow
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.sampling.markov import Info, State
from l2hmc_bridge.systems.actions import normalised_change
from l2hmc_bridge.training import parallel

Loss = Callable[[State, State, Info], Tensor]
FLOW_TIME, FLOW_STEP = 0.4, 0.1  # of the losses: short, since gradients go through it


def acceptance(info: Info) -> Tensor:
    """A = min(1, e^r), [Nb]; 0 where r is not a number."""
    ratio = torch.where(info.log_ratio.isfinite(), info.log_ratio, -torch.inf)
    return ratio.clamp(max=0).exp()


def smooth_charge_jump(before: State, proposal: State) -> Tensor:
    """(q' - q)^2 of the smooth charge of 2D U(1), [Nb]."""
    return (u1.smooth_charge(proposal.links) - u1.smooth_charge(before.links)).square()


def squared_distance(before: State, proposal: State) -> Tensor:
    """|x' - x|^2 of vectors, [Nb]."""
    return (proposal.links - before.links).square().sum(1)


def energy_error(before: State, proposal: State, info: Info) -> Tensor:
    """log of the batch mean of r^2: the energy error at fixed MD time, free of its scale."""
    return parallel.mean(info.log_ratio.square().mean()).log()


def charge(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A (Q' - Q)^2] with the clover charge Q (the slides' loss)."""
    jump = topological_charge(proposal.links) - topological_charge(before.links)
    return -(acceptance(info) * jump.square()).mean()


def plaquette(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A V (p' - p)^2] with the mean plaquette p; the volume V keeps it of order one."""
    jump = loops.plaquettes(proposal.links).mean(1) - loops.plaquettes(before.links).mean(1)
    return -(acceptance(info) * jump.square()).mean() * layout.volume(before.links)


def flowed(links: Tensor, time: float = FLOW_TIME) -> Tensor:
    """Links after `time` of the Wilson flow in equal steps of at most 0.1; differentiable."""
    count = max(1, math.ceil(time / FLOW_STEP - 1e-9))
    for _ in range(count):
        links = flow.runge_kutta(links, time / count)
    return links


def flowed_jumps(before: State, proposal: State, time: float = FLOW_TIME
                 ) -> tuple[Tensor, Tensor]:
    """(V (E' - E)^2, (Q' - Q)^2) of the clover energy density and charge at flow time t, [Nb] each.

    Long waves alone survive the flow: what these jump by is what slow modes move.
    """
    new, old = (fast.clover(flowed(one.links, time)) for one in (proposal, before))
    change = new - old
    return change[:, :2].sum(1).square() * layout.volume(before.links), change[:, 2].square()


def flowed_energy(before: State, proposal: State, info: Info) -> Tensor:
    """-log of the batch mean of A V (E' - E)^2 at t = 0.4, per force: free of its scale."""
    jump, _ = flowed_jumps(before, proposal)
    return _per_cost(acceptance(info) * jump, info)


def flowed_charge(before: State, proposal: State, info: Info) -> Tensor:
    """-log of the batch mean of A (Q' - Q)^2 at t = 0.4 (the slides' loss in 4D), per force."""
    _, jump = flowed_jumps(before, proposal)
    return _per_cost(acceptance(info) * jump, info)


def _per_cost(gain: Tensor, info: Info) -> Tensor:
    return -(parallel.mean(gain.mean()) / info.force_evaluations).log()


def link_distance(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A |U' - U|^2 / 4V]."""
    return -(acceptance(info) * normalised_change(before.links, proposal.links)).mean()


def smooth_charge(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A (q' - q)^2] with q = (1/2 pi) sum sin x_P, the differentiable charge of 2D U(1)."""
    return -(acceptance(info) * smooth_charge_jump(before, proposal)).mean()


def angle_plaquette(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A V (p' - p)^2] with the mean plaquette of 2D U(1)."""
    jump = u1.plaquette(proposal.links) - u1.plaquette(before.links)
    return -(acceptance(info) * jump.square()).mean() * before.links.shape[2:].numel()


def angle_distance(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A 2 (1 - cos(x' - x))], the mean over links of |e^{ix'} - e^{ix}|^2."""
    change = 2 * (1 - torch.cos(proposal.links - before.links)).flatten(1).mean(1)
    return -(acceptance(info) * change).mean()


def distance(before: State, proposal: State, info: Info) -> Tensor:
    """-E[A |x' - x|^2] of vectors."""
    return -(acceptance(info) * squared_distance(before, proposal)).mean()


LOSSES: dict[str, Loss] = {
    "energy_error": energy_error,
    "charge": charge,
    "plaquette": plaquette,
    "link_distance": link_distance,
    "flowed_energy": flowed_energy,
    "flowed_charge": flowed_charge,
}


LOSSES_OF: dict[str, dict[str, Loss]] = {
    "su3": LOSSES,
    "u1": {"energy_error": energy_error, "charge": smooth_charge, "plaquette": angle_plaquette,
           "link_distance": angle_distance},
    "vector": {"energy_error": energy_error, "distance": distance},
}


def mixture(weights: Mapping[str, float], group: str = "su3") -> Loss:
    """The weighted sum of the losses of a group; ConfigError names the choices."""
    known = LOSSES_OF[group]
    unknown = sorted(set(weights) - set(known))
    if unknown or not weights:
        raise ConfigError(f"loss: expected some of {sorted(known)}, found {unknown or 'nothing'}")

    def loss(before: State, proposal: State, info: Info) -> Tensor:
        parts = [w * known[name](before, proposal, info) for name, w in weights.items()]
        return sum(parts[1:], parts[0])

    return loss
