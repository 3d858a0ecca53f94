"""What a training configuration may not combine: checked before anything runs."""

import math
from collections.abc import Sized
from typing import Any

from l2hmc_bridge.errors import ActionError, ConfigError
from l2hmc_bridge.l2hmc.kernel import COMPOSITIONS
from l2hmc_bridge.sampling.integrators import INTEGRATORS
from l2hmc_bridge.storage.parsing import shown
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.training.config import Config, Stage
from l2hmc_bridge.training.losses import LOSSES_OF

MOST_STAGES, MOST_STEPS, MOST_REPEATS, MOST_CHAINS, MOST_EXTENT = 1000, 1000, 1024, 1 << 16, 1024
MOST_BETAS, MOST_ITERATIONS = 1000, 10**8
PRECISIONS = {"su3": ("double", "single"), "u1": ("double",), "vector": ("double",)}


def check(config: Config) -> None:
    """ConfigError that names the key of the first value that cannot be."""
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
    require(0 < len(config.betas) <= MOST_BETAS and all(b > 0 for b in config.betas), "betas",
            "positive numbers", config.betas)
    require(model.step_size > 0 and 0 < model.steps <= MOST_STEPS, "model",
            f"step_size > 0 and steps from 1 to {MOST_STEPS}", (model.step_size, model.steps))
    require(0 < model.repeats <= MOST_REPEATS, "model.repeats", f"1 to {MOST_REPEATS}",
            model.repeats)
    check_annealing(config)
    check_model(config)
    rates = (config.learning_rate, config.step_rate, config.clip)
    require(min(rates) > 0, "learning_rate, step_rate, clip", "> 0", rates)
    require(0 <= config.seed < 2**63, "seed", "0 to 2^63 - 1", config.seed)
    require(config.checkpoint_every > 0, "checkpoint_every", "> 0", config.checkpoint_every)
    require(0 < config.validation_chains <= MOST_CHAINS, "validation_chains",
            f"1 to {MOST_CHAINS}", config.validation_chains)
    require(all(map(number, config.loss.values())), "loss", "a number for each", config.loss)
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


def check_annealing(config: Config) -> None:
    """A schedule of positive gammas that ends at gamma = 1 before the run does.

    gamma reaches 1 at iteration `annealing_iterations`, so that there has to be such an iteration.
    """
    require(config.annealing[-1:] == (1.0,) and min(config.annealing) > 0, "annealing",
            "a schedule of positive numbers that ends at gamma = 1", config.annealing)
    total, count = sum(stage.iterations for stage in config.stages), config.annealing_iterations
    if len(config.annealing) == 1:
        require(count == 0, "annealing_iterations", "0 without a schedule `annealing`", count)
        return
    require(0 < count < total, "annealing_iterations",
            f"1 to {total - 1}, for {total} iterations to end at gamma = 1", count)


def check_stage(config: Config, stage: Stage) -> None:
    """Numbers of a stage, and what its method can do."""
    counts = (stage.repeats, stage.iterations, stage.chains)
    require(min(counts) > 0 and min(stage.thermalisation, stage.between) >= 0, "stage",
            "repeats, iterations, chains > 0, thermalisation, between >= 0", stage)
    most = (MOST_REPEATS, MOST_ITERATIONS, MOST_CHAINS)
    require(all(one <= bound for one, bound in zip(counts, most, strict=True)), "stage",
            f"at most {most} repeats, iterations, chains", counts)
    require(len(stage.betas) <= MOST_BETAS, "stage.betas", f"at most {MOST_BETAS}", stage.betas)
    require(stage.step_scale > 0, "stage.step_scale", "> 0", stage.step_scale)
    require(all(beta > 0 for beta in stage.betas), "stage.betas", "positive numbers", stage.betas)
    model = config.model
    networks = (model.kick_network, model.drift_network, model.transformation)
    require(stage.train != "networks" or any(one is not None for one in networks), "stage.train",
            "all or steps for a model without networks", stage.train)
    if stage.method != "gauss_newton":
        return
    require(stage.train != "networks", "stage.train",
            "all or steps for method gauss_newton, which moves steps and mixing", stage.train)
    require(set(config.loss) == {"energy_error"}, "stage.method",
            "adam for other losses than energy_error, the one of gauss_newton", sorted(config.loss))
    require(len(config.annealing) == 1, "stage.method", "adam with annealing", stage.method)


def check_model(config: Config) -> None:
    """What a group has no counterpart of."""
    require(not config.model.mixing or config.group == "su3", "model.mixing",
            f"false for action {config.action!r}", config.model.mixing)
    around = config.model.transformation
    require(around is None or config.group == "su3", "model.transformation",
            f"none for action {config.action!r}", around)
    require(around is None or config.precision == "double", "precision",
            "double with a field transformation", config.precision)
    require(around is not None or config.model.rho_start == 0, "model.rho_start",
            "0 without a transformation", config.model.rho_start)
    require(0 <= config.model.drift_start <= 1, "model.drift_start",
            "0 to 1: translations uniform in +-pi times this", config.model.drift_start)


def one_of(key: str, value: str, choices) -> None:
    """ConfigError that names the key and the choices unless `value` is one of them."""
    if value not in choices:
        raise ConfigError(f"{key}: expected one of {', '.join(choices)}, found {shown(value)}")


def require(condition: bool, key: str, expected: str, found: Any) -> None:
    """ConfigError that names the key unless `condition` holds."""
    if not condition:
        told = repr(found) if not isinstance(found, Sized) or len(found) < 20 else shown(found)
        raise ConfigError(f"{key}: expected {expected}, found {told[:200]}")


def number(value: Any) -> bool:
    """A finite number; TOML has nan and inf."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_lattice(config: Config, lattice: tuple) -> None:
    action = config.action_at(1.0)
    fixed = systems.system_of(action).fixed(action)
    if fixed:
        require(lattice == fixed and isinstance(lattice[0], int), "stage.lattice",
                f"{list(fixed)}, the dimension of the means", lattice)
        return
    shown = {"su3": ("four", 4, "X,Y,Z,T"), "u1": ("two", 2, "X,T")}[config.group]
    good = len(lattice) == shown[1] and all(
        isinstance(n, int) and 2 <= n <= MOST_EXTENT and n % 2 == 0 for n in lattice)
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
