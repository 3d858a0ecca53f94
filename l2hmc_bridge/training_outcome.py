"""What a training run was worth: validation on chains it never saw, and the bundle it leaves."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2hmc_bridge import bundle, markov
from l2hmc_bridge.efficiency import md_time_per_force, ratio
from l2hmc_bridge.training import Trainer, start, thermalised

VALIDATION_SEED = 2**31  # added to the seed: chains that training never sees


def validate(trainer: Trainer) -> dict[str, Any]:
    """MD time per force at 80 % acceptance, trained against start, on chains not trained on.

    `gain` is the geometric mean over the betas of the ratio, each with its standard error.
    """
    config = trainer.config
    stage = replace(config.stages[-1], chains=config.validation_chains)
    begun = start(config).kernel
    rows = []
    for index, beta in enumerate(config.betas):
        links = thermalised(config, stage, index, 0, config.seed + VALIDATION_SEED)
        action = trainer.kernel.action.at(beta)
        trained, untrained = (
            md_time_per_force(replace(kernel, action=action), links,
                              markov.trajectory_generator(config.seed + VALIDATION_SEED, index, 0))
            for kernel in (trainer.kernel, begun)
        )
        gain, error = ratio(trained, untrained)
        rows.append({"beta": beta, "trained": trained.value, "trained_error": trained.error,
                     "start": untrained.value, "start_error": untrained.error,
                     "gain": gain, "gain_error": error})
    gain = math.exp(sum(math.log(row["gain"]) for row in rows) / len(rows))
    relative = math.hypot(*(row["gain_error"] / row["gain"] for row in rows)) / len(rows)
    return {"rows": rows, "gain": gain, "gain_error": gain * relative,
            "lattice_xyzt": list(stage.lattice), "chains": stage.chains,
            "score": "MD time per force evaluation at 80 % acceptance"}


def finish(trainer: Trainer, path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    """Validate, keep the starting point where training did not beat it, write the bundle."""
    outcome = validate(trainer)
    kept = trainer.kernel
    outcome["kept"] = "trained"
    if not outcome["gain"] > 1:
        kept, outcome["kept"] = start(trainer.config).kernel, "start"
    config = trainer.config
    provenance = {**provenance, "config": config.as_dict(), "validation": outcome,
                  "iterations": trainer.iteration,
                  "seconds": sum(row.seconds for row in trainer.history)}
    bundle.save(path, kept, provenance, (min(config.betas), max(config.betas)))
    return outcome
