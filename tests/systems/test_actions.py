"""Actions and forces: derivatives, gauge covariance, known values."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.systems.actions import (
    GaugeAction,
    U1Action,
    cold_start,
    gauge_action,
    hot_start,
)
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS
from tests.support.fields import EXTENTS, gauge_transform, rough_links

NAMES = sorted(RECTANGLE_COEFFICIENTS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lattice", [EXTENTS, (2, 2, 2, 2), (3, 2, 4, 5)])
def test_force_is_the_derivative_of_the_action(name, lattice, generator):
    """d/de S(exp(e X) U) = <X, F> by autograd for every link direction at once."""
    action = gauge_action(name, 5.7)
    links = hot_start(lattice, generator, chains=2)
    components = torch.zeros(*links.shape[:-2], 8, dtype=torch.float64, requires_grad=True)
    value = action(su3.exp(su3.from_components(components)) @ links).sum()
    (gradient,) = torch.autograd.grad(value, components)
    force = action.force(links)
    assert torch.allclose(su3.to_components(force), gradient, atol=1e-12)
    assert torch.equal(force, -force.mH) or (force + force.mH).abs().max() < 1e-14
    assert su3.trace(force).abs().max() < 1e-13


@pytest.mark.parametrize("name", NAMES)
def test_force_by_finite_differences(name, generator):
    action = gauge_action(name, 6.0)
    links = rough_links(generator)
    direction = su3.random_algebra(links.shape[:-2], generator)
    h = 1e-3
    ends = [action(su3.exp(s * h * direction) @ links) for s in (-2, -1, 1, 2)]
    derivative = (8 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12 * h)
    exact = su3.inner(direction, action.force(links)).flatten(1).sum(1)
    assert torch.allclose(derivative, exact, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_action_is_gauge_invariant_and_force_covariant(name, generator):
    action = gauge_action(name, 6.0)
    links = rough_links(generator)
    turned, gauge = gauge_transform(links, generator)
    assert torch.allclose(action(turned), action(links), rtol=1e-13)
    expected = gauge[:, None] @ action.force(links) @ gauge[:, None].mH
    assert (action.force(turned) - expected).abs().max() < 1e-12


def test_unit_field_value():
    links = cold_start(EXTENTS)
    volume = 4 * 6 * 8 * 2
    for name in NAMES:
        action = gauge_action(name, 2.6)
        c1 = RECTANGLE_COEFFICIENTS[name]
        expected = -2.6 * volume * (6 * (1 - 8 * c1) + 12 * c1)
        assert action(links).item() == pytest.approx(expected, rel=1e-14)
        assert action.force(links).abs().max() < 1e-14


def test_staples_close_plaquettes_and_rectangles(generator):
    links = rough_links(generator)
    sites = links[0, 0, ..., 0, 0].numel()
    closed = su3.trace(links @ loops.staples(links)).real.sum() / (3 * sites)
    assert closed.item() == pytest.approx(4 * loops.plaquettes(links).sum().item(), rel=1e-12)
    closed = su3.trace(links @ loops.rectangle_staples(links)).real.sum() / (3 * sites)
    expected = 6 * (loops.rectangles(links).sum().item() - 4)
    assert closed.item() == pytest.approx(expected, rel=1e-12)


def test_force_has_no_covariant_divergence(generator):
    """Gauge invariance: sum_mu [F_mu(x) - U_mu(x-mu)^dagger F_mu(x-mu) U_mu(x-mu)] = 0."""
    links = rough_links(generator)
    force = gauge_action("iwasaki", 2.6).force(links)
    divergence = sum(
        force[:, mu] - loops.shift(links[:, mu].mH @ force[:, mu] @ links[:, mu], mu, -1)
        for mu in range(4)
    )
    assert divergence.abs().max() < 1e-12


def test_unknown_action_and_coupling_are_named():
    with pytest.raises(ActionError, match="'plain'"):
        gauge_action("plain", 6.0)
    for beta in (-1.0, float("nan"), float("inf"), "6.0", None, [6.0], torch.ones(2)):
        for make in (GaugeAction, U1Action, GaugeAction(1.0).at, U1Action(1.0).at,
                     lambda beta: gauge_action("wilson", beta)):
            with pytest.raises(ActionError, match="beta: expected a finite number >= 0, found"):
                make(beta)
    for c1 in (float("nan"), float("-inf"), "iwasaki"):
        with pytest.raises(ActionError, match="c1: expected a finite number, found"):
            GaugeAction(6.0, c1)
    for beta in (6, np.float64(6.0), np.int64(6), torch.tensor(6.0)):
        assert GaugeAction(beta).at(beta) == GaugeAction(6.0)


def test_what_are_no_links_is_refused(generator):
    links = rough_links(generator)
    for wrong in (links.numpy(), links[0], links.real):
        for function in (GaugeAction(6.0), GaugeAction(6.0).force):
            with pytest.raises(LayoutError, match="links: expected"):
                function(wrong)
    with pytest.raises(LayoutError, match="angles: expected a torch tensor, found ndarray"):
        U1Action(2.0)(np.zeros((1, 2, 4, 4)))


@pytest.mark.parametrize("beta", [6, 6.0, Fraction(6), Decimal(6), np.float32(6), np.array(6.0),
                                  torch.tensor(6.0)])
def test_a_beta_is_any_number(beta):
    links = hot_start((2, 2, 2, 2), torch.Generator().manual_seed(1))
    assert torch.equal(GaugeAction(beta)(links), GaugeAction(6.0)(links))
    assert GaugeAction(1.0).at(beta).beta == U1Action(1.0).at(beta).beta == 6.0
