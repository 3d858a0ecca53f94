"""The field transformation obeys its laws: inverse, Jacobian, covariance, translation, group."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fast import smearing
from l2hmc_bridge.fields import su3
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.observables import flow
from tests.support.fields import EXTENTS, gauge_transform, rough_links
from tests.support.transformations import random_transformation

BETA = 5.8


@pytest.fixture(params=["auto", "torch"], autouse=True)
def serving(request):
    with fast.using(request.param):
        yield request.param


@pytest.mark.slow
@pytest.mark.parametrize("hidden, sweeps", [(0, 1), (4, 1), (4, 3)])
def test_inverse_and_group(hidden, sweeps, generator):
    made = random_transformation(generator, hidden, sweeps)
    links = rough_links(generator, (4, 2, 6, 2), 2)
    with torch.no_grad():
        moved, change = made(links, BETA)
        back, again = made.inverse(moved, BETA)
    assert float((moved - links).abs().max()) > 0.03
    assert float((back - links).abs().max()) < 3e-15 * sweeps
    assert float((change - again).abs().max()) < 1e-11
    for field in (moved, back):
        assert float(su3.unitarity_defect(field).max()) < 1e-14 * sweeps
        assert float(su3.determinant_defect(field).max()) < 1e-14 * sweeps


def dense_log_det(made, links, batch=64) -> float:
    """log|det dU'/dU| of the whole field by automatic differentiation, Nb = 1."""
    count, rows = 8 * links[0].numel() // 9, []
    for first in range(0, count, batch):
        many = links.expand(batch, *links.shape[1:])
        start = torch.zeros(*many.shape[:-2], 8, dtype=torch.float64, requires_grad=True)
        moved, _ = made(su3.exp(su3.from_components(start)) @ many, BETA)
        turned = su3.to_components(su3.project_algebra(moved @ moved.detach().mH)).flatten(1)
        wanted = turned[torch.arange(batch), first + torch.arange(batch)]
        rows.append(torch.autograd.grad(wanted.sum(), start)[0].flatten(1))
    sign, value = torch.linalg.slogdet(torch.cat(rows))
    assert float(sign) == 1
    return float(value)


@pytest.mark.slow
@pytest.mark.parametrize("hidden, rho", [(0, 0.1), (0, -0.1), (3, 0.06)])
def test_log_det_is_that_of_the_dense_jacobian(hidden, rho, generator):
    """512 x 512 on 2^4."""
    made = random_transformation(generator, hidden, rho=rho)
    links = rough_links(generator, (2, 2, 2, 2), 1, 0.4)
    with torch.no_grad():
        stated = float(made(links, BETA)[1])
    assert abs(stated) > 5
    assert abs(stated - dense_log_det(made, links)) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["eighth", "antisymmetric", "curvature"])
def test_a_wrong_determinant_is_caught(wrong, generator, monkeypatch):
    """Planted: seven of eight components, B symmetrised, exp taken to first order."""
    if wrong == "eighth":
        monkeypatch.setattr(smearing, "log_det", lambda *given: torch.linalg.slogdet(
            smearing._bracket(*given)[..., :7, :7]).logabsdet)
    elif wrong == "antisymmetric":
        honest = smearing._matrix_of
        monkeypatch.setattr(smearing, "_matrix_of",
                            lambda loop: 0.5 * (honest(loop) + honest(loop).mT))
    else:
        monkeypatch.setattr(smearing, "_adjoint_map",
                            lambda algebra: algebra.new_zeros(*algebra.shape[:-2], 8, 8).real)
    made, links = FieldTransformation.constant(0.1), rough_links(generator, (2, 2, 2, 2), 1, 0.4)
    with fast.using("torch"), torch.no_grad():
        stated = float(made(links, BETA)[1])
    assert abs(stated - dense_log_det(made, links)) > 1e-2


@torch.no_grad()
def test_covariance_and_translation(generator):
    made, links = random_transformation(generator, 4), rough_links(generator, EXTENTS)
    moved, change = made(links, BETA)
    turned, gauge = gauge_transform(links, generator)
    there, same = made(turned, BETA)
    expected = torch.stack([gauge @ moved[:, mu] @ gauge.roll(-1, 1 + mu).mH for mu in range(4)], 1)
    assert float((there - expected).abs().max()) < 1e-13
    assert float((same - change).abs().max()) < 1e-10
    for mu in range(4):
        there, same = made(links.roll(2, 2 + mu), BETA)
        assert float((there - moved.roll(2, 2 + mu)).abs().max()) < 1e-14
        assert float((same - change).abs().max()) < 1e-10
    there, _ = made(links.roll(1, 2), BETA)  # parities change places: another order, another map
    assert float((there - moved.roll(1, 2)).abs().max()) > 1e-4


@torch.no_grad()
def test_small_rho_is_a_step_of_the_flow(generator):
    """F and the Wilson flow's Euler step differ in second order: halved rho, a quarter."""
    links = rough_links(generator, (4, 4, 2, 2))
    far = [float((FieldTransformation.constant(rho)(links, BETA)[0] - flow.stout(links, rho))
                 .abs().max()) for rho in (2e-3, 1e-3)]
    assert far[0] / far[1] == pytest.approx(4, rel=0.05)
    assert far[1] < 1e-4


@torch.no_grad()
def test_zero_is_the_identity(generator):
    links = rough_links(generator, (2, 4, 2, 2))
    for hidden in (0, 4):
        moved, change = FieldTransformation(2, hidden)(links, BETA)
        assert float((moved - links).abs().max()) < 1e-15 and float(change.abs().max()) < 1e-13


@pytest.mark.slow
def test_the_inverse_has_the_derivative_of_an_implicit_function(generator):
    """d/dtheta of a function of F^-1(U), against central differences."""
    made = random_transformation(generator, 3)
    links = rough_links(generator, (2, 2, 2, 2), 1, 0.4)
    probe = su3.random_algebra(links.shape[:-2], generator)

    def value():
        found, change = made.inverse(links, BETA)
        return (probe @ found).sum().real + 0.1 * change.sum()

    slopes = torch.autograd.grad(value(), [*made.parameters()])
    for parameter, slope in zip(made.parameters(), slopes, strict=True):
        flat, steps = parameter.detach().view(-1), []
        for move in (1e-5, -2e-5):
            with torch.no_grad():
                flat[0] += move
                steps.append(float(value()))
        with torch.no_grad():
            flat[0] += 1e-5
        difference = (steps[0] - steps[1]) / 2e-5
        assert float(slope.flatten()[0]) == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("given", [{"sweeps": 0}, {"bound": 0.125}, {"bound": 0.0}, {"hidden": -1},
                                   {"activation": "relu"}])
def test_wrong_settings_are_refused(given):
    with pytest.raises(ConfigError, match="expected"):
        FieldTransformation(**given)


def test_wrong_rho_and_odd_lattices_are_refused(generator):
    with pytest.raises(ConfigError, match="within .-0.12, found 0.2"):
        FieldTransformation.constant(0.2)
    with pytest.raises(LayoutError, match="expected even extents"):
        FieldTransformation().check(rough_links(generator, (2, 2, 3, 2)))
