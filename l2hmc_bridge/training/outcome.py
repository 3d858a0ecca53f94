"""What a training run was worth: validation on chains it never saw, and the bundle it leaves."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.training import efficiency, losses
from l2hmc_bridge.training.config import Config
from l2hmc_bridge.training.efficiency import Efficiency
from l2hmc_bridge.training.loop import Trainer, start, thermalised

VALIDATION_SEED = 2**31  # added to the seed: chains that training never sees


# By group: what it is called, (kernel, links, generator) -> Efficiency.
SCORES: dict[str, tuple[str, Callable[..., Efficiency]]] = {
    "su3": ("MD time per force evaluation at 80 % acceptance", efficiency.md_time_per_force),
    "u1": ("E[A (q' - q)^2] of the smooth charge per force evaluation",
           partial(efficiency.jump_per_force, jump=losses.smooth_charge_jump)),
    "vector": ("E[A |x' - x|^2] per force evaluation",
               partial(efficiency.jump_per_force, jump=losses.squared_distance)),
}


# Of kernels with a field transformation, whose MD time is that of V and says nothing of U.
TRANSFORMED: tuple[str, Callable[..., Efficiency]] = (
    "E[A V (E' - E)^2] of the energy at flow time 1 per force evaluation",
    partial(efficiency.jump_per_force,
            jump=lambda before, proposal: losses.flowed_jumps(before, proposal, 1.0)[0]))


def validate(trainer: Trainer) -> dict[str, Any]:
    """The group's score, trained against start, on chains not trained on.

    `gain` is the geometric mean over the betas of the ratio, each with its standard error.
    """
    # Without the annealing: in equilibrium at each beta itself.
    config = replace(trainer.config, annealing=(1.0,), annealing_iterations=0)
    stage = replace(config.stages[-1], chains=config.validation_chains, betas=())
    begun, rows = beginning(config, trainer.device), []
    name, score = SCORES[config.group] if trainer.kernel.transformation is None else TRANSFORMED
    for index, beta in enumerate(config.betas):
        links = thermalised(config, stage, index, 0, config.seed + VALIDATION_SEED, trainer.device)
        action = trainer.kernel.action.at(beta)
        trained, untrained = (
            score(replace(kernel, action=action), links,
                  markov.trajectory_generator(config.seed + VALIDATION_SEED, index, 0))
            for kernel in (trainer.kernel, begun)
        )
        gain, error = efficiency.ratio(trained, untrained)
        rows.append({"beta": beta, "trained": trained.value, "trained_error": trained.error,
                     "start": untrained.value, "start_error": untrained.error,
                     "gain": gain, "gain_error": error})
    gain = math.exp(sum(math.log(row["gain"]) for row in rows) / len(rows))
    relative = math.hypot(*(row["gain_error"] / row["gain"] for row in rows)) / len(rows)
    return {"rows": rows, "gain": gain, "gain_error": gain * relative,
            "lattice_xyzt": list(stage.lattice), "chains": stage.chains,
            "score": name}


def beginning(config: Config, device: torch.device | str = "cpu") -> L2HMC:
    """The kernel that training has to beat: the integrator alone, no translation drawn, no F."""
    model = replace(config.model, drift_start=0.0, transformation=None, rho_start=0.0)
    stages = tuple(replace(stage, train="all") for stage in config.stages)
    return start(replace(config, model=replace(model, train_steps=True), stages=stages),
                 device).kernel


def _in_main_memory(kernel: L2HMC) -> L2HMC:
    """The kernel, copied if it is on a GPU: a bundle's fingerprint is that of the CPU."""
    if kernel.steps.length.device.type == "cpu":
        return kernel
    return replace(kernel, **{name: copy.deepcopy(module).to("cpu")
                              for name, module in architecture.modules(kernel).items()})


def snapshot_path(path: Path, iteration: int) -> Path:
    """Beside my.safetensors: my.iteration100.safetensors."""
    return path.with_name(f"{path.stem}.iteration{iteration}{path.suffix}")


def snapshot(trainer: Trainer, path: Path, provenance: dict[str, Any]) -> Path | None:
    """Write the kernel as it is if the configuration asks for it: neither validated nor gated.

    None, and nothing written, after an iteration that is none of `snapshots`.
    """
    if trainer.iteration not in trainer.config.snapshots:
        return None
    target = snapshot_path(path, trainer.iteration)
    bundle.save(target, _in_main_memory(trainer.kernel), {**provenance, **_told(trainer)},
                _range(trainer.config))
    return target


def finish(trainer: Trainer, path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    """Validate, keep the starting point where training did not beat it, write the bundle."""
    outcome = validate(trainer)
    kept = _in_main_memory(trainer.kernel)
    outcome["kept"] = "trained"
    if not outcome["gain"] > 1 and trainer.config.keep == "better":
        kept, outcome["kept"] = beginning(trainer.config), "start"
    provenance = {**provenance, **_told(trainer), "validation": outcome}
    bundle.save(path, kept, provenance, _range(trainer.config))
    return outcome


def _told(trainer: Trainer) -> dict[str, Any]:
    return {"config": trainer.config.as_dict(), "iterations": trainer.iteration,
            "seconds": sum(row.seconds for row in trainer.history)}


def _range(config: Config) -> tuple[float, float]:
    return min(config.betas), max(config.betas)
