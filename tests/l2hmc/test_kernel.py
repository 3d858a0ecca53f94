"""The L2HMC kernel: zero networks are HMC, exact inverse, exact Jacobian, covariance."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import laws
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import INTEGRATORS, schedule
from l2hmc_bridge.systems.actions import gauge_action
from tests.sampling.test_hmc import CountingAction
from tests.support.fields import EXTENTS, rough_links
from tests.support.planted import run

ACTION = gauge_action("wilson", 5.8)
KINDS = ("steps", "kick", "drift", "all subsets", "mixing", "all")


def make_kernel(kind, generator=None, integrator="omf2", composition="palindrome", steps=1,
                step=0.1, action=ACTION, loops=("laplacian", "rectangle")):
    """A kernel with the networks of `kind`; weights drawn at random when a generator is given."""
    plan = schedule(integrator, step, steps)
    pieces = {}
    if kind in ("kick", "all"):
        pieces["kick_network"] = KickNetwork(len(plan.kicks), 4, loops)
    if kind in ("drift", "all subsets", "all"):
        subsets = "all" if kind == "all subsets" else "turn"
        pieces["drift_network"] = DriftNetwork(len(plan.drifts), 4, subsets, ("q", "t"))
    if kind in ("mixing", "all"):
        pieces["mixing"] = MomentumMixing()
    kernel = L2HMC(action, Steps(plan), composition=composition, **pieces)
    if generator is not None:
        randomise(kernel, generator)
    return kernel


def randomise(kernel, generator, size=0.5):
    """Weights so large that s, q, t are far from zero."""
    with torch.no_grad():
        for module in (kernel.kick_network, kernel.drift_network, kernel.mixing):
            for parameter in module.parameters() if module is not None else ():
                noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.copy_(size * noise if parameter.ndim else 0.05 * noise)
        kernel.steps.kicks += 0.01 * torch.randn(len(kernel.steps.kicks), generator=generator)
        kernel.steps.drifts += 0.01 * torch.randn(len(kernel.steps.drifts), generator=generator)


def phase_point(generator, lattice=EXTENTS, chains=1):
    links = rough_links(generator, lattice, chains)
    return links, su3.random_algebra(links.shape[:-2], generator)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_zero_networks_are_hmc(kind, integrator, generator):
    """Palindrome of one pass = HMC with twice the steps, to 1e-13; mixing orders the drifts."""
    links, momenta = phase_point(generator)
    kernel = make_kernel(kind, integrator=integrator, steps=1)
    hmc = HMC(ACTION, 0.1, 2, integrator)
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(links), momenta, generator)
        theirs = hmc.trajectory(hmc.init(links), momenta, generator)
    assert (ours.links - theirs.links).abs().max() < 1e-13
    assert (ours.momenta - theirs.momenta).abs().max() < 1e-13
    assert (ours.force - theirs.force).abs().max() < 1e-12
    assert ours.log_det.abs().max() == 0
    assert ours.force_evaluations == theirs.force_evaluations


def test_repeats_are_a_longer_trajectory_and_an_involution(generator):
    links, momenta = phase_point(generator, (2, 2, 4, 2))
    kernel = replace(make_kernel("kick", None, steps=1), repeats=3)
    hmc = HMC(ACTION, 0.1, 6, "omf2")
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(links), momenta, generator)
        theirs = hmc.trajectory(hmc.init(links), momenta, generator)
    assert kernel.length == pytest.approx(0.6)
    assert (ours.links - theirs.links).abs().max() < 1e-13
    assert ours.force_evaluations == theirs.force_evaluations
    rough = replace(make_kernel("all", generator, step=0.05, loops=("laplacian",)), repeats=3)

    def involution(links, momenta):
        end = run(rough, rough.palindrome, links, momenta)
        return end.links, -end.momenta, end.log_det

    assert max(laws.round_trip(involution, involution, links, momenta)) < 1e-10
    with pytest.raises(ConfigError, match="repeats"):
        replace(kernel, composition="direction")


def test_direction_with_zero_networks_is_hmc_forth_or_back(generator):
    links, momenta = phase_point(generator, (2, 4, 2, 4), chains=6)
    kernel = make_kernel("kick", composition="direction", steps=2)
    hmc = HMC(ACTION, 0.1, 2, "omf2")
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(links), momenta, generator)
        ahead = hmc.trajectory(hmc.init(links), momenta, generator)
        behind = hmc.trajectory(hmc.init(links), -momenta, generator)
    forth = (ours.links - ahead.links).abs().flatten(1).amax(1) < 1e-13
    back = (ours.links - behind.links).abs().flatten(1).amax(1) < 1e-13
    assert bool((forth ^ back).all())
    assert bool(forth.any()) and bool(back.any())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lattice", [EXTENTS, (2, 2, 2, 2)])
def test_inverse(kind, lattice, generator):
    kernel = make_kernel(kind, generator, steps=2)
    links, momenta = phase_point(generator, lattice, chains=2)
    phi, back = laws.forward_map(kernel), laws.inverse_map(kernel)
    for first, second in ((phi, back), (back, phi)):
        assert max(laws.round_trip(first, second, links, momenta)) < 1e-11
    moved = phi(links, momenta)
    assert (moved[0] - links).abs().max() > 1e-2
    assert su3.unitarity_defect(moved[0]).max() < 1e-13


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian(kind, generator):
    kernel = make_kernel(kind, generator, integrator="leapfrog", steps=1, step=0.2)
    links, momenta = phase_point(generator, (2, 2, 2, 2))
    phi = laws.forward_map(kernel)
    assert laws.jacobian_defect(phi, links, momenta) < 1e-6
    stated = phi(links, momenta)[2].abs().item()
    assert stated > 1 if kind in ("kick", "all") else stated == 0


def test_jacobian_of_the_palindrome_and_its_involution(generator):
    kernel = make_kernel("all", generator, integrator="leapfrog", steps=1, step=0.15,
                         loops=("laplacian",))
    links, momenta = phase_point(generator, (2, 2, 2, 2))

    def involution(links, momenta):
        end = run(kernel, kernel.palindrome, links, momenta)
        return end.links, -end.momenta, end.log_det

    assert max(laws.round_trip(involution, involution, links, momenta)) < 1e-11
    assert laws.jacobian_defect(involution, links, momenta) < 1e-6
    assert involution(links, momenta)[2].abs() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_covariance_and_translation(kind, generator):
    kernel = make_kernel(kind, generator)
    links, momenta = phase_point(generator)
    phi = laws.forward_map(kernel)
    assert laws.covariance_defect(phi, links, momenta, generator) < 1e-11
    for mu in range(4):
        assert laws.translation_defect(phi, links, momenta, mu, 2) < 1e-11
    if kind in ("steps", "kick", "mixing"):
        assert laws.translation_defect(phi, links, momenta, 1, 1) < 1e-11
    else:
        assert laws.translation_defect(phi, links, momenta, 1, 1) > 1e-6


def test_rotation_of_the_kick_network(generator):
    """Exchange of x and y and of the directions: exact where no drift order matters."""
    kernel = make_kernel("kick", generator)
    links, momenta = phase_point(generator)

    def rotate(field):
        return field[:, [0, 2, 1, 3]].transpose(3, 4)

    phi = laws.forward_map(kernel)
    one, other = phi(rotate(links), rotate(momenta)), phi(links, momenta)
    assert (one[0] - rotate(other[0])).abs().max() < 1e-11
    assert (one[1] - rotate(other[1])).abs().max() < 1e-11


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("kind", ["steps", "kick"])
def test_one_force_per_distinct_field(kind, composition, generator):
    action = CountingAction()
    kernel = make_kernel(kind, generator, "force_gradient", composition, 2, action=action)
    state = kernel.init(rough_links(generator, (2, 2, 2, 4)))
    for _ in range(3):
        before = len(action.fields)
        state, info = kernel.step(state, generator)
        assert len(action.fields) - before == info.force_evaluations
        passes = 2 if composition == "palindrome" else 1
        assert info.force_evaluations == passes * kernel.steps.force_evaluations


def test_every_link_has_its_turn():
    """Eight drifts in turn go through the eight subsets; each drift moves every link once."""
    network, whole = DriftNetwork(16, 4), DriftNetwork(16, 4, "all")
    for start in (0, 5, 8):
        turns = [subset for k in range(start, start + 8) for subset in network.order(k)]
        assert sorted(one[:2] for one in turns if one[2]) == sorted(
            one[:2] for one in whole.order(start))
    for k in range(16):
        for one in (network, whole):
            moved = [(mu, odd) for mu, parity, _ in one.order(k)
                     for odd in ((False, True) if parity is None else (parity,))]
            assert sorted(moved) == [(mu, odd) for mu in range(4) for odd in (False, True)]
    with pytest.raises(ConfigError, match="subsets"):
        DriftNetwork(2, 4, "half")
    with pytest.raises(ConfigError, match="outputs"):
        DriftNetwork(2, 4, outputs=("s",))


def test_mixing_is_self_adjoint_and_conserves_energy_with_small_steps(generator):
    mixing = MomentumMixing()
    torch.nn.init.constant_(mixing.coefficient, 0.04)
    links, one = phase_point(generator)
    other = su3.random_algebra(links.shape[:-2], generator)
    with torch.no_grad():
        left = su3.inner(one, mixing(links, other)).sum()
        right = su3.inner(mixing(links, one), other).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-12)
    errors = []
    for steps in (4, 8):
        kernel = make_kernel("mixing", integrator="leapfrog", steps=steps, step=0.2 / steps)
        torch.nn.init.constant_(kernel.mixing.coefficient, 0.04)
        with torch.no_grad():
            state = kernel.init(links)
            end = kernel.trajectory(state, one, generator)
            errors.append((ACTION(end.links) - state.action + su3.kinetic(end.momenta)
                           - su3.kinetic(one)).item())
    assert abs(errors[0] / errors[1]) == pytest.approx(4, rel=0.25)


def test_scale_keeps_the_order_of_the_scheme(generator):
    """Displacements scale with the square: a fourth-order scheme stays one."""
    links, momenta = phase_point(generator, (2, 4, 2, 4))
    hmc = HMC(ACTION, 0.05, 2, "force_gradient")
    kernel = make_kernel("steps", integrator="force_gradient", step=0.1).scaled(0.5)
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(links), momenta, generator)
        theirs = hmc.trajectory(hmc.init(links), momenta, generator)
    assert (ours.links - theirs.links).abs().max() < 1e-13
    assert kernel.length == pytest.approx(0.1)


def test_host_proposal_holds_its_parts(generator):
    kernel = make_kernel("kick", generator, composition="direction")
    links, _ = phase_point(generator, (2, 2, 2, 2), chains=2)
    new, delta, info = kernel.propose(links, torch.Generator().manual_seed(3))
    expected = info.delta_kinetic + info.delta_action - info.log_det
    assert torch.allclose(delta, expected, atol=1e-12)
    assert torch.allclose(info.delta_action, ACTION(new) - ACTION(links), atol=1e-10)


def test_odd_lattices_and_unknown_compositions_are_refused(generator):
    links = rough_links(generator, (3, 2, 2, 2))
    with pytest.raises(LayoutError, match="even extents"):
        make_kernel("drift").init(links)
    make_kernel("kick").init(links)
    with pytest.raises(ConfigError, match="palindrome"):
        make_kernel("kick", composition="both")
    with pytest.raises(ConfigError, match="loops"):
        KickNetwork(2, 4, ("hexagon",))


def test_a_kernel_without_live_networks_is_called_a_tuned_integrator(generator):
    for kind in KINDS:
        assert architecture.nature(make_kernel(kind)) == "tuned integrator"
    assert architecture.nature(make_kernel("all", generator)) == (
        "trained steps, kick network, drift network, momentum mixing")
