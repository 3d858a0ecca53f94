"""How far two streams are apart, trajectory by trajectory: |delta U_mu_nu|^2 of plaquettes."""

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.series import History

PLANES = ("plaquette_tx", "plaquette_ty", "plaquette_tz", "plaquette_xy", "plaquette_xz",
          "plaquette_yz")


def plaquette_distance(first: History, second: History) -> NDArray:
    """|delta U_mu_nu|^2 along two streams: mean over planes of the squared difference of their
    plaquettes (averaged over chains) at the same trajectory, counted from their beginnings; the
    finest planes both have."""
    groups = (PLANES, ("plaquette_spatial", "plaquette_temporal"), ("plaquette",))
    for names in groups:
        if all(name in history.series for history in (first, second) for name in names):
            parts = []
            for name in names:
                one, other = _by_trajectory(first, name), _by_trajectory(second, name)
                shared = sorted(set(one) & set(other))
                parts.append([(one[number] - other[number]) ** 2 for number in shared])
            return np.mean(parts, axis=0)
    return np.zeros(0)


def _by_trajectory(history: History, name: str) -> dict[int, float]:
    """{trajectory counted from the beginning: mean over the chains}, as far as all have it."""
    series = history.series[name]
    tables = [dict(zip(counted.tolist(), chain.tolist(), strict=True))
              for counted, chain in zip(series.counted(), series.chains, strict=True)]
    shared = set(tables[0]).intersection(*tables[1:])
    return {number: float(np.mean([table[number] for table in tables])) for number in shared}
