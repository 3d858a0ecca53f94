"""Stream against stream: wrong ones are caught, right ones pass."""

from dataclasses import replace

import numpy as np
import pytest

from l2hmc_bridge.analysis.check import all_passed
from l2hmc_bridge.analysis.comparison import compare_streams, plaquette_distance, soundness
from l2hmc_bridge.analysis.estimates import analyse
from l2hmc_bridge.analysis.plots import stream_figures
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.analysis.statistics import estimate
from tests.support.histories import flowed, replaced, synthetic


def failed(first, second) -> list[str]:
    return [check.name for check in compare_streams(first, second).checks if not check.passed]


@pytest.mark.slow
def test_right_streams_pass_fifty_times():
    for seed in range(50):
        result = compare_streams(synthetic(2 * seed), synthetic(2 * seed + 1))
        assert all_passed(result.checks), [c for c in result.checks if not c.passed]
        assert len(result.checks) >= 10


@pytest.mark.parametrize("seed", range(5))
def test_a_shifted_plaquette_is_caught(seed):
    first, second = synthetic(2 * seed), synthetic(2 * seed + 1)
    error = np.hypot(*(estimate(h.series["plaquette"].chains).error for h in (first, second)))
    moved = replaced(second, "plaquette", lambda chain: chain + 8 * error)
    assert "mean plaquette" in failed(first, moved)


@pytest.mark.parametrize("seed", range(5))
def test_duplicated_configurations_are_caught(seed):
    """A tenth of the rows copies its predecessor though the record says accepted."""
    first, second = synthetic(2 * seed, name="sound"), synthetic(2 * seed + 1, name="copied")

    def duplicate(chain):
        rows = np.random.default_rng(seed).choice(np.arange(1, chain.size), chain.size // 10, False)
        for row in sorted(rows):
            chain[row] = chain[row - 1]
        return chain

    names = failed(first, replaced(second, "plaquette", duplicate))
    assert "accepted but not new, copied" in names and "accepted but not new, sound" not in names


def test_copies_of_distant_configurations_are_caught():
    history = synthetic(3)
    copied = replaced(history, "plaquette", lambda c: np.concatenate([c[:-5], c[100:105]]))
    assert any(not check.passed for check in soundness(copied))


def test_a_reject_that_moves_is_caught():
    history = synthetic(4)
    rng = np.random.default_rng(1)
    moved = replaced(history, "plaquette", lambda chain: chain + 1e-4 * rng.normal(size=chain.size))
    assert any("rejected but moved" in check.name and not check.passed
               for check in soundness(moved))


def test_copies_are_caught_in_every_tenth_trajectory_too():
    history = synthetic(3, 500)
    sparse = {n: Series([c[::10] for c in one.chains], 10) for n, one in history.series.items()}
    thinned = History("sparse", sparse)
    assert [check.passed for check in soundness(thinned)] == [True]
    copied = replaced(thinned, "plaquette", lambda c: np.concatenate([c[:40], c[:10]]))
    assert [check.passed for check in soundness(copied)] == [False]


def test_few_printed_digits_prove_no_copy():
    history = replaced(synthetic(4), "plaquette", lambda chain: np.round(chain, 4))
    assert soundness(history) == []


def test_a_wrong_accept_step_is_caught():
    """Energies that do not have <exp(-dH)> = 1."""
    second = replaced(synthetic(1), "delta_h", lambda chain: chain - 0.15)
    assert any(name.startswith("<exp(-dH") for name in failed(synthetic(0), second))


def test_a_charge_that_is_too_narrow_is_caught():
    second = replaced(synthetic(1, 4000), "topological_charge", lambda chain: 0.3 * chain)
    names = failed(synthetic(0, 4000), second)
    assert "mean Q^2" in names and "KS test of topological_charge" in names


def test_a_wrong_variance_is_caught():
    second = replaced(synthetic(1), "plaquette", lambda c: c.mean() + 1.5 * (c - c.mean()))
    assert "log variance ratio of plaquette" in failed(synthetic(0), second)


def test_short_streams_are_not_proved_equal():
    result = compare_streams(synthetic(0, 10), synthetic(1, 10))
    assert not all_passed(result.checks) and result.unresolved
    assert any("not resolvable" in reason for reason in result.unresolved)


def test_the_bound_grows_with_the_number_of_rows():
    """One error rate for the table: the same row alone would have a smaller bound."""
    first, second = synthetic(0), synthetic(1)
    only = [History(h.name, {"plaquette": h.series["plaquette"]}) for h in (first, second)]
    alone, together = (
        next(c for c in compare_streams(*pair).checks if c.name == "mean plaquette").tolerance
        for pair in (only, (first, second))
    )
    assert alone < together < 2 * alone


def test_plaquette_distance_is_the_mean_over_planes():
    one = History("a", {"plaquette_spatial": Series([np.array([0.5, 0.6])]),
                        "plaquette_temporal": Series([np.array([0.5, 0.6])])})
    other = History("b", {"plaquette_spatial": Series([np.array([0.6, 0.6, 0.1])]),
                          "plaquette_temporal": Series([np.array([0.5, 0.4, 0.1])])})
    assert plaquette_distance(one, other) == pytest.approx([0.005, 0.02])


def test_analysis_of_a_known_stream():
    result = analyse(synthetic(7, 4000), cut=0)
    plaquette = result.observables["plaquette"]
    assert abs(plaquette.value - 0.59) < 4 * plaquette.error
    accepted = result.observables["accepted"]
    # Acceptance of dH ~ N(s^2/2, s^2): erfc(s / sqrt 8), hep-lat/0505020.
    assert accepted.value == pytest.approx(0.8026, abs=4 * accepted.error)
    assert abs(result.exp_minus_dh.value - 1) < 4 * result.exp_minus_dh.error
    # A wide normal charge is uniform between integers: rms distance 1/sqrt(12).
    assert result.topology.distance == pytest.approx(12**-0.5, abs=0.01)
    assert result.topology.histogram == {} and result.topology.tunnelling_rate is None
    effective = result.effective["plaquette"]
    assert effective == pytest.approx(8000 / (2 * plaquette.tau_int))
    assert result.effective["plaquette_per_force_evaluation"] == pytest.approx(
        effective / (8000 * 17)
    )


def test_a_short_chain_counts_with_its_own_length():
    """Effective samples of 4000 + 1000 trajectories, not of twice the longer chain."""
    known = synthetic(7, 4000)
    cut = {name: Series([one.chains[0], one.chains[1][:1000]])
           for name, one in known.series.items()}
    result = analyse(History("a", cut), cut=0)
    tau = result.observables["plaquette"].tau_int
    assert result.effective["plaquette"] == pytest.approx(5000 / (2 * tau))


def test_a_stream_without_acceptance_is_not_called_free_of_copies():
    bare = History("bare", {"plaquette": synthetic(1).series["plaquette"]})
    unresolved = compare_streams(synthetic(0), bare).unresolved
    assert [one for one in unresolved if one.startswith("copies in")] == [
        "copies in bare: no acceptance recorded, or plaquettes of few digits"]


def test_streams_of_two_couplings_are_named():
    streams = [History(str(beta), synthetic(n).series, attributes={"beta": beta})
               for n, beta in enumerate((5.7, 5.9))]
    row = compare_streams(*streams).checks[0]
    assert row.name == "one beta" and not row.passed and "5.7" in row.source
    assert "one beta" not in failed(streams[0], History("b", synthetic(1).series))
    sizes = [replace(one, attributes={"lattice": f"8,8,8,{n}"}) for n, one in enumerate(streams)]
    assert "one lattice" in failed(*sizes) and "one lattice" not in failed(sizes[0], sizes[0])


def test_flow_scales_have_errors():
    rng, times = np.random.default_rng(2), np.linspace(0, 3, 31)
    energies = [0.2 * (1 + 0.05 * rng.normal(size=(200, 1))) * times / np.maximum(times, 1e-9) ** 2
                for _ in range(2)]
    history = History("flowed", {"plaquette": Series([rng.normal(size=1000)] * 2)}, times,
                      {"energy_density": energies}, flow_spacing=5)
    found = analyse(history, cut=100).scales
    assert abs(found["t0"].value - 1.5) < 4 * found["t0"].error
    assert found["t0"].error == pytest.approx(1.5 * 0.05 / np.sqrt(360), rel=0.2)
    assert abs(found["w0"].value - 1.5**0.5) < 4 * found["w0"].error


def test_short_streams_say_that_the_plaquette_is_undecided():
    checks = compare_streams(synthetic(0, 10), synthetic(1, 10)).checks
    assert checks[0].name == "mean plaquette decided" and not checks[0].passed
    assert "not resolvable" in checks[0].source


def test_spacing_is_counted_in_tau_and_cut():
    chain = synthetic(1, 4000, 1).series["plaquette"].chains[0]
    dense = analyse(History("a", {"plaquette": Series([chain])}), cut=100)
    sparse = analyse(History("b", {"plaquette": Series([chain[9::10]], 10)}), cut=100)
    assert sparse.samples["plaquette"] == 390 and dense.samples["plaquette"] == 3900
    one, other = dense.observables["plaquette"], sparse.observables["plaquette"]
    # Every tenth of an AR(1) series with tau = 3 is nearly independent: 1/2 sample of 10.
    assert other.tau_int == pytest.approx(5, rel=0.3) and one.tau_int == pytest.approx(3.6, rel=0.3)


def test_charges_are_compared_in_the_definition_that_both_streams_have():
    first, second = synthetic(1), synthetic(2)
    series = dict(first.series)
    series["topological_charge_flowed"] = Series([1e-3 * chain for chain in
                                                  first.series["topological_charge"].chains])
    times = np.array([0.0, 1.0])
    flowed = History("flowed", series, times)
    assert flowed.charge_name() == "topological_charge_flowed"
    result = compare_streams(flowed, second)
    assert {one.topology.which for one in result.analyses} == {"topological_charge"}
    assert any(check.name == "KS test of topological_charge" for check in result.checks)
    assert all_passed(result.checks)
    # Flowed to another time, it is another observable; to the same time, it is compared.
    for end, name in ((2.0, "topological_charge"), (1.0, "topological_charge_flowed")):
        other = History("other", series | {"accepted": first.series["accepted"]},
                        np.array([0.0, end]))
        which = {one.topology.which for one in compare_streams(flowed, other).analyses}
        assert which == {name}


def test_sectors_are_those_of_a_flowed_charge():
    history = flowed(synthetic(3))
    found = analyse(history, cut=0).topology
    assert found.flowed and sum(found.histogram.values()) == 3000
    assert found.distance == pytest.approx(0.05, abs=0.005)
    sectors = [np.rint(chain) for chain in history.series["topological_charge"].chains]
    changes = sum(int((np.diff(one) != 0).sum()) for one in sectors)
    assert found.tunnelling_rate.value == pytest.approx(changes / 2998)
    # Flowed, but not enough: no number of it is a sector.
    rough = analyse(flowed(synthetic(3), noise=0.4), cut=0).topology
    assert rough.flowed and rough.histogram == {} and rough.tunnelling_rate is None


def test_a_kernel_that_accepts_or_moves_nothing_is_warned_of():
    frozen = replaced(synthetic(3, 100), "accepted", lambda chain: 0.0 * chain)
    assert "no proposal was accepted" in analyse(frozen, cut=0).warnings[0]
    assert analyse(synthetic(3, 100), cut=0).warnings == ()
    series = {**synthetic(3, 100).series, "link_change": Series([np.zeros(100)] * 2)}
    assert "moves nothing" in analyse(History("a", series), cut=0).warnings[0]


def test_a_frozen_charge_has_no_false_tunnelling_rate():
    history = replaced(flowed(synthetic(3)), "topological_charge_flowed",
                       lambda chain: 2.0 + 0.0 * chain)
    rate = analyse(history, cut=0).topology.tunnelling_rate
    assert rate.value == 0 and not rate.resolved
    assert rate.note == "not resolvable: no change in 2998 trajectories"


def test_plaquette_distance_needs_the_same_spacing():
    one = History("a", {"plaquette": Series([np.array([0.5, 0.6])])})
    other = History("b", {"plaquette": Series([np.array([0.5, 0.6])], 10)})
    assert plaquette_distance(one, other).size == 0 and plaquette_distance(one, one).size == 2


def test_the_picture_of_the_charge_shows_the_series_of_its_label():
    first = synthetic(1)
    charge = first.series["topological_charge"]
    series = first.series | {"topological_charge_5li": Series([5 + c for c in charge.chains])}
    history = History("a", series)
    result = analyse(history, cut=0, among={"topological_charge"})
    left, _ = stream_figures(history, result)["charge"].axes
    assert left.get_ylabel() == "topological_charge (not flowed)"
    assert left.lines[0].get_ydata()[:5] == pytest.approx(charge.chains[0][:5])


def test_charges_of_two_conventions_are_named_and_not_compared():
    def measured(seed, convention):
        history = synthetic(seed)
        charge = replace(history.series["topological_charge"], convention=convention)
        return replace(history, series=history.series | {"topological_charge": charge})

    traceless, gpt = measured(1, "convention traceless"), measured(2, "convention gpt")
    result = compare_streams(traceless, gpt)
    assert any("topological_charge: convention traceless" in one for one in result.unresolved)
    assert not any("topological_charge" in check.name for check in result.checks)
    alike = compare_streams(traceless, measured(2, "convention traceless"))
    assert any("topological_charge" in check.name for check in alike.checks)
    unstated = compare_streams(traceless, measured(2, ""))
    assert not any("convention" in one for one in unstated.unresolved)
