"""Symplectic integrators as coefficient tables, and the schedule of a whole trajectory.

One step of size h: kick k_0 h, drift d_1 h, kick k_1 h, ..., drift d_m h, kick k_m h. A kick with
a displacement g uses the force at exp(-g h^2 F) U instead of F at U: a Hessian-free force gradient.
"""

from typing import NamedTuple

from l2hmc_bridge.errors import ConfigError


class Integrator(NamedTuple):
    """Coefficients of one step; kicks and drifts each sum to 1."""

    name: str
    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    displacements: tuple[float, ...]
    order: int
    source: str


class Schedule(NamedTuple):
    """The kicks, drifts and displacements of a whole trajectory, in MD time."""

    kicks: tuple[float, ...]  # n + 1
    drifts: tuple[float, ...]  # n
    displacements: tuple[float, ...]  # n + 1, the g h^2 above

    def scaled(self, factor: float) -> "Schedule":
        """The same with every step multiplied by `factor`."""
        return Schedule(tuple(factor * kick for kick in self.kicks),
                        tuple(factor * drift for drift in self.drifts),
                        tuple(factor**2 * displacement for displacement in self.displacements))


_LAMBDA = 0.1931833275037836
_OMF4_KICKS = (0.08398315262876693, 0.6822365335719091)
_OMF4_DRIFTS = (0.2539785108410595, -0.03230286765269967)

INTEGRATORS = {
    one.name: one
    for one in (
        Integrator("leapfrog", (0.5, 0.5), (1.0,), (0.0, 0.0), 2, "Duane et al. 1987"),
        Integrator(
            "omf2",
            (_LAMBDA, 1 - 2 * _LAMBDA, _LAMBDA),
            (0.5, 0.5),
            (0.0, 0.0, 0.0),
            2,
            "Omelyan, Mryglod, Folk 2003 (CPC 151, 272), eq. 31; hep-lat/0505020",
        ),
        Integrator(
            "omf4",
            (
                *_OMF4_KICKS,
                0.5 - sum(_OMF4_KICKS),
                0.5 - sum(_OMF4_KICKS),
                *reversed(_OMF4_KICKS),
            ),
            (*_OMF4_DRIFTS, 1 - 2 * sum(_OMF4_DRIFTS), *reversed(_OMF4_DRIFTS)),
            (0.0,) * 6,
            4,
            "Omelyan, Mryglod, Folk 2003 (CPC 151, 272), eq. 63 (velocity version, 5 forces)",
        ),
        Integrator(
            "force_gradient",
            (1 / 6, 2 / 3, 1 / 6),
            (0.5, 0.5),
            (0.0, 1 / 24, 0.0),
            4,
            "Chin 1997; Yin and Mawhinney, 1111.5059 (Hessian-free)",
        ),
    )
}


def integrator(name: str) -> Integrator:
    """The table entry called `name`; ConfigError names the choices."""
    if name not in INTEGRATORS:
        raise ConfigError(
            f"integrator: expected one of {', '.join(INTEGRATORS)}, found {name!r}"
        )
    return INTEGRATORS[name]


def schedule(name: str, step_size: float, steps: int) -> Schedule:
    """`steps` steps of size `step_size` in a row; neighbouring kicks at one field are merged."""
    one = integrator(name)
    if steps < 1:
        raise ConfigError(f"steps: expected at least 1, found {steps}")
    kicks = [0.0]
    drifts: list[float] = []
    displacements = [0.0]
    for _ in range(steps):
        kicks[-1] += one.kicks[0]
        kicks += one.kicks[1:]
        drifts += one.drifts
        displacements += one.displacements[1:]
    return Schedule(
        tuple(k * step_size for k in kicks),
        tuple(d * step_size for d in drifts),
        tuple(g * step_size**2 for g in displacements),
    )


# Outer steps in units of the inner ones, trained on two flavours of Wilson quarks (kappa 0.150,
# beta 5.6, 4^3 x 8): benchmarks/results/nested.md.
_OUTER_KICKS = (0.2286, 0.8755, 0.9953, 1.0118)
_OUTER_DRIFTS = (0.6364, 0.9593, 1.0118)


def corrected_leapfrog(step_size: float, steps: int) -> Schedule:
    """A leapfrog of `steps` drifts whose ends are corrected, for a level of a small force.

    One force for each step. To first order in the force the energy error is that of a quadrature
    of dS/dt with nodes at the kicks, which equal steps do to all orders but for the ends
    (symplectic correctors: Wisdom, Holman, Touma, 1996). step_size is the MD time of an inner
    drift; kicks and drifts have the same sum. ConfigError for fewer than 8 steps.
    """
    if steps < 8:
        raise ConfigError(f"steps: expected at least 8 for both ends, found {steps}")
    drifts = [*_OUTER_DRIFTS, *[1.0] * (steps - 6), *reversed(_OUTER_DRIFTS)]
    inside = steps - 7
    kick = (sum(drifts) - 2 * sum(_OUTER_KICKS)) / inside
    kicks = [*_OUTER_KICKS, *[kick] * inside, *reversed(_OUTER_KICKS)]
    return Schedule(tuple(kicks), tuple(drifts), (0.0,) * (steps + 1)).scaled(step_size)


def force_evaluations(plan: Schedule) -> int:
    """Forces of one trajectory whose first force is known: one per drift and per displacement."""
    return len(plan.drifts) + sum(1 for g in plan.displacements if g != 0.0)
