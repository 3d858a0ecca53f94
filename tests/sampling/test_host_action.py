"""Host actions: exact with any force, in both modes; the noise of S; named errors at bad input.

The exact number is the plaquette of SU(3) at beta = 1 on 4^4, 0.0601266 (one-plaquette integral,
right to 3e-6 there).
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import draw_normal
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.host_action import HostAction, Hosted
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.systems.actions import GaugeAction, U1Action, cold_start, hot_start
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links

EXACT, LATTICE, CHAINS = 0.0601266, (4, 4, 4, 4), 20
TRUE = GaugeAction(1.0)
WRONG = GaugeAction(0.94)  # as a force: a plaquette of 0.0563 where nothing corrects it
STEP = {"step_size": 0.5, "steps": 2, "integrator": "omf2"}


def plaquette(links):
    return fast.plaquettes(links).mean(1)


@pytest.fixture(scope="module")
def equilibrium():
    """Links of CHAINS chains at beta = 1."""
    generator = torch.Generator().manual_seed(77)
    kernel = HMC(TRUE, 0.5, 3)
    state = kernel.init(hot_start(LATTICE, generator, CHAINS))
    for _ in range(12):
        state, _ = kernel.step(state, generator)
    return state.links


def run(kernel, links, trajectories=90, skip=10, seed=5):
    """(plaquettes, dH_effective, accepted), each [chains, trajectories]."""
    generator, state, rows = torch.Generator().manual_seed(seed), kernel.init(links), []
    for _ in range(trajectories):
        state, info = kernel.step(state, generator)
        rows.append((plaquette(state.links), -info.log_ratio, info.accepted.double()))
    return [torch.stack(column, 1)[:, skip:].numpy() for column in zip(*rows, strict=True)]


def assert_exact(plaquettes, delta_h):
    mean, (weight, bad) = estimate(plaquettes), exp_minus_dh(delta_h)
    assert mean.error < 5e-4 and abs(mean.value - EXACT) < 4 * mean.error
    assert bad == 0 and weight.error < 0.15 and abs(weight.value - 1) < 4 * weight.error


@pytest.mark.slow
def test_our_accept_with_the_force_of_another_action(equilibrium):
    kernel = Hosted(HMC(WRONG, **STEP), HostAction(TRUE))
    plaquettes, delta_h, accepted = run(kernel, equilibrium)
    assert 0.4 < accepted.mean() < 0.8  # HMC with the right force: 0.98
    assert_exact(plaquettes, delta_h)


@pytest.mark.slow
def test_without_the_hosts_accept_step_the_wrong_force_shows(equilibrium):
    """Negative control: the same proposals judged by the action they came from."""
    mean = estimate(run(HMC(WRONG, **STEP), equilibrium, 60)[0])
    assert abs(mean.value - EXACT) > 10 * mean.error


@pytest.mark.slow
def test_host_accepts(equilibrium):
    """h0 = S(U), h1 = S(U') + dK - log|J|, accept/reject and random numbers all the host's."""
    kernel, chance = HMC(WRONG, **STEP), np.random.default_rng(3)
    generator, links, rows = torch.Generator().manual_seed(8), equilibrium, []
    for _ in range(90):
        moved, _, info = kernel.propose(links, generator)
        difference = (TRUE(moved) + info.delta_proposal - TRUE(links)).numpy()
        accepted = torch.from_numpy(chance.random(CHAINS) < np.exp(np.minimum(-difference, 0)))
        links = torch.where(accepted.view(-1, *[1] * 7), moved, links)
        rows.append((plaquette(links), torch.from_numpy(difference)))
    plaquettes, delta_h = (torch.stack(c, 1)[:, 10:].numpy() for c in zip(*rows, strict=True))
    assert_exact(plaquettes, delta_h)


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
def test_a_learned_kernel_proposes_the_host_decides(composition, generator):
    """log|J| is in the ratio, where it is not small: S_host = 1.02 S_gauge changes dS alone."""
    kernel = make_kernel("kick", generator, composition=composition, action=GaugeAction(6.0))
    host = HostAction(lambda links: GaugeAction(6.12)(links))
    links = rough_links(generator, (4, 4, 4, 4), 2, 0.3)
    hosted = Hosted(kernel, host)
    moved, delta, info = hosted.propose(links, torch.Generator().manual_seed(1))
    twin, twin_delta, twin_info = kernel.propose(links, torch.Generator().manual_seed(1))
    assert torch.equal(moved, twin) and (info.log_det.abs() > 1e-3).all()
    assert torch.equal(info.delta_proposal, twin_info.delta_kinetic - twin_info.log_det)
    expected = twin_delta + 0.02 * twin_info.delta_action
    assert delta == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-8)


def test_the_hosts_own_force_gives_the_trajectory_of_the_gauge_force(generator):
    links = rough_links(generator, chains=2)
    host = HostAction(TRUE, lambda u: TRUE.force(u).numpy(), beta=1.0)
    ours, _, _ = HMC(TRUE, **STEP).propose(links, torch.Generator().manual_seed(1))
    theirs, _, _ = HMC(host, **STEP).propose(links, torch.Generator().manual_seed(1))
    assert (ours - theirs).abs().max() < 1e-12


class Noisy:
    """S(U, phi) = S_gauge(U) + (phi - f(U))^2 / 2: integrating phi out leaves S_gauge.

    phi given U is normal around f(U): like pseudofermions, it is drawn anew before a trajectory.
    """

    def __init__(self):
        self.phi, self.draws = torch.zeros(CHAINS, dtype=torch.float64), 0

    def centre(self, links):
        return 120 * plaquette(links)  # spreads by 0.7

    def __call__(self, links):
        return TRUE(links) + 0.5 * (self.phi - self.centre(links)) ** 2

    def draw(self, links, generator):
        noise = torch.randn(len(links), generator=generator, dtype=torch.float64)
        self.phi, self.draws = self.centre(links) + noise, self.draws + 1


@pytest.mark.slow
def test_noise_is_drawn_once_a_trajectory_and_integrates_out(equilibrium):
    host = Noisy()
    kernel = Hosted(HMC(TRUE, **STEP), HostAction(host, refresh=host.draw))
    plaquettes, delta_h, _ = run(kernel, equilibrium)
    assert host.draws == 90
    assert_exact(plaquettes, delta_h)


@pytest.mark.slow
def test_a_missing_refresh_is_seen(equilibrium):
    """Planted: phi stays what it was at first, and the chain samples P(U | phi)."""
    plaquettes, _, _ = run(Hosted(HMC(TRUE, **STEP), HostAction(Noisy())), equilibrium, 60, 20)
    assert abs(plaquettes.mean() - EXACT) > 0.005  # ten times the bound on the error above


def largest_mistake(kernel, links):
    """max |S in the state - S of its links under the noise of that trajectory| over ten steps."""
    generator, state, found = torch.Generator().manual_seed(2), kernel.init(links), 0.0
    for _ in range(10):
        state, _ = kernel.step(state, generator)
        found = max(found, float((state.action - kernel.action(state.links)).abs().max()))
    return found


def test_a_stale_cache_is_seen(equilibrium, monkeypatch):
    """Planted: the noise is drawn, but S of the old noise is kept."""

    once = markov.refreshed

    def stale(kernel, state, generator):
        if state.action.isnan().all():  # nothing was drawn yet
            return once(kernel, state, generator)
        kernel.action.refresh(state.links, generator)
        return state

    host = Noisy()
    kernel = Hosted(HMC(TRUE, **STEP), HostAction(host, refresh=host.draw))
    assert largest_mistake(kernel, equilibrium) < 1e-9
    monkeypatch.setattr(markov, "refreshed", stale)
    assert largest_mistake(kernel, equilibrium) > 0.1


class Quarks:
    """S and F that ask for phi, which nobody has before `draw`."""

    def __init__(self):
        self.phi, self.calls = None, []

    def __call__(self, links):
        self.calls.append("S")
        return TRUE(links) + self.phi.square().sum(1)

    def force(self, links):
        self.calls.append("F")
        return TRUE.force(links) + 0 * self.phi.sum()

    def draw(self, links, generator):
        self.calls.append("phi")
        self.phi = draw_normal(len(links), (2,), generator)


def around_noise(action, generator):
    """Every kernel that takes a host's action with noise."""
    learned = make_kernel("kick", generator, action=TRUE)
    hmc, trained = HMC(action, **STEP), make_kernel("kick", generator, action=action)
    hosted = Hosted(HMC(TRUE, **STEP), action)
    moving = FieldTransformation().double()
    return {
        "hosted": hosted, "hosted l2hmc": Hosted(learned, action), "hmc": hmc, "l2hmc": trained,
        "transformed": replace(make_kernel("steps", action=action), transformation=moving),
        "cycle": Mixture([(hmc, 1), (trained, 1)]), "random": Mixture([(hmc, 1), (trained, 1)],
                                                                      "random"),
        "forces apart": Mixture([(hosted, 1), (hmc, 1)]), "two": Mixture([(hmc, 1), (hosted, 1)]),
    }


@pytest.mark.parametrize("name", around_noise(HostAction(TRUE), None))
def test_a_host_is_asked_for_nothing_before_it_drew_its_noise(name, generator):
    host, links = Quarks(), rough_links(generator, (2, 2, 4, 2), 2)
    kernel = around_noise(HostAction(host, host.force, host.draw, beta=1.0), generator)[name]
    state = kernel.init(links)
    assert state.action.isnan().all() and state.action.shape == (2,) and not host.calls
    for _ in range(3):
        state, info = kernel.step(state, [torch.Generator().manual_seed(n) for n in range(2)])
        assert info.log_ratio.isfinite().all() and state.action.isfinite().all()
    assert host.calls[0] == "phi"
    host.calls.clear()
    moved, delta, _ = kernel.propose(links, generator)
    assert delta.isfinite().all() and host.calls[0] == "phi"


def test_a_start_out_of_nothing_is_relaxed_with_noise(generator):
    host = Quarks()
    kernel = Hosted(HMC(TRUE, **STEP), HostAction(host, refresh=host.draw))
    links = thermalise(kernel, cold_start((2, 2, 2, 2), 2), 4, lambda number: generator)
    assert host.calls[0] == "phi" and links.isfinite().all()


def test_without_noise_nothing_is_computed_twice(equilibrium):
    calls = []
    host = HostAction(lambda links: calls.append(1) or TRUE(links))
    kernel = Hosted(HMC(TRUE, **STEP), host)
    state, generator = kernel.init(equilibrium), torch.Generator().manual_seed(1)
    for _ in range(3):
        state, _ = kernel.step(state, generator)
    assert len(calls) == 1 + 3
    assert host.refresh(equilibrium, generator) is False


def test_a_diverged_trajectory_is_a_reject_and_never_reaches_the_host(generator):
    links = rough_links(generator, chains=2)

    def action(fields):
        assert fields.isfinite().all()
        return TRUE(fields)

    broken = links.clone()
    broken[1, 0, 0, 0, 0, 0] = math.nan
    values = HostAction(action)(broken)
    assert values[0] == TRUE(links)[0] and values[1].isnan()
    force = HostAction(TRUE, TRUE.force).force(broken)
    assert force[1].isnan().all() and (force - TRUE.force(links))[0].abs().max() < 1e-14


@pytest.mark.parametrize("value, words", [
    (1j, "complex"),
    (np.complex128(1), "complex"),
    (math.nan, "NaN"),
    (np.float32(1), "float32"),
    (torch.ones(1), "float32"),
    (np.ones(2), r"\[2\]"),
    ("big", "str"),
    (None, "NoneType"),
    ([1j], "complex"),
    (["big"], "found list"),
])
def test_actions_that_are_no_number(value, words, generator):
    with pytest.raises(ActionError, match=words):
        HostAction(lambda links: value)(cold_start((2, 2, 2, 2)))


@pytest.mark.parametrize("value", [1.1, 2, np.float64(1.1), np.ones(1), torch.ones(1).double(),
                                   [1.1], (np.float64(1.1),), [torch.tensor(1.1).double()]])
def test_actions_that_are(value):
    found = HostAction(lambda links: value)(cold_start((2, 2, 2, 2)))
    assert found.shape == (1,) and float(found) == float(np.asarray(value).reshape(()))


def test_forces_that_are_none(generator):
    links = rough_links(generator)
    force = TRUE.force(links)
    for value, words in (
        (-1j * force, "F = i G"),
        (force + 0.01 * links, "project it"),
        (force[:, :3], "expected torch.complex128"),
        (force.real, "torch.float64"),
        (force / 0, "NaN or inf"),
        ("none", "str"),
    ):
        with pytest.raises(ActionError, match=words):
            HostAction(TRUE, lambda u, value=value: value).force(links)
    with pytest.raises(ActionError, match="Hosted"):
        HostAction(TRUE).force(links)
    with pytest.raises(ActionError, match="group"):
        Hosted(HMC(TRUE, 0.1, 1), U1Action(1.0))
    for kernel in (HeatBath(TRUE), Mixture([(HMC(TRUE, 0.1, 1), 1)])):
        with pytest.raises(ActionError, match=f"of trajectories .* found '{kernel.name}'"):
            Hosted(kernel, HostAction(TRUE))
