"""Results of `nested` by name, and plans in them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.sampling.integrators import Schedule
from l2hmc_bridge.training.nested.sample import Worth


class Kept:
    """Results by name in one JSON file, each computed once."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """The result called `name`, made and kept if it is not there."""
        if name not in self.rows:
            began = time.process_time()
            self.rows[name] = make()
            print(f"{name}: {time.process_time() - began:.0f} processor seconds", flush=True)
            self.path.write_text(json.dumps(self.rows, indent=1) + "\n")
        return self.rows[name]


def told(found: Worth, plan: Schedule) -> dict[str, Any]:
    """A worth as JSON, the plan at its scale of 80 % acceptance beside it."""
    return {"value": found.value, "error": found.error, "length": found.length,
            "forces": found.cost, "scale": found.scale, "plan": [list(part) for part in plan],
            "influence": found.influence.tolist()}


def as_worth(row: dict[str, Any]) -> Worth:
    """Inverse of `told`."""
    return Worth(row["value"], row["scale"], row["length"], row["forces"],
                 torch.tensor(row["influence"], dtype=torch.float64))


def at_scale(row: dict[str, Any]) -> Schedule:
    """The plan of a row with its scale worked in."""
    return Schedule(*map(tuple, row["plan"])).scaled(row["scale"])


def best(rows: dict[str, Any], start: str) -> str | None:
    """The row of largest value among those whose name begins so."""
    names = [name for name in rows if name.startswith(start)]
    return max(names, key=lambda name: rows[name]["value"]) if names else None
