"""Synthetic streams with known statistics."""

import h5py
import numpy as np

from l2hmc_bridge.analysis.series import History, Series
from tests.analysis.test_statistics import ar1


def synthetic(seed: int, length: int = 1500, chains: int = 2, name: str = "stream") -> History:
    """AR(1) plaquette (tau 3) and charge (tau 10), exact Metropolis record with rejects."""
    rng = np.random.default_rng(seed + 10_000)
    delta_h = rng.normal(0.5 * 0.5**2, 0.5, (chains, length))
    accepted = np.log(rng.random((chains, length))) < -delta_h
    plaquette = 0.59 + 2e-3 * ar1(seed, length, 3.0, chains)
    charge = 1.5 * ar1(seed + 5_000, length, 10.0, chains)
    for chain in range(chains):  # a reject repeats its predecessor
        for row in range(1, length):
            if not accepted[chain, row]:
                plaquette[chain, row] = plaquette[chain, row - 1]
                charge[chain, row] = charge[chain, row - 1]
    columns = {
        "plaquette": plaquette,
        "topological_charge": charge,
        "delta_h": delta_h,
        "log_det": np.zeros((chains, length)),
        "accepted": accepted.astype(float),
        "seconds": rng.uniform(0.1, 0.2, (chains, length)),
        "force_evaluations": np.full((chains, length), 17.0),
    }
    return History(name, {key: Series(list(table)) for key, table in columns.items()})


def flowed(history: History, noise: float = 0.05) -> History:
    """The history with a flowed charge: the nearest integers of the other one, and some noise."""
    rng = np.random.default_rng(8)
    series = dict(history.series)
    series["topological_charge_flowed"] = Series([
        np.rint(chain) + noise * rng.normal(size=chain.size)
        for chain in series["topological_charge"].chains])
    return History(history.name, series, history.flow_times, history.flow, history.attributes)


def replaced(history: History, name: str, change) -> History:
    """The history with `change` applied to a copy of every chain of one series."""
    series = dict(history.series)
    old = series[name]
    series[name] = Series([change(chain.copy()) for chain in old.chains], old.spacing)
    return History(history.name, series, history.flow_times, history.flow, history.attributes)


def write_h5(path, history: History) -> None:
    """In the layout of a stream's history.h5."""
    with h5py.File(path, "w") as file:
        for name, series in history.series.items():
            file[name] = np.array(series.chains)
        length = series.chains[0].size
        file["trajectory"] = np.tile(np.arange(1, length + 1), (len(series.chains), 1))
        file.attrs["beta"] = 6.0
