"""A host that costs nothing: a rectangle action of ours, with noise and counted solves.

On a part of a lattice its S is the exact sum over all processes, its F that of the own sites.
"""

from l2hmc_bridge.fields import agreement
from l2hmc_bridge.sampling.draws import draw_uniform
from l2hmc_bridge.sampling.terms import Host, HostTerm, SolverReport
from l2hmc_bridge.systems.actions import GaugeAction


class Rectangle:
    """S = strength times noise times a rectangle action; each S and F counts as a solve."""

    def __init__(self, strength: float):
        self.action, self.factor, self.solves = GaugeAction(strength, -0.2), None, 0

    def __call__(self, links):
        self.solves += 1
        return self.factor.to(links.device) * self.action(links)

    def force(self, links):
        self.solves += 1
        return self.factor.view(-1, *[1] * 7) * agreement.own(self.action.force(links))

    def refresh(self, links, generator):
        self.factor = 0.9 + 0.2 * draw_uniform(len(links), generator)

    def report(self):
        solves, self.solves = self.solves, 0
        return SolverReport(solves, 10.0 * solves)


def rectangles(lattice, strength=0.8, terms=1, in_parts=False):
    """One term "quarks", or "heavy" and "ratio"."""
    names = ["quarks"] if terms == 1 else ["heavy", "ratio"]
    parts = [Rectangle(strength / 2**n) for n in range(len(names))]
    return Host("rectangles", {"strength": strength, "terms": terms}, tuple(
        HostTerm(name, part, part.force, part.refresh, part.report, in_parts=in_parts)
        for name, part in zip(names, parts, strict=True)))


def named(lattice, **parameters):
    """The same, with parameters as they are given."""
    return rectangles(lattice)._replace(name="clover", parameters=parameters)


def broken(lattice, kappa=0.1):
    """A factory with an error of its own: a type, a value, or none that says a word."""
    if kappa > 1:  # a TypeError for a text
        raise ValueError(f"kappa {kappa}\nis not of this world")
    raise KeyError


def nothing(lattice):
    """Not a host."""
    return lattice
