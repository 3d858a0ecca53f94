"""The angle update: inverse, Jacobian, and the defect of a backward step that is no inverse."""

import math

import pytest
import torch

from l2hmc_bridge.fields import u1


@pytest.fixture
def numbers(generator):
    x = (torch.rand(1000, generator=generator, dtype=torch.float64) * 2 - 1) * math.pi
    a, c = (torch.randn(1000, generator=generator, dtype=torch.float64) for _ in range(2))
    return x, a, c


def distance(one, other):
    return u1.wrap(one - other).abs().max().item()


def test_inverse_and_jacobian(numbers):
    x, a, c = numbers
    moved, log_det = u1.drift(x, a, c)
    back, log_back = u1.drift_back(moved, a, c)
    assert distance(back, x) < 1e-12
    assert (log_det + log_back).abs().max() < 1e-12
    leaf = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(u1.drift(leaf, a, c)[0].sum(), leaf)
    assert (slope.log() - log_det).abs().max() < 1e-11
    assert ((moved >= -math.pi) & (moved < math.pi)).all()


def test_backward_step_that_scales_before_it_shifts_is_no_inverse(numbers):
    """The order of l2hmc-qcd's backward update: undoing the scale first misses the start."""
    x, a, c = numbers
    moved, _ = u1.drift(x, a, c)
    wrong = u1.wrap(u1.scale(moved, -a)[0] - c)
    assert distance(wrong, x) > 0.1
