"""The HMC baseline in memory: exact, reproducible, and comparable with itself."""

import numpy as np

from l2hmc_bridge.analysis.comparison import soundness
from l2hmc_bridge.analysis.statistics import exp_minus_dh
from l2hmc_bridge.stream.baseline import hmc_history
from l2hmc_bridge.systems.actions import GaugeAction, cold_start


def test_baseline_is_exact_sound_and_reproducible():
    start, action = cold_start((2, 2, 4, 2), 3), GaugeAction(2.0)
    seen = []
    history = hmc_history(start, action, 60, 5, seen.append)
    assert seen == list(range(1, 61)) and history.trajectories == 60
    again = hmc_history(start, action, 60, 5)
    for name, series in history.series.items():
        if name != "seconds":
            assert np.array_equal(series.chains, again.series[name].chains), name
    weight, bad = exp_minus_dh(history.effective_delta_h(20))
    assert bad == 0 and abs(weight.value - 1) < 4 * weight.error < 0.3
    checks = soundness(history)
    assert len(checks) == 2 and all(check.passed for check in checks)
    assert 0.6 < np.mean(history.series["accepted"].chains) <= 1
