"""Checkpoints of a training run: one safetensors file that a run goes on from."""

import dataclasses
import json
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.training import parallel
from l2hmc_bridge.training.config import Config, Model, Stage
from l2hmc_bridge.training.loop import Progress, Trainer, start


def save(trainer: Trainer, path: Path) -> None:
    """Everything `load` needs, one safetensors file, renamed into place by the first process."""
    tensors = {f"weights.{k}": v for k, v in architecture.tensors(trainer.kernel).items()}
    for index, links in trainer.chains.items():
        tensors[f"chains.{index}"] = systems.stored(parallel.gathered(links))
    if parallel.rank():
        return
    for number, state in trainer.optimiser.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"adam.{number}.{name}"] = value
    meta = {
        "config": json.dumps(trainer.config.as_dict(), sort_keys=True),
        "iteration": str(trainer.iteration),
        "damping": repr(trainer.damping),
        "rejected": str(trainer.rejected),
        "failures": str(trainer.failures),
        "inputs": json.dumps(trainer.inputs),
        "history": json.dumps([vars(row) for row in trainer.history]),
    }
    bundle.write_file(path, tensors, meta)


def load(config: Config, path: Path, device: torch.device | str = "cpu") -> Trainer:
    """The trainer as it was saved; StreamError unless it belongs to the same configuration."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            meta = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        raise StreamError(f"{path}: expected a training checkpoint, found: {error}") from error
    _check_config(config, json.loads(meta.get("config", "{}")), path)
    trainer = start(config, device)
    architecture.load_tensors(trainer.kernel, _part(tensors, "weights."))
    trainer.iteration, trainer.damping = int(meta["iteration"]), float(meta["damping"])
    inputs = json.loads(meta.get("inputs", "null"))
    trainer.inputs = None if inputs is None else tuple(inputs)
    trainer.rejected = int(meta.get("rejected", "0"))
    trainer.failures = int(meta.get("failures", "0"))
    trainer.history = [Progress(**row) for row in json.loads(meta["history"])]
    trainer.chains = {int(k): systems.restored(v, config.group)[parallel.part(len(v))].to(device)
                      for k, v in _part(tensors, "chains.").items()}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "adam.").items():
        number, key = name.split(".")
        state.setdefault(int(number), {})[key] = value
    groups = trainer.optimiser.state_dict()["param_groups"]
    trainer.optimiser.load_state_dict({"state": state, "param_groups": groups})
    return trainer


def _check_config(config: Config, found: dict, path: Path) -> None:
    """StreamError that names the keys in which the configuration of the checkpoint differs."""
    expected = json.loads(json.dumps(config.as_dict()))
    found = {**_defaults(Config), **found}  # of keys that there were not when it was written
    found["model"] = {**_defaults(Model), **found.get("model", {})}
    found["stages"] = [{**_defaults(Stage), **stage} for stage in found.get("stages", [])]
    keys = [key for key in sorted(expected | found) if expected.get(key) != found.get(key)]
    if keys:
        names = ", ".join("stage" if key == "stages" else key for key in keys)
        raise StreamError(f"{path}: expected a checkpoint of this configuration, found one with "
                          f"another {names}")


def _defaults(kind) -> dict:
    """What the keys of a dataclass are where a configuration does not say, as JSON has it."""
    given = {one.name: one.default for one in dataclasses.fields(kind)
             if one.default is not dataclasses.MISSING}
    return json.loads(json.dumps(given))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
