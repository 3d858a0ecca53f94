"""Gamma-method errors: right tau_int on AR(1), and never a small error that is not earned."""

import math

import numpy as np
import pytest

from l2hmc_bridge.analysis.statistics import (
    autocorrelation,
    estimate,
    exp_minus_dh,
    sigma,
    thermalisation_cut,
    with_error,
)
from l2hmc_bridge.errors import StatisticsError


def ar1(seed: int, length: int, tau: float, chains: int = 1) -> np.ndarray:
    """x' = a x + sqrt(1 - a^2) noise: variance 1, rho(t) = a^t, tau_int = (1 + a) / (2 (1 - a))."""
    rng = np.random.default_rng(seed)
    a = (2 * tau - 1) / (2 * tau + 1)
    x = np.empty((chains, length))
    x[:, 0] = rng.normal(size=chains)
    noise = rng.normal(size=(chains, length)) * math.sqrt(1 - a * a)
    for i in range(1, length):
        x[:, i] = a * x[:, i - 1] + noise[:, i]
    return x


@pytest.mark.slow
@pytest.mark.parametrize("tau, length", [(0.5, 1000), (3.0, 3000), (8.0, 8000)])
def test_tau_int_of_ar1_within_two_errors(tau, length):
    estimates = [estimate(ar1(seed, length, tau)) for seed in range(200)]
    assert all(e.resolved for e in estimates)
    hits = sum(abs(e.tau_int - tau) <= 2 * e.tau_int_error for e in estimates)
    assert hits >= 176
    # The errors of the mean cover the truth (0) as often as two sigma should: 190.9 +- 3 of 200.
    assert 180 <= sum(abs(e.value) <= 2 * e.error for e in estimates)
    exact = math.sqrt(2 * tau / length)
    assert np.mean([e.error for e in estimates]) == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
def test_wrong_tau_is_noticed():
    """The same criterion fails for a tau that is 30 % off, so that it can fail at all."""
    hits = 0
    for seed in range(100):
        e = estimate(ar1(seed, 8000, 3.0))
        hits += abs(e.tau_int - 3.9) <= 2 * e.tau_int_error
    assert hits < 30


def test_chains_give_the_error_of_one_long_chain():
    e = estimate(ar1(5, 2000, 2.0, chains=8))
    assert e.error == pytest.approx(math.sqrt(4 / 16000), rel=0.15)
    assert abs(e.value) < 4 * e.error


def test_chains_of_unequal_length():
    x = ar1(6, 3000, 1.0)[0]
    e = estimate([x[:1000], x[1000:1500], x[1500:]])
    assert e.value == pytest.approx(x.mean(), abs=1e-15)
    assert e.tau_int == pytest.approx(1.0, abs=4 * e.tau_int_error)


@pytest.mark.parametrize(
    "series, why",
    [
        (np.ones(1000), "constant"),
        (np.full((4, 50), 0.1), "constant"),
        (np.arange(10.0), "too few"),
        (ar1(1, 4, 1.0, chains=50), "too few"),
        (np.arange(200.0), "not resolvable"),
        (np.repeat([[0.0], [1.0]], 500, axis=1), "not resolvable"),
        (np.arange(8)[:, None] + 1e-3 * ar1(2, 400, 0.5, chains=8), "not resolvable"),
    ],
)
def test_not_resolvable(series, why):
    e = estimate(series)
    assert not e.resolved and why in e.note
    assert math.isnan(e.error) and math.isnan(e.tau_int)
    assert e.value == pytest.approx(np.mean(series))
    assert e.as_dict()["error"] is None and "note" in e.as_dict()
    assert math.isnan(sigma(e, e))


def test_slow_chains_are_rarely_resolved_and_never_in_bulk():
    """A hundred samples with tau_int = 50: hopeless, and said so."""
    resolved = [e for e in (estimate(ar1(s, 100, 50.0)) for s in range(100)) if e.resolved]
    assert len(resolved) <= 10
    many = [estimate(ar1(s, 20, 50.0, chains=64)) for s in range(20)]
    assert not any(e.resolved for e in many)


def test_bad_series_is_refused():
    for series in ([], [1.0, math.nan] * 30, np.zeros((2, 3, 4)), [[1.0, 2.0], []]):
        with pytest.raises(StatisticsError):
            estimate(series)


def test_exp_minus_dh():
    """dH ~ N(s^2/2, s^2) has <exp(-dH)> = 1; a shifted one has not; NaN counts as 0."""
    rng = np.random.default_rng(3)
    good = rng.normal(0.5 * 0.8**2, 0.8, size=(4, 5000))
    e, bad = exp_minus_dh(good)
    assert bad == 0 and abs(e.value - 1) < 4 * e.error < 0.05
    shifted, _ = exp_minus_dh(good + 0.2)
    assert abs(shifted.value - 1) > 4 * shifted.error
    spoiled = good.copy()
    spoiled[:, ::2] = math.nan
    spoiled[0, 1] = -math.inf
    half, bad = exp_minus_dh(spoiled)
    assert bad == 10001
    assert half.value == pytest.approx(np.exp(-good[:, 1::2]).sum() / 20000, abs=1e-3)


def test_autocorrelation_function():
    rho, error, window = autocorrelation(ar1(4, 20000, 4.0))
    a = 7 / 9
    assert rho[0] == 1 and np.allclose(rho[:window], a ** np.arange(window), atol=0.1)
    assert error.shape == rho.shape
    with pytest.raises(StatisticsError):
        autocorrelation(np.ones(100))


def test_thermalisation_cut_finds_the_transient():
    x = ar1(9, 2000, 2.0)[0]
    assert thermalisation_cut(x) <= 200
    drift = x + 20 * np.exp(-np.arange(2000) / 40.0)
    assert 100 <= thermalisation_cut(drift) <= 500
    assert thermalisation_cut(np.ones(3)) == 0


@pytest.mark.parametrize(
    "value, error, text",
    [
        (0.594243, 0.000123, "0.59424(12)"),
        (-1.5, 0.25, "-1.50(25)"),
        (1234.0, 56.0, "1234(56)"),
        (0.1, 0.0996, "0.10(10)"),
        (12345.0, 1200.0, "12300(1200)"),
        (2.5, math.nan, "2.5"),
    ],
)
def test_bracket_notation(value, error, text):
    assert with_error(value, error) == text


@pytest.mark.parametrize("length, lags", [(3000, [2, 5, 10, 30, 200]), (300, [2, 5, 60, 140])])
def test_errors_of_the_autocorrelation_function_cover_it(length, lags):
    pulls = []
    for seed in range(80):
        rho, error, _ = autocorrelation(ar1(seed, length, 2.0))
        pulls.append((rho[lags] - 0.6 ** np.array(lags)) / error[lags])  # rho(1) = 0.6 at tau 2
    assert np.allclose(np.sqrt(np.mean(np.square(pulls), axis=0)), 1.0, atol=0.4)
