"""The heat bath samples what it should: one link against integrals, fields against other codes."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate
from l2hmc_bridge.errors import ActionError, ConfigError, LayoutError
from l2hmc_bridge.fast import heatbath as formulas
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling import counter, markov
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.systems.actions import GaugeAction, U1Action, gauge_action, hot_start
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links

ALPHAS = (0.0, 0.05, 0.499, 0.501, 2.0, 14.0, 90.0)  # below and above the change of proposals
SAMPLES = 200_000
WORDS = torch.tensor([[3, 1, 4, 1]])


def numbers(count, beta=0.0, seed=0):
    """The first attempts of `count` sites."""
    draws = formulas._Draws(WORDS + seed, torch.arange(count), 0, beta)
    return draws.of(torch.arange(count), 0, 0)


def exact_distribution(alpha, points=20001):
    """delta = 1 - b0 on a grid, its distribution function: density sqrt(1 - b0^2) e^{alpha b0}."""
    angle = np.linspace(0, math.pi, points)
    density = np.sin(angle) ** 2 * np.exp(alpha * (np.cos(angle) - 1))
    steps = (density[1:] + density[:-1]) / 2
    integral = np.concatenate(([0.0], np.cumsum(steps)))
    return 1 - np.cos(angle), integral / integral[-1], integral[-1] * math.pi / (points - 1)


def fits(alpha, delta):
    """p-value of the Kolmogorov-Smirnov test of delta against the exact distribution."""
    grid, integral, _ = exact_distribution(alpha)
    return scipy.stats.kstest(delta.numpy(), lambda x: np.interp(x, grid, integral)).pvalue


@pytest.mark.parametrize("alpha", ALPHAS)
def test_accepted_numbers_have_the_exact_density_of_su2(alpha):
    delta, good = formulas.candidate(torch.full((SAMPLES,), alpha, dtype=torch.float64),
                                     numbers(SAMPLES))
    assert fits(alpha, delta[good]) > 1e-4
    assert float(delta[good].min()) >= 0 and float(delta[good].max()) <= 2


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_rate_of_acceptance_is_the_integral(alpha):
    """Proposals of known norm under the density: the share that is taken, within 4 sigma."""
    _, good = formulas.candidate(torch.full((SAMPLES,), alpha, dtype=torch.float64),
                                 numbers(SAMPLES))
    integral = exact_distribution(alpha)[2]
    expected = integral / 2 if alpha < formulas.WEAK else \
        integral * (alpha + 0.25) ** 1.5 / (math.sqrt(2) * math.gamma(1.5))
    rate = float(good.double().mean())
    assert abs(rate - expected) < 4 * math.sqrt(expected * (1 - expected) / SAMPLES) + 1e-12
    assert rate > 0.47


def planted(alpha, drawn, wrong):
    """Candidates with one mistake."""
    cosine = 0.5 - 0.5 * torch.sin(torch.pi * (drawn.angle - 0.5))
    power = 0.5 if wrong == "cosine not squared" else 1
    energy = -(drawn.first.log() + cosine**power * drawn.second.log())
    delta = energy / (alpha + (0.0 if wrong == "without the quarter" else 0.25))
    limit = 1 - delta / 2
    if wrong != "without the exponential":
        limit = limit * torch.exp(delta / 2)
    accept = drawn.accept if wrong == "root not squared" else drawn.accept.square()
    return delta[accept <= limit]


@pytest.mark.parametrize("wrong", ("cosine not squared", "without the quarter",
                                   "without the exponential"))
@pytest.mark.parametrize("alpha", (2.0, 14.0))
def test_the_distribution_test_catches_wrong_formulas(alpha, wrong):
    drawn = numbers(SAMPLES)
    assert fits(alpha, planted(alpha, drawn, "nothing")) > 1e-4
    assert fits(alpha, planted(alpha, drawn, wrong)) < 1e-8


def test_the_distribution_test_catches_a_root_that_is_not_squared():
    assert fits(2.0, planted(2.0, numbers(SAMPLES), "root not squared")) < 1e-8


def test_directions_are_uniform_on_the_sphere():
    drawn = numbers(SAMPLES)
    delta = torch.full((SAMPLES,), 0.3, dtype=torch.float64)
    b = formulas.on_sphere(delta, drawn)
    assert float((b.square().sum(1) - 1).abs().max()) < 1e-15 * 8
    direction = b[:, 1:] / math.sqrt(0.3 * 1.7)
    for axis in range(3):  # Archimedes: every coordinate is uniform
        assert scipy.stats.kstest(direction[:, axis].numpy(), "uniform", (-1, 2)).pvalue > 1e-4
    turn = torch.atan2(direction[:, 1], direction[:, 0]) / (2 * math.pi) + 0.5
    assert scipy.stats.kstest(turn.numpy(), "uniform").pvalue > 1e-4


def one_link(staple, beta, count=40_000, hits=10, seed=0):
    """`count` independent links after `hits` updates from Haar, all with the same staples."""
    generator = torch.Generator().manual_seed(8)
    links = su3.random_group((1, count), generator)
    staples = staple.expand(1, count, 3, 3)
    for hit in range(hits):
        draws = formulas._Draws(WORDS + seed, torch.arange(count), hit, beta)
        links = formulas.heated(links, staples, draws)
    return links[0]


def weyl(coupling, points=300):
    """<tr U>, <(Re tr U)^2> under exp(Re(coupling tr U)) on SU(3), by Weyl's integral."""
    angle = 2 * math.pi * (np.arange(points) + 0.5) / points
    one, two = np.meshgrid(angle, angle)
    phases = np.exp(1j * np.stack([one, two, -one - two]))
    measure = math.prod(np.abs(phases[i] - phases[j]) ** 2 for i in range(3) for j in range(i))
    trace = phases.sum(0)
    weight = measure * np.exp((coupling * trace).real)
    total = weight.sum()
    return (weight * trace).sum() / total, (weight * trace.real**2).sum() / total


@pytest.mark.slow
@pytest.mark.parametrize("factor", (0.3, 2.0, 4.5, 3 * np.exp(0.7j), -1.5))
def test_one_link_has_the_exact_averages(factor):
    """beta = 5.7 and staples factor times 1: averages by Weyl's integral, within 4 sigma."""
    links = one_link(factor * torch.eye(3, dtype=torch.complex128), 5.7)
    trace = su3.trace(links)
    mean, square = weyl(5.7 / 3 * factor)
    for found, expected in ((trace.real, mean.real), (trace.imag, mean.imag),
                            (trace.real.square(), square)):
        error = float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - expected) < 4 * error
        assert error < 0.012


@pytest.mark.slow
def test_one_link_at_half_the_coupling_is_another(generator):
    """Negative control: 2 beta / 3 taken for beta / 3."""
    trace = su3.trace(one_link(2 * torch.eye(3, dtype=torch.complex128), 5.7 / 2)).real
    error = float(trace.std()) / math.sqrt(len(trace))
    assert abs(float(trace.mean()) - weyl(5.7 / 3 * 2)[0].real) > 20 * error


@pytest.mark.slow
def test_one_link_between_staples_without_symmetry(generator):
    """Any staples: Haar-random matrices with weights e^{-S} give the same, within 4 sigma."""
    beta = 1.5
    staple = torch.randn(3, 3, generator=generator, dtype=torch.complex128)
    links, haar = one_link(staple, beta), su3.random_group((400_000,), generator)
    weight = torch.exp(beta / 3 * su3.trace(haar @ staple).real)
    weight = weight / weight.mean()

    def seen(field):
        return torch.stack((su3.trace(field @ staple).real, field[:, 0, 1].real,
                            field[:, 2, 0].imag, field[:, 1, 1].abs().square()))

    expected = (weight * seen(haar)).mean(1)
    spread = (weight * (seen(haar) - expected[:, None])).std(1) / math.sqrt(len(haar))
    found, error = seen(links).mean(1), seen(links).std(1) / math.sqrt(len(links))
    assert ((found - expected).abs() < 4 * (error.square() + spread.square()).sqrt()).all()
    # The staples matter: those of another matrix give another average.
    other = one_link(staple.mH.contiguous(), beta)
    assert ((seen(other).mean(1) - expected).abs() > 10 * error).any()


def plaquettes(kernel, links, steps, skip, seed=4):
    """[chains, steps - skip] plaquettes of a run."""
    state, rows = kernel.init(links), []
    for number in range(steps):
        state, _ = kernel.step(state, trajectory_draws(seed, [number] * len(links)))
        rows.append(fast.plaquettes(state.links).mean(1))
    return torch.stack(rows, 1)[:, skip:].numpy()


@pytest.mark.parametrize("kernel", (
    HeatBath(GaugeAction(1.0), 1, 0), HeatBath(GaugeAction(1.0), 1, 1),
    Mixture([(HeatBath(GaugeAction(1.0), 1, 1), 1), (HMC(GaugeAction(1.0), 0.5, 3), 1)]),
    Mixture([(HMC(GaugeAction(1.0), 0.5, 3), 1), (HeatBath(GaugeAction(1.0)), 1)], "random"),
), ids=("heat bath", "overrelaxed", "mixture", "random mixture"))
def test_plaquette_at_strong_coupling(kernel, generator):
    """0.0601266 at beta = 1 (one-plaquette integral; corrections are below 1e-5)."""
    links = hot_start((4, 4, 4, 4), generator, 16)
    mean = estimate(plaquettes(kernel, links, 45, 5))
    assert abs(mean.value - 0.0601266) < 4 * mean.error < 2e-3


def test_reflections_alone_keep_the_energy_and_sample_nothing(generator):
    """What overrelaxation cannot do: the action stays what it was."""
    links = hot_start((4, 4, 2, 4), generator)
    moved = fast.heat_bath(links, 6.0, WORDS, 0, 20)
    action = GaugeAction(6.0)
    assert abs(float(action(moved) - action(links))) < 1e-10


def test_an_update_is_a_step_that_is_always_taken(generator):
    action = GaugeAction(5.7)
    kernel = HeatBath(action, 2, 3)
    state = kernel.init(rough_links(generator, (2, 4, 4, 2), 3))
    new, info = kernel.step(state, generator)
    assert info.accepted.all() and not info.delta_h.any() and not info.log_ratio.any()
    assert torch.equal(new.action, action(new.links)) and new.force is None
    assert torch.equal(info.delta_action, new.action - state.action)
    assert info.force_evaluations == 5 and kernel.scaled(2.0) is kernel and kernel.length == 0
    steps = list(markov.run(kernel, state, 3, generator))
    assert len(steps) == 3


def test_a_trajectory_is_replayed_from_seed_chain_and_number(generator):
    """Each chain alone gives what it gives among others; every one of the three numbers counts."""
    kernel = HeatBath(GaugeAction(6.0), 1, 1)
    links = rough_links(generator, (2, 4, 4, 2), 1).expand(3, *[-1] * 7).contiguous()
    together, _ = kernel.step(kernel.init(links), trajectory_draws(7, [5, 5, 6]))
    again, _ = kernel.step(kernel.init(links), trajectory_draws(7, [5, 5, 6]))
    assert torch.equal(together.links, again.links)
    alone = trajectory_draws(7, [5, 5, 6]).of([1])
    one, _ = kernel.step(kernel.init(links[:1]), alone)
    assert torch.equal(one.links[0], together.links[1])
    fields = [*together.links, kernel.step(kernel.init(links[:1]), trajectory_draws(8, [5]))[0]
              .links[0]]
    assert all(not torch.equal(a, b) for i, a in enumerate(fields) for b in fields[:i])


def test_generators_of_any_kind_serve(generator):
    """One for all, one per chain: other numbers at every call, the same from the same state."""
    kernel = HeatBath(GaugeAction(6.0), 1, 0)
    state = kernel.init(rough_links(generator, (2, 4, 2, 2), 2))
    for make in (lambda: torch.Generator().manual_seed(3),
                 lambda: [torch.Generator().manual_seed(n) for n in (3, 4)]):
        source = make()
        first, second = (kernel.step(state, source)[0].links for _ in range(2))
        assert torch.equal(kernel.step(state, make())[0].links, first)
        assert not torch.equal(first, second)
        assert not torch.equal(first[0], first[1])


def test_words_tell_all_draws_apart():
    made = {counter.words(*who) for who in ((1, 2, 3, 4), (2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4),
                                            (1, 2, 3, 5), (2**40, 2, 3, 4))}
    assert len(made) == 6
    assert counter.words(2**63 - 1, 1023, 2**22, 1) == (2**32 - 1, 2**31 - 1, 2**22, 66559)
    for who in ((-1, 0, 0, 0), (0, 2**16, 0, 0), (0, 0, 2**32, 0)):
        with pytest.raises(ConfigError, match="random numbers: expected a"):
            counter.words(*who)


def test_links_stay_in_the_group_however_long(generator):
    kernel = HeatBath(GaugeAction(6.0), 1, 4)
    state = kernel.init(rough_links(generator, (2, 2, 2, 4)))
    defects = []
    for number in range(400):
        state, _ = kernel.step(state, trajectory_draws(1, [number]))
        if number in (0, 399):
            defects.append(float(su3.unitarity_defect(state.links).max()))
    assert max(defects) < 2e-14


def test_mixtures_hand_the_force_to_those_who_need_it(generator):
    """A part that needs no force neither gets nor gives one; HMC computes what is missing."""
    action = GaugeAction(5.7)
    hmc, bath = HMC(action, 0.1, 2), HeatBath(action)
    links = rough_links(generator, (2, 4, 2, 2), 2)
    mixture = Mixture([(bath, 1), (hmc, 2)])
    assert mixture.guide == action and mixture.names == ["heatbath", "hmc"]
    assert Mixture([(bath, 1)]).guide is None
    state = mixture.init(links)
    for _ in range(4):
        state, _ = mixture.step(state, generator)
        if state.force is not None:
            assert torch.equal(state.force, action.force(state.links))
    usage = mixture.usage()
    assert usage["heatbath"].updates == 4 and usage["hmc"].updates == 4
    assert usage["heatbath"].acceptance == 1 and usage["heatbath"].force_evaluations == 20


@pytest.mark.slow
@pytest.mark.parametrize("choice", ("cycle", "random"))
def test_networks_and_the_heat_bath_take_turns_exactly(choice):
    """Live networks beside the heat bath: their own rejects and log|J|, one plaquette."""
    learned = make_kernel("kick", step=0.5, action=GaugeAction(1.0))
    with torch.no_grad():
        learned.kick_network.bias.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    mixture = Mixture([(learned, 1), (HeatBath(GaugeAction(1.0), 1, 1), 1)], choice)
    links = hot_start((4, 4, 4, 4), torch.Generator().manual_seed(3), 16)
    mean = estimate(plaquettes(mixture, links, 60, 6))
    assert abs(mean.value - 0.0601266) < 4 * mean.error < 2e-3
    usage = mixture.usage()
    assert usage["heatbath"].acceptance == 1 and 0.2 < usage["l2hmc"].acceptance < 1
    weight = usage["l2hmc"].exp_minus_dh
    assert abs(weight.value - 1) < 4 * weight.error and usage["l2hmc"].bad == 0


@pytest.mark.parametrize("action, message", (
    (gauge_action("iwasaki", 2.6), "found iwasaki"), (gauge_action("symanzik", 4.0), "symanzik"),
    (U1Action(2.0), "Wilson action of SU.3., found U1Action"),
    (HostAction(lambda links: 0.0), "found HostAction"),
))
def test_other_actions_are_refused_by_name(action, message):
    with pytest.raises(ActionError, match=message):
        HeatBath(action)


def test_numbers_of_sweeps_and_lattices_are_checked(generator):
    for sweeps, overrelax in ((0, 4), (1, -1), (1001, 0)):
        with pytest.raises(ConfigError, match="heat bath: expected"):
            HeatBath(GaugeAction(6.0), sweeps, overrelax)
    kernel = HeatBath(GaugeAction(6.0))
    kernel.check(rough_links(generator, (2, 3, 2, 4)))
    with pytest.raises(LayoutError, match="extents of at least 2"):
        kernel.check(rough_links(generator, (2, 1, 2, 4)))
