"""What a training configuration may not combine: checked before anything runs."""

from typing import TYPE_CHECKING, Any

from l2hmc_bridge.errors import ConfigError

if TYPE_CHECKING:
    from l2hmc_bridge.training_config import Config, Stage


def check_annealing(config: "Config") -> None:
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


def check_stage(config: "Config", stage: "Stage") -> None:
    """Numbers of a stage, and what its method can do."""
    counts = (stage.repeats, stage.iterations, stage.chains)
    require(min(counts) > 0 and min(stage.thermalisation, stage.between) >= 0, "stage",
            "repeats, iterations, chains > 0, thermalisation, between >= 0", stage)
    require(stage.step_scale > 0, "stage.step_scale", "> 0", stage.step_scale)
    require(all(beta > 0 for beta in stage.betas), "stage.betas", "positive numbers", stage.betas)
    model = config.model
    require(stage.train != "networks" or bool(model.kick_network or model.drift_network),
            "stage.train", "all or steps for a model without networks", stage.train)
    if stage.method != "gauss_newton":
        return
    require(stage.train != "networks", "stage.train",
            "all or steps for method gauss_newton, which moves steps and mixing", stage.train)
    require(set(config.loss) == {"energy_error"}, "stage.method",
            "adam for other losses than energy_error, the one of gauss_newton", sorted(config.loss))
    require(len(config.annealing) == 1, "stage.method", "adam with annealing", stage.method)


def check_model(config: "Config") -> None:
    """What a group has no counterpart of."""
    require(not config.model.mixing or config.group == "su3", "model.mixing",
            f"false for action {config.action!r}", config.model.mixing)


def one_of(key: str, value: str, choices) -> None:
    """ConfigError that names the key and the choices unless `value` is one of them."""
    if value not in choices:
        raise ConfigError(f"{key}: expected one of {', '.join(choices)}, found {value!r}")


def require(condition: bool, key: str, expected: str, found: Any) -> None:
    """ConfigError that names the key unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{key}: expected {expected}, found {found!r}")
