"""A gate report as a real gate writes it for a kernel that passes, without its minutes of work."""

import math

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.gate import engines, exact, expected, rows
from l2hmc_bridge.gate.report import lattice_for, report
from l2hmc_bridge.l2hmc.reference import TorchEngine


def passing(path) -> dict:
    """The report of a gate in which every row holds."""
    loaded = bundle.load(path)
    lattice, kernel = lattice_for(loaded), loaded.kernel
    known = rows.answers_known(kernel)
    settings = {"lattice_txyz": list(lattice), "beta": kernel.action.beta, "trajectories": 150,
                "seed": 1, "chains": exact.CHAINS if known else rows.CHAINS,
                "engine": TorchEngine.name}
    return report(loaded.hash, passing_checks(kernel, lattice), settings)


def passing_checks(kernel, lattice) -> list[Check]:
    """Rows that hold, as if torch had computed."""
    wanted = expected.wanted(kernel, lattice, TorchEngine.name)
    return [Check(one.name, *_numbers(wanted[n:]), "as if") for n, one in enumerate(wanted)]


def _numbers(wanted) -> tuple[float, float, float]:
    """(ours, theirs, bound) of the first row, its error half of what is allowed."""
    one = wanted[0]
    if one.bound is None:
        error = next(row.bound for row in wanted if row.name.endswith(expected.ERROR)) / 2
        theirs = 0.59 if one.theirs is None else one.theirs
        return theirs + error, theirs, rows.SIGMAS * error
    ours = one.bound / 2 if one.name.endswith(expected.ERROR) else one.theirs
    return ours, one.theirs, one.bound


def require_rows(found, kernel, lattice, engine=None) -> None:
    """AssertionError unless these rows of `gate.run` are those that a stored report must have."""
    engine = engines.serving(kernel, lattice) if engine is None else engine
    wanted = expected.wanted(kernel, lattice, engine)[1:]
    assert len(found) == len(wanted), [one.name for one in found]
    for n, (row, one) in enumerate(zip(found, wanted, strict=True)):
        marks = tuple(one.name + mark for mark in expected.DETAILS)
        assert row.name == one.name or row.name.startswith(marks), (row.name, one.name)
        assert one.theirs is None or math.isclose(row.theirs, one.theirs, rel_tol=1e-12), row
        bound = one.bound
        if bound is None:
            bound = rows.SIGMAS * next(found[m].ours for m in range(n, len(found))
                                       if wanted[m].name.endswith(expected.ERROR))
        nothing = math.isnan(bound) and math.isnan(row.tolerance)  # too few for an error
        assert nothing or math.isclose(row.tolerance, bound, rel_tol=1e-12), row


def write(path) -> None:
    """Store it in the bundle."""
    bundle.write_gate(path, passing(path))
