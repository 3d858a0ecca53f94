"""A training file for nested steps: the one with a key `host`.

    name = "quarks"
    host = "two_flavour.host:two_flavour"      # a function (lattice, **parameters) -> Host
    beta = 6.0
    lattice = [4, 4, 4, 4]                     # X,Y,Z,T
    [parameters]
    kappa = 0.177
    [inner]
    integrator = "omf2"
    [[level]]                                  # from the inside out
    terms = ["quarks"]
    integrator = "omf2"
    steps = 4
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling.integrators import INTEGRATORS
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS
from l2hmc_bridge.training.checks import one_of, require
from l2hmc_bridge.training.read import make


@dataclasses.dataclass(frozen=True)
class Inner:
    """[inner]: the gauge step; an integrator, or the trained step of a bundle."""

    integrator: str = "omf2"
    steps: int = 1  # of one pass; the palindrome has two
    bundle: str = ""  # a shipped bundle's name, or a path, in place of both
    train: bool = False  # its steps, too


@dataclasses.dataclass(frozen=True)
class LevelStart:
    """[[level]]: which terms, and the schedule that training starts from."""

    terms: tuple[str, ...]
    integrator: str = "omf2"
    steps: int = 1
    length: float = 1.0  # MD time of the outermost level; of others what their drifts give them
    inside: float = 0.2  # longest MD time of one trajectory of what is inside
    train: bool = True
    ends: int = 0  # only so many outer kicks and drifts of each side are trained; 0: all


@dataclasses.dataclass(frozen=True)
class NestedConfig:
    """The whole file."""

    name: str
    host: str
    beta: float
    lattice: tuple[int, ...]
    levels: tuple[LevelStart, ...]
    parameters: dict = dataclasses.field(default_factory=dict)
    inner: Inner = Inner()
    action: str = "wilson"
    seed: int = 1
    chains: int = 8
    draws: int = 1  # of noise and momenta on each configuration
    thermalisation: int = 30  # trajectories of the gauge action, and as many of the whole
    iterations: int = 12
    resample: int = 4  # iterations on one sample; the chains move on before the next
    acceptance: float = 0.8  # every sample begins at the length that accepts so; 0: `length` stays
    validation_draws: int = 2

    @property
    def extents(self) -> tuple[int, int, int, int]:
        """(Nt, Nx, Ny, Nz)."""
        x, y, z, t = (int(extent) for extent in self.lattice)
        return t, x, y, z

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for the provenance of a bundle."""
        return dataclasses.asdict(self)


def parse(table: Mapping[str, Any]) -> NestedConfig:
    """A checked configuration of a table that was read; ConfigError names the key at fault."""
    table = dict(table)
    levels = table.pop("level", [])
    if not isinstance(levels, list) or not levels:
        raise ConfigError("level: expected at least one [[level]], found none")
    built = tuple(make(LevelStart, level, "level") for level in levels)
    inner = make(Inner, table.pop("inner", {}), "inner")
    config = make(NestedConfig, {"parameters": {}, **table, "levels": built, "inner": inner}, "")
    check(config)
    return config


def check(config: NestedConfig) -> None:
    """ConfigError that names the key of the first value that cannot be."""
    one_of("action", config.action, RECTANGLE_COEFFICIENTS)
    one_of("inner.integrator", config.inner.integrator, INTEGRATORS)
    require(config.beta > 0, "beta", "> 0", config.beta)
    require(len(config.lattice) == 4 and all(n >= 2 and n % 2 == 0 for n in config.lattice),
            "lattice", "four even extents X,Y,Z,T >= 2", config.lattice)
    require(config.inner.steps > 0, "inner.steps", "> 0", config.inner.steps)
    for name in ("chains", "draws", "iterations", "resample", "validation_draws"):
        require(getattr(config, name) > 0, name, "> 0", getattr(config, name))
    points = config.chains * config.validation_draws
    require(points > 1, "validation_draws", "chains x validation_draws > 1: one point has no error",
            points)
    require(0 <= config.acceptance < 1, "acceptance", "0 <= acceptance < 1", config.acceptance)
    require(config.thermalisation >= 0, "thermalisation", ">= 0", config.thermalisation)
    require(0 <= config.seed < 2**63, "seed", "0 to 2^63 - 1", config.seed)
    for level in config.levels:
        one_of("level.integrator", level.integrator, INTEGRATORS)
        require(level.ends >= 0, "level.ends", ">= 0", level.ends)
        require(bool(level.terms), "level.terms", "at least one name", level.terms)
        require(level.steps > 0 and level.length > 0 and level.inside > 0, "level",
                "steps > 0, length > 0, inside > 0", level)
    named = [name for level in config.levels for name in level.terms]
    require(len(set(named)) == len(named), "level.terms", "each term once", named)
    trained = [config.inner.train, *(level.train for level in config.levels)]
    require(any(trained), "level.train", "something to train", trained)
