"""What training of a nested step was worth, and the bundle it leaves."""

from pathlib import Path
from typing import Any

from l2hmc_bridge.bundle import nested as bundle
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.training.nested.host import start
from l2hmc_bridge.training.nested.loop import VALIDATION, Run, moved, seeds
from l2hmc_bridge.training.nested.sample import Sample, Worth, forces, iterations, ratio, worth

SCORE = "MD time per host force at 80 % acceptance"
APART = 2  # trajectories between the last sample and validation


def validate(run: Run) -> dict[str, Any]:
    """The score of the trained step against its start, on noise, momenta and links never seen."""
    links = moved(run, run.links, VALIDATION, APART)
    sample = Sample(links, seeds(run.config, VALIDATION, 2**20, run.config.validation_draws))
    trained, begun = (worth(kernel, [sample]) for kernel in (run.kernel, start(run.config,
                                                                               run.host)))
    gain, error = ratio(trained, begun)
    per_iteration = [worth_by_iterations(one, kernel, sample) for one, kernel in
                     ((trained, run.kernel), (begun, start(run.config, run.host)))]
    return {"score": SCORE, "gain": gain, "gain_error": error,
            "gain_per_solver_iteration": per_iteration[0] / per_iteration[1],
            "trained": _told(trained), "start": _told(begun),
            "lattice_xyzt": list(run.config.lattice),
            "points": len(links) * run.config.validation_draws}


def worth_by_iterations(found: Worth, kernel: Nested, sample: Sample) -> float:
    """MD time per solver iteration at the scale found; per force if the host counts none."""
    infos = sample.infos(kernel.scaled(found.scale))
    return found.length / (iterations(infos) or forces(infos))


def finish(run: Run, path: Path, provenance: dict[str, Any]) -> dict[str, Any]:
    """Validate, keep the start unless the gain is above 1 by more than its error, write the bundle.

    One standard error, from the spread over points. Steps are stored at the scale where the
    acceptance is 80 % on the validation's points.
    """
    found = validate(run)
    better = found["gain"] > 1 + found["gain_error"]
    kernel = run.kernel if better else start(run.config, run.host)
    kernel = kernel.scaled(found["trained" if better else "start"]["scale"])
    found["kept"] = "trained" if better else "start"
    bundle.save(path, kernel, run.host, {
        **provenance, "config": run.config.as_dict(), "validation": found,
        "history": [vars(row) for row in run.rows]})
    return found


def _told(one: Worth) -> dict[str, float]:
    return {"value": one.value, "error": one.error, "scale": one.scale, "length": one.length,
            "cost": one.cost}
