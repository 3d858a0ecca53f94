"""`analyse`: a stream, a history, columns or one series; the same numbers from each."""

import h5py
import numpy as np
import pytest

import l2hmc_bridge as lb
from l2hmc_bridge.errors import FormatError, StatisticsError
from tests.cli.sample.test_sample import write_start


def correlated(length, chains, rho=0.6, seed=1):
    """AR(1) chains of mean 0 and variance 1: tau_int = (1 + rho) / (2 (1 - rho))."""
    noise = np.random.default_rng(seed).standard_normal((chains, length))
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0]
    for n in range(1, length):
        series[:, n] = rho * series[:, n - 1] + (1 - rho**2) ** 0.5 * noise[:, n]
    return series


def test_one_series_has_its_known_error():
    """Mean 0 and tau_int 2 within 4 errors; white noise is told apart from it (control)."""
    series = correlated(4000, 2)
    found = lb.analyse(series, cut=0).observables["series"]
    assert abs(found.value) < 4 * found.error
    assert found.tau_int == pytest.approx(2.0, abs=4 * found.tau_int_error)
    assert found.error == pytest.approx((2 * 2.0 / 8000) ** 0.5, rel=0.3)
    white = lb.analyse(correlated(4000, 2, rho=0.0), cut=0).observables["series"]
    assert abs(white.tau_int - 2.0) > 4 * found.tau_int_error
    assert lb.analyse(list(series[0]), cut=10).chains == 1


def test_named_series_of_several_chains():
    chains = {"plaquette": correlated(200, 3), "Q": correlated(200, 3, seed=2)}
    found = lb.analyse(chains, cut=20)
    assert (found.chains, found.cut, found.samples["plaquette"]) == (3, 20, 540)
    assert found.topology.which == "topological_charge"
    table = {name: values.ravel() for name, values in chains.items()}
    table["chain"] = np.repeat([0, 1, 2], 200)
    table["trajectory"] = np.tile(np.arange(200), 3)
    again = lb.analyse(table, cut=20)
    assert again.observables["plaquette"] == found.observables["plaquette"]
    unknown = {**table, "trajectory": np.full(600, np.nan)}
    assert lb.analyse(unknown, cut=20).observables["plaquette"] == found.observables["plaquette"]


@pytest.mark.slow
def test_a_stream_its_history_and_what_is_measured_on_it(tmp_path):
    start = write_start(tmp_path / "start.ildg")
    lb.begin_stream(lb.SampleOptions(inputs=start, out=tmp_path / "s", trajectories=40, seed=1,
                                     kernel="hmc", tune=0, chains=2))
    found = lb.analyse(tmp_path / "s", cut=4)
    assert (found.chains, found.trajectories) == (2, 40)
    assert found.observables["plaquette"].error > 0 and found.exp_minus_dh.value > 0
    again = lb.analyse(str(tmp_path / "s" / "history.h5"), 4)
    assert again.observables["plaquette"] == found.observables["plaquette"]
    measured = lb.analyse(lb.measure(tmp_path / "s"), cut=4)
    with h5py.File(tmp_path / "s" / "history.h5") as file:
        assert file["plaquette"].shape == (2, 40)
    for name in ("plaquette", "topological_charge"):
        mine, theirs = measured.observables[name], found.observables[name]
        assert mine.value == pytest.approx(theirs.value, abs=1e-12)
        assert mine.error == pytest.approx(theirs.error, rel=1e-6)


def test_what_is_no_series(tmp_path):
    for wrong, found in ((np.zeros((2, 2, 2)), r"found \[2, 2, 2\]"), ([], r"found \[0\]"),
                         (["a"], "found list"), ({"a": [1.0], "b": [1.0, 2.0]}, "one shape"),
                         ([[1.0], [1.0, 2.0]], "found list")):
        with pytest.raises(StatisticsError, match=found):
            lb.analyse(wrong)
    with pytest.raises(StatisticsError, match="expected a cut below"):
        lb.analyse(np.zeros(20), cut=20)
    with pytest.raises(FormatError, match="expected a stream"):
        lb.analyse(tmp_path / "none")
