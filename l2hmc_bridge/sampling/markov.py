"""What a Markov kernel is, the Metropolis step all of them share, and how randomness comes in."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.groups import GROUPS, Group, group_of


class Share(NamedTuple):
    """Draws for `total` chains and keeps first to last: the part of one of several processes."""

    generator: torch.Generator
    first: int
    last: int
    total: int


# One for all chains, one per chain, or a share of one for all.
Generators = torch.Generator | Sequence[torch.Generator] | Share


class State(NamedTuple):
    """What the next step needs."""

    links: Tensor  # [Nb,4,Nt,Nx,Ny,Nz,3,3], or what the group of the action has instead
    action: Tensor  # [Nb], never computed twice for one field
    force: Tensor | None  # like links, at these links


class Info(NamedTuple):
    """What a person wants to see of one step."""

    accepted: Tensor  # [Nb] bool
    log_ratio: Tensor  # [Nb] log of the Metropolis ratio = -dH + log|J|; NaN stays visible here
    log_det: Tensor  # [Nb] log|J|, 0 for HMC
    delta_kinetic: Tensor  # [Nb]
    delta_action: Tensor  # [Nb]
    force_evaluations: int  # per chain, in this step

    @property
    def delta_h(self) -> Tensor:
        """dH = dK + dS, [Nb]."""
        return self.delta_kinetic + self.delta_action

    @property
    def delta_proposal(self) -> Tensor:
        """dK - log|J|, [Nb]: what a host adds to its own S(U') - S(U) before it accepts."""
        return self.delta_kinetic - self.log_det


class Trajectory(NamedTuple):
    """Where a deterministic map takes (links, momenta)."""

    links: Tensor
    momenta: Tensor
    log_det: Tensor  # [Nb]
    force: Tensor | None  # at the new links, if it was computed
    force_evaluations: int


class Kernel(Protocol):
    """A sampler is two functions; `propose` is for hosts that accept and reject themselves."""

    action: Action

    def init(self, links: Tensor) -> State: ...
    def step(self, state: State, generator: Generators) -> tuple[State, Info]: ...
    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]: ...


def trajectory_generator(seed: int, chain: int, trajectory: int,
                         device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one trajectory of one chain, so that it can be replayed alone.

    It draws on `device`: momenta need not be moved there, and are others than on the CPU.
    torch's CPU generator has 2^32 seeds; chain < 2^10 and trajectory < 2^22 are mapped to
    them one to one (a bijective mixer after an offset that depends on `seed`).
    """
    offset = int.from_bytes(hashlib.sha256(str(int(seed)).encode()).digest()[:4], "big")
    word = (offset + (chain % 1024) * 2**22 + trajectory % 2**22) % 2**32
    for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):  # MurmurHash3 finaliser
        word = ((word ^ (word >> shift)) * multiplier) % 2**32
    return torch.Generator(device).manual_seed(word ^ (word >> 16))


def draw_momenta(
    links: Tensor, generator: Generators, group: Group = GROUPS["su3"]
) -> Tensor:
    """Momenta like links, every component ~ N(0,1): on SU(3) P = sum_a p_a T_a, on U(1) v.

    Drawn on the generator's device, then moved.
    """
    if isinstance(generator, Share):
        whole = group.draw((generator.total, *links.shape[1:]), generator.generator, links.device)
        return whole[generator.first:generator.last].to(links)
    if isinstance(generator, torch.Generator):
        return group.draw(links.shape, generator, links.device).to(links)
    parts = [group.draw(links.shape[1:], one, links.device) for one in generator]
    return torch.stack(parts).to(links)


def draw_uniform(chains: int, generator: Generators) -> Tensor:
    """Uniform numbers in [0, 1), float64 [chains]."""
    if isinstance(generator, Share):
        return draw_uniform(generator.total, generator.generator)[generator.first:generator.last]
    if isinstance(generator, torch.Generator):
        return torch.rand(chains, generator=generator, dtype=torch.float64,
                          device=generator.device).cpu()
    return torch.cat([torch.rand(1, generator=one, dtype=torch.float64, device=one.device).cpu()
                      for one in generator])


def metropolis(
    state: State, proposal: State, log_ratio: Tensor, uniform: Tensor
) -> tuple[State, Tensor]:
    """Accept with probability min(1, e^log_ratio) per chain; NaN or +-infinity is a reject."""
    accepted = log_ratio.isfinite() & (uniform.to(log_ratio).log() < log_ratio.clamp(max=0))
    return State(*(_select(accepted, new, old)
                   for new, old in zip(proposal, state, strict=True))), accepted


def refreshed(kernel, state: State, generator: Generators) -> State:
    """The state after the action redrew its noise: action and force are then computed anew.

    An action whose `refresh` returns False has none: the state stands.
    """
    refresh = getattr(kernel.action, "refresh", None)
    if refresh is None or refresh(state.links, generator) is False:
        return state
    return kernel.init(state.links)


def propose(kernel, state: State, generator: Generators) -> tuple[State, Info]:
    """Momenta, the kernel's map, energies: the proposal as a State, Info with accepted unset.

    `state` must be `refreshed` where the action has noise of its own.
    """
    momenta = draw_momenta(state.links, generator, group_of(kernel.action))
    return moved(kernel, state, momenta, generator)


def moved(kernel, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
    """Where the kernel's map takes (state, momenta), and its dH; `generator` as for `propose`."""
    kinetic = group_of(kernel.action).kinetic
    end = kernel.trajectory(state, momenta, generator)
    action = kernel.action(end.links)
    delta_kinetic = kinetic(end.momenta) - kinetic(momenta)
    delta_action = action - state.action
    info = Info(
        accepted=torch.zeros_like(end.log_det, dtype=torch.bool),
        log_ratio=end.log_det - delta_kinetic - delta_action,
        log_det=end.log_det,
        delta_kinetic=delta_kinetic,
        delta_action=delta_action,
        force_evaluations=end.force_evaluations,
    )
    return State(end.links, action, end.force), info


@torch.no_grad()
def step(kernel, state: State, generator: Generators) -> tuple[State, Info]:
    """One exact Markov step: propose, then accept or reject."""
    state = refreshed(kernel, state, generator)
    proposal, info = propose(kernel, state, generator)
    uniform = draw_uniform(state.links.shape[0], generator)
    new, accepted = metropolis(state, proposal, info.log_ratio, uniform)
    return new, info._replace(accepted=accepted)


@torch.no_grad()
def propose_links(kernel, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
    """(links', dH_effective, Info) with dH_effective = dK + dS - log|J| [Nb], for a host."""
    refresh = getattr(kernel.action, "refresh", None)
    if refresh is not None:
        refresh(links, generator)
    proposal, info = propose(kernel, kernel.init(links), generator)
    return proposal.links, -info.log_ratio, info


def run(
    kernel: Kernel, state: State, steps: int, generator: Generators
) -> Iterator[tuple[State, Info]]:
    """Yield (state, info) after each of `steps` steps."""
    for _ in range(steps):
        state, info = kernel.step(state, generator)
        yield state, info


def _select(accepted: Tensor, new: Tensor | None, old: Tensor | None) -> Tensor | None:
    if new is None or old is None:
        return None
    return torch.where(accepted.view(-1, *[1] * (new.ndim - 1)), new, old)
