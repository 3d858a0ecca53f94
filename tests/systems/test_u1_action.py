"""U(1) in two dimensions: action, force, charges, and HMC on them through the common kernel."""

import math

import pytest
import torch

from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields import u1
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, integrate, thermalise
from l2hmc_bridge.sampling.integrators import INTEGRATORS, schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import U1Action
from l2hmc_bridge.systems.groups import GROUPS

LATTICE = (4, 6)  # (t, x)


@pytest.fixture
def angles(generator):
    return u1.hot_start(LATTICE, generator, chains=3)


def test_plaquette_by_walking_around_it(angles):
    """Site by site with complex links: t, then x, back along t, back along x."""
    links, (nt, nx) = torch.polar(torch.ones_like(angles), angles)[0], LATTICE
    total = 0
    for t in range(nt):
        for x in range(nx):
            up, right = (t + 1) % nt, (x + 1) % nx
            loop = (links[0, t, x] * links[1, up, x]
                    * links[0, t, right].conj() * links[1, t, x].conj())
            total += float(loop.real)
            wrapped = u1.wrap(u1.plaquette_angles(angles)[0, t, x])
            assert float(loop.angle()) == pytest.approx(float(wrapped), abs=1e-12)
    assert float(u1.plaquette(angles)[0]) == pytest.approx(total / (nt * nx), abs=1e-13)
    assert float(U1Action(1.7)(angles)[0]) == pytest.approx(-1.7 * total, abs=1e-12)


def test_force_is_the_derivative_of_the_action(angles):
    action = U1Action(2.3)
    leaf = angles.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(action(leaf).sum(), leaf)
    assert (action.force(angles) - slope).abs().max() < 1e-13
    assert slope.abs().max() > 1


def gauge_transform(angles, generator):
    """x_mu(n) -> x_mu(n) + a(n) - a(n + mu)."""
    phase = u1.hot_start(LATTICE, generator, len(angles))[:, 0]
    moved = torch.stack([phase - torch.roll(phase, -1, dims=1 + mu) for mu in range(2)], dim=1)
    return u1.wrap(angles + moved)


def test_observables_are_gauge_invariant_and_charges_odd(angles, generator):
    turned = gauge_transform(angles, generator)
    assert u1.wrap(turned - angles).abs().max() > 1
    for name, measure in u1.MEASUREMENTS.items():
        sign = -1 if "charge" in name else 1
        assert (measure(turned) - measure(angles)).abs().max() < 1e-12, name
        assert (measure(u1.wrap(-angles)) - sign * measure(angles)).abs().max() < 1e-12, name
        assert (measure(torch.roll(angles, (1, 2), (2, 3))) - measure(angles)).abs().max() < 1e-12


def test_charge_is_a_whole_number_before_it_is_rounded(generator):
    angles = u1.hot_start((8, 8), generator, chains=200)
    sums = u1.wrap(u1.plaquette_angles(angles)).sum((1, 2)) / (2 * math.pi)
    charge = u1.topological_charge(angles)
    assert (sums - charge).abs().max() < 1e-12
    assert len(charge.unique()) > 4


@pytest.mark.parametrize("charge", [-3, -1, 0, 1, 2])
def test_constant_field_has_its_charge(charge):
    """Sign and normalisation: x_P = 2 pi q / V everywhere, seam included."""
    volume = math.prod(LATTICE)
    field = u1.instanton(LATTICE, charge)
    flux = 2 * math.pi * charge / volume
    assert (u1.wrap(u1.plaquette_angles(field)) - flux).abs().max() < 1e-13
    assert float(u1.topological_charge(field)) == charge
    assert float(u1.smooth_charge(field)) == pytest.approx(
        volume * math.sin(flux) / (2 * math.pi), abs=1e-12)
    assert U1Action(3.0).force(field).abs().max() < 1e-12


def test_wrapped_angles_stay_below_pi():
    """-pi - 4e-16 plus 2 pi rounds to pi, which is not in [-pi, pi)."""
    edge = torch.tensor([-math.pi - 4.4e-16, math.pi, -math.pi, 3 * math.pi], dtype=torch.float64)
    assert (u1.wrap(edge) == -math.pi).all()


def energy_change(name, step, steps, action, angles, momenta):
    state = State(angles, action(angles), action.force(angles))
    end = integrate(action, state, momenta, schedule(name, step, steps))
    return (action(end.links) - state.action + u1.kinetic(end.momenta) - u1.kinetic(momenta))


@pytest.mark.parametrize("name", INTEGRATORS)
def test_order_of_the_energy_error(name, generator):
    """At fixed time dH falls as h^order: halving h divides it by 2^order within 20 per cent."""
    angles = 0.5 * torch.randn(1, 2, *LATTICE, generator=generator, dtype=torch.float64)
    momenta = u1.random_momenta(angles.shape, generator)
    first, second = (float(energy_change(name, 0.8 / n, n, U1Action(2.0), angles, momenta))
                     for n in (12, 24))
    assert abs(first / second) == pytest.approx(2 ** INTEGRATORS[name].order, rel=0.2)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_reversibility(name, angles, generator):
    action = U1Action(2.0)
    momenta = u1.random_momenta(angles.shape, generator)
    plan = schedule(name, 0.2, 5)
    there = integrate(action, State(angles, None, action.force(angles)), momenta, plan)
    back = integrate(action, State(there.links, None, there.force), -there.momenta, plan)
    assert u1.wrap(there.links - angles).abs().max() > 0.5
    assert u1.wrap(back.links - angles).abs().max() < 1e-12
    assert (back.momenta + momenta).abs().max() < 1e-12
    assert ((there.links >= -math.pi) & (there.links < math.pi)).all()


def test_state_carries_action_and_force_through_accepts_and_rejects(generator):
    kernel = HMC(U1Action(2.0), 0.65, 2)
    state = kernel.init(u1.hot_start(LATTICE, generator, chains=20))
    accepted = 0
    for _ in range(6):
        state, info = kernel.step(state, generator)
        accepted += int(info.accepted.sum())
        assert torch.equal(state.action, kernel.action(state.links))
        assert torch.equal(state.force, kernel.action.force(state.links))
        assert torch.equal(info.log_ratio, -info.delta_h)
    assert 0 < accepted < 120


def test_chains_replay_from_their_own_generators(angles):
    kernel = HMC(U1Action(1.5), 0.2, 3)
    together, _ = kernel.step(kernel.init(angles), [markov.trajectory_generator(7, chain, 12)
                                                    for chain in range(3)])
    for chain in range(3):
        alone, _ = kernel.step(kernel.init(angles[chain:chain + 1]),
                               [markov.trajectory_generator(7, chain, 12)])
        assert (alone.links - together.links[chain]).abs().max() < 1e-15


def test_thermalise_keeps_angles_in_range(generator):
    kernel = HMC(U1Action(4.0), 0.2, 4)
    angles = thermalise(kernel, u1.cold_start(LATTICE, 4), 10, lambda n: generator)
    assert ((angles >= -math.pi) & (angles < math.pi)).all()
    assert 0.5 < float(u1.plaquette(angles).mean()) < 0.99


def test_what_is_wrong_is_named():
    for beta in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ActionError, match="beta"):
            U1Action(beta)
    for shape in ((1, 4, 2, 2, 2, 2, 3, 3), (2, 4, 4), (1, 2, 4, 1)):
        with pytest.raises(LayoutError, match=r"\[Nb,2,Nt,Nx\]"):
            HMC(U1Action(1.0), 0.1, 1).init(torch.zeros(shape, dtype=torch.float64))
    with pytest.raises(LayoutError, match="real"):
        U1Action(1.0)(torch.zeros(1, 2, 4, 4, dtype=torch.complex128))
    other = HMC(U1Action(1.0, group="su5"), 0.1, 1)
    with pytest.raises(ActionError, match=f"{', '.join(GROUPS)}, found 'su5'"):
        other.step(other.init(u1.cold_start(LATTICE)), torch.Generator())
