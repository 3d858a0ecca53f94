"""The gate: proves a kernel exact on a given lattice before it may touch an ensemble.

Deterministic rows bound a violated law; statistical rows hold 4 standard errors and fail, too,
where the error itself is larger than stated (an error bar that wide would prove nothing).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.gate import (
    dense as gate_dense,
    engines,
    exact as gate_exact,
    laws,
    probes,
    transformation,
)
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import hmc, markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.markov import Proposer, State
from l2hmc_bridge.systems.actions import cold_start
from l2hmc_bridge.systems.groups import group_of
from l2hmc_bridge.systems.table import system_of

SIGMAS = 4.0
LAW = "exact law"
EXP_ERROR = 0.03  # largest standard error of <exp(-dH + log|J|)> that still proves something
FROZEN = 1e-10  # mean |dU|^2 of a trajectory that moves nothing: MD time 1e-5
PLAQUETTE_ERROR = 2e-3  # the same for the mean plaquette, both chains combined
CHAINS = 8
Progress = Callable[[str], None]


def run(
    kernel: L2HMC,
    lattice: tuple[int, ...],
    trajectories: int = 150,
    seed: int = 1,
    progress: Progress = lambda name: None,
) -> list[Check]:
    """Every row for `kernel` on (Nt, Nx, Ny, Nz); LayoutError if the masks do not fit.

    (Nt, Nx) for U(1), (n,) for vectors of R^n. `trajectories` per chain, 8 chains (64 where exact
    answers are known); `progress` is told the name of each part as it begins.
    """
    generator = torch.Generator().manual_seed(seed)
    progress("thermalise")
    links = thermalised(kernel, lattice, generator)
    progress("inverse, group")
    checks = quick(kernel, links, generator)
    checks += engines.agreement(kernel, links[:1], generator)
    progress("Jacobian")
    checks += jacobian(kernel, generator)
    progress("symmetry")
    known = answers_known(kernel)
    if known:
        checks += gate_exact.symmetry(kernel, links[:1], generator)
    elif gate_dense.is_dense(kernel):
        checks += gate_dense.kicks(kernel, links[:1], generator)
    else:
        checks += symmetry(kernel, links[:1], generator)
    checks += transformation.rows(kernel, links[:1], generator)
    progress("state")
    checks += bookkeeping(kernel, links, generator)
    progress("statistics")
    rows = gate_exact.statistical if known else statistical
    return checks + rows(kernel, links, trajectories, generator)


@torch.no_grad()
def quick(kernel: L2HMC, links: Tensor, generator: Generators,
          known: State | None = None) -> list[Check]:
    """Group, inverse and the proposal's own involution at `links`, on their volume and beta.

    known: the state at these very links, if there is one: its force is not computed again.
    """
    group = group_of(kernel.action)
    momenta = markov.draw_momenta(links, generator, group)
    phi, back = laws.forward_map(kernel, known), laws.inverse_map(kernel, known)
    there = laws.round_trip(phi, back, links, momenta, group)
    behind = laws.round_trip(back, phi, links, momenta, group)
    checks = [*_in_group(kernel, phi, links, momenta), moves(kernel, links, momenta, known)] + [
        Check("inverse: U after Phi, Phi^-1", there[0], 0, 1e-11, LAW),
        Check("inverse: P after Phi, Phi^-1", there[1], 0, 1e-10, LAW),
        Check("inverse: log|J| cancels", there[2], 0, 1e-8, LAW),
        Check("inverse: U after Phi^-1, Phi", behind[0], 0, 1e-11, LAW),
    ]
    if kernel.composition == "palindrome":
        twice = laws.round_trip(*2 * (laws.involution(kernel, known),), links, momenta, group)
        checks.append(Check("palindrome: an involution", max(twice[:2]), 0, 1e-10, LAW))
        checks.append(Check("palindrome: log|J| cancels", twice[2], 0, 1e-8, LAW))
    return checks


def moves(kernel: Proposer, links: Tensor, momenta: Tensor, known: State | None = None) -> Check:
    """1 if a trajectory from `links` changes them at all: a frozen step obeys every other law."""
    group = group_of(kernel.action)
    state = markov.state_at(kernel, links) if known is None else known
    moved = kernel.trajectory(state, momenta, torch.Generator().manual_seed(1)).links
    change = laws.mean_square(group.apart(moved, links))
    return Check("moves: links change in a trajectory", float(change > FROZEN), 1, 0,
                 f"mean |dU|^2 {change:.2g}")


def _in_group(kernel: L2HMC, phi: laws.PhaseMap, links: Tensor, momenta: Tensor) -> list[Check]:
    """What the map may not leave: SU(3) and its algebra, or the range of angles."""
    if answers_known(kernel):
        return gate_exact.in_range(kernel, phi(links, momenta)[0])
    unitarity, determinant, algebra = laws.group_defects(phi, links, momenta)
    return [
        Check("group: growth of max|U U^+ - 1|", unitarity, 0, 1e-12, LAW),
        Check("group: growth of max|det U - 1|", determinant, 0, 1e-12, LAW),
        Check("algebra: max|tr P|, max|P + P^+|", algebra, 0, 1e-11, LAW),
    ]


def jacobian(kernel: L2HMC, generator: torch.Generator) -> list[Check]:
    """log|J| against the dense numerical Jacobian, as trained and with random networks.

    On 2^4 for SU(3); on the lattice that fits the networks, or 4^2, for U(1).
    """
    if gate_dense.is_dense(kernel):
        kernel = gate_dense.rebuilt(kernel, (2, 2, 2, 2), generator)
    if not answers_known(kernel):
        links = cold_start((2, 2, 2, 2))
        links = su3.exp(0.4 * su3.random_algebra(links.shape[:-2], generator)) @ links
        momenta = su3.random_algebra(links.shape[:-2], generator)
        where = "2^4"
    else:
        links, momenta = gate_exact.phase_point(kernel, generator)
        where = str(list(links.shape[1:]))
    defect, how = gate_exact.jacobian_by(kernel)
    source = f"{how}, {where}"
    trained = "as trained" if not gate_dense.is_dense(kernel) else "rebuilt on 2^4"
    rough = probes.roughened(kernel, generator)
    maps = {f"log|J| of Phi, {trained}": laws.forward_map(kernel)}
    if rough.kick_network is not None:
        maps["log|J| of Phi, random networks"] = laws.forward_map(rough)
    maps["log|J| of the proposal, random networks"] = laws.proposal_map(rough)
    return [Check(name, defect(phi, links, momenta), 0, 1e-6, source)
            for name, phi in maps.items()]


def symmetry(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """Gauge covariance and translation by two sites of the covariant networks."""
    momenta = markov.draw_momenta(links, generator)
    phi = laws.forward_map(kernel)
    covariance = laws.covariance_defect(phi, links, momenta, generator)
    translation = max(laws.translation_defect(phi, links, momenta, mu, 2) for mu in range(4))
    return [
        Check("gauge covariance", covariance, 0, 1e-9, LAW),
        Check("translation by two sites", translation, 0, 1e-9, LAW),
    ]


@torch.no_grad()
def bookkeeping(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """The carried action and force after accepts, rejects and a refresh of the action's noise."""
    state = kernel.init(links)
    worst, ratio, rejected = 0.0, 0.0, 0
    for factor in (1, 1, 3, 9, 1):  # the large steps are there to be rejected
        state, info = kernel.scaled(factor).step(state, generator)
        rejected += int((~info.accepted).sum())
        worst = max(worst, _stale(kernel, state))
        wrong = (info.log_ratio - info.log_det + info.delta_h).abs() / (1 + info.delta_h.abs())
        ratio = max(ratio, float(wrong.nan_to_num(0.0).max()))
    noisy = replace(kernel, action=probes.NoisyAction(kernel.action))
    state, _ = noisy.step(noisy.init(links), generator)
    state, _ = noisy.step(state, generator)
    # The action carried must be the one of the noise now in force, never of an earlier one.
    fresh = _stale(noisy, state)
    return [
        Check(f"state: action and force as recomputed ({rejected} rejects)", worst, 0, 1e-8,
              "recomputed"),
        Check("state: log ratio = log|J| - dK - dS", ratio, 0, 1e-8, "recomputed"),
        Check("state: nothing cached survives a refresh", fresh, 0, 1e-8, "recomputed"),
    ]


@torch.no_grad()
def statistical(kernel: L2HMC, links: Tensor, trajectories: int,
                generator: torch.Generator) -> list[Check]:
    """<exp(-dH + log|J|)> = 1 and the mean plaquette against HMC run beside it."""
    ours, weights, lost = _chain(kernel, links, trajectories, generator)
    theirs, _, _ = _chain(reference_hmc(kernel), links, trajectories, generator)
    weight = statistics.estimate(list(weights.T))
    mine, other = statistics.estimate(list(ours.T)), statistics.estimate(list(theirs.T))
    error = (mine.error**2 + other.error**2) ** 0.5
    return [
        Check(f"<exp(-dH + log|J|)>, error {weight.error:.1g}, NaN {lost}", weight.value, 1,
              SIGMAS * weight.error, f"{SIGMAS:g} sigma"),
        Check("its standard error", weight.error, 0, EXP_ERROR, "stated bound"),
        Check(f"mean plaquette, error {error:.1g}", mine.value, other.value, SIGMAS * error,
              f"HMC, {SIGMAS:g} sigma"),
        Check("its combined standard error", error, 0, PLAQUETTE_ERROR, "stated bound"),
    ]


def host_action(ours: Tensor, theirs: Tensor, source: str) -> list[Check]:
    """Our S of each configuration against a host's, constants already subtracted."""
    difference, scale = (float(one.abs().max()) for one in (ours - theirs, theirs))
    return [Check("action against the host's", difference, 0, 1e-10 * max(1.0, scale), source)]


def answers_known(kernel: L2HMC) -> bool:
    """Whether the system of a kernel has exact answers."""
    system = system_of(kernel.action)
    lattice = system.fixed(kernel.action) or (2,) * system.dimensions
    return bool(system.answers(kernel.action, system.cold(lattice, 1)))


def reference_hmc(kernel: L2HMC) -> hmc.HMC:
    """Second-order HMC over unit MD time with a step safe on every lattice."""
    return hmc.HMC(kernel.action, 0.1, 10, "omf2")


def thermalised(kernel: L2HMC, lattice: tuple[int, ...], generator: torch.Generator,
                trajectories: int = 40) -> Tensor:
    """Eight chains (64 where exact answers are known) from the unit field, updated by HMC alone."""
    chains = gate_exact.CHAINS if answers_known(kernel) else CHAINS
    start = system_of(kernel.action).cold((*lattice[1:], lattice[0]), chains)
    return hmc.thermalise(reference_hmc(kernel), start, trajectories, lambda n: generator)


def _chain(kernel, links: Tensor, trajectories: int, generator) -> tuple[Tensor, Tensor, int]:
    """(plaquettes, exp(-dH + log|J|), lost): [trajectories, Nb] each, a NaN weight counts 0."""
    found, ratios = [], []
    for state, info in markov.run(kernel, kernel.init(links), trajectories, generator):
        found.append(loops.plaquettes(state.links).mean(1))
        ratios.append(info.log_ratio.exp())
    weights = torch.stack(ratios)
    lost = ~weights.isfinite()
    return torch.stack(found), torch.where(lost, 0.0, weights), int(lost.sum())


def _stale(kernel: L2HMC, state: State) -> float:
    wrong = float((kernel.action(state.links) - state.action).abs().max())
    if state.force is not None:
        wrong = max(wrong, float((kernel.guide.force(state.links) - state.force).abs().max()))
    return wrong / system_of(kernel.action).sites(state.links)
