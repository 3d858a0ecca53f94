"""A training configuration: a TOML file as checked, frozen dataclasses.

Unknown keys, wrong types and impossible values are refused before anything runs.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge import systems
from l2hmc_bridge.actions import RECTANGLE_COEFFICIENTS, Action
from l2hmc_bridge.errors import ActionError, ConfigError
from l2hmc_bridge.integrators import INTEGRATORS
from l2hmc_bridge.l2hmc import COMPOSITIONS
from l2hmc_bridge.losses import LOSSES_OF
from l2hmc_bridge.training_checks import (
    check_annealing,
    check_model,
    check_stage,
    one_of,
    require,
)

PRECISIONS = {"su3": ("double", "single"), "u1": ("double",), "vector": ("double",)}


@dataclasses.dataclass(frozen=True)
class Model:
    """[model]: the untrained kernel, see architecture.untrained; steps are those of one pass."""

    integrator: str = "omf4"
    step_size: float = 0.5
    steps: int = 1
    composition: str = "palindrome"
    repeats: int = 1  # palindromes in a row; each stage has a number of its own
    kick_network: dict | None = None  # {hidden, loops}; U(1), vectors: see elementwise.py
    drift_network: dict | None = None  # {hidden}; U(1), vectors: see elementwise.py
    drift_start: float = 0.0  # translations of the drift network start uniform in +-pi times this
    mixing: bool = False
    start_from: str = ""  # a shipped bundle's name, or a path: its step sizes are the start
    train_steps: bool = True
    train_length: bool = False  # False: the MD time of a trajectory is fixed


@dataclasses.dataclass(frozen=True)
class Stage:
    """[[stage]]: so many iterations on one lattice."""

    lattice: tuple[int, ...] = (4, 4, 4, 4)  # X,Y,Z,T; X,T for U(1); n for vectors of R^n
    iterations: int = 100
    chains: int = 8
    thermalisation: int = 60  # HMC trajectories of unit length from a cold start
    repeats: int = 1  # palindromes in a row while this stage trains
    step_scale: float = 1.0  # all steps times this during the stage
    method: str = "adam"  # or "gauss_newton": step sizes and mixing on the energy error
    between: int = 0  # HMC trajectories of the chains between two iterations of adam
    train: str = "all"  # what adam moves: "all", "steps" (with the mixing) or "networks"
    betas: tuple[float, ...] = ()  # of this stage, in place of those of the whole run


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole file."""

    name: str
    action: str
    betas: tuple[float, ...]
    model: Model
    stages: tuple[Stage, ...]
    loss: dict[str, float]
    target: dict | None = None  # of action "mixture": means, variance, weights
    seed: int = 1
    learning_rate: float = 1e-2
    step_rate: float = 1.0  # learning rate of step sizes as a share of `learning_rate`
    schedule: str = "cosine"
    clip: float = 1.0
    annealing: tuple[float, ...] = (1.0,)  # gamma multiplies beta; ends at 1
    annealing_iterations: int = 0
    checkpoint_every: int = 50
    snapshots: tuple[int, ...] = ()  # iterations after which a bundle is left beside OUT
    precision: str = "double"  # "single": adam differentiates through fields in complex64
    keep: str = "better"  # "trained": the bundle holds what was trained even if the start is better
    validation_chains: int = 16

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for the provenance of a bundle."""
        return dataclasses.asdict(self)

    def betas_of(self, stage: Stage) -> tuple[float, ...]:
        """The couplings that a stage trains at, one after the other."""
        return stage.betas or self.betas

    @property
    def group(self) -> str:
        """The group of the action."""
        return systems.group_named(self.action)

    def action_at(self, beta: float) -> Action:
        """The action of this configuration; ActionError for a target that is no mixture."""
        if self.group == "su3":
            return systems.action({"c1": RECTANGLE_COEFFICIENTS[self.action], "name": ""}, beta)
        return systems.action({"name": self.action, **(self.target or {})}, beta)


def read(path: Path) -> Config:
    """Read and check a TOML file. Raises ConfigError with the key and the choices."""
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: expected a training configuration, found no such file"
                          ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, found: {error}") from error
    try:
        return parse(table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(table: Mapping[str, Any]) -> Config:
    """The same from a table that was read already."""
    table = dict(table)
    model = _make(Model, table.pop("model", {}), "model")
    stages = table.pop("stage", [{}])
    if not isinstance(stages, list) or not stages:
        raise ConfigError("stage: expected at least one [[stage]]")
    stages = tuple(_make(Stage, stage, "stage") for stage in stages)
    config = _make(Config, {**table, "model": model, "stages": stages}, "")
    _check(config)
    return config


def learning_rate(config: Config, iteration: int, iterations: int) -> float:
    """Constant, or a half cosine down to a twentieth."""
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * iteration / iterations)))


def gamma(config: Config, iteration: int) -> float:
    """Annealing factor of beta: linear through `annealing`, 1 from `annealing_iterations` on."""
    points = config.annealing
    if iteration >= config.annealing_iterations or len(points) == 1:
        return points[-1]
    place = iteration / config.annealing_iterations * (len(points) - 1)
    left = int(place)
    return points[left] + (place - left) * (points[left + 1] - points[left])


def _make(kind, table: Mapping[str, Any], where: str):
    fields = {field.name: field for field in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table, found {table!r}")
    unknown = sorted(set(table) - set(fields))
    if unknown:
        shown = sorted("stage" if name == "stages" else name for name in fields)
        raise ConfigError(f"{prefix}{unknown[0]}: unknown key, expected one of {shown}")
    values = {}
    for name, field in fields.items():
        if name not in table:
            if field.default is dataclasses.MISSING:
                raise ConfigError(f"{prefix}{name}: expected a value, found none")
            continue
        values[name] = _convert(table[name], field, prefix + name)
    return kind(**values)


def _convert(value: Any, field: dataclasses.Field, name: str) -> Any:
    if dataclasses.is_dataclass(value) or field.name == "stages":
        return value
    wanted = str(field.type) if not isinstance(field.type, type) else field.type.__name__
    right = {
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "float": _number,
        "str": lambda v: isinstance(v, str),
        "bool": lambda v: isinstance(v, bool),
        "dict": lambda v: isinstance(v, dict),
        "tuple": lambda v: isinstance(v, list | tuple) and all(map(_number, v)),
    }[wanted.split("[")[0].split(" ")[0]]
    if not right(value):
        raise ConfigError(f"{name}: expected {wanted}, found {value!r}")
    if wanted.startswith("tuple"):
        return tuple(value)
    return float(value) if wanted == "float" else value


def _number(value: Any) -> bool:
    """A finite number; TOML has nan and inf."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(config: Config) -> None:
    model = config.model
    one_of("action", config.action, systems.ACTIONS)
    one_of("model.integrator", model.integrator, INTEGRATORS)
    one_of("model.composition", model.composition, COMPOSITIONS)
    one_of("keep", config.keep, ("better", "trained"))
    one_of("precision", config.precision, PRECISIONS[config.group])
    one_of("schedule", config.schedule, ("cosine", "constant"))
    for name in config.loss:
        one_of("loss", name, LOSSES_OF[config.group])
    require(bool(config.loss), "loss", "at least one of " + ", ".join(LOSSES_OF[config.group]),
            "none")
    require(bool(config.betas) and all(b > 0 for b in config.betas), "betas",
            "positive numbers", config.betas)
    require(model.step_size > 0 and model.steps > 0, "model", "step_size > 0 and steps > 0",
            (model.step_size, model.steps))
    check_annealing(config)
    check_model(config)
    rates = (config.learning_rate, config.step_rate, config.clip)
    require(min(rates) > 0, "learning_rate, step_rate, clip", "> 0", rates)
    require(0 <= config.seed < 2**63, "seed", "0 to 2^63 - 1", config.seed)
    for name in ("checkpoint_every", "validation_chains"):
        require(getattr(config, name) > 0, name, "> 0", getattr(config, name))
    require(all(map(_number, config.loss.values())), "loss", "a number for each", config.loss)
    total = sum(stage.iterations for stage in config.stages)
    good = all(isinstance(n, int) and 0 < n <= total for n in config.snapshots)
    require(good and sorted(set(config.snapshots)) == list(config.snapshots), "snapshots",
            f"growing numbers of iterations, 1 to {total}", config.snapshots)
    _check_target(config)
    for stage in config.stages:
        one_of("stage.method", stage.method, ("adam", "gauss_newton"))
        one_of("stage.train", stage.train, ("all", "steps", "networks"))
        _check_lattice(config, stage.lattice)
        check_stage(config, stage)


def _check_lattice(config: Config, lattice: tuple) -> None:
    if config.group == "vector":
        n = config.action_at(1.0).dimension
        require(lattice == (n,) and isinstance(lattice[0], int), "stage.lattice",
                f"[{n}], the dimension of the means", lattice)
        return
    shown = {"su3": ("four", 4, "X,Y,Z,T"), "u1": ("two", 2, "X,T")}[config.group]
    good = len(lattice) == shown[1] and all(
        isinstance(n, int) and n >= 2 and n % 2 == 0 for n in lattice)
    require(good, "stage.lattice", f"{shown[0]} even extents {shown[2]} >= 2", lattice)


def _check_target(config: Config) -> None:
    require(config.target is None or config.group == "vector", "target",
            "none but for action = \"mixture\"", config.target)
    for key in config.target or {}:
        one_of("target", key, ("means", "variance", "weights"))
    try:
        config.action_at(config.betas[0])
    except (ActionError, TypeError, ValueError) as error:
        raise ConfigError(f"target: {error}") from error
