"""A training configuration: a TOML file as checked, frozen dataclasses.

Unknown keys, wrong types and impossible values are refused before anything runs.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.actions import RECTANGLE_COEFFICIENTS
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.integrators import INTEGRATORS
from l2hmc_bridge.l2hmc import COMPOSITIONS
from l2hmc_bridge.losses import LOSSES


@dataclasses.dataclass(frozen=True)
class Model:
    """[model]: the untrained kernel, see architecture.untrained; steps are those of one pass."""

    integrator: str = "omf4"
    step_size: float = 0.5
    steps: int = 1
    composition: str = "palindrome"
    repeats: int = 1  # palindromes in a row; each stage has a number of its own
    kick_network: dict | None = None  # {hidden, loops}
    drift_network: dict | None = None  # {hidden}
    mixing: bool = False
    start_from: str = ""  # a shipped bundle's name, or a path: its step sizes are the start
    train_steps: bool = True
    train_length: bool = False  # False: the MD time of a trajectory is fixed


@dataclasses.dataclass(frozen=True)
class Stage:
    """[[stage]]: so many iterations on one lattice."""

    lattice: tuple[int, ...] = (4, 4, 4, 4)  # X,Y,Z,T
    iterations: int = 100
    chains: int = 8
    thermalisation: int = 60  # HMC trajectories of unit length from a cold start
    repeats: int = 1  # palindromes in a row while this stage trains
    step_scale: float = 1.0  # all steps times this during the stage
    method: str = "adam"  # or "gauss_newton": step sizes and mixing on the energy error
    train: str = "all"  # what adam moves: "all", "steps" (with the mixing) or "networks"


@dataclasses.dataclass(frozen=True)
class Config:
    """The whole file."""

    name: str
    action: str
    betas: tuple[float, ...]
    model: Model
    stages: tuple[Stage, ...]
    loss: dict[str, float]
    seed: int = 1
    learning_rate: float = 1e-2
    schedule: str = "cosine"
    clip: float = 1.0
    annealing: tuple[float, ...] = (1.0,)  # gamma multiplies beta; ends at 1
    annealing_iterations: int = 0
    checkpoint_every: int = 50
    validation_chains: int = 16

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for the provenance of a bundle."""
        return dataclasses.asdict(self)


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
        shown = sorted(set(fields) - {"model", "stages"})
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
    _one_of("action", config.action, RECTANGLE_COEFFICIENTS)
    _one_of("model.integrator", model.integrator, INTEGRATORS)
    _one_of("model.composition", model.composition, COMPOSITIONS)
    _one_of("schedule", config.schedule, ("cosine", "constant"))
    for name in config.loss:
        _one_of("loss", name, LOSSES)
    _require(bool(config.loss), "loss", "at least one of " + ", ".join(LOSSES), "none")
    _require(bool(config.betas) and all(b > 0 for b in config.betas), "betas",
             "positive numbers", config.betas)
    _require(model.step_size > 0 and model.steps > 0, "model", "step_size > 0 and steps > 0",
             (model.step_size, model.steps))
    _require(config.annealing[-1:] == (1.0,), "annealing", "a schedule that ends at gamma = 1",
             config.annealing)
    _require(config.learning_rate > 0 and config.clip > 0, "learning_rate, clip", "> 0",
             (config.learning_rate, config.clip))
    _require(0 <= config.seed < 2**63, "seed", "0 to 2^63 - 1", config.seed)
    for name in ("checkpoint_every", "validation_chains"):
        _require(getattr(config, name) > 0, name, "> 0", getattr(config, name))
    _require(all(map(_number, config.loss.values())), "loss", "a number for each", config.loss)
    for stage in config.stages:
        _one_of("stage.method", stage.method, ("adam", "gauss_newton"))
        _one_of("stage.train", stage.train, ("all", "steps", "networks"))
        good = len(stage.lattice) == 4 and all(
            isinstance(n, int) and n >= 2 and n % 2 == 0 for n in stage.lattice)
        _require(good, "stage.lattice", "four even extents X,Y,Z,T >= 2", stage.lattice)
        counts = (stage.repeats, stage.iterations, stage.chains)
        _require(min(counts) > 0 and stage.thermalisation >= 0,
                 "stage", "repeats, iterations, chains > 0, thermalisation >= 0", stage)


def _one_of(key: str, value: str, choices) -> None:
    if value not in choices:
        raise ConfigError(f"{key}: expected one of {', '.join(choices)}, found {value!r}")


def _require(condition: bool, key: str, expected: str, found: Any) -> None:
    if not condition:
        raise ConfigError(f"{key}: expected {expected}, found {found!r}")
