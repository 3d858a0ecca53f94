"""Trajectory numbers are part of the data: gaps, mixed spacings, cuts."""

import numpy as np
import pytest

from l2hmc_bridge.analysis import numbers
from l2hmc_bridge.analysis.comparison import soundness, thin
from l2hmc_bridge.analysis.distance import plaquette_distance
from l2hmc_bridge.analysis.estimates import analyse, automatic_cut, safe_estimate
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.analysis.statistics import autocorrelation, estimate
from l2hmc_bridge.errors import StatisticsError
from tests.analysis.test_statistics import ar1

EVERY = np.arange(1, 8001)


def holes(seed: int, length: int, share: float = 0.25) -> np.ndarray:
    """Numbers 1 ... length without a random share of them."""
    return 1 + np.flatnonzero(np.random.default_rng(seed).random(length) >= share)


def tau_of(chain, kept) -> tuple[float, float]:
    found = estimate([chain[kept - 1]], [kept])
    return found.tau_int, found.tau_int_error


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_tau_is_that_of_the_whole_series(share):
    """tau_int = 4.5 exactly; 20 series: the mean deviation in errors is below 4 of 1/sqrt(20)."""
    pulls = []
    for seed in range(20):
        chain = ar1(seed, EVERY.size, 4.5)[0]
        tau, error = tau_of(chain, holes(seed, EVERY.size, share))
        pulls.append((tau - 4.5) / error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(20)
    wrong = [(estimate(ar1(seed, EVERY.size, 4.5)[0][holes(seed, EVERY.size, share) - 1]).tau_int
              - 4.5) for seed in range(20)]
    assert share < 0.2 or np.mean(wrong) < -0.7  # as if nothing were missing


@pytest.mark.slow
def test_the_error_of_the_mean_is_right_with_holes():
    """200 series of 2000, a half missing: (mean - 0) / error has variance 1 within 4 standard
    errors of 0.1; as if all places were filled it is too large an error."""
    pulls, naive = [], []
    for seed in range(200):
        chain, kept = ar1(seed, 2000, 4.5)[0], holes(seed, 2000, 0.5)
        found = estimate([chain[kept - 1]], [kept])
        pulls.append(found.value / found.error)
        gamma = chain[kept - 1].var()
        naive.append(found.value / np.sqrt(2 * found.tau_int * gamma / kept.size))
    assert abs(np.var(pulls) - 1) < 0.4 and np.var(naive) < 0.75


def test_regular_numbers_are_as_no_numbers():
    chains = list(ar1(3, 1000, 3.0, chains=2))
    plain = estimate(chains)
    for first, spacing in ((1, 1), (41, 1), (10, 10)):
        told = [first + spacing * np.arange(1000)] * 2
        found = estimate(chains, told)
        assert (found.value, found.error) == (plain.value, plain.error)
        assert found.tau_int == plain.tau_int * spacing
    with pytest.raises(StatisticsError, match="a trajectory number for every value"):
        estimate(chains, [np.arange(3)] * 2)


def test_mixed_spacing():
    """Every tenth, then every one: tau in trajectories either way."""
    chain = ar1(5, 12000, 30.0)[0]
    kept = np.concatenate([np.arange(10, 6001, 10), np.arange(6001, 12001)])
    tau, error = tau_of(chain, kept)
    assert abs(tau - 30) < 4 * error and error < 12
    found = numbers.grid([kept])
    assert found.step == 1 and found.kept[0].all() and not found.regular


def test_a_stray_number_does_not_make_every_step_one():
    kept = np.sort(np.append(np.arange(10, 6001, 10), 1003))
    found = numbers.grid([kept])
    assert found.step == 10 and found.kept[0].sum() == 600 and found.regular
    chain = ar1(5, 6000, 30.0)[0]
    assert tau_of(chain, kept)[0] == pytest.approx(
        tau_of(chain, np.arange(10, 6001, 10))[0])


def test_spacings_without_a_common_one():
    kept = np.concatenate([np.arange(10, 2001, 10), np.arange(2004, 3001, 4)])
    found = numbers.grid([kept])
    assert found.step == 4 and (np.diff(kept[found.kept[0]]) % 4 == 0).all()


def test_chains_with_gaps_of_their_own():
    chains = ar1(7, 3000, 4.5, chains=3)
    kept = [holes(seed, 3000) for seed in range(3)]
    found = estimate([chain[one - 1] for chain, one in zip(chains, kept, strict=True)], kept)
    assert abs(found.tau_int - 4.5) < 4 * found.tau_int_error
    assert safe_estimate([chains[0][kept[0] - 1], np.zeros(0)], [kept[0], kept[0][:0]]).resolved


def test_rho_counts_steps_of_the_grid():
    chain, kept = ar1(4, 20000, 4.0)[0], holes(1, 20000)
    rho, error, _ = autocorrelation([chain[kept - 1]], [kept])
    expected = ((4.0 - 0.5) / (4.0 + 0.5)) ** np.arange(10)
    assert np.abs((rho[1:10] - expected[1:]) / error[1:10]).max() < 5


def test_cut_and_trajectories_count_numbers():
    kept = np.array([41, 42, 45, 46, 50])
    series = Series([np.arange(5.0)], 1, numbers=[kept])
    assert series.trajectories == 10  # 41 ... 50
    assert [one.tolist() for one in series.after(4)] == [[2.0, 3.0, 4.0]]
    assert [one.tolist() for one in series.numbers_after(5)] == [[46, 50]]
    tenth = Series([np.arange(3.0)], 10, numbers=[np.array([10, 20, 40])])
    assert tenth.trajectories == 40 and tenth.after(20)[0].tolist() == [2.0]
    chain = np.concatenate([np.full(100, 5.0), ar1(1, 900, 1.0)[0]])
    gone = np.concatenate([np.arange(1, 51), np.arange(101, 1051)])  # 50 of the first are missing
    history = History("s", {"plaquette": Series([chain], 1, numbers=[gone])})
    assert 100 <= automatic_cut(history) <= 500
    assert analyse(history, cut=0).trajectories == 1050


def test_gaps_are_said():
    told = numbers.gaps([np.array([1, 2, 5, 6, 9, 10])])
    assert told == ("4 of 10 trajectory numbers from 1 to 10 are missing: 3 and 4, 7 and 8")
    told = numbers.gaps([np.array([10, 20, 40, 50, 90])])
    assert told == ("4 of 9 trajectory numbers from 10 to 90 (every 10th) are missing: 30, "
                    "60 to 80")
    told = numbers.gaps([np.arange(5), np.array([10, 20, 21, 31])])
    assert told == "chain 1: trajectory numbers are spaced by 10 (2 times), 1 (1 times)"
    assert numbers.gaps([np.arange(5), np.arange(3), np.array([7])]) is None


def test_soundness_looks_at_neighbours_alone():
    values = np.random.default_rng(1).random(6)
    told = [np.array([1, 2, 3, 7, 8, 9])]
    accepted = np.array([1, 1, 1, 0, 1, 1.0])  # 7 was rejected: it equals 6, which is missing
    history = History("s", {"plaquette": Series([values], 1, numbers=told),
                            "accepted": Series([accepted], 1, numbers=told)})
    assert all(check.passed for check in soundness(history))
    accepted = np.array([1, 0, 1, 1, 1, 1.0])
    history.series["accepted"].chains[0][:] = accepted
    assert not all(check.passed for check in soundness(history))


def test_streams_are_compared_at_the_same_trajectories():
    one = History("a", {"plaquette": Series([np.array([1.0, 2, 3, 4])], 1)})
    other = History("b", {"plaquette": Series([np.array([1.0, 4])], 1,
                                              numbers=[np.array([1, 4])])})
    assert plaquette_distance(one, other).tolist() == [0.0, 0.0]


def test_independent_samples_are_apart_in_numbers():
    chain, kept = ar1(2, 8000, 4.5)[0], holes(2, 8000)
    history = History("s", {"plaquette": Series([chain[kept - 1]], 1, numbers=[kept])})
    sample = thin(history, analyse(history, cut=0), "plaquette")
    assert 8000 / 12 < sample.size < 8000 / 7


def test_numbers_that_are_none():
    assert numbers.whole(np.array([1.0, 2.5])) is None
    assert numbers.whole(np.array([3, 2])) is None and numbers.whole(np.array([np.nan])) is None
    assert numbers.whole(np.array([1.0, 4.0])).tolist() == [1, 4]
