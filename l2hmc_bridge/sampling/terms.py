"""Terms of a host's action that a nested step kicks with: S and F, each of which costs a solve.

    quarks = HostTerm("quarks", S, F, refresh=draw_pseudofermions, report=solver_report)

S and F are functions of U and of the noise that `refresh` drew, and of nothing else: a solver that
starts from earlier solutions makes them depend on history, and a trajectory run back would miss its
start (start from zero). A solver that gives up says so, in its report for each chain or by raising
SolverError for all: these chains' trajectory is rejected and the stream goes on. The rejection is
exact, since the way back passes the same fields.

If several processes share the lattice, terms that say so are asked (`in_parts`), in all of them at
once; what fails or is refused in one of them, fails or is refused in all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, ConfigError, SolverError
from l2hmc_bridge.fields import agreement
from l2hmc_bridge.fields.part import largest
from l2hmc_bridge.sampling.draws import Generators, draw_momenta
from l2hmc_bridge.sampling.host_action import Refresh, field_of, finite_chains, numbers_of
from l2hmc_bridge.sampling.seen import along
from l2hmc_bridge.systems.checks import GROUP_BOUND
from l2hmc_bridge.systems.groups import group_of

DIFFERENCE = 1e-3  # MD time of the differences that S and F are compared by
AGREEMENT = 1e-5  # of |dS/dt| at unit speed: what solvers of production leave
REPEATED = 1e-10  # of the largest entry: a force asked for twice, at one field

Told = TypeVar("Told")


class SolverReport(NamedTuple):
    """What the solver of a term did since it was last asked."""

    solves: int = 0
    iterations: float = 0.0  # of all these solves, mean over chains
    failed: Tensor | None = None  # [Nb] bool: chains where one did not converge

    def joined(self, other: "SolverReport") -> "SolverReport":
        """Both together."""
        failed = [one for one in (self.failed, other.failed) if one is not None]
        return SolverReport(self.solves + other.solves, self.iterations + other.iterations,
                            torch.stack(failed).any(0) if failed else None)


class HostTerm:
    """One term of a host's action under a name, checked at every use.

    action(links) -> [Nb] float64; force(links) -> F like links, conventions of HostAction;
    refresh(links, generator) draws its noise once a trajectory; report() -> SolverReport of what
    was done since it was last called. in_parts: links may be a part of a lattice (fields.part); S
    is then the sum over all processes, F of this one's own sites alone. Raises ActionError that
    names the term for a value that is complex, not float64, of another shape, or not finite where
    links are and the solver converged; for an S that differs between processes; for links that the
    host changed. ConfigError for a part of a lattice unless in_parts.
    """

    def __init__(self, name: str, action: Callable[[Tensor], Any],
                 force: Callable[[Tensor], Any], refresh: Refresh | None = None,
                 report: Callable[[], SolverReport] | None = None, group: str = "su3",
                 in_parts: bool = False):
        self.name, self.group, self.in_parts = name, group, in_parts
        self._action, self._force = action, force
        self._refresh, self._report = refresh, report
        self._done = SolverReport()

    def __call__(self, links: Tensor) -> Tensor:
        """S of each configuration, float64 [Nb]; NaN for links not finite, solves that failed."""
        finite, safe = finite_chains(links)
        lost = torch.full((len(links),), torch.nan, dtype=torch.float64, device=links.device)
        values, failed = self._asked(lambda: self._named(
            numbers_of, self._action(safe), len(links)).to(links.device), safe, lost)
        self._require_finite("an S", values, finite & ~failed, links)
        values = torch.where(finite & ~failed, values, torch.nan)
        return self._named(agreement.of_all, values, links)

    def force(self, links: Tensor) -> Tensor:
        """F, like links; NaN if links are not finite or a solve failed."""
        finite, safe = finite_chains(links)
        own = agreement.own(links)
        force, failed = self._asked(lambda: self._named(
            field_of, self._force(safe), own, self.group), safe, torch.full_like(own, torch.nan))
        self._require_finite("a force", force, finite & ~failed, links)
        return torch.where(along(finite & ~failed, links),
                           agreement.completed(force, links), torch.nan)

    def refresh(self, links: Tensor, generator: Generators) -> bool:
        """Draw the noise given `links`; False, and nothing done, if this term has none."""
        draw = self._refresh
        if draw is None:
            return False
        self._asked(lambda: draw(links, generator), links, None)
        return True

    @property
    def noisy(self) -> bool:
        """Whether it has noise to draw."""
        return self._refresh is not None

    def report(self) -> SolverReport:
        """What the solver did since this was last called; of several processes the first one's."""
        done, self._done = self._done, SolverReport()
        return agreement.of_first(done)

    def require_parts(self) -> None:
        """Raise ConfigError unless it takes a part of a lattice."""
        if not self.in_parts:
            raise ConfigError(f"host term {self.name!r}: expected one that takes parts of a "
                              "lattice (in_parts), found one that runs on one rank alone")

    def _asked(self, ask: Callable[[], Told], links: Tensor, lost: Told) -> tuple[Told, Tensor]:
        """(what the host returned, or `lost` if its solver gave up; chains where it failed)."""
        if agreement.sharing(links) is not None:
            self.require_parts()
        who, version = f"host term {self.name!r}", links._version
        failed = torch.zeros(len(links), dtype=torch.bool)
        value, error = agreement.attempted(who, ask, lost, links)
        if isinstance(error, SolverError):
            failed, error = ~failed, None
        if error is None and links._version != version:
            error = ActionError(f"{who}: expected links as they were, found that it changed them: "
                                "work on a copy")
        (found, failed), untold = agreement.attempted(
            who, lambda: self._reported(failed), (SolverReport(), failed), links)
        failed = agreement.failed(error or untold, failed, links)
        self._done = self._done.joined(found._replace(failed=failed if failed.any() else None))
        return value, failed.to(links.device)

    def _reported(self, failed: Tensor) -> tuple[SolverReport, Tensor]:
        """(what the solver did; chains that failed, those that it names included)."""
        found = SolverReport() if self._report is None else self._report()
        return found, failed if found.failed is None else failed | found.failed.cpu()

    def _named(self, check: Callable, *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except ActionError as error:
            raise ActionError(f"host term {self.name!r}: {error}") from error

    def _require_finite(self, what: str, values: Tensor, where: Tensor, links: Tensor) -> None:
        good = torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else values.isfinite()
        if agreement.anywhere(~good & where, links).any():
            raise ActionError(f"host term {self.name!r}: expected {what} of finite numbers for "
                              "finite links, found NaN or infinity (a solver that gives up raises "
                              "SolverError or says so in its report)")


class Host(NamedTuple):
    """The terms of a host for one lattice; name and parameters say which, also in a bundle."""

    name: str
    parameters: Mapping[str, float]
    terms: tuple[HostTerm, ...]

    def term(self, name: str) -> HostTerm:
        """The term called `name`; ConfigError names those there are."""
        for term in self.terms:
            if term.name == name:
                return term
        raise ConfigError(f"host {self.name!r}: expected one of the terms "
                          f"{[term.name for term in self.terms]}, found {name!r}")


@torch.no_grad()
def check_terms(terms: Sequence[HostTerm], links: Tensor, generator: Generators) -> None:
    """Raise ActionError by name for a term whose S and F disagree, or that cannot be sampled.

    Once, before anything is recorded: <P, F> against a fourth-order difference of S along random
    momenta P; S and F asked for again at a field after others were visited; links compared with a
    copy. Draws the terms' noise.
    """
    require_links(links)
    for term in terms:
        term.refresh(links, generator)
        before = links.clone()
        fault = _fault(term, links, draw_momenta(links, generator, group_of(term)))
        if agreement.anywhere(torch.tensor(not torch.equal(before, links)), links):
            fault = "expected links as they were, found that it changed them: work on a copy"
        if term.report().failed is not None:
            raise SolverError(f"host term {term.name!r}: expected a solver that converges at the "
                              "links to start from, found that it gives up")
        if fault:
            raise ActionError(f"host term {term.name!r}: {fault}")


def require_links(links: Tensor, group: str = "su3") -> None:
    """Raise ActionError for links with a quark's boundary phases in them, or outside of SU(3)."""
    if group != "su3":
        return
    unitarity, determinant = (largest(torch.tensor(defect, dtype=torch.float64), links)
                              for defect in fast.group_defects(links))
    if unitarity <= GROUP_BOUND and determinant <= GROUP_BOUND:
        return
    if agreement.sharing(links) is None:
        _require_no_phases(links, unitarity)
    raise ActionError(f"links: expected max|U U^+ - 1| and max|det U - 1| of at most "
                      f"{GROUP_BOUND:g}, found {unitarity:.2g} and {determinant:.2g}")


def _require_no_phases(links: Tensor, unitarity: float) -> None:
    """Raise ActionError for what looks like a quark's boundary or other phases."""
    signs = torch.linalg.det(links).real < 0
    boundary = torch.zeros_like(signs)
    boundary[:, 0, -1] = True
    if torch.equal(signs, boundary):
        raise ActionError("links: expected plain ones, found antiperiodic quark boundaries "
                          "multiplied in (det U = -1 on the last time slice): keep phases to the "
                          "term that needs them")
    if signs.any() and unitarity <= GROUP_BOUND:
        raise ActionError(f"links: expected plain ones, found det U = -1 on {int(signs.sum())} of "
                          f"{signs.numel()}: phases multiplied in; keep them to the term that "
                          "needs them")


def _fault(term: HostTerm, links: Tensor, momenta: Tensor) -> str | None:
    """What is wrong with S and F of a term at these links, if anything is."""
    drift, kinetic = group_of(term).drift, group_of(term).kinetic
    first, force = term(links), term.force(links)
    slope = torch.zeros_like(first)
    for weight, step in ((8, 1), (-8, -1), (-1, 2), (1, -2)):
        moved = drift(momenta, links, step * DIFFERENCE)
        slope = slope + weight * term(moved) / (12 * DIFFERENCE)
    again, force_again = term(links.clone()), term.force(links.clone())
    apart = max(float((again - first).abs().max() / (1 + first.abs().max())),
                float((force_again - force).abs().max() / (1e-300 + force.abs().max())))
    apart = largest(torch.tensor(apart, dtype=torch.float64), links)
    if not apart <= REPEATED:
        return (f"expected the same S and F at the same links, found a difference of {apart:.1e} "
                "of them after other fields were visited: it depends on its history (a solver "
                "must start from zero)")
    # K is half the norm, so <P, F> = K(P + F) - K(P) - K(F).
    stated = kinetic(momenta + force) - kinetic(momenta) - kinetic(force)
    wrong = (stated - slope).abs() / (1 + (2 * kinetic(force)).sqrt())
    if (wrong <= AGREEMENT).all():
        return None
    worst = int(wrong.nan_to_num(torch.inf).argmax())
    return (f"expected a force F with dS/dt = <P, F>, found {float(stated[worst]):.6g} where the "
            f"difference of S is {float(slope[worst]):.6g} (sign, normalisation, or a part "
            "missing)")
