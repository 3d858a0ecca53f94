"""The systems there are: what differs between SU(3) in 4D, U(1) in 2D and a mixture in R^n.

One table by `action.group`: how an action is described and rebuilt, which fields there are on a
lattice, how they are stored, and what is measured on them. Lattices are (x, y, z, t) for SU(3),
(x, t) for U(1) and (n,) for vectors, as they are written in configurations and on command lines.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import layout, loops, su3, u1
from l2hmc_bridge.systems import actions, u1_exact
from l2hmc_bridge.systems.actions import Action, GaugeAction, U1Action
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS
from l2hmc_bridge.systems.mixtures import GaussianMixture

ACTIONS = (*RECTANGLE_COEFFICIENTS, "u1", "mixture")


class Answer(NamedTuple):
    """An expectation value that is known."""

    name: str
    values: Tensor  # [Nb], of the fields at hand
    exact: float


class System(NamedTuple):
    """One system; fields are [Nb, *shape(lattice)] (SU(3): two more axes of colour)."""

    describe: Callable[[Any], dict[str, Any]]  # action -> what `rebuild` needs, without beta
    rebuild: Callable[[Mapping[str, Any], float], Action]
    dimensions: int  # numbers in a lattice
    shape: Callable[[tuple[int, ...]], tuple[int, ...]]  # lattice -> [*shape] of one field
    cold: Callable[[tuple[int, ...], int], Tensor]  # (lattice, chains) -> ordered fields
    field: Callable[[Tensor], Tensor]  # numbers in (-1, 1), [Nb, *shape, components] -> a field
    momenta: Callable[[Tensor], Tensor]  # the same -> momenta of the size they have
    axes: str
    observable: Callable[[Tensor], Tensor]  # [Nb], of which the gate compares the mean
    sites: Callable[[Tensor], int]  # degrees of freedom grow with this
    answers: Callable[[Any, Tensor], list[Answer]]  # (action, fields); empty if none are known
    fixed: Callable[[Any], tuple[int, ...]]  # shape of fields that the action itself fixes, or ()
    colour: int  # axes of colour of a link


def system_of(action: Action) -> System:
    """The table entry of `action.group`; ActionError names the choices."""
    if action.group not in SYSTEMS:
        raise ActionError(f"group: expected one of {', '.join(SYSTEMS)}, found {action.group!r}")
    return SYSTEMS[action.group]


def describe(action: Action) -> dict[str, Any]:
    """JSON-ready description of an action without its beta."""
    return system_of(action).describe(action)


def group_named(name: str) -> str:
    """The group of the action called `name`; ActionError names the choices."""
    if name not in ACTIONS:
        raise ActionError(f"action: expected one of {', '.join(ACTIONS)}, found {name!r}")
    return {"u1": "u1", "mixture": "vector"}.get(name, "su3")


def action(description: Mapping[str, Any], beta: float) -> Action:
    """The action of a description; ActionError for what is no action."""
    if description["name"] in ("u1", "mixture"):
        return SYSTEMS[group_named(description["name"])].rebuild(description, beta)
    return SYSTEMS["su3"].rebuild(description, beta)


def _txyz(lattice: tuple[int, ...]) -> tuple[int, ...]:
    return (lattice[-1], *lattice[:-1])


def _mixture(description: Mapping[str, Any], beta: float) -> GaussianMixture:
    given = {k: v for k, v in description.items() if k in ("variance", "weights")}
    if "means" in description:
        given["means"] = tuple(tuple(float(x) for x in mean) for mean in description["means"])
        given.setdefault("weights", [1.0] * len(given["means"]))
    if "weights" in given:
        given["weights"] = tuple(float(x) for x in given["weights"])
    return GaussianMixture(**given, beta=beta)


def _torus(action: U1Action, angles: Tensor) -> list[Answer]:
    """Plaquette and <Q^2> on the finite torus."""
    sites = angles.shape[2:].numel()
    return [
        Answer("mean plaquette", u1.plaquette(angles), u1_exact.plaquette(action.beta, sites)),
        Answer("<Q^2>", u1.topological_charge(angles).square(),
               u1_exact.charge_squared(action.beta, sites)),
    ]


def _modes(action: GaussianMixture, points: Tensor) -> list[Answer]:
    """|x|^2 and the share of every mode."""
    shares = action.shares(points)
    values = [points.square().sum(1), *shares.T]
    names = ["mean |x|^2", *(f"share of mode {n}" for n in range(shares.shape[1]))]
    return [Answer(*row) for row in zip(names, values, action.exact_values(), strict=True)]


def four(lattice: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(t, x, y, z) of (x, y, z, t)."""
    x, y, z, t = lattice
    return t, x, y, z


SYSTEMS: dict[str, System] = {
    "su3": System(
        lambda action: {"name": action.name, "c1": action.c1},
        lambda given, beta: GaugeAction(beta, float(given["c1"])),
        4,
        lambda lattice: (4, *_txyz(lattice), 3, 3),
        lambda lattice, chains: actions.cold_start(four(lattice), chains),
        lambda numbers: su3.exp(su3.from_components(numbers)),
        lambda numbers: su3.from_components(1.7 * numbers),
        " ".join(layout.AXES) + "; directions " + " ".join(layout.DIRECTIONS),
        lambda links: loops.plaquettes(links).mean(1),
        layout.volume,
        lambda action, links: [],
        lambda action: (),
        2,
    ),
    "u1": System(
        lambda action: {"name": "u1"},
        lambda given, beta: U1Action(beta),
        2,
        lambda lattice: (2, *_txyz(lattice)),
        lambda lattice, chains: u1.cold_start((lattice[1], lattice[0]), chains),
        lambda numbers: 3.1 * numbers[..., 0],
        lambda numbers: 1.7 * numbers[..., 0],
        "batch direction t x; directions t x",
        u1.plaquette,
        lambda angles: angles.shape[2:].numel(),
        _torus,
        lambda action: (),
        0,
    ),
    "vector": System(
        lambda action: {"name": "mixture", "means": [list(mean) for mean in action.means],
                        "variance": action.variance, "weights": list(action.weights)},
        _mixture,
        1,
        tuple,
        lambda lattice, chains: torch.zeros(chains, *lattice, dtype=torch.float64),
        lambda numbers: 2.0 * numbers[..., 0],
        lambda numbers: 1.7 * numbers[..., 0],
        "batch component",
        lambda points: points.square().sum(1),
        lambda points: points.shape[1],
        _modes,
        lambda action: (action.dimension,),
        0,
    ),
}


def stored(field: Tensor) -> Tensor:
    """A field as real numbers for a file: complex ones get a last axis (re, im)."""
    return (torch.view_as_real(field) if field.is_complex() else field).contiguous()


def restored(numbers: Tensor, group: str) -> Tensor:
    """The inverse of `stored`."""
    return torch.view_as_complex(numbers.clone()) if group == "su3" else numbers.clone()
