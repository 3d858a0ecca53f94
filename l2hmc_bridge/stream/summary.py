"""What a stream amounts to: acceptance, exactness, plaquette, cost, with Gamma-method errors."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.rows import Row, series
from l2hmc_bridge.storage.atomic import replacing

NAME = "summary.json"
REVERSIBILITY_BOUND = 1e-11
UNSOLVED = 0.01  # share of proposals that a solver may spoil without a word
FROZEN = 1e-9  # mean squared link change of an update that moves nothing
OBSERVABLES = ("plaquette", "plaquette_spatial", "plaquette_temporal", "topological_charge")


def summarise(definition: Definition, rows: Sequence[Row], target: int) -> dict[str, Any]:
    """Everything summary.json holds; an observable is {value, error, tau_int, tau_int_error}.

    All chains together on top, each alone under `chains` if there are several. tau_int is
    1/2 + sum rho, in trajectories; what cannot be resolved is None with a note.
    """
    kernel = definition.kernel.stored()
    result = {
        "trajectories": len(rows),
        "target": target,
        "complete": len(rows) >= target,
        **measured(rows, range(definition.chains)),
        "force_evaluations_per_trajectory": _mean([row["force_evaluations"] for row in rows]),
        "seconds_per_trajectory": _mean([row["seconds"][0] for row in rows]),
        "seed": definition.seed,
        "bundle": kernel.get("bundle"),
        "bundle_hash": kernel.get("hash"),
        "kernel": dict(sorted(kernel.items())),
        "action": definition.action,
        "tuning_factor": definition.factor,
        "reunitarised": sum(row["reunitarised"] for row in rows),
        **levels(rows),
        "reversibility_defect": max(
            (row["reversibility"] for row in rows if row["reversibility"] is not None),
            default=None,
        ),
        **{key: value for key, value in definition.record.items() if key != "provenance"},
    }
    result["warnings"] = [*definition.record.get("warnings", []), *warnings(result)]
    if definition.chains > 1:
        result["chains"] = [{"chain": chain, **measured(rows, [chain])}
                            for chain in range(definition.chains)]
    return result


def levels(rows: Sequence[Row]) -> dict[str, Any]:
    """{"levels": forces, solves, iterations of a trajectory, "unsolved": rejections} if nested."""
    if not rows or "levels" not in rows[0]:
        return {}
    names = {name: list(costs) for name, costs in rows[0]["levels"].items()}
    return {"levels": {name: {key: _mean([row["levels"][name][key] for row in rows])
                              for key in keys} for name, keys in names.items()},
            "unsolved": sum(sum(row["unsolved"]) for row in rows),
            "unsolved_share": sum(sum(row["unsolved"]) for row in rows)
            / sum(len(row["unsolved"]) for row in rows)}


def measured(rows: Sequence[Row], chains: Sequence[int]) -> dict[str, Any]:
    """Acceptance, <exp(-dH + log|J|)>, observables and link change of these chains."""
    if not rows:
        return {"acceptance": None, "not_finite": 0, "exp_minus_dh": None, "link_change": None,
                **dict.fromkeys(OBSERVABLES)}
    columns = {name: [series(rows, name)[chain] for chain in chains]
               for name in ("accepted", "delta_h", "log_det", "link_change", *OBSERVABLES)}
    effective = [[h - j for h, j in zip(*pair, strict=True)]
                 for pair in zip(columns["delta_h"], columns["log_det"], strict=True)]
    exactness, bad = statistics.exp_minus_dh(effective)
    return {
        "acceptance": _mean([one for chain in columns["accepted"] for one in chain]),
        "not_finite": bad,
        "exp_minus_dh": exactness.as_dict(),
        **{name: statistics.estimate(columns[name]).as_dict()
           for name in (*OBSERVABLES, "link_change")},
    }


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """Sentences on what a person should not overlook."""
    found, length = [], summary["trajectories"]
    if length >= 10 and not summary["acceptance"]:
        found.append("no proposal was accepted: a start out of equilibrium needs --thermalise N")
    change = (summary["link_change"] or {}).get("value")
    if summary["acceptance"] and change is not None and change <= FROZEN:
        found.append(f"the update moves nothing: mean squared link change {change:.1g} at "
                     f"acceptance {summary['acceptance']:.3f}: the configurations repeat each "
                     "other")
    if summary["not_finite"]:
        found.append(f"{summary['not_finite']} proposals had a NaN or infinite energy change; "
                     "they were rejected")
    if summary.get("unsolved_share", 0.0) > UNSOLVED:
        found.append(f"{summary['unsolved']} proposals ({summary['unsolved_share']:.1%}) were "
                     "rejected because a host's solver did not converge")
    exactness = summary["exp_minus_dh"] or {}
    if exactness.get("error") and abs(exactness["value"] - 1) > 4 * exactness["error"]:
        found.append("<exp(-dH + log|J|)> is more than 4 standard errors from 1")
    defect = summary["reversibility_defect"]
    if defect is not None and not defect <= REVERSIBILITY_BOUND:
        found.append(f"a trajectory forth and back missed its start by {defect:.1e}, expected at "
                     f"most {REVERSIBILITY_BOUND:g}")
    return found


def write(folder: Path, summary: Mapping[str, Any]) -> None:
    """Replace summary.json; what is not a finite number is null. Raises BridgeError."""
    text = json.dumps(_finite(summary), indent=1, allow_nan=False)
    with replacing(folder / NAME, force=True) as file:
        file.write(f"{text}\n".encode())


def shown(entry: Mapping[str, Any] | None) -> str:
    """An observable as a person reads it: value(error)."""
    if entry is None:
        return "-"
    if entry["error"] is None:
        return f"{entry['value']:.6g} ({statistics.NOT_RESOLVABLE})"
    return statistics.with_error(entry["value"], entry["error"])


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _mean(numbers: Sequence[float]) -> float | None:
    return math.fsum(numbers) / len(numbers) if numbers else None
