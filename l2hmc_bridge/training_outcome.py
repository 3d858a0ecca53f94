"""What a training run was worth: validation on chains it never saw, and the bundle it leaves."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2hmc_bridge import bundle, markov
from l2hmc_bridge.efficiency import md_time_per_force
from l2hmc_bridge.training import Trainer, start, thermalised

VALIDATION_SEED = 2**31  # added to the seed: chains that training never sees


def validate(trainer: Trainer) -> dict[str, Any]:
    """MD time per force at 80 % acceptance, trained against start, on chains not trained on."""
    config = trainer.config
    stage = replace(config.stages[-1], chains=config.validation_chains)
    begun = start(config).kernel
    rows = []
    for index, beta in enumerate(config.betas):
        links = thermalised(config, stage, index, 0, config.seed + VALIDATION_SEED)
        action = trainer.kernel.action.at(beta)
        scores = [
            md_time_per_force(replace(kernel, action=action), links,
                              markov.trajectory_generator(config.seed + VALIDATION_SEED, index, 0))
            for kernel in (trainer.kernel, begun)
        ]
        rows.append({"beta": beta, "trained": scores[0][0], "start": scores[1][0]})
    gain = math.exp(sum(math.log(r["trained"] / r["start"]) for r in rows) / len(rows))
    return {"rows": rows, "gain": gain, "lattice_xyzt": list(stage.lattice),
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
