"""What a report of this gate looks like, row by row, and whether a stored one does.

Anyone can write a report into a file and give it a digest. One that counts has the rows that `run`
gives for such a kernel, in their order, each with its bound, each a number within it, from a
lattice, beta and number of trajectories that prove something, by this version of the gate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.bundle.file import Bundle
from l2hmc_bridge.errors import BundleError
from l2hmc_bridge.gate import dense, exact, rows, transformation
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.systems.table import system_of

VERSION = "2"  # raised with every change of a row or a bound
LEAST_EXTENT, LEAST_TRAJECTORIES = 4, 50
DETAILS = (", error ", " (", ": ")  # what may follow the name of a row
ERROR = "standard error"
KEYS = ("version", "hash", "passed", "checks", "settings")


class Wanted(NamedTuple):
    """A row: how its name begins, its expected value (None: any) and its bound.

    bound None: 4 of the standard errors that the next row of that name states.
    """

    name: str
    theirs: float | None
    bound: float | None


def require(loaded: Bundle) -> None:
    """Raise BundleError unless the bundle holds a report of this gate for itself that passed."""
    try:
        _check(loaded)
    except BundleError as error:
        raise BundleError(f"{error} (`l2hmc-bridge gate {loaded.path} --write` makes one; "
                          "--ungated does without)") from error


def wanted(kernel: L2HMC, lattice: Sequence[int], engine: str) -> list[Wanted]:
    """Every row that `rows.run` gives for this kernel on a lattice (time first) and engine."""
    known = rows.answers_known(kernel)
    found = [Wanted("hash and fingerprint reproduced", 0, bundle.TOLERANCE), *_quick(kernel)]
    if engine != TorchEngine.name:
        found += [Wanted(f"engine, {what}", 0, 1e-9) for what in ("as trained", "random networks")]
    found += [*_jacobian(kernel), *_symmetry(kernel)]
    if kernel.transformation is not None:
        found += [Wanted(name, 0, bound) for name, bound in transformation.NAMES.items()]
    found += [Wanted("state: action and force as recomputed", 0, 1e-8),
              Wanted("state: log ratio = log|J| - dK - dS", 0, 1e-8),
              Wanted("state: nothing cached survives a refresh", 0, 1e-8)]
    return found + (_answers(kernel, lattice) if known else _averages())


def _check(loaded: Bundle) -> None:
    if loaded.gate is None:
        raise BundleError(f"{loaded.path}: expected a gate report, found none")
    report = Entries.of(loaded.gate, f"{loaded.path}: gate report", BundleError)
    if set(report.values) != set(KEYS):
        raise BundleError(f"{report.where}: expected {', '.join(KEYS)}, found "
                          f"{', '.join(map(str, report.values))[:200]}")
    for name, value in (("hash", loaded.hash), ("version", VERSION)):
        if report.text(name) != value:
            report.refuse(name, value, report.values[name])
    if not report.truth("passed"):
        raise BundleError(f"{report.where}: expected one that passed, found one that failed")
    settings = report.table("settings")
    lattice, engine = _settings(loaded, settings)
    action = loaded.kernel.action.at(settings.number("beta"))
    expected = wanted(replace(loaded.kernel, action=action), lattice, engine)
    given = report.listed("checks", len(expected), len(expected))
    stated = [Entries.of(row, f"{report.where}: row {n}", BundleError)
              for n, row in enumerate(given, 1)]
    for n, (row, one) in enumerate(zip(stated, expected, strict=True)):
        errors = [stated[m] for m in range(n, len(stated)) if expected[m].name.endswith(ERROR)]
        _check_row(row, one, errors[0].number("ours") if one.bound is None else 0.0)


def _settings(loaded: Bundle, settings: Entries) -> tuple[list[int], str]:
    """(lattice, engine) of settings that prove something. Raises BundleError for others."""
    kernel, known = loaded.kernel, rows.answers_known(loaded.kernel)
    lattice = settings.listed("lattice_txyz", 1, 4)
    fits = next((list(one.fits[1:]) for one in (kernel.kick_network, kernel.drift_network)
                 if one is not None and one.fits is not None), None)
    fixed = list(system_of(kernel.action).fixed(kernel.action)) or fits
    dimensions = system_of(kernel.action).dimensions
    if not all(type(extent) is int and extent > 0 for extent in lattice):
        settings.refuse("lattice_txyz", "whole numbers", lattice)
    proves = len(lattice) == dimensions and min(lattice) >= LEAST_EXTENT
    if lattice != fixed if fixed else not proves:
        shown = fixed or f"{dimensions} extents of at least {LEAST_EXTENT}"
        raise BundleError(f"{settings.where}: lattice: expected {shown}, found {lattice}")
    low, high = loaded.meta["action"]["beta_range"]
    settings.number("beta", low, high)
    settings.whole("trajectories", LEAST_TRAJECTORIES)
    settings.whole("seed")
    chains = exact.CHAINS if known else rows.CHAINS
    settings.whole("chains", chains, chains)
    return lattice, settings.text("engine")


def _check_row(row: Entries, one: Wanted, following: float) -> None:
    """BundleError unless a stored row is the wanted one and holds its bound."""
    name = row.text("name")
    if name != one.name and not any(name.startswith(one.name + mark) for mark in DETAILS):
        row.refuse("name", one.name, name)
    ours, theirs, bound = (row.number(key) for key in ("ours", "theirs", "tolerance"))
    right = rows.SIGMAS * following if one.bound is None else one.bound
    if one.theirs is not None and not math.isclose(theirs, one.theirs, rel_tol=1e-9):
        row.refuse("theirs", f"{one.theirs:g}", theirs)
    if not math.isclose(bound, right, rel_tol=1e-9):
        row.refuse("tolerance", f"{right:g}", bound)
    if not abs(ours - theirs) <= bound:
        row.refuse("ours", f"{theirs:g} within {bound:g}", ours)
    if not row.truth("passed"):
        row.refuse("passed", "true", False)


def _quick(kernel: L2HMC) -> list[Wanted]:
    group: Mapping[str, list[Wanted]] = {
        "su3": [Wanted("group: growth of max|U U^+ - 1|", 0, 1e-12),
                Wanted("group: growth of max|det U - 1|", 0, 1e-12),
                Wanted("algebra: max|tr P|, max|P + P^+|", 0, 1e-11)],
        "u1": [Wanted("group: angles in [-pi, pi)", 0, 0)],
        "vector": [Wanted("group: every component is finite", 0, 0)],
    }
    found = [*group[kernel.action.group],
             Wanted("moves: links change in a trajectory", 1, 0),
             Wanted("inverse: U after Phi, Phi^-1", 0, 1e-11),
             Wanted("inverse: P after Phi, Phi^-1", 0, 1e-10),
             Wanted("inverse: log|J| cancels", 0, 1e-8),
             Wanted("inverse: U after Phi^-1, Phi", 0, 1e-11)]
    if kernel.composition == "palindrome":
        found += [Wanted("palindrome: an involution", 0, 1e-10),
                  Wanted("palindrome: log|J| cancels", 0, 1e-8)]
    return found


def _jacobian(kernel: L2HMC) -> list[Wanted]:
    trained = "rebuilt on 2^4" if dense.is_dense(kernel) else "as trained"
    names = [f"log|J| of Phi, {trained}"]
    if kernel.kick_network is not None:
        names.append("log|J| of Phi, random networks")
    return [Wanted(name, 0, 1e-6) for name in (*names, "log|J| of the proposal, random networks")]


def _symmetry(kernel: L2HMC) -> list[Wanted]:
    covariant = Wanted("gauge covariance", 0, 1e-9)
    translated = Wanted("translation by two sites", 0, 1e-9)
    if dense.is_dense(kernel):
        return [Wanted("kicks as trained: affine, one scale per link", 0, 1e-10),
                Wanted("kicks as trained: log|J| = 8 sum log scale", 0, 1e-8)]
    if kernel.action.group == "su3":
        return [covariant, translated]
    if kernel.action.group != "u1":
        return []
    return ([covariant] * exact.blind_to_angles(kernel)
            + [translated] * exact.all_local(kernel))


def _averages() -> list[Wanted]:
    return [Wanted("<exp(-dH + log|J|)>", 1, None),
            Wanted("its standard error", 0, rows.EXP_ERROR),
            Wanted("mean plaquette", None, None),
            Wanted("its combined standard error", 0, rows.PLAQUETTE_ERROR)]


def _answers(kernel: L2HMC, lattice: Sequence[int]) -> list[Wanted]:
    """The rows of exact.py; the exact values depend on lattice and beta, which the kernel has."""
    system: Any = system_of(kernel.action)
    found = [Wanted(f"<(e^r - 1) [|r| < {exact.LARGEST:g}]>", 0, None)]
    share = Wanted("share of proposals with |r| above it", 0, exact.MOST_FAR)
    error = f"its {ERROR}"
    found += [share, Wanted(error, 0, exact.EXP_ERROR)]
    cold = system.cold((*lattice[1:], lattice[0]), 1)
    for answer in system.answers(kernel.action, cold):
        found += [Wanted(answer.name, answer.exact, None),
                  Wanted(error, 0, exact.RELATIVE_ERROR * abs(answer.exact))]
    return found
