"""What `nested` measures: ensembles, the untrained steps of the scan, starts of training."""

from typing import NamedTuple

SCAN = (("leapfrog", 8), ("leapfrog", 16), ("leapfrog", 24), ("omf2", 2), ("omf2", 4), ("omf2", 8),
        ("omf2", 12), ("omf4", 1), ("omf4", 2), ("omf4", 4), ("force_gradient", 2),
        ("force_gradient", 4))
COARSE = (("leapfrog", 16), ("omf2", 4), ("omf2", 8), ("omf4", 2), ("force_gradient", 4))
STARTS = (("leapfrog", 8, 0), ("leapfrog", 16, 4))  # steps; `ends` of shape.py


class Case(NamedTuple):
    """One ensemble; steps are what thermalises it, and `spacing` MD time between forces to try."""

    lattice: tuple[int, int, int, int]
    beta: float
    kappa: float
    twist: float
    spacing: float
    draws: int = 4  # of noise and momenta on every configuration of validation
    chains: int = 16
    scan: tuple[tuple[str, int], ...] = SCAN
    starts: tuple[tuple[str, int, int], ...] = STARTS
    inside: bool = True  # whether the gauge part is scanned
    iterations: int = 8  # of training; each takes a trajectory of all points for every free number
    after: str = ""  # the case at whose links thermalisation begins
    onward: bool = False  # whether training goes on from the step trained in the first case


CASES = {
    "heavy48": Case((8, 4, 4, 4), 5.6, 0.150, 0.0, 0.16),
    "light48": Case((8, 4, 4, 4), 5.6, 0.165, 0.01, 0.12),
    "heavy88": Case((8, 8, 8, 8), 5.6, 0.150, 0.0, 0.09, 2, 16, COARSE, (("leapfrog", 16, 3),),
                    False, 3, "", True),
    "light88": Case((8, 8, 8, 8), 5.6, 0.165, 0.01, 0.07, 2, 16, COARSE, (), False,
                    after="heavy88"),
}
